import type { Machine } from '../machine.ts';
import { anonVmaPrepare } from '../objects/anon-vma.ts';
import { VM_ACCESS_FLAGS, VM_GROWSDOWN } from './vm-flags.ts';
import {
  V_FLAGS,
  V_MM,
  vmaAt,
  vmaEnd,
  vmaIndexOf,
  vmaPgoff,
  vmaSetRange,
  vmaStart,
} from './vma.ts';

/** stack_guard_gap: pages that must stay free below a growing stack. */
const GUARD_GAP_PAGES = 256;
/** RLIMIT_STACK as programs have it by default: 8 MiB. */
const STACK_LIMIT_PAGES = 2048;

/** Grows a MAP_GROWSDOWN area down to `page` (expand_downwards); false if it may not. */
export function expandStack(m: Machine, vma: number, page: number): boolean {
  const mm = m.words[vma + V_MM];
  const prev = vmaAt(m, mm, vmaIndexOf(m, vma) - 1);
  if (prev !== 0 && page - vmaEnd(m, prev) < GUARD_GAP_PAGES) {
    const flags = m.words[prev + V_FLAGS];
    if ((flags & VM_GROWSDOWN) === 0 && (flags & VM_ACCESS_FLAGS) !== 0) return false;
  }
  // From here on the area has an anon_vma, whatever comes of it.
  anonVmaPrepare(m, vma);
  const end = vmaEnd(m, vma);
  if (end - page > STACK_LIMIT_PAGES) return false;
  const grown = vmaStart(m, vma) - page;
  if (vmaPgoff(m, vma) < grown) return false;
  vmaSetRange(m, vma, page, end, vmaPgoff(m, vma) - grown);
  return true;
}
