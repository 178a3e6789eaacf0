import type { Machine } from '../machine.ts';
import { ENTRY_GUARD, ENTRY_NONE, ENTRY_SWAP, isPresent, KIND_MASK } from '../tables/entry.ts';
import { isHuge } from '../tables/huge-entry.ts';
import { entryFlags } from '../tables/leaf.ts';
import { isOpened } from '../tables/stored.ts';
import { FORM_RUN, T_COUNT, tableForm } from '../tables/table.ts';
import { UNIFORM_RUN, uniformKind } from '../tables/uniform.ts';
import { isLeaf, LeafCursor } from '../tables/walk.ts';

/** What the entries of a range are, as /proc/PID/pagemap shows them. */
export interface Occupancy {
  /** Present pages: bit 63. */
  present: number;
  /** Swapped pages and guard markers: bit 62. */
  swapped: number;
  /** Last-level tables that the range touches, and those of them without any entry. */
  tables: number;
  emptyTables: number;
  /** Tables that map a huge page (tables/huge-entry.ts). */
  hugeTables: number;
}

/** Counts the entries of [start, end) pages. */
export function occupancyOf(m: Machine, mm: number, start: number, end: number): Occupancy {
  const found: Occupancy = { present: 0, swapped: 0, tables: 0, emptyTables: 0, hugeTables: 0 };
  const cursor = new LeafCursor();
  cursor.begin(mm, start, end, true);
  for (let table = cursor.next(m); table !== 0; table = cursor.next(m)) {
    if (!isLeaf(m, table)) {
      found.tables += m.entryCount;
      if (uniformKind(m, table) === UNIFORM_RUN) found.present += m.loPages;
      else found.emptyTables += m.entryCount;
      continue;
    }
    // A stored table has entries, but is no table; a shared one is its owner's.
    if (!isOpened(m, table) && !cursor.isBorrowed) found.tables += 1;
    if (isHuge(m, table)) found.hugeTables += 1;
    if (m.words[table + T_COUNT] === 0) {
      if (!cursor.isBorrowed) found.emptyTables += 1;
      continue;
    }
    const pages = cursor.end - cursor.start;
    if (pages === m.entryCount && tableForm(m, table) === FORM_RUN) {
      found.present += m.words[table + T_COUNT];
      continue;
    }
    const first = cursor.start % m.entryCount;
    for (let i = first; i < first + pages; i++) {
      const flags = entryFlags(m, table, i);
      if (flags === ENTRY_NONE) continue;
      if (isPresent(flags)) found.present += 1;
      else if (isSwappedOrGuard(flags)) found.swapped += 1;
    }
  }
  return found;
}

function isSwappedOrGuard(flags: number): boolean {
  const kind = flags & KIND_MASK;
  return kind === ENTRY_SWAP || kind === ENTRY_GUARD;
}
