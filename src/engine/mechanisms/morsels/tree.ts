import { arenaAllocZeroed } from '../../arena.ts';
import type { Machine } from '../../machine.ts';
import { ENTRY_NONE, ENTRY_OBJECT, ENTRY_TABLE, ENTRY_WRITE } from '../../tables/entry.ts';
import {
  denseClass,
  FORM_DENSE,
  FORM_MASK,
  flagsAt,
  setTableForm,
  T_CONTENTS,
  T_COUNT,
  T_PFN,
  T_STATE,
} from '../../tables/table.ts';
import { levelIndex } from '../../tables/walk.ts';
import {
  isRootBorrowed,
  M_LEVEL,
  M_PAGE_LEVEL,
  M_ROOT,
  type MorselStore,
  tableNew,
} from './morsel.ts';

/**
 * The tree of a Morsel. Entries of upper tables are words and flags as everywhere (tables/entry.ts);
 * ENTRY_WRITE in one says that what it leads to is nobody else's, so a write may go through. Entries that
 * are pages are handled by tables/leaf.ts, whatever their level.
 *
 * ENTRY_OBJECT in any entry: it leads into the frozen base, which the object does not count (clone.ts).
 */
export const UPPER_OWN: number = ENTRY_TABLE | ENTRY_WRITE;
export const UPPER_SHARED: number = ENTRY_TABLE;
export const BORROWED: number = ENTRY_OBJECT;

/** Index of a page's entry in a table of the level, for a page counted from the object's start. */
export function indexAt(m: Machine, level: number, page: number): number {
  const hi = Math.floor(page / m.loPages);
  return levelIndex(m, level, hi, page - hi * m.loPages);
}

export function upperWord(m: Machine, table: number, index: number): number {
  return m.words[m.words[table + T_CONTENTS] + index];
}

export function upperFlags(m: Machine, table: number, index: number): number {
  const w = m.words;
  if ((w[table + T_STATE] & FORM_MASK) !== FORM_DENSE) return ENTRY_NONE;
  return m.bytes[flagsAt(m, w[table + T_CONTENTS]) + index];
}

/** Writes an entry of an upper table, which may have been empty; keeps the count. */
export function setUpper(
  m: Machine,
  table: number,
  index: number,
  child: number,
  flags: number,
): void {
  const w = m.words;
  if ((w[table + T_STATE] & FORM_MASK) !== FORM_DENSE) makeUpperDense(m, table);
  const contents = w[table + T_CONTENTS];
  if (w[contents + index] === 0) w[table + T_COUNT] += 1;
  w[contents + index] = child;
  m.bytes[flagsAt(m, contents) + index] = flags;
}

/** Empties an entry of an upper table that is not empty. */
export function clearUpper(m: Machine, table: number, index: number): void {
  const contents = m.words[table + T_CONTENTS];
  m.words[contents + index] = 0;
  m.bytes[flagsAt(m, contents) + index] = ENTRY_NONE;
  m.words[table + T_COUNT] -= 1;
}

export function makeUpperDense(m: Machine, table: number): void {
  m.words[table + T_CONTENTS] = arenaAllocZeroed(m, denseClass(m));
  setTableForm(m, table, FORM_DENSE);
}

/** The table of `level` that holds the page, 0 if there is none. Nothing is made or copied. */
export function tableFor(m: Machine, morsel: number, page: number, level: number): number {
  const w = m.words;
  let table = w[morsel + M_ROOT];
  for (let at = w[morsel + M_LEVEL]; at > level && table !== 0; at--) {
    table = upperWord(m, table, indexAt(m, at, page));
  }
  return table;
}

/** The table whose entries are pages; 0 if there is none. */
export function pageTableFor(m: Machine, morsel: number, page: number): number {
  return tableFor(m, morsel, page, m.words[morsel + M_PAGE_LEVEL]);
}

/**
 * True if every entry on the way to the page's table lets a write through. The root has no entry: it is
 * the object's own unless another object counts it, or it is the frozen base's.
 */
export function isPathOwn(m: Machine, store: MorselStore, morsel: number, page: number): boolean {
  const w = m.words;
  let table = w[morsel + M_ROOT];
  if (isRootBorrowed(m, morsel) || store.counts.get(w[table + T_PFN]) > 1) return false;
  for (let at = w[morsel + M_LEVEL]; at > w[morsel + M_PAGE_LEVEL]; at--) {
    const index = indexAt(m, at, page);
    if ((upperFlags(m, table, index) & ENTRY_WRITE) === 0) return false;
    table = upperWord(m, table, index);
  }
  return true;
}

/** A new table below an empty entry of a table that is the object's own; 0 when memory is out. */
export function addTable(
  m: Machine,
  store: MorselStore,
  table: number,
  index: number,
  level: number,
): number {
  const child = tableNew(m, store, level);
  if (child !== 0) setUpper(m, table, index, child, UPPER_OWN);
  return child;
}

/**
 * The table whose entries are the page's, made where missing; 0 when memory is out. Nothing is copied: an
 * empty table, or the zero page, in a table that others lead to as well is for them what nothing was.
 */
export function ensurePath(
  m: Machine,
  store: MorselStore,
  morsel: number,
  page: number,
  bottom: number,
): number {
  const w = m.words;
  let table = w[morsel + M_ROOT];
  for (let level = w[morsel + M_LEVEL]; level > bottom && table !== 0; level--) {
    const index = indexAt(m, level, page);
    const child = upperWord(m, table, index);
    table = child !== 0 ? child : addTable(m, store, table, index, level - 1);
  }
  return table;
}
