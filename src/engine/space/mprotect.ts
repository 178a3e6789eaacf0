import { Errno } from '../../base/index.ts';
import type { Machine } from '../machine.ts';
import { partOpsOf } from '../objects/window.ts';
import { unshareSlots } from '../tables/shared-range.ts';
import { modifyVma } from './merge.ts';
import { hasMemoryFor } from './mmap.ts';
import { populateRange } from './populate.ts';
import {
  VM_ACCESS_FLAGS,
  VM_ACCOUNT,
  VM_LOCKED,
  VM_NORESERVE,
  VM_SHARED,
  VM_WINDOW,
  VM_WRITE,
  vmFlagsOfProt,
} from './vm-flags.ts';
import { findVma, V_ANON_VMA, V_FLAGS, V_OBJECT, vmaEnd, vmaStart } from './vma.ts';

/**
 * mprotect(2): 0 or a negative errno. Areas are changed in address order up to the first hole.
 *
 * Entries are not rewritten: an access needs the right of the VMA and, for a write, of the entry,
 * so taking a right away and giving it back leaves pages of this process alone writable without a
 * fault, as can_change_pte_writable() has it.
 */
export function mprotect(m: Machine, mm: number, addr: number, len: number, prot: number): number {
  if (addr % 4096 !== 0) return -Errno.EINVAL;
  if (len === 0) return 0;
  if ((prot & ~7) !== 0) return -Errno.EINVAL;
  const start = addr / 4096;
  const end = start + Math.ceil(len / 4096);
  let vma = findVma(m, mm, start);
  if (vma === 0 || vmaStart(m, vma) > start) return -Errno.ENOMEM;
  let at = start;
  while (at < end) {
    vma = findVma(m, mm, at);
    if (vma === 0 || vmaStart(m, vma) > at) return -Errno.ENOMEM;
    const to = Math.min(end, vmaEnd(m, vma));
    const error = protectPiece(m, mm, vma, at, to, vmFlagsOfProt(prot));
    if (error < 0) return error;
    at = to;
  }
  return 0;
}

/** mprotect_fixup: one piece of one area. */
function protectPiece(
  m: Machine,
  mm: number,
  vma: number,
  start: number,
  end: number,
  rights: number,
): number {
  const old = m.words[vma + V_FLAGS];
  if ((old & VM_WINDOW) !== 0) {
    return partOpsOf(m, vma)?.protect(m, vma, start, end, rights) ?? -Errno.EINVAL;
  }
  let flags = (old & ~VM_ACCESS_FLAGS) | rights;
  // The VM_MAY* bits stand four places higher.
  if ((rights & ~(old >> 4) & VM_ACCESS_FLAGS) !== 0) return -Errno.EACCES;
  if (flags === old) return 0;
  if ((flags & VM_WRITE) !== 0) {
    if ((old & (VM_ACCOUNT | VM_WRITE | VM_SHARED | VM_NORESERVE)) === 0) {
      if (!hasMemoryFor(m, end - start)) return -Errno.ENOMEM;
      flags |= VM_ACCOUNT;
    }
  } else if (
    (old & VM_ACCOUNT) !== 0 &&
    m.words[vma + V_OBJECT] === 0 &&
    m.words[vma + V_ANON_VMA] === 0
  ) {
    flags &= ~VM_ACCOUNT;
  }
  // change_protection writes every entry.
  if (!unshareSlots(m, mm, start, end)) return -Errno.ENOMEM;
  if (modifyVma(m, vma, start, end, flags) === 0) return -Errno.ENOMEM;
  // Locked private memory that becomes writable is copied now, not at the first write.
  const isLockedOnly = (old & (VM_WRITE | VM_SHARED | VM_LOCKED)) === VM_LOCKED;
  if (isLockedOnly && (flags & VM_WRITE) !== 0) populateRange(m, mm, start, end, true);
  return 0;
}
