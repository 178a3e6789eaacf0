import { Errno } from '../../base/index.ts';
import type { Machine } from '../machine.ts';
import { freeTablesInRange } from '../tables/free-range.ts';
import { leaveSlots, unshareEdges } from '../tables/shared-range.ts';
import { zapRange } from '../tables/zap.ts';
import { deleteVma, splitVma } from './merge.ts';
import { MM_LOCKED_VM, MM_VMA_COUNT } from './mm.ts';
import { raiseSequence } from './mmap-lock.ts';
import { VM_LOCKED } from './vm-flags.ts';
import { findVmaIndex, V_FLAGS, vmaAt, vmaEnd, vmaStart } from './vma.ts';
import { vmaStartWrite } from './vma-lock.ts';
import { refusesCut } from './window.ts';

/** munmap(2) of [start, end) pages. Holes are fine. 0, -ENOMEM (too many areas), -EINVAL (a window). */
export function unmapRange(m: Machine, mm: number, start: number, end: number): number {
  const error = prepareUnmap(m, mm, start, end);
  if (error < 0) return error;
  const at = findVmaIndex(m, mm, start);
  const first = vmaAt(m, mm, at);
  if (first === 0 || vmaStart(m, first) >= end) return 0;
  removeAreas(m, mm, at, lastIndexBelow(m, mm, at, end) - at + 1);
  return 0;
}

/**
 * Cuts the areas at both ends of a range that is about to be unmapped (vms_gather_munmap_vmas): 0 or as
 * `unmapRange`. The lower cut stays where the upper one is refused.
 */
export function prepareUnmap(m: Machine, mm: number, start: number, end: number): number {
  const w = m.words;
  const at = findVmaIndex(m, mm, start);
  const first = vmaAt(m, mm, at);
  if (first === 0 || vmaStart(m, first) >= end) return 0;
  if (refusesCut(m, first, start)) return -Errno.EINVAL;
  if (!unshareAround(m, mm, at, start, end)) return -Errno.ENOMEM;
  if (start > vmaStart(m, first)) {
    // A hole punched into one area makes two of it: that must stay within the limit.
    if (end < vmaEnd(m, first) && w[mm + MM_VMA_COUNT] >= m.rules.maxMapCount) {
      return -Errno.ENOMEM;
    }
    if (splitVma(m, first, start, true) === 0) return -Errno.ENOMEM;
  }
  const last = vmaAt(m, mm, lastIndexBelow(m, mm, findVmaIndex(m, mm, start), end));
  if (refusesCut(m, last, end)) return -Errno.EINVAL;
  return end < vmaEnd(m, last) && splitVma(m, last, end, false) === 0 ? -Errno.ENOMEM : 0;
}

/** Tables at both ends that keep entries of what stays must not be shared any more; false: no memory. */
function unshareAround(m: Machine, mm: number, at: number, start: number, end: number): boolean {
  if (m.sharing === null) return true;
  const prev = vmaAt(m, mm, at - 1);
  const isWithin = vmaStart(m, vmaAt(m, mm, at)) < start;
  const floor = isWithin ? start : prev === 0 ? 0 : vmaEnd(m, prev);
  const lastAt = lastIndexBelow(m, mm, at, end);
  const next = vmaAt(m, mm, lastAt + 1);
  const isBeyond = vmaEnd(m, vmaAt(m, mm, lastAt)) > end;
  const ceiling = isBeyond ? end : next === 0 ? Infinity : vmaStart(m, next);
  return unshareEdges(m, mm, start, end, floor, ceiling);
}

/** Position of the last area that begins before `end`; `at` is one that does. */
function lastIndexBelow(m: Machine, mm: number, at: number, end: number): number {
  let last = at;
  for (;;) {
    const next = vmaAt(m, mm, last + 1);
    if (next === 0 || vmaStart(m, next) >= end) return last;
    last++;
  }
}

/**
 * Removes `count` areas from position `at`: their entries go, then the areas, then the tables in the
 * room between the neighbours. Faults cannot come in between: they see the raised sequence number.
 */
export function removeAreas(m: Machine, mm: number, at: number, count: number): void {
  const w = m.words;
  const prev = vmaAt(m, mm, at - 1);
  const next = vmaAt(m, mm, at + count);
  const start = vmaStart(m, vmaAt(m, mm, at));
  const end = vmaEnd(m, vmaAt(m, mm, at + count - 1));
  const floor = prev === 0 ? 0 : vmaEnd(m, prev);
  const ceiling = next === 0 ? Infinity : vmaStart(m, next);
  raiseSequence(m, mm);
  leaveSlots(m, mm, start, end, floor, ceiling);
  for (let i = 0; i < count; i++) {
    const vma = vmaAt(m, mm, at + i);
    vmaStartWrite(m, vma);
    if ((w[vma + V_FLAGS] & VM_LOCKED) !== 0) {
      m.doubles[(mm + MM_LOCKED_VM) >> 1] -= vmaEnd(m, vma) - vmaStart(m, vma);
    }
    zapRange(m, mm, vma, vmaStart(m, vma), vmaEnd(m, vma), 0);
  }
  for (let i = 0; i < count; i++) deleteVma(m, vmaAt(m, mm, at));
  freeTablesInRange(m, mm, start, end, floor, ceiling);
}
