/**
 * The numbers of Linux's system-call interface on x86-64 (include/uapi/asm-generic/mman-common.h,
 * include/uapi/linux/mman.h), and the words that the trace's text form uses for them.
 */

export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;

export const MAP_SHARED = 0x01;
export const MAP_PRIVATE = 0x02;
export const MAP_SHARED_VALIDATE = 0x03;
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
export const MAP_32BIT = 0x40;
export const MAP_GROWSDOWN = 0x100;
export const MAP_DENYWRITE = 0x800;
export const MAP_EXECUTABLE = 0x1000;
export const MAP_LOCKED = 0x2000;
export const MAP_NORESERVE = 0x4000;
export const MAP_POPULATE = 0x8000;
export const MAP_NONBLOCK = 0x10000;
export const MAP_STACK = 0x20000;
export const MAP_HUGETLB = 0x40000;
export const MAP_SYNC = 0x80000;
export const MAP_FIXED_NOREPLACE = 0x100000;
/**
 * No flag of Linux's: in a trace, that the program would have the page tables of this shared mapping
 * shared, where the kernel knows how (mshare, Morsels). Others map as ever.
 */
export const MAP_SHARE_TABLES = 0x800000;

export const MREMAP_MAYMOVE = 1;
export const MREMAP_FIXED = 2;
export const MREMAP_DONTUNMAP = 4;

export const MADV_NORMAL = 0;
export const MADV_RANDOM = 1;
export const MADV_SEQUENTIAL = 2;
export const MADV_WILLNEED = 3;
export const MADV_DONTNEED = 4;
export const MADV_FREE = 8;
export const MADV_REMOVE = 9;
export const MADV_DONTFORK = 10;
export const MADV_DOFORK = 11;
export const MADV_MERGEABLE = 12;
export const MADV_UNMERGEABLE = 13;
export const MADV_HUGEPAGE = 14;
export const MADV_NOHUGEPAGE = 15;
export const MADV_DONTDUMP = 16;
export const MADV_DODUMP = 17;
export const MADV_WIPEONFORK = 18;
export const MADV_KEEPONFORK = 19;
export const MADV_COLD = 20;
export const MADV_PAGEOUT = 21;
export const MADV_POPULATE_READ = 22;
export const MADV_POPULATE_WRITE = 23;
export const MADV_DONTNEED_LOCKED = 24;
export const MADV_COLLAPSE = 25;
export const MADV_GUARD_INSTALL = 102;
export const MADV_GUARD_REMOVE = 103;

export const MLOCK_ONFAULT = 1;
export const MCL_CURRENT = 1;
export const MCL_FUTURE = 2;
export const MCL_ONFAULT = 4;

/** Words of an `mmap`'s "flags" in the trace's text form. */
export const MAP_FLAG_WORDS: Readonly<Record<string, number>> = {
  shared: MAP_SHARED,
  private: MAP_PRIVATE,
  fixed: MAP_FIXED,
  anon: MAP_ANONYMOUS,
  '32bit': MAP_32BIT,
  growsdown: MAP_GROWSDOWN,
  denywrite: MAP_DENYWRITE,
  executable: MAP_EXECUTABLE,
  locked: MAP_LOCKED,
  noreserve: MAP_NORESERVE,
  populate: MAP_POPULATE,
  nonblock: MAP_NONBLOCK,
  stack: MAP_STACK,
  hugetlb: MAP_HUGETLB,
  sync: MAP_SYNC,
  fixed_noreplace: MAP_FIXED_NOREPLACE,
  share_tables: MAP_SHARE_TABLES,
};

/** Words of an `mremap`'s "flags". */
export const MREMAP_FLAG_WORDS: Readonly<Record<string, number>> = {
  maymove: MREMAP_MAYMOVE,
  fixed: MREMAP_FIXED,
  dontunmap: MREMAP_DONTUNMAP,
};

/** Words of a `madvise`'s "advice". */
export const ADVICE_WORDS: Readonly<Record<string, number>> = {
  normal: MADV_NORMAL,
  random: MADV_RANDOM,
  sequential: MADV_SEQUENTIAL,
  willneed: MADV_WILLNEED,
  dontneed: MADV_DONTNEED,
  free: MADV_FREE,
  remove: MADV_REMOVE,
  dontfork: MADV_DONTFORK,
  dofork: MADV_DOFORK,
  mergeable: MADV_MERGEABLE,
  unmergeable: MADV_UNMERGEABLE,
  hugepage: MADV_HUGEPAGE,
  nohugepage: MADV_NOHUGEPAGE,
  dontdump: MADV_DONTDUMP,
  dodump: MADV_DODUMP,
  wipeonfork: MADV_WIPEONFORK,
  keeponfork: MADV_KEEPONFORK,
  cold: MADV_COLD,
  pageout: MADV_PAGEOUT,
  populate_read: MADV_POPULATE_READ,
  populate_write: MADV_POPULATE_WRITE,
  dontneed_locked: MADV_DONTNEED_LOCKED,
  collapse: MADV_COLLAPSE,
  guard_install: MADV_GUARD_INSTALL,
  guard_remove: MADV_GUARD_REMOVE,
};

/**
 * Huge pages off for a process, as PR_GET_THP_DISABLE tells it (include/uapi/linux/prctl.h): all, or
 * with the second bit those of areas without MADV_HUGEPAGE (since 6.18).
 */
export const THP_DISABLE = 1;
export const THP_DISABLE_EXCEPT_ADVISED = 2;
export const PR_SET_THP_DISABLE = 41;

/**
 * Words of /sys/kernel/mm/transparent_hugepage/enabled, and of a trace's "thp". `disabled`: not for
 * these processes (PR_SET_THP_DISABLE), so that MADV_COLLAPSE fails too, which `never` lets work.
 */
export const HUGE_ENABLED = ['disabled', 'never', 'madvise', 'always'] as const;
export type HugeEnabled = (typeof HUGE_ENABLED)[number];
