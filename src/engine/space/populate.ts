import { Errno } from '../../base/index.ts';
import { FAULT_OOM, FAULT_SIGBUS, FAULT_SIGSEGV } from '../fault/fault-codes.ts';
import { touchRange } from '../fault/touch.ts';
import type { Machine } from '../machine.ts';
import { partOpsOf } from '../objects/window.ts';
import {
  VM_ACCESS_FLAGS,
  VM_LOCKONFAULT,
  VM_PFNMAP,
  VM_READ,
  VM_SHARED,
  VM_WINDOW,
  VM_WRITE,
} from './vm-flags.ts';
import { findVma, V_FLAGS, vmaEnd, vmaStart } from './vma.ts';

/**
 * Faults in all pages of a range, as mlock and MAP_POPULATE do (__mm_populate): private writable
 * areas by writes, others by reads. Holes are passed over. 0, or with `ignoreErrors` false the
 * first error as mlock gives it.
 */
export function populateRange(
  m: Machine,
  mm: number,
  start: number,
  end: number,
  ignoreErrors: boolean,
): number {
  let at = start;
  while (at < end) {
    const vma = findVma(m, mm, at);
    if (vma === 0 || vmaStart(m, vma) >= end) break;
    const from = Math.max(at, vmaStart(m, vma));
    at = Math.min(end, vmaEnd(m, vma));
    const flags = flagsWithRights(m, vma);
    if ((flags & (VM_PFNMAP | VM_LOCKONFAULT | VM_WINDOW)) !== 0) continue;
    if ((flags & VM_ACCESS_FLAGS) === 0) {
      if (ignoreErrors) continue;
      return -Errno.ENOMEM;
    }
    const isWrite = (flags & (VM_WRITE | VM_SHARED)) === VM_WRITE;
    const result = touchRange(m, mm, from, at - from, 1, isWrite);
    if (result >= 0 || ignoreErrors) continue;
    return result === FAULT_OOM ? -Errno.EAGAIN : -Errno.ENOMEM;
  }
  return 0;
}

/**
 * MADV_POPULATE_READ and _WRITE: faults in address order up to the first page that cannot be
 * (madvise_populate, faultin_page_range).
 */
export function madvisePopulate(
  m: Machine,
  mm: number,
  start: number,
  end: number,
  isWrite: boolean,
): number {
  let at = start;
  while (at < end) {
    const vma = findVma(m, mm, at);
    if (vma === 0 || vmaStart(m, vma) > at) return -Errno.ENOMEM;
    const flags = flagsWithRights(m, vma);
    if ((flags & VM_PFNMAP) !== 0) return -Errno.EINVAL;
    // The slow way to a user page does not know windows: SIGBUS there (handle_mm_fault).
    if ((flags & VM_WINDOW) !== 0) return -Errno.EFAULT;
    if ((flags & (isWrite ? VM_WRITE : VM_READ)) === 0) return -Errno.EINVAL;
    const to = Math.min(end, vmaEnd(m, vma));
    const result = touchRange(m, mm, at, to - at, 1, isWrite);
    if (result === FAULT_OOM) return -Errno.ENOMEM;
    if (result === FAULT_SIGBUS || result === FAULT_SIGSEGV) return -Errno.EFAULT;
    at = to;
  }
  return 0;
}

/** An area's flags; of a window whose parts calls may change with its rights, as if it were none. */
function flagsWithRights(m: Machine, vma: number): number {
  const parts = partOpsOf(m, vma);
  const flags = m.words[vma + V_FLAGS];
  return parts === null ? flags : (flags & ~VM_WINDOW) | parts.rightsOf(m, vma);
}
