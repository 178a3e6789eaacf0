import type { PageAddedHook } from '../../events.ts';
import { blockOf } from '../../frames/frame-record.ts';
import { isReserved } from '../../frames/reservation.ts';
import { holdsSlot } from '../../huge/eligible.ts';
import { BLOCK_FRAMES } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { C_COLLAPSES, mmCounters } from '../../space/mm.ts';
import { vmaLookup } from '../../space/vma.ts';
import { ENTRY_ACCESSED, ENTRY_PAGE, KIND_MASK } from '../../tables/entry.ts';
import { isHuge, markHuge } from '../../tables/huge-entry.ts';
import { entryFlags, entryWord, makeDense, removeEntry, setRun } from '../../tables/leaf.ts';
import { T_COUNT } from '../../tables/table.ts';

/**
 * Makes a full table one mapping of 2 MiB (pmap_promote_pde), after a fault in it: all its pages are
 * at their places in one reservation, and have equal attributes, accessed ones. Nothing is copied,
 * nobody's frame changes. What takes one of the entries apart from the others is the demotion, which
 * the table does by itself (tables/huge-entry.ts).
 */
export class Promoter {
  promotions = 0;

  readonly pageAdded: PageAddedHook = (m, mm, leaf, page) => {
    if (m.words[leaf + T_COUNT] !== BLOCK_FRAMES || isHuge(m, leaf) || !isOneRun(m, leaf)) return;
    // An area's border may have come into the region since it was reserved.
    if (!holdsSlot(m, vmaLookup(m, mm, page), page - (page % BLOCK_FRAMES))) return;
    const base = entryWord(m, leaf, 0);
    const flags = entryFlags(m, leaf, 0);
    makeDense(m, leaf);
    for (let i = 0; i < BLOCK_FRAMES; i++) removeEntry(m, mm, leaf, i);
    setRun(m, mm, leaf, 0, BLOCK_FRAMES, base, flags);
    markHuge(m, mm, leaf);
    m.forgetWalk();
    m.words[mmCounters(m, mm) + C_COLLAPSES] += 1;
    this.promotions += 1;
  };
}

function isOneRun(m: Machine, leaf: number): boolean {
  const base = entryWord(m, leaf, 0);
  const flags = entryFlags(m, leaf, 0);
  if ((flags & KIND_MASK) !== ENTRY_PAGE || (flags & ENTRY_ACCESSED) === 0) return false;
  if ((base & (BLOCK_FRAMES - 1)) !== 0 || !isReserved(m, blockOf(m, base))) return false;
  for (let i = 1; i < BLOCK_FRAMES; i++) {
    if (entryFlags(m, leaf, i) !== flags || entryWord(m, leaf, i) !== base + i) return false;
  }
  return true;
}
