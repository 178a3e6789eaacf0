import type { Machine } from '../machine.ts';
import {
  VM_DONTCOPY,
  VM_MAYWRITE,
  VM_MERGEABLE,
  VM_MIXEDMAP,
  VM_PFNMAP,
  VM_SHARED,
  VM_WINDOW,
  VM_WIPEONFORK,
} from '../space/vm-flags.ts';
import { findVmaIndex, V_ANON_VMA, V_FLAGS, V_OBJECT, vmaAt, vmaStart } from '../space/vma.ts';
import { isHuge } from './huge-entry.ts';
import { isSharedWord, sharedTableAt } from './shared-entry.ts';
import { T_CONTENTS, T_COUNT } from './table.ts';

/**
 * Which tables fork may hand on instead of copying them: those with entries, of 4 KiB pages, all of
 * whose areas are private, go to the child, and are such that fork copies their entries.
 *
 *   shared mappings     their entries keep the right to write
 *   DONTFORK, WIPEONFORK, PFNMAP, MIXEDMAP  the child does not get the entries, or not by counting
 *   MERGEABLE           ksmd changes entries all the time
 *   huge pages          fork copies one entry for 512 pages as it is
 */
const NEVER: number =
  VM_SHARED | VM_DONTCOPY | VM_WIPEONFORK | VM_PFNMAP | VM_MIXEDMAP | VM_MERGEABLE | VM_WINDOW;

/** Entry `index` of `upper` in the parent, whose slot begins at `page`. */
export function mayShareSlot(
  m: Machine,
  parent: number,
  upper: number,
  index: number,
  page: number,
): boolean {
  const w = m.words;
  const word = w[w[upper + T_CONTENTS] + index];
  if (word < 0 && !isSharedWord(word)) return false;
  const table = word > 0 ? word : sharedTableAt(m, word);
  if (w[table + T_COUNT] === 0 || isHuge(m, table)) return false;
  const end = page + m.entryCount;
  for (let at = findVmaIndex(m, parent, page); ; at++) {
    const vma = vmaAt(m, parent, at);
    if (vma === 0 || vmaStart(m, vma) >= end) return true;
    const flags = w[vma + V_FLAGS];
    if ((flags & NEVER) !== 0 || (flags & VM_MAYWRITE) === 0) return false;
    // Never written: fork leaves it to faults (vma_needs_copy).
    if (w[vma + V_OBJECT] !== 0 && w[vma + V_ANON_VMA] === 0) return false;
  }
}
