import { group, type OracleCase } from './script.ts';

/** Single traces beyond private anonymous NORESERVE memory; see cases.ts. */
export const MORE_CASES: readonly OracleCase[] = [
  // A moved VMA of a child does not merge with a fresh one; the parent's does.
  ...group('5.5', [
    `mmap 0.0.4 4; w 0.0.4; fork; 2: mremap 0.0.4 4 4 -> 1.0.0; 2: mmap 0.0.0 4;
     2: mremap 1.0.0 4 4 -> 0.0.4; 2: V 0.0.0-0.4 rw, 0.0.4-0.8 rw;
     mremap 0.0.4 4 4 -> 1.0.0; mmap 0.0.0 4; mremap 1.0.0 4 4 -> 0.0.4; V 0.0.0-0.8 rw`,
    'mmap 0.0.0 8; w 0.0.0; fork; 2: fork; 3: mprotect 0.0.4 4 r; 3: mprotect 0.0.4 4 rw; 3: V 0.0.0-0.8 rw; 3: => 12/1',
  ]),
  // Shared memory and files.
  ...group('11.1', [
    `mmap 0.0.0 64 shared; r 0.0.20 => ok 12/1 anon=0 shmem=4; w 0.0.25 => ok 12/2 shmem=8;
     fork; 2: => 0/0; 2: r 0.0.20 => ok 12/2; 2: r 0.0.40 => ok 12/3`,
  ]),
  ...group('11.2', [
    // Around 0.0.4: pages 3, 4 and 5 are there or cached; not 17, which the window 1..16 leaves out.
    `truncate memfd:a 40; mmap 0.0.0 64 memfd:a shared; w 0.0.3; w 0.0.5; w 0.0.17; munmap 0.0.0 64;
     mmap 0.0.1 64 r memfd:a+1; r 0.0.4 => ok 12/3 shmem=12; r 0.0.17 => ok 12/4`,
    // A write fault maps one page only.
    `truncate memfd:a 40; mmap 0.0.0 40 memfd:a shared; w 0.0.3; w 0.0.5; munmap 0.0.0 40;
     mmap 0.0.0 40 memfd:a shared; w 0.0.4 => ok 12/1; mmap 0.1.0 40 memfd:a; w 0.1.4 => ok 16/2 anon=4`,
  ]),
  ...group('11.3', [
    `truncate memfd:a 64; mmap 0.0.0 64 memfd:a; r 0.0.20 => ok 12/1 shmem=4 anon=0;
     w 0.0.20 => ok 12/1 shmem=0 anon=4; fork; 2: => 12/1`,
    'truncate memfd:a 64; mmap 0.0.0 64 memfd:a; r 0.0.20; fork; 2: => 0/0',
  ]),
  ...group('11.4', [
    'truncate memfd:a 10; mmap 0.0.0 64 memfd:a shared; r 0.0.12 => fault 8/0; w 0.0.12 => fault 8/0',
    // The anon_vma came before the file was asked.
    'truncate memfd:a 10; mmap 0.0.0 64 memfd:a; w 0.0.12 => fault 8/0; fork; 2: => 8/0',
    'truncate memfd:a 10; mmap 0.0.0 64 memfd:a; r 0.0.12 => fault 8/0; fork; 2: => 0/0',
    // The neighbour in the page cache is mapped before the fault fails.
    `truncate memfd:a 10; mmap 0.1.0 64 memfd:a shared; w 0.1.8; mmap 0.0.0 64 memfd:a shared;
     r 0.0.12 => fault 16/2 shmem=8`,
    'mmap 0.0.0 8 shared; mremap 0.0.0 8 16 -> 1.0.0; w 1.0.7 => ok; w 1.0.8 => fault',
  ]),
  ...group('11.5', [
    `truncate memfd:a 64; mmap 0.0.0 64 memfd:a; w 0.0.20 4; r 0.0.32 => 12/5 anon=16 shmem=4;
     truncate memfd:a 22 => ok 12/2 anon=8 shmem=0; truncate memfd:a 64; r 0.0.21 => ok 12/2`,
    'truncate memfd:a 64; mmap 0.0.0 1s memfd:a shared; w 0.0.0; truncate memfd:a 0 => ok 12/0',
  ]),
  ...group('11.6', [
    `truncate memfd:a 64; mmap 0.0.0 64 memfd:a; w 0.0.20 4; r 0.0.32;
     punch memfd:a 20 20 => ok 12/4 anon=16 shmem=0; r 0.0.32 => ok 12/5`,
    `mmap 0.1.0 4 shared; w 0.1.0 4; fork; 2: r 0.1.0 4 => 12/4; remove 0.1.1 2 => ok 12/2; 2: => 12/2`,
  ]),
  ...group('11.7', [
    `truncate memfd:a 40; mmap 0.0.0 8 memfd:a; mmap 0.0.8 8 memfd:a+8; mmap 0.0.16 8 memfd:a+15;
     V 0.0.0-0.16 rw, 0.0.16-0.24 rw`,
    'mmap 0.0.0 8 shared; mmap 0.0.8 8 shared; V 0.0.0-0.8 rw, 0.0.8-0.16 rw',
    // A file's offset stays when it moves, also without a write.
    `truncate memfd:a 40; mmap 0.0.0 8 memfd:a; mremap 0.0.0 8 8 -> 1.0.0; mmap 1.0.8 8 memfd:a+8;
     V 1.0.0-0.16 rw`,
  ]),
  // mremap in place, with old length 0, with DONTUNMAP.
  ...group('12.1', [
    `mmap 0.0.0 8; mremap 0.0.0 8 12 => ok; mremap 0.0.4 4 20 => ENOMEM; mremap 0.0.4 8 20 => ok;
     V 0.0.0-0.24 rw; mmap 0.1.0 1; mremap 0.0.0 24 1000 => ENOMEM; mremap 0.0.0 24 8 => ok;
     mremap 0.0.0 9 9 => ok; mremap 0.0.0 20 4 => ok; V 0.0.0-0.4 rw, 0.1.0-1.1 rw`,
    'mmap 0.0.0 4; mremap 0.0.0 0 8 => EINVAL; mremap 0.4.0 4 4 => EFAULT; mremap 0.4.0 4 2 => EFAULT',
    'mmap 0.0.0 4; mmap 0.0.4 4 r; mremap 0.0.0 8 16 => EFAULT; mremap 0.0.0 8 4 => ok; V 0.0.0-0.4 rw',
  ]),
  ...group('12.2', [
    'mmap 0.0.0 8; w 0.0.0; mmap 0.0.12 4; mremap 0.0.0 8 12 => ok; V 0.0.0-0.16 rw',
    `mmap 0.0.0 8; w 0.0.0; mmap 0.0.12 4; w 0.0.12; mremap 0.0.0 8 12 => ok;
     V 0.0.0-0.12 rw, 0.0.12-0.16 rw`,
  ]),
  ...group('12.3', [
    `mmap 0.0.0 8 shared; w 0.0.0; mremap 0.0.0 0 8 -> 1.0.0 => ok 12/1; r 1.0.0 => ok 20/2;
     mremap 0.0.0 0 4 => ENOMEM; mremap 0.0.0 0 8 -> 0.0.4 => ok 20/2;
     V 0.0.0-0.4 rw, 0.0.4-0.12 rw, 1.0.0-0.8 rw`,
  ]),
  ...group('12.4', [
    'mmap 0.0.0 4; mremap 0.0.0 4 8 -> 2.0.0 dontunmap => EINVAL; mremap 0.0.0 4 4 -> 0.0.2 dontunmap => EINVAL',
    `mmap 0.0.0 4; w 0.0.0 2; mremap 0.0.0 4 4 -> 1.0.0 dontunmap => ok 20/2; w 0.0.0 => ok 20/3;
     V 0.0.0-0.4 rw, 1.0.0-0.4 rw`,
    `mmap 0.0.0 4; mmap 0.0.8 4 r; mremap 0.0.0 12 12 -> 1.0.0 dontunmap => ok;
     V 0.0.0-0.4 rw, 0.0.8-0.12 r, 1.0.0-0.4 rw, 1.0.8-0.12 r`,
  ]),
  ...group('12.5', [
    // A whole slot moves as a table: the source has none any more.
    'mmap 0.0.0 1s; w 0.0.0; mremap 0.0.0 1s 1s -> 1.0.0 dontunmap => ok 16/1',
    'mmap 0.0.0 511; w 0.0.0; mremap 0.0.0 511 511 -> 1.0.0 dontunmap => ok 20/1',
    // Aligned down to the slot, for nothing lies below; with a page below, copied.
    'mmap 0.0.1 2s; w 0.0.1; w 0.1.0; mremap 0.0.1 2s 2s -> 1.0.1 dontunmap => ok 20/2',
    'mmap 0.0.0 2s+1; w 0.0.1; w 0.1.0; mremap 0.0.1 2s 2s -> 1.0.1 dontunmap => ok 24/2',
    'mmap 0.0.0 512s; w 0.0.0; w 0.5.0; mremap 0.0.0 512s 512s -> 1.0.0 dontunmap => ok 16/2; munmap 1.0.0 512s => ok 4/0',
  ]),
  ...group('12.6', [
    `mmap 0.0.0 4; w 0.0.0; mremap 0.0.0 4 4 -> 1.0.0 dontunmap => 20/1; fork; 2: => 12/1;
     mmap 0.0.4 4; w 0.0.4; V 0.0.0-0.8 rw, 1.0.0-0.4 rw`,
    // Only a part was moved: what stays still counts as written.
    `mmap 0.0.0 4; w 0.0.0 2; mremap 0.0.0 3 3 -> 1.0.0 dontunmap => 20/2; fork; 2: => 20/2`,
  ]),
  // VM_ACCOUNT and NORESERVE.
  ...group('13.1', ['mmap 0.0.0 4 reserve; mmap 0.0.4 4; V 0.0.0-0.4 rw, 0.0.4-0.8 rw']),
  ...group('13.2', [
    'mmap 0.0.0 4 r reserve; mprotect 0.0.0 4 rw; mmap 0.0.4 4 reserve; V 0.0.0-0.8 rw',
  ]),
  ...group('13.3', [
    'mmap 0.0.0 4 r reserve; mmap 0.0.4 4 reserve; mprotect 0.0.4 4 r; V 0.0.0-0.8 r',
    'mmap 0.0.0 4 r reserve; mmap 0.0.4 4 reserve; w 0.0.4; mprotect 0.0.4 4 r; V 0.0.0-0.4 r, 0.0.4-0.8 r',
  ]),
  // mlock.
  ...group('14.1', [
    `mmap 0.0.0 8; mlock 0.0.0 4 => ok 12/4 anon=16; V 0.0.0-0.4 rw, 0.0.4-0.8 rw;
     munlock 0.0.0 8 => ok 12/4; V 0.0.0-0.8 rw`,
    'mmap 0.0.0 4; mlock 0.0.0 4 onfault => ok 0/0; mlock 0.0.0 2 => ok 12/2; V 0.0.0-0.2 rw, 0.0.2-0.4 rw',
    'mmap 0.0.0 4; mlock 0.0.0+5 4096B => ok 12/2; mlock 0.5.0 0 => ok; munlock 0.5.0 1 => ENOMEM',
  ]),
  ...group('14.2', [
    'mmap 0.0.0 4; mmap 0.0.6 4; mlock 0.0.0 10 => ENOMEM 0/0; mlock 0.0.6 1 => ok 12/1',
    'mmap 0.0.0 4 none; mlock 0.0.0 4 => ENOMEM 0/0; mprotect 0.0.0 4 rw => ok 12/4 anon=16',
    'mmap 0.0.0 4 r; mlock 0.0.0 4 => ok 12/4 anon=0; mprotect 0.0.0 4 rw => ok 12/4 anon=16',
  ]),
  ...group('14.3', [
    `mmap 0.0.0 8; mlock 0.0.2 2; w 0.0.0 8; dontneed 0.0.0 8 => EINVAL 12/6; dontneed 0.0.4 4 => ok 12/2;
     free 0.0.2 1 => EINVAL; cold 0.0.2 1 => EINVAL; pageout 0.0.2 1 => EINVAL;
     guard_install 0.0.2 1 => EINVAL; guard_remove 0.0.2 1 => ok; dontneed_locked 0.0.2 2 => ok 12/0`,
    'mmap 0.0.0 4 shared locked => ok 12/4 shmem=16; remove 0.0.0 4 => EINVAL',
  ]),
  ...group('14.4', [
    `mmap 0.0.0 8 locked => ok 12/8; mremap 0.0.0 8 12 => ok 12/12;
     mremap 0.0.0 12 16 -> 1.0.0 => ok 12/16 anon=64`,
    'mmap 0.0.0 4 locked; mremap 0.0.0 4 4 -> 1.0.0 dontunmap; dontneed 0.0.0 4 => ok; dontneed 1.0.0 4 => EINVAL',
    'mmap 0.0.0 4 locked; fork; 2: dontneed 0.0.0 4 => ok 12/0; dontneed 0.0.0 4 => EINVAL',
  ]),
  // Guard markers.
  ...group('15.1', [
    `mmap 0.0.0 1s; guard_install 0.0.0 1s => ok 12/0 guards=512; dontneed 0.0.0 1s => ok 12/0 guards=512;
     guard_remove 0.0.0 1s => ok 12/0 guards=0; dontneed 0.0.0 1s => ok 8/0`,
    `mmap 0.0.0 4; w 0.0.0 4; guard_install 0.0.1 2 => ok 12/2 guards=2 anon=8; w 0.0.1 => fault;
     r 0.0.2 => fault; mprotect 0.0.0 4 r; mremap 0.0.0 4 4 -> 1.0.0 => ok 12/2 guards=2;
     munmap 1.0.0 2 => ok 12/1 guards=1; guard_remove 1.0.0 4 => ENOMEM guards=0`,
    'mmap 0.0.0 4 none; guard_install 0.0.2 4 => ENOMEM 12/0 guards=2; mmap 0.1.0 4 r; guard_install 0.1.0 1 => ok 16/0 guards=3',
  ]),
  ...group('15.2', [
    `mmap 0.0.0 4; guard_install 0.0.1 1; populate_write 0.0.0 4 => EFAULT 12/1 guards=1;
     populate_read 0.0.0 4 => EFAULT 12/1; mlock 0.0.0 4 => ENOMEM 12/1`,
  ]),
  ...group('15.3', [
    'mmap 0.0.0 4; guard_install 0.0.1 1; fork; 2: => 12/0 guards=1; 2: r 0.0.1 => fault',
    'mmap 0.0.0 4; guard_install 0.0.1 1; guard_remove 0.0.0 4; dontneed 0.0.0 4; fork; 2: => 12/0',
    `truncate memfd:a 8; mmap 0.0.0 8 shared memfd:a; w 0.0.0 4; guard_install 0.0.2 1 => 12/3 shmem=12;
     fork; 2: => 12/3 guards=1 shmem=12; truncate memfd:a 0 => ok 12/0 guards=1`,
    // The mark stays at the source even where the anon_vma goes.
    'mmap 0.0.0 8; guard_install 0.0.0 1; mremap 0.0.0 8 8 -> 1.0.0 dontunmap => 20/0; fork; 2: => 20/0 guards=1',
  ]),
  ...group('15.4', [
    // The left one gets the mark of the right one: fork copies the markers, though nothing else would.
    `truncate memfd:a 12; mmap 0.0.0 4 memfd:a shared; mmap 0.0.8 4 memfd:a+8 shared;
     guard_install 0.0.8 1; mmap 0.0.4 4 memfd:a+4 shared; V 0.0.0-0.12 rw; fork; 2: => 12/0 guards=1`,
    'mmap 0.0.0 4; guard_install 0.0.0 1; mmap 0.0.4 4; V 0.0.0-0.8 rw',
    'mmap 0.0.0 4; mmap 0.0.8 4; guard_install 0.0.0 1; guard_install 0.0.8 1; mmap 0.0.4 4; V 0.0.0-0.8 rw, 0.0.8-0.12 rw',
  ]),
  // Flags that only hinder merging.
  ...group('18.2', [
    'mmap 0.0.0 4; mmap 0.0.4 4 stack; V 0.0.0-0.4 rw, 0.0.4-0.8 rw; nohugepage 0.0.0 4; V 0.0.0-0.8 rw',
    'mmap 0.0.0 8; random 0.0.0 4; sequential 0.0.4 4; V 0.0.0-0.4 rw, 0.0.4-0.8 rw; normal 0.0.0 8; V 0.0.0-0.8 rw',
    'mmap 0.0.0 8; dontdump 0.0.0 4; V 0.0.0-0.4 rw, 0.0.4-0.8 rw; dodump 0.0.0 4; V 0.0.0-0.8 rw',
  ]),
  // MAP_GROWSDOWN.
  ...group('16.1', [
    `mmap 0.5.0 4 growsdown; w 0.4.510 => ok 12/1; V 0.4.510-5.4 rw; mmap 0.3.0 4;
     w 0.3.5 => fault; w 0.3.259 => fault; w 0.3.260 => ok 16/2; V 0.3.0-3.4 rw, 0.3.260-5.4 rw`,
    'mmap 0.5.0 4 growsdown; mmap 0.4.0 4 none; r 0.4.5 => ok; V 0.4.0-4.4 none, 0.4.5-5.4 rw',
    'mmap 0.5.0 4 growsdown; mmap 0.3.0 4 growsdown; r 0.3.4 => ok; V 0.3.0-3.4 rw, 0.3.4-5.4 rw',
  ]),
  ...group('16.2', [
    'mmap 0.5.0 4 growsdown; w 0.1.3 => fault; w 0.1.4 => ok; V 0.1.4-5.4 rw',
    'mmap 0.5.0 4 none growsdown; r 0.4.511 => fault 0/0; V 0.4.511-5.4 none; populate_read 0.4.400 4 => ENOMEM',
    'mmap 0.5.0 4 growsdown shared => EINVAL; mmap 0.5.0 4 growsdown memfd:a => EINVAL; V',
  ]),
  ...group('16.3', [
    'mmap 0.5.0 4 growsdown; r 0.4.511 => ok 12/1 anon=0; fork; 2: => 12/1',
    'mmap 0.5.0 4 growsdown; r 0.5.0 => ok 12/1; r 0.0.0 => fault; fork; 2: => 12/1',
    'mmap 0.5.0 4 growsdown; r 0.5.0; mmap 0.4.511 1; r 0.4.510 => fault; fork; 2: => 0/0',
  ]),
  // FREE, PAGEOUT (without swap), COLD, WILLNEED, REMOVE.
  ...group('17.1', [
    'mmap 0.0.0 1s; w 0.0.0 4; free 0.0.0 1s => ok 12/4 anon=16; mmap 0.1.0 4 shared; free 0.1.0 4 => EINVAL',
  ]),
  ...group('17.3', [
    'mmap 0.0.0 4; willneed 0.0.0 4 => ok 0/0; willneed 0.0.0 8 => ENOMEM; cold 0.0.0 8 => ENOMEM',
    'mmap 0.1.0 4; remove 0.1.0 4 => EINVAL; mmap 0.2.0 4 memfd:a; remove 0.2.0 4 => EACCES',
    'mmap 0.0.0 4 shared; w 0.0.0 4; mprotect 0.0.0 4 r; remove 0.0.0 2 => ok 12/2',
  ]),
  // DONTFORK, WIPEONFORK.
  ...group('18.1', [
    `mmap 0.0.0 8; w 0.0.0 8; wipeonfork 0.0.0 4; dontfork 0.0.6 2; fork; 2: => 12/2;
     2: V 0.0.0-0.4 rw, 0.0.4-0.6 rw; 2: w 0.0.0 => ok 12/3; 2: fork; 3: => 12/2;
     dofork 0.0.6 2; keeponfork 0.0.0 4; V 0.0.0-0.8 rw`,
    'mmap 0.0.0 4 shared; wipeonfork 0.0.0 4 => EINVAL; dontfork 0.0.0 4 => ok; fork; 2: V',
    'mmap 0.0.0 4 memfd:a; wipeonfork 0.0.0 4 => EINVAL; keeponfork 0.0.0 4 => ok',
  ]),
  // mmap's own flags.
  ...group('19.1', [
    'mmap 0.0.0 4; mmap 0.0.3 4 noreplace => EEXIST; mmap 0.0.4 4 noreplace => ok; V 0.0.0-0.8 rw',
    'mmap 0.0.0 4; mmap 0.0.3+1 4 noreplace => EINVAL; mmap 0.0.0+1 4 => EINVAL; mmap 0.0.0 0 => EINVAL',
  ]),
  ...group('19.2', [
    'mmap 0.0.0 4 populate => ok 12/4 anon=16; mmap 0.0.0 4 r populate => ok 12/4 anon=0',
    'mmap 0.0.0 4 none populate => ok 0/0; mmap 0.0.0 4 shared populate => ok 12/4 shmem=16',
  ]),
];

/** Rule 17.2 holds only where there is no swap. */
export const NO_SWAP_CASES: readonly OracleCase[] = group('17.2', [
  `mmap 0.0.0 4; w 0.0.0 3; r 0.0.3; pageout 0.0.0 4 => ok 12/4; free 0.0.0 4; w 0.0.0;
   pageout 0.0.0 4 => ok 12/2 anon=4`,
  `mmap 0.0.0 4; w 0.0.0 4; fork; free 0.0.0 4; pageout 0.0.0 4 => ok 12/4; 2: exit;
   pageout 0.0.0 4 => ok 12/0`,
  // Left mlocked by DONTUNMAP (12.7).
  'mmap 0.0.0 4 shared locked; mremap 0.0.0 1 1 -> 1.0.0 dontunmap => ok 20/4; pageout 0.0.0 4 => ok 20/4',
  // Written pages are unmapped and stay cached, clean ones leave the file.
  `mmap 0.0.0 4 shared; w 0.0.0; r 0.0.1; pageout 0.0.0 4 => ok 12/0; r 0.0.2 => ok 12/2 shmem=8`,
]);
