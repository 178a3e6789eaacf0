import { Errno, MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from '../../base/index.ts';
import { isHugetlb } from '../hugetlb/area.ts';
import { unshareRange } from '../ksm/unshare.ts';
import type { Machine } from '../machine.ts';
import { anonVmaClone, unlinkAnonVmas } from '../objects/anon-vma.ts';
import { linkObjectVma } from '../objects/object.ts';
import { lockMappings, unlockMappings } from '../objects/object-lock.ts';
import { partOpsOf } from '../objects/window.ts';
import { moveTables } from '../tables/move.ts';
import { mergeNewRange } from './merge.ts';
import { pinLockedPages } from './mlock.ts';
import { MM_LOCKED_VM, MM_VMA_COUNT } from './mm.ts';
import { findGapTopDown, hasMemoryFor } from './mmap.ts';
import { raiseSequence } from './mmap-lock.ts';
import { unmapRange } from './munmap.ts';
import { populateRange } from './populate.ts';
import {
  VM_ACCOUNT,
  VM_DONTEXPAND,
  VM_LOCKED,
  VM_LOCKED_MASK,
  VM_MAYSHARE,
  VM_MERGEABLE,
  VM_PFNMAP,
  VM_SHARED,
} from './vm-flags.ts';
import {
  findVma,
  V_ANON_VMA,
  V_AVC,
  V_FLAGS,
  V_OBJECT,
  vmaAt,
  vmaCreate,
  vmaEnd,
  vmaIndexOf,
  vmaInsert,
  vmaLookup,
  vmaPgoff,
  vmaSetRange,
  vmaStart,
} from './vma.ts';
import { vmaStartWrite } from './vma-lock.ts';
import { isWindow } from './window.ts';

/**
 * mremap(2), after mm/mremap.c of Linux 6.18. Pages inside, bytes outside.
 */
interface Remap {
  start: number;
  oldPages: number;
  newPages: number;
  target: number;
  flags: number;
}

/** Bytes in, address out; a negative result is an errno. */
export function mremap(
  m: Machine,
  mm: number,
  addr: number,
  oldLen: number,
  newLen: number,
  flags: number,
  newAddr: number,
): number {
  const oldPages = Math.ceil(oldLen / 4096);
  const newPages = Math.ceil(newLen / 4096);
  const error = checkParams(m, mm, addr, oldPages, newPages, flags, newAddr);
  if (error < 0) return error;
  const vma = vmaLookup(m, mm, addr / 4096);
  if (vma === 0) return -Errno.EFAULT;
  const r: Remap = {
    start: addr / 4096,
    oldPages,
    newPages,
    target: Math.floor(newAddr / 4096),
    flags,
  };
  if (isHugetlb(m, vma) && !alignHugetlb(m, r)) return -Errno.EINVAL;
  const unfit = checkArea(m, vma, r);
  if (unfit < 0) return unfit;
  const result = hasTarget(flags)
    ? r.oldPages === r.newPages && (flags & MREMAP_FIXED) !== 0 && m.rules.hasMultiVmaMremap
      ? moveEachArea(m, mm, r)
      : moveTo(m, mm, r)
    : resizeInPlace(m, mm, vma, r);
  return result < 0 ? result : result * 4096;
}

/** align_hugetlb: lengths are rounded up; such an area never grows. False: EINVAL. */
function alignHugetlb(m: Machine, r: Remap): boolean {
  const huge = m.entryCount;
  r.oldPages = Math.ceil(r.oldPages / huge) * huge;
  r.newPages = Math.ceil(r.newPages / huge) * huge;
  return r.start % huge === 0 && r.target % huge === 0 && r.newPages <= r.oldPages;
}

/** The caller names or lets the kernel choose a new place in any case (vrm_implies_new_addr). */
function hasTarget(flags: number): boolean {
  return (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0;
}

/** check_mremap_params. */
function checkParams(
  m: Machine,
  mm: number,
  addr: number,
  oldPages: number,
  newPages: number,
  flags: number,
  newAddr: number,
): number {
  if ((flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP)) !== 0) return -Errno.EINVAL;
  if (addr % 4096 !== 0) return -Errno.EINVAL;
  if (newPages === 0 || newPages > m.geometry.userPages) return -Errno.EINVAL;
  if (!hasTarget(flags)) return 0;
  if ((flags & MREMAP_MAYMOVE) === 0) return -Errno.EINVAL;
  if ((flags & MREMAP_DONTUNMAP) !== 0 && oldPages !== newPages) return -Errno.EINVAL;
  if (newAddr / 4096 > m.geometry.userPages - newPages) return -Errno.EINVAL;
  if (newAddr % 4096 !== 0) return -Errno.EINVAL;
  const start = addr / 4096;
  const target = newAddr / 4096;
  if (start + oldPages > target && target + newPages > start) return -Errno.EINVAL;
  if (m.words[mm + MM_VMA_COUNT] + 2 >= m.rules.maxMapCount - 3) return -Errno.ENOMEM;
  return 0;
}

/** check_prep_vma: what the area at the start of the range must allow. */
function checkArea(m: Machine, vma: number, r: Remap): number {
  const flags = m.words[vma + V_FLAGS];
  if (r.newPages <= r.oldPages && !hasTarget(r.flags)) return 0;
  // A window stays where it is: nothing in the postings moves the links.
  if (isFixedWindow(m, vma) && hasTarget(r.flags)) return -Errno.EINVAL;
  if (r.oldPages === 0 && (flags & (VM_SHARED | VM_MAYSHARE)) === 0) return -Errno.EINVAL;
  const isFixedShape = (flags & (VM_DONTEXPAND | VM_PFNMAP)) !== 0;
  if ((r.flags & MREMAP_DONTUNMAP) !== 0 && isFixedShape) return -Errno.EINVAL;
  const isMultiMove =
    r.oldPages === r.newPages && (r.flags & MREMAP_FIXED) !== 0 && m.rules.hasMultiVmaMremap;
  const needed = Math.min(r.oldPages, r.newPages);
  if (!isMultiMove && needed > vmaEnd(m, vma) - r.start) return -Errno.EFAULT;
  if (r.newPages <= r.oldPages) return 0;
  return isFixedShape ? -Errno.EFAULT : 0;
}

function isFixedWindow(m: Machine, vma: number): boolean {
  return isWindow(m, vma) && partOpsOf(m, vma) === null;
}

/** mremap_at: without a target. */
function resizeInPlace(m: Machine, mm: number, vma: number, r: Remap): number {
  if (r.newPages === r.oldPages) return r.start;
  if (r.newPages < r.oldPages) {
    const error = unmapRange(m, mm, r.start + r.newPages, r.start + r.oldPages);
    return error < 0 ? error : r.start;
  }
  const grown = r.newPages - r.oldPages;
  // Without MREMAP_FIXED the address is where a recorded call went: it tells that it moved. Where
  // it may not move the kernel does not look at it.
  const mayMove = (r.flags & MREMAP_MAYMOVE) !== 0;
  const isMoveRecorded = mayMove && r.target !== 0 && r.target !== r.start;
  if (!isMoveRecorded && canExpand(m, mm, vma, r, grown)) {
    if ((m.words[vma + V_FLAGS] & VM_ACCOUNT) !== 0 && !hasMemoryFor(m, grown)) {
      return -Errno.ENOMEM;
    }
    expandInPlace(m, mm, vma, grown);
    populateGrown(m, mm, vma, r.start, r);
    return r.start;
  }
  if (!mayMove) return -Errno.ENOMEM;
  const isFree = isMoveRecorded && !isTaken(m, mm, r.target, r.newPages);
  const target = isFree ? r.target : findGapTopDown(m, mm, r.newPages);
  if (target < 0) return -Errno.ENOMEM;
  return moveArea(m, mm, vma, { ...r, target });
}

function canExpand(m: Machine, mm: number, vma: number, r: Remap, grown: number): boolean {
  const end = vmaEnd(m, vma);
  if (r.start + r.oldPages !== end) return false;
  if (end + grown > m.geometry.userPages) return false;
  const next = vmaAt(m, mm, vmaIndexOf(m, vma) + 1);
  return next === 0 || vmaStart(m, next) >= end + grown;
}

/** vma_merge_extend: the area grows, and over the next one too where that fits. */
function expandInPlace(m: Machine, mm: number, vma: number, grown: number): void {
  const end = vmaEnd(m, vma);
  const pgoff = vmaPgoff(m, vma) + (end - vmaStart(m, vma));
  const w = m.words;
  const flags = w[vma + V_FLAGS];
  const merged = mergeNewRange(
    m,
    mm,
    end,
    end + grown,
    pgoff,
    flags,
    w[vma + V_OBJECT],
    vma,
    false,
  );
  if (merged === 0) vmaSetRange(m, vma, vmaStart(m, vma), end + grown, vmaPgoff(m, vma));
  if ((flags & VM_LOCKED) !== 0) m.doubles[(mm + MM_LOCKED_VM) >> 1] += grown;
}

function populateGrown(m: Machine, mm: number, vma: number, start: number, r: Remap): void {
  if (r.newPages <= r.oldPages || (m.words[vma + V_FLAGS] & VM_LOCKED) === 0) return;
  populateRange(m, mm, start + r.oldPages, start + r.newPages, true);
}

/** mremap_to: to a given place, one area. */
function moveTo(m: Machine, mm: number, r: Remap): number {
  if ((r.flags & MREMAP_FIXED) !== 0) {
    const error = unmapRange(m, mm, r.target, r.target + r.newPages);
    if (error < 0) return error;
  }
  let oldPages = r.oldPages;
  if (r.newPages < r.oldPages) {
    const error = unmapRange(m, mm, r.start + r.newPages, r.start + r.oldPages);
    if (error < 0) return error;
    oldPages = r.newPages;
  }
  const vma = vmaLookup(m, mm, r.start);
  if (vma === 0) return -Errno.EFAULT;
  if (isFixedWindow(m, vma)) return -Errno.EINVAL;
  let target = r.target;
  if ((r.flags & MREMAP_FIXED) === 0 && isTaken(m, mm, target, r.newPages)) {
    target = findGapTopDown(m, mm, r.newPages);
    if (target < 0) return -Errno.ENOMEM;
  }
  return moveArea(m, mm, vma, { ...r, oldPages, target });
}

function isTaken(m: Machine, mm: number, page: number, pages: number): boolean {
  if (page === 0 || page + pages > m.geometry.userPages) return true;
  const vma = findVma(m, mm, page);
  return vma !== 0 && vmaStart(m, vma) < page + pages;
}

/**
 * remap_move: a range of several areas, holes between them included. Each piece unmaps its own part
 * of the destination, so what lies there opposite a hole stays.
 */
function moveEachArea(m: Machine, mm: number, r: Remap): number {
  const end = r.start + r.oldPages;
  let at = r.start;
  while (at < end) {
    const vma = findVma(m, mm, at);
    if (vma === 0 || vmaStart(m, vma) >= end) break;
    const from = Math.max(at, vmaStart(m, vma));
    const pages = Math.min(end, vmaEnd(m, vma)) - from;
    const target = r.target + (from - r.start);
    const result = moveTo(m, mm, {
      start: from,
      oldPages: pages,
      newPages: pages,
      target,
      flags: r.flags,
    });
    if (result < 0) return result;
    at = from + pages;
  }
  return r.target;
}

/** move_vma: makes the new area, moves the entries, unmaps the old range (or leaves it empty). */
function moveArea(m: Machine, mm: number, vma: number, r: Remap): number {
  const w = m.words;
  if (w[mm + MM_VMA_COUNT] >= m.rules.maxMapCount - 3) return -Errno.ENOMEM;
  const flags = w[vma + V_FLAGS];
  const isDontUnmap = (r.flags & MREMAP_DONTUNMAP) !== 0;
  const charged = isDontUnmap ? r.newPages : Math.max(0, r.newPages - r.oldPages);
  if ((flags & VM_ACCOUNT) !== 0 && !hasMemoryFor(m, charged)) return -Errno.ENOMEM;
  if ((flags & VM_MERGEABLE) !== 0) {
    const error = unshareRange(m, mm, vma, r.start, r.start + r.oldPages);
    if (error < 0) return error;
  }
  const copied = copyArea(m, mm, vma, r);
  const source = vmaLookup(m, mm, r.start);
  vmaStartWrite(m, source);
  vmaStartWrite(m, copied);
  raiseSequence(m, mm);
  const below = realignedBy(m, mm, source, copied, r);
  // A truncation would look for a page at one place, then the other, and miss it on its way.
  const object = w[source + V_OBJECT];
  lockMappings(m, object);
  const parts = partOpsOf(m, source);
  const isMoved =
    parts === null
      ? moveTables(m, mm, r.start - below, r.target - below, r.oldPages + below)
      : parts.move(m, source, copied, r.start, r.target, r.oldPages);
  // As the kernel: what was moved goes back, the new area goes.
  if (!isMoved && parts === null) moveTables(m, mm, r.target, r.start, r.oldPages);
  unlockMappings(m, object);
  if (!isMoved) {
    unmapRange(m, mm, r.target, r.target + r.newPages);
    return -Errno.ENOMEM;
  }
  if ((flags & VM_LOCKED) !== 0) m.doubles[(mm + MM_LOCKED_VM) >> 1] += r.newPages;
  if (isDontUnmap) {
    const isWhole = vmaStart(m, source) === r.start && vmaEnd(m, source) === r.start + r.oldPages;
    if ((w[source + V_FLAGS] & VM_LOCKED) !== 0) {
      m.doubles[(mm + MM_LOCKED_VM) >> 1] -= r.oldPages;
    }
    if ((w[source + V_FLAGS] & VM_LOCKED) !== 0) pinLockedPages(m, mm, source);
    w[source + V_FLAGS] &= ~VM_LOCKED_MASK;
    if (source !== copied && isWhole && w[source + V_AVC] !== 0) unlinkAnonVmas(m, source);
  } else if (r.oldPages > 0) {
    unmapRange(m, mm, r.start, r.start + r.oldPages);
  }
  const made = vmaLookup(m, mm, r.target);
  if (made !== 0) populateGrown(m, mm, made, r.target, r);
  return r.target;
}

/**
 * How far down the move begins, so that the first slot moves as a whole table too
 * (try_realign_addr): both areas begin there, at the same place of a slot, with nothing below them
 * in it, and the range reaches the slot's end.
 */
function realignedBy(m: Machine, mm: number, source: number, target: number, r: Remap): number {
  const offset = r.start % m.entryCount;
  if (offset !== r.target % m.entryCount || r.oldPages < m.entryCount - offset) return 0;
  if (vmaStart(m, source) !== r.start || vmaStart(m, target) !== r.target) return 0;
  const isFree = (page: number): boolean => {
    const vma = findVma(m, mm, page - offset);
    return vma === 0 || vmaStart(m, vma) >= page;
  };
  return isFree(r.start) && isFree(r.target) ? offset : 0;
}

/**
 * copy_vma: the area at the destination, a neighbour that grew or a new one. An area that was never
 * written takes the offset of its new place, so that it can merge there.
 */
function copyArea(m: Machine, mm: number, vma: number, r: Remap): number {
  const w = m.words;
  const isUnfaulted = w[vma + V_OBJECT] === 0 && w[vma + V_ANON_VMA] === 0;
  const pgoff = isUnfaulted ? r.target : vmaPgoff(m, vma) + (r.start - vmaStart(m, vma));
  const end = r.target + r.newPages;
  const flags = w[vma + V_FLAGS];
  const object = w[vma + V_OBJECT];
  const merged = mergeNewRange(m, mm, r.target, end, pgoff, flags, object, vma, false);
  if (merged !== 0) return merged;
  const made = vmaCreate(m, mm, r.target, end, pgoff, flags);
  w[made + V_ANON_VMA] = w[vma + V_ANON_VMA];
  if (w[vma + V_AVC] !== 0) anonVmaClone(m, made, vma);
  vmaInsert(m, made);
  if (object !== 0) {
    lockMappings(m, object);
    linkObjectVma(m, object, made);
    unlockMappings(m, object);
  }
  return made;
}
