import { WRITTEN_PAGE } from '../../fault/fault-codes.ts';
import type { Machine } from '../../machine.ts';
import { ENTRY_WRITE } from '../../tables/entry.ts';
import { runFlags, runHigh, runLow, setRun } from '../../tables/leaf.ts';
import { FORM_RUN, T_COUNT, T_RULE, tableForm } from '../../tables/table.ts';
import { ownPath } from './copy.ts';
import { M_LEVEL, type MorselStore, pagesFree, pagesNew } from './morsel.ts';
import { indexAt, isPathOwn, tableFor, upperFlags, upperWord } from './tree.ts';

/**
 * Touches whole last-level tables in one step each: an empty one gets 512 pages in one piece, a full one
 * that may be touched so costs nothing. From page `from` (a multiple of 512) on; the pages that could be
 * taken so, the faults are in `m.foundIndex`.
 */
export function touchTables(
  m: Machine,
  store: MorselStore,
  morsel: number,
  from: number,
  pages: number,
  isWrite: boolean,
): number {
  const span = m.entryCount;
  let faults = 0;
  let taken = 0;
  while (pages - taken >= span) {
    const page = from + taken;
    const skipped = skipTouched(m, store, morsel, page, pages - taken, isWrite);
    if (skipped > 0) {
      taken += skipped;
      continue;
    }
    if (!isWrite || !fillTable(m, store, morsel, page)) break;
    faults += span;
    taken += span;
  }
  m.foundIndex = faults;
  return taken;
}

/** Pages from `page` on in tables that are full and take the touch as they are, up to the end of a GiB. */
function skipTouched(
  m: Machine,
  store: MorselStore,
  morsel: number,
  page: number,
  pages: number,
  isWrite: boolean,
): number {
  if (m.words[morsel + M_LEVEL] === 0) {
    const root = tableFor(m, morsel, page, 0);
    const mayWrite = !isWrite || isPathOwn(m, store, morsel, page);
    return mayWrite && isFull(m, root, isWrite) ? m.entryCount : 0;
  }
  const upper = tableFor(m, morsel, page, 1);
  if (upper === 0 || (isWrite && !isPathOwn(m, store, morsel, page))) return 0;
  const first = indexAt(m, 1, page);
  const last = Math.min(m.entryCount, first + Math.floor(pages / m.entryCount));
  let i = first;
  while (i < last) {
    const table = upperWord(m, upper, i);
    if (table === 0 || !isFull(m, table, isWrite)) break;
    if (isWrite && (upperFlags(m, upper, i) & ENTRY_WRITE) === 0) break;
    i++;
  }
  return (i - first) * m.entryCount;
}

function isFull(m: Machine, table: number, isWrite: boolean): boolean {
  if (table === 0 || tableForm(m, table) !== FORM_RUN) return false;
  const rule = m.words[table + T_RULE];
  if (runLow(rule) !== 0 || runHigh(rule) !== m.entryCount) return false;
  return !isWrite || runFlags(rule) === WRITTEN_PAGE;
}

function fillTable(m: Machine, store: MorselStore, morsel: number, page: number): boolean {
  const there = tableFor(m, morsel, page, 0);
  if (there !== 0 && m.words[there + T_COUNT] !== 0) return false;
  const pfn = pagesNew(m, store);
  if (pfn === 0) return false;
  const table = ownPath(m, store, morsel, page, 0);
  if (table === 0 || m.words[table + T_COUNT] !== 0) {
    pagesFree(m, store, pfn);
    return false;
  }
  setRun(m, store.owner, table, 0, m.entryCount, pfn, WRITTEN_PAGE);
  return true;
}
