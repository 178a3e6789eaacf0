import {
  clearFrameFlags,
  F_STAMP,
  F_STATE,
  F_SWAP_SLOT,
  FRAME_ACTIVE,
  FRAME_DIRTY,
  FRAME_LAZYFREE,
  FRAME_REFERENCED,
  setFrameFlags,
} from '../frames/frame-record.ts';
import { ensureRecord, mapCount } from '../frames/map-count.ts';
import { splitHugePage } from '../huge/split-page.ts';
import { isKsm } from '../ksm/ksm-page.ts';
import type { Machine } from '../machine.ts';
import { swapSlotPut } from '../objects/swap.ts';
import { C_SWAP, mmCounters } from '../space/mm.ts';
import { tableLostEntries } from '../tables/emptied.ts';
import {
  ENTRY_ACCESSED,
  ENTRY_DIRTY,
  ENTRY_OBJECT,
  ENTRY_PAGE,
  ENTRY_SWAP,
  KIND_MASK,
} from '../tables/entry.ts';
import { isHuge, isHugeZero } from '../tables/huge-entry.ts';
import { changeEntry, entryFlags, entryWord, removeEntry } from '../tables/leaf.ts';
import { lockLeaf, unlockLeaf } from '../tables/leaf-lock.ts';
import { closeOpened } from '../tables/stored.ts';
import { T_CONTENTS } from '../tables/table.ts';
import { isLeaf, LeafCursor } from '../tables/walk.ts';
import { resumeWorld, stopWorld } from '../threads/world.ts';
import { pageOut } from './page-out.ts';

/** Advice about the near future of pages: MADV_COLD, MADV_PAGEOUT and MADV_FREE. */
const cursor = new LeafCursor();

/**
 * MADV_COLD makes pages of this process alone the next to be reclaimed; MADV_PAGEOUT reclaims them
 * at once (madvise_cold_or_pageout_pte_range).
 */
export function ageRange(
  m: Machine,
  mm: number,
  start: number,
  end: number,
  isPageOut: boolean,
): void {
  // Paging out goes through other address spaces' tables (objects/rmap.ts).
  const mustStop = isPageOut && m.isShared;
  if (mustStop) stopWorld(m);
  ageTables(m, mm, start, end, isPageOut);
  if (mustStop) resumeWorld(m);
}

function ageTables(m: Machine, mm: number, start: number, end: number, isPageOut: boolean): void {
  cursor.begin(mm, start, end);
  for (let table = cursor.next(m); table !== 0; table = cursor.next(m)) {
    if (!isLeaf(m, table) || !lockLeaf(m, table)) continue;
    const first = cursor.start % m.entryCount;
    const last = first + (cursor.end - cursor.start);
    splitIfPart(m, table, last - first);
    for (let i = first; i < last; i++) {
      const flags = entryFlags(m, table, i);
      if ((flags & KIND_MASK) !== ENTRY_PAGE) continue;
      const pfn = entryWord(m, table, i);
      if (mapCount(m, pfn) !== 1) continue;
      const rec = ensureRecord(m, pfn);
      if ((flags & ENTRY_ACCESSED) !== 0) changeEntry(m, table, i, flags & ~ENTRY_ACCESSED, pfn);
      clearFrameFlags(m, rec, FRAME_ACTIVE | FRAME_REFERENCED);
      m.words[rec + F_STAMP] = 0;
      if (!isPageOut) continue;
      pageOut(m, pfn, rec, table);
      closeOpened(m);
    }
    unlockLeaf(m, mm, table);
    if (isPageOut) tableLostEntries(m, mm, table);
  }
}

/**
 * Advice about a part of a huge page that is mapped here alone splits it (split_folio in madvise.c).
 * Without contents that is not to be told from splitting its mapping, which the first change does.
 */
function splitIfPart(m: Machine, table: number, pages: number): void {
  if (m.contentsAt === 0 || pages === m.entryCount) return;
  if (!isHuge(m, table) || isHugeZero(m, table)) return;
  const base = m.words[table + T_CONTENTS];
  if (mapCount(m, base) === 1 && !isKsm(m, base)) splitHugePage(m, base);
}

/**
 * MADV_FREE: swapped pages go at once; present ones stay until memory is short, unless written
 * again (madvise_free_pte_range).
 */
export function freeLazily(m: Machine, mm: number, start: number, end: number): void {
  const w = m.words;
  cursor.begin(mm, start, end);
  for (let table = cursor.next(m); table !== 0; table = cursor.next(m)) {
    if (!isLeaf(m, table) || !lockLeaf(m, table)) continue;
    const first = cursor.start % m.entryCount;
    const last = first + (cursor.end - cursor.start);
    splitIfPart(m, table, last - first);
    for (let i = first; i < last; i++) {
      const flags = entryFlags(m, table, i);
      const kind = flags & KIND_MASK;
      if (kind === ENTRY_SWAP) {
        const slot = entryWord(m, table, i);
        removeEntry(m, mm, table, i);
        w[mmCounters(m, mm) + C_SWAP] -= 1;
        swapSlotPut(m, slot);
      } else if (kind === ENTRY_PAGE && (flags & ENTRY_OBJECT) === 0) {
        const pfn = entryWord(m, table, i);
        const rec = ensureRecord(m, pfn);
        // A page that others may need from swap keeps its dirty mark, and so stays.
        const isNeeded = (w[rec + F_STATE] & FRAME_DIRTY) !== 0 || w[rec + F_SWAP_SLOT] !== 0;
        if (isNeeded && mapCount(m, pfn) !== 1) continue;
        changeEntry(m, table, i, flags & ~(ENTRY_ACCESSED | ENTRY_DIRTY), pfn);
        clearFrameFlags(m, rec, FRAME_ACTIVE | FRAME_DIRTY);
        setFrameFlags(m, rec, FRAME_LAZYFREE);
        m.lazyFrees += 1;
      }
    }
    unlockLeaf(m, mm, table);
    tableLostEntries(m, mm, table);
  }
}
