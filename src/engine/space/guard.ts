import { Errno } from '../../base/index.ts';
import type { Machine } from '../machine.ts';
import { anonVmaPrepare } from '../objects/anon-vma.ts';
import { tableLostEntries } from '../tables/emptied.ts';
import { ENTRY_GUARD, ENTRY_NONE, KIND_MASK } from '../tables/entry.ts';
import { addEntry, entryFlags, removeEntry } from '../tables/leaf.ts';
import { lockLeaf, unlockLeaf } from '../tables/leaf-lock.ts';
import { ensureTable, isLeaf, LeafCursor } from '../tables/walk.ts';
import { ZAP_KEEP_GUARDS, zapRange } from '../tables/zap.ts';
import { C_GUARD, mmCounters } from './mm.ts';
import { VM_DONTEXPAND, VM_LOCKED, VM_MAYBE_GUARD, VM_MIXEDMAP, VM_PFNMAP } from './vm-flags.ts';
import { V_ANON_VMA, V_FLAGS, V_OBJECT } from './vma.ts';

/**
 * Guard regions (madvise_guard_install, madvise_guard_remove): markers in the page tables at which
 * a touch is a SIGSEGV, without an area of their own.
 */
const VM_SPECIAL = VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP;
const cursor = new LeafCursor();

/** Puts a marker into every entry of the range; what was mapped there goes. */
export function installGuards(
  m: Machine,
  mm: number,
  vma: number,
  start: number,
  end: number,
): number {
  const w = m.words;
  if (!isAllowed(m, vma, VM_SPECIAL | VM_LOCKED)) return -Errno.EINVAL;
  // With markers the tables are no longer empty: fork must copy them.
  if (m.isShared) Atomics.or(w, vma + V_FLAGS, VM_MAYBE_GUARD);
  else w[vma + V_FLAGS] |= VM_MAYBE_GUARD;
  if (w[vma + V_OBJECT] === 0 && w[vma + V_ANON_VMA] === 0) anonVmaPrepare(m, vma);
  zapRange(m, mm, vma, start, end, ZAP_KEEP_GUARDS);
  for (let page = start; page < end; ) {
    const hi = Math.floor(page / m.loPages);
    const lo = page - hi * m.loPages;
    const leaf = ensureTable(m, mm, 0, hi, lo);
    if (leaf === 0) return -Errno.ENOMEM;
    if (!lockLeaf(m, leaf)) continue;
    const first = lo & m.mask;
    const last = Math.min(m.entryCount, first + (end - page));
    for (let i = first; i < last; i++) {
      if (entryFlags(m, leaf, i) !== ENTRY_NONE) continue;
      addEntry(m, mm, leaf, i, ENTRY_GUARD, 0);
      w[mmCounters(m, mm) + C_GUARD] += 1;
    }
    unlockLeaf(m, mm, leaf);
    page += last - first;
  }
  return 0;
}

/** Takes the markers of the range away; other entries and the tables stay. */
export function removeGuards(
  m: Machine,
  mm: number,
  vma: number,
  start: number,
  end: number,
): number {
  if (!isAllowed(m, vma, VM_SPECIAL)) return -Errno.EINVAL;
  cursor.begin(mm, start, end);
  for (let table = cursor.next(m); table !== 0; table = cursor.next(m)) {
    // A uniform table has no markers.
    if (!isLeaf(m, table)) continue;
    const first = cursor.start % m.entryCount;
    const last = first + (cursor.end - cursor.start);
    let removed = 0;
    if (!lockLeaf(m, table)) continue;
    for (let i = first; i < last; i++) {
      if ((entryFlags(m, table, i) & KIND_MASK) !== ENTRY_GUARD) continue;
      removeEntry(m, mm, table, i);
      removed++;
    }
    unlockLeaf(m, mm, table);
    m.words[mmCounters(m, mm) + C_GUARD] -= removed;
    if (removed > 0) tableLostEntries(m, mm, table);
  }
  return 0;
}

function isAllowed(m: Machine, vma: number, disallowed: number): boolean {
  if (m.words[vma + V_OBJECT] !== 0 && !m.rules.hasFileGuardRegions) return false;
  return (m.words[vma + V_FLAGS] & disallowed) === 0;
}
