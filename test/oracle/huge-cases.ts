import { group, type OracleCase } from './script.ts';

/** Single traces with transparent huge pages by madvise; kernel, model and engine must have them on. */
export const HUGE_CASES: readonly OracleCase[] = [
  ...group('7.1', [
    `mmap 0.0.0 1s; w 0.0.7; hugepage 0.0.0 1s; dontneed 0.0.0 100 => 12/0; w 0.0.8 => 12/1;
     dontneed 0.0.0 1s => 8/0; w 0.0.8 => 12/512 anon=2048`,
    `mmap 0.0.1 2s; hugepage 0.0.1 2s; w 0.0.1 => 12/1; w 0.1.5 => 16/513; w 0.2.0 => 20/514`,
  ]),
  ...group('7.2', [
    `mmap 0.0.0 2s; hugepage 0.0.0 2s; w 0.0.7 => 12/512 anon=2048; r 0.1.7 => 16/1024 anon=2048;
     w 0.1.9 => 16/1024 anon=4096`,
    'mmap 0.0.0 1s; hugepage 0.0.0 1s; r 0.0.7 => 12/512 anon=0; nohugepage 0.0.0 1s; w 0.0.9 => 12/512 anon=2048',
    'mmap 0.0.0 1s; hugepage 0.0.0 1s; r 0.0.7 => 12/512; fork; 2: => 12/512 anon=0; 2: w 0.0.1 => 12/512 anon=2048',
    // A split huge zero page is 512 small ones.
    'mmap 0.0.0 1s; hugepage 0.0.0 1s; r 0.0.7; dontneed 0.0.0 1 => 12/511; w 0.0.9 => 12/511 anon=4',
  ]),
  ...group('7.3', [
    'mmap 0.0.0 2s; hugepage 0.0.0 2s; w 0.1.0 => 12/512; dontneed 0.1.3 5 => 12/507; dontneed 0.1.0 1s => 8/0',
    `mmap 0.0.0 1s; hugepage 0.0.0 1s; r 0.0.0; mprotect 0.0.0 5 r; mprotect 0.0.0 5 rw => 12/512;
     w 0.0.100 => 12/512 anon=4`,
    'mmap 0.0.0 1s; hugepage 0.0.0 1s; r 0.0.0; mprotect 0.0.0 1s none; mprotect 0.0.0 1s rw; w 0.0.0 => 12/512 anon=2048',
  ]),
  ...group('7.4', [
    'mmap 0.0.0 1s; hugepage 0.0.0 1s; w 0.0.0; dontneed 0.0.0 1s => 8/0; r 0.0.0 => 12/512; munmap 0.0.0 1s => 0/0',
  ]),
  ...group('7.5', [
    `mmap 0.0.0 1s; hugepage 0.0.0 1s; w 0.0.0; fork; 2: => 12/512 anon=2048; 2: w 0.0.5 => 12/512 anon=2048;
     2: dontneed 0.0.0 1s => 8/0; => 12/512; 2: w 0.0.5 => 12/512`,
  ]),
  ...group('7.6', [
    'mmap 0.0.0 1s; hugepage 0.0.0 1s; w 0.0.0; mremap 0.0.0 1s 1s -> 0.4.0 => ok 12/512',
    'mmap 0.0.0 1s; hugepage 0.0.0 1s; w 0.0.0; mremap 0.0.0 1s 1s -> 0.8.1 => ok 16/512',
    'mmap 0.0.0 1s; hugepage 0.0.0 1s; r 0.0.0; mremap 0.0.0 1s 1s -> 0.4.0; w 0.4.3 => ok 12/512 anon=2048',
    'mmap 0.0.0 1s; hugepage 0.0.0 1s; r 0.0.0; mremap 0.0.0 1s 1s -> 0.8.1; w 0.8.3 => ok 16/512 anon=4',
  ]),
  ...group('8.1', [
    'mmap 0.0.0 1s; mmap 0.2.0 1s; w 0.0.0; w 0.2.0; collapse 0.0.0 3s => ENOMEM 16/1024',
    'mmap 0.0.0 1s; mmap 0.2.0 1s; w 0.2.0; collapse 0.0.0 3s => EINVAL 12/1; collapse 0.5.0 3s => ENOMEM',
  ]),
  ...group('8.2', [
    'mmap 0.0.0 2s; r 0.0.0; collapse 0.0.0 1s => EINVAL 12/1; w 0.0.1; collapse 0.0.0 1s => ok 12/512 anon=2048',
    'mmap 0.0.0 2s; w 0.0.1; mprotect 0.0.0 1s r; collapse 0.0.0 1s => ok 12/512',
    'mmap 0.0.0 2s; w 0.0.1; mprotect 0.0.0 1s none; collapse 0.0.0 1s => ok 12/512',
    'mmap 0.0.0 1s; mprotect 0.0.500 12 r; w 0.0.0; collapse 0.0.0 1s => EINVAL 12/1',
    'mmap 0.0.0 1s; w 0.0.0; nohugepage 0.0.0 1s; collapse 0.0.0 1s => EINVAL 12/1',
  ]),
  ...group('8.3', [
    `mmap 0.0.0 1s; w 0.0.0; collapse 0.0.0 100 => ok 12/1; collapse 0.0.100 412 => ok 12/1;
     collapse 0.0.100 500 => ENOMEM 12/1; collapse 0.0.100 100 => EINVAL 12/1`,
  ]),
  ...group('8.4', [
    'mmap 0.0.0 1s; w 0.0.0; dontneed 0.0.0 1 => 12/0; collapse 0.0.0 1s => ok 12/512 anon=2048',
    'mmap 0.0.0 1s; hugepage 0.0.0 1s; r 0.0.0; collapse 0.0.0 1s => ok 12/512 anon=0',
    'mmap 0.0.0 1s; w 0.0.0 9; fork; collapse 0.0.0 1s => ok 12/512; 2: => 12/9; 2: collapse 0.0.0 1s => ok 12/512',
  ]),
  ...group('8.6', [
    'mmap 0.0.0 1s; w 0.0.0; guard_install 0.0.5 1; collapse 0.0.0 1s => EINVAL 12/1 guards=1',
    `mmap 0.0.0 2s; w 0.0.0; w 0.1.0; guard_install 0.0.5 1; collapse 0.0.0 2s => EINVAL 16/2;
     guard_remove 0.0.0 2s; guard_install 0.1.5 1; collapse 0.0.0 2s => EINVAL 16/513`,
  ]),
  ...group('8.5', [
    `mmap 0.0.0 3s; w 0.1.0; collapse 0.0.0 3s => EINVAL 12/1; w 0.0.0;
     collapse 0.0.0 3s => EINVAL 16/1024`,
    'mmap 0.511.0 2s; w 1.0.0; collapse 0.511.0 2s => EINVAL 12/512',
  ]),
  ...group('8.8', [
    // Off: small pages by faults, COLLAPSE is refused; what is huge stays, and so does a copy of it.
    `mmap 0.0.0 2s; hugepage 0.0.0 2s; w 0.0.7 => 12/512; thp off => ok; w 0.0.9 => 12/512;
     w 0.1.0 => 16/513; collapse 0.1.0 1s => EINVAL 16/513; thp on => ok; collapse 0.1.0 1s => ok 16/1024`,
    // The huge zero page is there: a write to it gives 2 MiB all the same.
    'mmap 0.0.0 1s; hugepage 0.0.0 1s; r 0.0.7; thp off; w 0.0.9 => 12/512 anon=2048',
    `mmap 0.0.0 1s; hugepage 0.0.0 1s; thp off; fork; 2: w 0.0.0 => 12/1; 2: thp on => ok; 2: dontneed 0.0.0 1s;
     2: w 0.0.0 => 12/512; w 0.0.0 => 12/1`,
    // All but what is advised; COLLAPSE is an advice itself.
    `mmap 0.0.0 1s; mmap 0.2.0 1s; thp advised => ok; hugepage 0.0.0 1s; w 0.0.0 => 12/512;
     w 0.2.0 => 16/513; collapse 0.2.0 1s => ok 16/1024`,
    'mmap 0.0.0 1s; hugepage 0.0.0 1s; thp advised; fork; 2: w 0.0.0 => 12/512; 2: thp off; 2: thp advised; 2: thp on',
    `mmap 0.0.0 1s; hugepage 0.0.0 1s; thp except-only => EINVAL; w 0.0.0 => 12/512; thp off; thp except-only => EINVAL;
     dontneed 0.0.0 1s; w 0.0.0 => 12/1`,
  ]),
];
