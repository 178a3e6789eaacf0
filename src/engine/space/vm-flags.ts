import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../../base/index.ts';

/** Flags of a VMA, with Linux's names and bits (include/linux/mm.h). */
export const VM_READ = 0x1;
export const VM_WRITE = 0x2;
export const VM_EXEC = 0x4;
export const VM_SHARED = 0x8;
export const VM_MAYREAD = 0x10;
export const VM_MAYWRITE = 0x20;
export const VM_MAYEXEC = 0x40;
export const VM_MAYSHARE = 0x80;
export const VM_GROWSDOWN = 0x100;
export const VM_PFNMAP = 0x400;
/** Guard markers may be in the area: sticky, merges ignore it and hand it on. */
export const VM_MAYBE_GUARD = 0x800;
export const VM_LOCKED = 0x2000;
export const VM_SEQ_READ = 0x8000;
export const VM_RAND_READ = 0x10000;
export const VM_DONTCOPY = 0x20000;
export const VM_DONTEXPAND = 0x40000;
export const VM_LOCKONFAULT = 0x80000;
export const VM_ACCOUNT = 0x100000;
export const VM_NORESERVE = 0x200000;
/** A window (objects/window.ts), as mshare's VM_MSHARE; the bit is another's in Linux (VM_ARCH_1). */
export const VM_WINDOW = 0x1000000;
/**
 * An area of hugetlb pages: a window, so VM_READ and its like are clear, and its rights stand in bits of
 * their own (hugetlb/area.ts). OWNER: the reservations of a private area are its own (HPAGE_RESV_OWNER);
 * LOST: a page was taken from it, so that faults are refused (HPAGE_RESV_UNMAPPED).
 */
export const VM_HUGETLB = 0x400000;
export const VM_HUGETLB_READ = 0x200;
export const VM_HUGETLB_WRITE = 0x1000;
export const VM_HUGETLB_EXEC = 0x4000;
export const VM_HUGETLB_OWNER = 0x800000;
export const VM_HUGETLB_LOST = 0x8000000;
export const VM_WIPEONFORK = 0x2000000;
export const VM_DONTDUMP = 0x4000000;
export const VM_MIXEDMAP = 0x10000000;
export const VM_HUGEPAGE = 0x20000000;
export const VM_NOHUGEPAGE = 0x40000000;
export const VM_MERGEABLE = 0x80000000 | 0;

export const VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC;
export const VM_LOCKED_MASK = VM_LOCKED | VM_LOCKONFAULT;
export const VM_MAY_ALL = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;

/** VM_READ/WRITE/EXEC for PROT_* bits: the same bits. */
export function vmFlagsOfProt(prot: number): number {
  return prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
}
