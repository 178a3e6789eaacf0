import type { Machine } from '../machine.ts';
import { isTablesObject, O_FLAVOR } from '../objects/window.ts';
import {
  VM_HUGETLB,
  VM_HUGETLB_EXEC,
  VM_HUGETLB_READ,
  VM_HUGETLB_WRITE,
  VM_MAYSHARE,
} from '../space/vm-flags.ts';
import { V_FLAGS, vmaEnd, vmaPgoff, vmaStart } from '../space/vma.ts';

/**
 * hugetlb (mm/hugetlb.c, fs/hugetlbfs): pages of 2 MiB that an administrator sets aside, and mappings of
 * them. They never leave the pool but for a mapping; they are neither reclaimed nor counted in RSS, and a
 * mapping of them has tables of level 1 and above only. docs/hugetlb.md.
 *
 * Areas are windows (objects/window.ts), so ordinary faults pay nothing for them. This file says what an
 * area is; pool.ts has the pages, file.ts the objects, entries.ts what stands in tables, pmd-share.ts the
 * tables themselves, fault.ts faults and copies, range.ts what calls do to parts, mmap.ts the way in,
 * window-ops.ts ties them together.
 */
export const VM_HUGETLB_ACCESS: number = VM_HUGETLB_READ | VM_HUGETLB_WRITE | VM_HUGETLB_EXEC;

export function isHugetlb(m: Machine, vma: number): boolean {
  return (m.words[vma + V_FLAGS] & VM_HUGETLB) !== 0;
}

export function isHugetlbObject(m: Machine, object: number): boolean {
  return (
    m.hugetlb !== null &&
    isTablesObject(m, object) &&
    m.words[object + O_FLAVOR] === m.hugetlb.flavor
  );
}

export function isSharedArea(m: Machine, vma: number): boolean {
  return (m.words[vma + V_FLAGS] & VM_MAYSHARE) !== 0;
}

/** The bits of an area for VM_READ, VM_WRITE and VM_EXEC (PROT_* are the same bits). */
export function hugetlbRights(rights: number): number {
  return (
    ((rights & 1) !== 0 ? VM_HUGETLB_READ : 0) |
    ((rights & 2) !== 0 ? VM_HUGETLB_WRITE : 0) |
    ((rights & 4) !== 0 ? VM_HUGETLB_EXEC : 0)
  );
}

/** The way back. */
export function rightsOfFlags(flags: number): number {
  return (
    ((flags & VM_HUGETLB_READ) !== 0 ? 1 : 0) |
    ((flags & VM_HUGETLB_WRITE) !== 0 ? 2 : 0) |
    ((flags & VM_HUGETLB_EXEC) !== 0 ? 4 : 0)
  );
}

/** Number of the huge page in the object that stands at a page of the area (vma_hugecache_offset). */
export function indexOfPage(m: Machine, vma: number, page: number): number {
  return Math.floor((page - vmaStart(m, vma) + vmaPgoff(m, vma)) / m.entryCount);
}

/** True if the area covers the whole GiB that the page lies in (range_in_vma over PUD_SIZE). */
export function coversTable(m: Machine, vma: number, page: number): boolean {
  const start = page - (page % m.loPages);
  return vmaStart(m, vma) <= start && start + m.loPages <= vmaEnd(m, vma);
}
