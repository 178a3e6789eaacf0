import type { Machine } from '../machine.ts';
import {
  VM_DONTEXPAND,
  VM_HUGEPAGE,
  VM_MIXEDMAP,
  VM_NOHUGEPAGE,
  VM_PFNMAP,
} from '../space/vm-flags.ts';
import { V_FLAGS, V_OBJECT, vmaEnd, vmaStart } from '../space/vma.ts';
import { isThpDisabled } from './thp-disable.ts';

/** VM_SPECIAL and what forbids huge pages by hand. */
const FORBIDDEN = VM_NOHUGEPAGE | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP;

/** Whether a fault may give a VMA a huge page at all (thp_vma_allowable_order, in a fault). */
export function wantsHuge(m: Machine, vma: number): boolean {
  const mode = m.huge.enabled;
  if (mode === 'never' || !couldBeHuge(m, vma)) return false;
  return mode === 'always' || (m.words[vma + V_FLAGS] & VM_HUGEPAGE) !== 0;
}

/** The same without regard to `enabled`; `isForced`: for MADV_COLLAPSE. */
export function couldBeHuge(m: Machine, vma: number, isForced = false): boolean {
  if (m.huge.enabled === 'disabled') return false;
  if (m.words[vma + V_OBJECT] !== 0 || (m.words[vma + V_FLAGS] & FORBIDDEN) !== 0) return false;
  return !isThpDisabled(m, vma, isForced);
}

/** True if the slot that begins at `page` lies in the VMA whole (thp_vma_suitable_order). */
export function holdsSlot(m: Machine, vma: number, page: number): boolean {
  return vmaStart(m, vma) <= page && page + m.entryCount <= vmaEnd(m, vma);
}

/** True if any slot does. */
export function holdsAnySlot(m: Machine, vma: number): boolean {
  return holdsSlot(m, vma, Math.ceil(vmaStart(m, vma) / m.entryCount) * m.entryCount);
}
