import { assert } from '../../../base/index.ts';
import type { Machine } from '../../machine.ts';
import { eachWindow, objectsOf, type WindowFrames } from '../../objects/window.ts';
import { vmaPgoff } from '../../space/vma.ts';
import { ENTRY_NONE, ENTRY_PAGE, ENTRY_WRITE, KIND_MASK } from '../../tables/entry.ts';
import { entryFlags, entryWord } from '../../tables/leaf.ts';
import { T_COUNT, T_PFN, tableLevel } from '../../tables/table.ts';
import { entrySpan } from '../../tables/walk.ts';
import { isRootBorrowed, M_PAGE_LEVEL, M_ROOT, type MorselStore } from './morsel.ts';
import { linkedTable, windowLevel } from './relink.ts';
import { BORROWED, tableFor, upperFlags, upperWord } from './tree.ts';

/**
 * Recomputes from the entries alone how many lead to each table and page of all Morsels, and compares
 * with the share counts and the tallies. Throws AssertionError.
 */
export function validateMorsels(m: Machine, store: MorselStore): WindowFrames {
  const walk = new MorselTally(m);
  let links = 0;
  const morsels = objectsOf(m, store.flavor);
  for (const morsel of morsels) {
    const root = m.words[morsel + M_ROOT];
    const pageLevel = m.words[morsel + M_PAGE_LEVEL];
    if (!isRootBorrowed(m, morsel)) walk.lead(root, pageLevel);
    eachWindow(m, morsel, (vma) => {
      const there = tableFor(m, morsel, vmaPgoff(m, vma), windowLevel(m, vma));
      const linked = linkedTable(m, vma);
      assert(linked === 0 || linked === there, "a window leads to its object's table");
      if (linked !== 0) links++;
    });
  }
  for (const [table, count] of walk.tables) {
    const kept = store.counts.get(m.words[table + T_PFN]);
    assert(kept === count, `entries that lead to a table: ${count} found, ${kept} kept`);
  }
  let pages = 0;
  for (const [pfn, { count, pageLevel }] of walk.pages) {
    const kept = store.counts.get(pfn);
    assert(kept === count, `entries that lead to frame ${pfn}: ${count} found, ${kept} kept`);
    pages += entrySpan(m, pageLevel);
  }
  walk.checkRights((pfn) => store.counts.get(pfn) === 1);
  const { work } = store;
  assert(morsels.length === work.objects, `Morsels: ${morsels.length} found`);
  assert(walk.tables.size === work.tables, `tables of Morsels: ${walk.tables.size} found`);
  assert(pages === work.pages, `pages of Morsels: ${pages} found, ${work.pages} kept`);
  assert(links === work.links, `links to Morsels: ${links} found, ${work.links} kept`);
  return { tables: walk.tables.size, pages, shared: walk.sharedFrames() };
}

class MorselTally {
  /** Entries and objects that lead to each table, and to each page. */
  readonly tables = new Map<number, number>();
  readonly pages = new Map<number, { count: number; pageLevel: number }>();
  /** Frames that an entry lets writes through to. */
  readonly #written: number[] = [];
  readonly #m: Machine;

  constructor(m: Machine) {
    this.#m = m;
  }

  lead(table: number, pageLevel: number): void {
    const seen = this.tables.get(table) ?? 0;
    this.tables.set(table, seen + 1);
    if (seen === 0) this.#walk(table, pageLevel);
  }

  /** Tables and pages that more than one entry leads to. */
  sharedFrames(): number {
    let shared = 0;
    for (const count of this.tables.values()) if (count > 1) shared++;
    for (const { count } of this.pages.values()) if (count > 1) shared++;
    return shared;
  }

  /** What an entry lets writes through to is nobody else's. */
  checkRights(isAlone: (pfn: number) => boolean): void {
    for (const pfn of this.#written) assert(isAlone(pfn), `frame ${pfn} is shared and writable`);
  }

  #walk(table: number, pageLevel: number): void {
    const m = this.#m;
    const isUpper = tableLevel(m, table) > pageLevel;
    let count = 0;
    for (let i = 0; i < m.entryCount; i++) {
      const flags = isUpper ? upperFlags(m, table, i) : entryFlags(m, table, i);
      if (flags === ENTRY_NONE) continue;
      count++;
      if (isUpper) this.#leadTable(upperWord(m, table, i), flags, pageLevel);
      else this.#leadPage(entryWord(m, table, i), flags, pageLevel);
    }
    assert(count === m.words[table + T_COUNT], `entries of a table: ${count} found`);
  }

  #leadTable(child: number, flags: number, pageLevel: number): void {
    if ((flags & BORROWED) !== 0) {
      assert((flags & ENTRY_WRITE) === 0, 'what a base lends is not written');
      return;
    }
    if ((flags & ENTRY_WRITE) !== 0) this.#written.push(this.#m.words[child + T_PFN]);
    this.lead(child, pageLevel);
  }

  #leadPage(pfn: number, flags: number, pageLevel: number): void {
    if ((flags & KIND_MASK) !== ENTRY_PAGE) return;
    if ((flags & BORROWED) !== 0) {
      assert((flags & ENTRY_WRITE) === 0, 'what a base lends is not written');
      return;
    }
    if ((flags & ENTRY_WRITE) !== 0) this.#written.push(pfn);
    const seen = this.pages.get(pfn);
    if (seen === undefined) this.pages.set(pfn, { count: 1, pageLevel });
    else seen.count += 1;
  }
}
