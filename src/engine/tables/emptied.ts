import type { Machine } from '../machine.ts';
import { C_TABLES_FREED, mmCounters } from '../space/mm.ts';
import { freeEmptyLeaf } from './leaf-lock.ts';
import { isSharedTable } from './shared-entry.ts';
import { isOpened } from './stored.ts';
import { T_COUNT } from './table.ts';
import { freeTable } from './walk.ts';

/**
 * The event "a last-level table lost its last entry" (or, for a uniform table, all its children
 * did): true if a mechanism wants it freed.
 */
export function isUnwantedWhenEmpty(m: Machine, owner: number, table: number): boolean {
  return m.events.tableEmptied?.(m, owner, table) === true;
}

/**
 * After entries of a last-level table went: frees it if none is left and a mechanism says so. The
 * caller no longer holds the table's lock.
 */
export function tableLostEntries(m: Machine, owner: number, table: number): void {
  // A table that several have goes with the last of them.
  if (m.words[table + T_COUNT] !== 0 || isOpened(m, table) || isSharedTable(m, table)) return;
  if (isUnwantedWhenEmpty(m, owner, table)) {
    freeLeaf(m, owner, table);
  }
}

/** Frees a last-level table that was seen empty; on a shared machine only if it still is. */
export function freeLeaf(m: Machine, owner: number, table: number): void {
  if (m.isShared) {
    freeEmptyLeaf(m, owner, table);
    return;
  }
  freeTable(m, owner, table);
  countFreedTables(m, owner, 1);
}

/** Last-level tables went for being empty, by a rule or a mechanism. */
export function countFreedTables(m: Machine, owner: number, tables: number): void {
  m.words[mmCounters(m, owner) + C_TABLES_FREED] += tables;
  m.tablesFreed += tables;
}
