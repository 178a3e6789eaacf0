import { Errno, MAP_FIXED, MAP_FIXED_NOREPLACE } from '../../base/index.ts';
import type { Machine } from '../machine.ts';
import { opsOfObject, partOpsOf } from '../objects/window.ts';
import { splitVma } from './merge.ts';
import { findGapTopDown, intersects, mapRegion } from './mmap.ts';
import { VM_DONTEXPAND, VM_MAY_ALL, VM_MAYSHARE, VM_SHARED, VM_WINDOW } from './vm-flags.ts';
import { V_FLAGS, vmaEnd, vmaLookup, vmaStart } from './vma.ts';

/** True for an area onto an object that is mapped by its tables (objects/window.ts). */
export function isWindow(m: Machine, vma: number): boolean {
  return (m.words[vma + V_FLAGS] & VM_WINDOW) !== 0;
}

/** True if the area is a window that may not be cut at the page. */
export function refusesCut(m: Machine, vma: number, page: number): boolean {
  if (!isWindow(m, vma) || page <= vmaStart(m, vma) || page >= vmaEnd(m, vma)) return false;
  const parts = partOpsOf(m, vma);
  return parts === null || parts.checkCut(m, vma, page) < 0;
}

/**
 * Before flags of a part change (split_vma in vma_modify): 0, or -EINVAL where a window may not be cut. The
 * lower cut stays where the upper one is refused.
 */
export function checkCuts(m: Machine, vma: number, start: number, end: number): number {
  if (refusesCut(m, vma, start)) return -Errno.EINVAL;
  if (!refusesCut(m, vma, end)) return 0;
  if (start > vmaStart(m, vma)) splitVma(m, vma, start, true);
  return -Errno.EINVAL;
}

/**
 * mmap of such an object: the address is a multiple of the object's alignment, whether the caller names it
 * or leaves it to the kernel. Pages; the first page, or a negative errno.
 */
export function mapWindow(
  m: Machine,
  mm: number,
  addr: number,
  pages: number,
  flags: number,
  isShared: boolean,
  object: number,
  pgoff: number,
): number {
  const ops = opsOfObject(m, object);
  const error = ops.checkMapping(m, object, pages, pgoff, isShared);
  if (error < 0) return error;
  const align = ops.alignmentPages(m, object, pages);
  const start = chooseAligned(m, mm, addr, pages, align, flags);
  if (start < 0) return start;
  if ((flags & MAP_FIXED_NOREPLACE) !== 0 && intersects(m, mm, start, start + pages)) {
    return -Errno.EEXIST;
  }
  const vmFlags = VM_WINDOW | VM_DONTEXPAND | VM_MAY_ALL | VM_SHARED | VM_MAYSHARE;
  const mapped = mapRegion(m, mm, start, pages, pgoff, vmFlags, object);
  if (mapped >= 0) ops.attached(m, mm, vmaLookup(m, mm, start));
  return mapped;
}

function chooseAligned(
  m: Machine,
  mm: number,
  addr: number,
  pages: number,
  align: number,
  flags: number,
): number {
  const top = m.geometry.userPages;
  const page = addr / 4096;
  if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0) {
    if (page % align !== 0) return -Errno.EINVAL;
    return page > top - pages ? -Errno.ENOMEM : page;
  }
  const hint = Math.floor(page);
  const isFree = hint > 0 && hint % align === 0 && hint + pages <= top;
  if (isFree && !intersects(m, mm, hint, hint + pages)) return hint;
  const found = findGapTopDown(m, mm, pages + align - 1);
  return found < 0 ? -Errno.ENOMEM : Math.floor((found + align - 1) / align) * align;
}
