import { MORE_CASES } from './more-cases.ts';

export { NO_SWAP_CASES } from './more-cases.ts';

import { group, type OracleCase } from './script.ts';

/**
 * Single traces with what the kernel answered and counted (Linux 6.18), by rule of docs/validate.md.
 * The syntax is that of script.ts. They hold for the kernel, the reference model and the engine.
 */
export const CASES: readonly OracleCase[] = [
  ...group('2.2', [
    `mmap 0.0.0 256; w 0.0.0; mprotect 0.0.0 256 r; mmap 0.0.256 256; w 0.0.256;
     mprotect 0.0.0 256 rw; V 0.0.0-1.0 rw`,
    // A written middle one takes the next one's identity, not the previous one's.
    `mmap 0.0.0 4; w 0.0.0; mmap 0.0.8 4; w 0.0.8; mprotect 0.0.0 4 r; mprotect 0.0.8 4 r;
     mmap 0.0.4 4; w 0.0.4; mprotect 0.0.0 12 rw; V 0.0.0-0.4 rw, 0.0.4-0.12 rw`,
  ]),
  ...group('2.3', [
    `mmap 0.0.0 200; mmap 0.0.300 212; w 0.0.0; w 0.0.300; mmap 0.0.200 100;
     V 0.0.0-0.300 rw, 0.0.300-1.0 rw`,
    'mmap 0.0.0 200; mmap 0.0.300 212; w 0.0.0; r 0.0.300; mmap 0.0.200 100; V 0.0.0-1.0 rw',
    'mmap 0.0.0 200; mmap 0.0.300 212; r 0.0.0; w 0.0.300; mmap 0.0.200 100; V 0.0.0-1.0 rw',
    'mmap 0.0.0 200; mmap 0.0.300 212; r 0.0.0; r 0.0.300; mmap 0.0.200 100; V 0.0.0-1.0 rw',
  ]),
  ...group('2.4', [
    `mmap 0.0.0 4; mmap 0.0.8 4; w 0.0.0; w 0.0.8; mmap 0.0.4 4 r; mprotect 0.0.4 4 rw;
     V 0.0.0-0.8 rw, 0.0.8-0.12 rw`,
  ]),
  ...group('2.5', [
    `mmap 0.0.0 4; w 0.0.0; mmap 0.0.8 4; r 0.0.8 4; fork; 2: => 12/1; 2: exit;
     mmap 0.0.4 4; fork; 3: => 12/5`,
  ]),
  ...group('2.6', [
    `mmap 0.0.0 4; w 0.0.0; mremap 0.0.0 4 4 -> 1.0.0; mmap 0.0.4 4; w 0.0.4;
     mremap 1.0.0 4 4 -> 0.0.0; V 0.0.0-0.4 rw, 0.0.4-0.8 rw`,
    `mmap 0.0.0 4; w 0.0.0; mremap 0.0.0 4 4 -> 1.0.0; mmap 0.0.4 4; r 0.0.4;
     mremap 1.0.0 4 4 -> 0.0.0; V 0.0.0-0.8 rw; fork; 2: => 12/2`,
  ]),
  ...group('2.7', [
    'mmap 0.0.0 256 r; mmap 0.0.256 256; mprotect 0.0.256 10 r; V 0.0.0-0.266 r, 0.0.266-1.0 rw',
  ]),
  ...group('2.8', [
    `mmap 0.0.0 1s; hugepage 0.0.0 1s; mmap 0.1.0 1s; nohugepage 0.0.0 1s;
     V 0.0.0-1.0 rw, 0.1.0-2.0 rw; nohugepage 0.1.0 1s; V 0.0.0-2.0 rw`,
  ]),
  ...group('3.1', [
    'mmap 0.0.0 4 r => 0/0; w 0.0.0 => fault 0/0; r 0.1.0 => fault 0/0; r 0.0.3 => ok 12/1',
    'mmap 0.0.0 4 none; r 0.0.0 => fault 0/0; mprotect 0.0.0 4 rw => ok 0/0; w 0.0.0 => ok 12/1',
  ]),
  ...group('3.2', [
    `mmap 0.0.0 2s+10; w 0.0.0; w 0.1.0; w 0.2.0 => ok 20/3;
     dontneed 0.0.1 4s => ENOMEM 16/1; V 0.0.0-2.10 rw`,
    `mmap 0.0.0 256; mmap 0.0.256 256 r; w 0.0.0 => 12/1; dontneed 0.0.0 1s => ok 12/0;
     mprotect 0.0.256 256 rw; V 0.0.0-1.0 rw; dontneed 0.0.0 1s => ok 8/0`,
    'mmap 0.0.0 1s; w 0.0.0; dontneed 0.0.0 1 => 12/0; dontneed 0.0.1 511 => 12/0',
  ]),
  ...group('3.3', [
    `mmap 0.0.0 256; mmap 0.0.256 256 r; w 0.0.0; munmap 0.0.0 256 => ok 12/0;
     munmap 0.0.256 256 => ok 0/0`,
    'mmap 0.0.0 1s; mmap 0.20.0 1 r; w 0.0.0; munmap 0.0.0 1s => 8/0; munmap 0.20.0 1 => 0/0',
    'mmap 0.0.0 1s; mmap 1.20.0 1 r; w 0.0.0; munmap 0.0.0 1s => 4/0; munmap 1.20.0 1 => 0/0',
  ]),
  ...group('3.4', ['mmap 0.0.0 1; w 0.0.0; munmap 0.5.0 3s => ok 12/1']),
  ...group('3.5', [
    'mmap 0.0.0 1s; w 0.0.0; mmap 0.0.0 1s => ok 0/0',
    'mmap 0.0.0 1s; w 0.0.1; mmap 0.0.1 511 => ok 12/0',
  ]),
  ...group('4.1', [
    'mmap 0.0.0 4; mremap 0.0.0 4 0 -> 1.0.0 => EINVAL',
    'mmap 0.0.0 4; mremap 0.0.0 4 2 -> 0.0.3 => EINVAL; mremap 0.5.0 4 4 -> 0.5.3 => EINVAL',
    'mmap 0.0.0 4; mremap 0.0.0 0 4 -> 1.0.0 => EINVAL; mremap 0.5.0 0 4 -> 1.0.0 => EFAULT',
  ]),
  ...group('4.2', [
    `mmap 0.0.0 4; mmap 0.0.4 4 r; mmap 0.0.12 4; mmap 1.0.0 20 r; mremap 0.0.0 20 20 -> 1.0.0 => ok;
     V 1.0.0-0.4 rw, 1.0.4-0.12 r, 1.0.12-0.16 rw, 1.0.16-0.20 r`,
    'mmap 0.0.4 4; mmap 1.0.0 4; mremap 0.0.0 8 8 -> 1.0.0 => EFAULT; V 0.0.4-0.8 rw, 1.0.0-0.4 rw',
  ]),
  ...group('4.3', [
    'mmap 0.0.0 4; mmap 0.0.4 4 r; mremap 0.0.0 8 16 -> 1.0.0 => EFAULT; V 0.0.0-0.4 rw, 0.0.4-0.8 r',
    `mmap 0.0.0 4; mmap 0.0.4 4 r; mremap 0.0.0 2 16 -> 1.0.0 => ok;
     V 0.0.2-0.4 rw, 0.0.4-0.8 r, 1.0.0-0.16 rw`,
  ]),
  ...group('4.4', [
    'mmap 0.0.0 4; mmap 0.0.4 4 r; mmap 0.0.12 4; mremap 0.0.0 16 3 -> 1.0.0 => ok; V 1.0.0-0.3 rw',
    `mmap 0.0.0 4; mmap 0.0.4 4 r; mmap 0.0.12 4; mremap 0.0.0 16 5 -> 1.0.0 => EFAULT;
     V 0.0.0-0.4 rw, 0.0.4-0.8 r, 0.0.12-0.16 rw`,
  ]),
  ...group('4.6', [
    `mmap 0.0.0 4; w 0.0.0; mmap 1.0.4 4; mremap 0.0.0 4 4 -> 1.0.0;
     V 1.0.0-0.4 rw, 1.0.4-0.8 rw`,
    'mmap 0.0.0 4; r 0.0.0; mmap 1.0.4 4; mremap 0.0.0 4 4 -> 1.0.0; V 1.0.0-0.8 rw',
    'mmap 0.0.0 8; w 0.0.0 8; mremap 0.0.4 4 4 -> 1.0.0; mremap 1.0.0 4 4 -> 0.0.4; V 0.0.0-0.8 rw',
  ]),
  ...group('4.7', ['mmap 0.0.0 8; mremap 0.0.0 4 4 -> 0.0.8; V 0.0.4-0.12 rw']),
  ...group('4.8', [
    'mmap 0.0.0 1s; w 0.0.5; dontneed 0.0.5 1 => 12/0; mremap 0.0.0 1s 1s -> 0.4.1 => ok 16/0',
    'mmap 0.0.0 2s; w 0.1.0; mremap 0.0.0 2s 2s -> 0.4.1 => ok 16/1',
  ]),
  ...group('4.9', [
    `mmap 0.0.0 2s r; mmap 0.9.0 1; w 0.9.0 => 12/1; mremap 0.0.0 1s 1s -> 3.0.0 => ok 16/1;
     munmap 3.0.0 1s => ok 12/1`,
  ]),
  ...group('5.1', ['mmap 0.0.0 4; r 0.0.0 => ok 12/1 anon=0; mprotect 0.0.0 4 none => ok 12/1']),
  ...group('5.2', ['mmap 0.0.0 4; r 0.0.0; w 0.0.0 => ok 12/1 anon=4; fork; 2: => 12/1']),
  ...group('5.3', [
    `mmap 0.0.0 1s; r 0.0.0 8 => 12/8; fork; 2: => 0/0; 2: exit; w 0.0.20; fork; 3: => 12/9; 3: exit;
     dontneed 0.0.0 100; fork; 4: => 12/0; 4: exit; dontneed 0.0.0 1s; fork; 5: => 8/0`,
    'mmap 0.0.0 256; mmap 0.0.256 256 r; w 0.0.0; r 0.0.256 9 => 12/10; fork; 2: => 12/1',
  ]),
  ...group('5.4', [
    `mmap 0.0.0 4; w 0.0.0 4; fork; 2: w 0.0.0 4; 2: dontneed 0.0.0 4; => 12/4; 2: => 12/0;
     dontneed 0.0.0 1; 2: => 12/0; 2: exit; => 12/3`,
  ]),
  ...group('5.5', [
    `mmap 0.0.0 4; mmap 0.0.8 4; w 0.0.0; fork; 2: mmap 0.0.4 4; 2: V 0.0.0-0.4 rw, 0.0.4-0.12 rw;
     mmap 0.0.4 4; V 0.0.0-0.12 rw`,
    `mmap 0.0.0 8; w 0.0.0; mprotect 0.0.4 4 r; fork; 2: mprotect 0.0.4 4 rw;
     2: V 0.0.0-0.4 rw, 0.0.4-0.8 rw; mprotect 0.0.4 4 rw; V 0.0.0-0.8 rw`,
    'mmap 0.0.0 8; w 0.0.0; fork; 2: mprotect 0.0.4 4 r; 2: mprotect 0.0.4 4 rw; 2: V 0.0.0-0.8 rw',
  ]),
  ...group('6.2', [
    'mmap 0.0.0 4; mmap 0.0.8 4; w 0.0.0 4; w 0.0.8 4; dontneed 0.0.2 12 => ENOMEM 12/2',
    'mmap 0.0.0 4; w 0.0.0; mprotect 0.0.0 4 none; dontneed 0.0.0 4 => ok 12/0',
  ]),
  ...group('6.4', [
    'mmap 0.0.4 4; mmap 0.0.12 4; mprotect 0.0.0 16 r => ENOMEM; V 0.0.4-0.8 rw, 0.0.12-0.16 rw',
    'mmap 0.0.4 4; mmap 0.0.12 4; mprotect 0.0.4 16 r => ENOMEM; V 0.0.4-0.8 r, 0.0.12-0.16 rw',
  ]),
  ...group('6.5', [
    `mmap 0.0.0 4; mmap 0.0.4 4 r; mmap 0.0.8 4; mmap 0.0.12 4 none;
     populate_write 0.0.0 12 => EINVAL 12/4; populate_read 0.0.0 20 => EINVAL 12/12`,
    'mmap 0.0.8 4; populate_read 0.0.8 16 => ENOMEM 12/4',
  ]),
  ...group('6.7', [
    'mmap 0.0.0 4; munmap 0.0.0 0 => EINVAL; mprotect 0.5.0 0 r => ok; dontneed 0.5.0 0 => ok',
    'mmap 0.0.0 4; munmap 0.0.0+1 4 => EINVAL; mprotect 0.0.0+1 4 r => EINVAL; dontneed 0.0.0+1 0 => EINVAL',
    'mmap 0.0.0 4; munmap 0.0.0 1B => ok; V 0.0.1-0.4 rw; mmap 0.0.0 0 => EINVAL',
  ]),
  ...MORE_CASES,
];
