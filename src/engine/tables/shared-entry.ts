import type { Machine } from '../machine.ts';
import { T_PARENT, T_STATE, tableIndex } from './table.ts';

/**
 * A last-level table that several address spaces have as theirs (on-demand fork). None of them may
 * change it. In each one's entry above stands a negative word, as for marked and stored tables
 * (stored.ts), so a walk that finds a table of its own tests nothing more than before:
 *
 *   -(a record + 2)   this address space is one of the table's sharers
 *
 * A sharer's record names the table, the place of the entry, and the next and previous sharer. How many
 * there are is counted under the table's frame (sharing.ts); no count means one.
 *
 * One sharer is the table's OWNER: T_PARENT and T_INDEX are its place. VmPTE, RSS and swap of the owner
 * count the table and its entries, those of the others do not (posted for Linux: "COW PTE", v2).
 * Entries in a shared table map their page once, however many sharers there are, and a way back from
 * the page finds the owner. The owner passes both on when it leaves (docs/on-demand-fork.md).
 */
export const R_TABLE = 0;
export const R_NEXT = 1;
/** The same word as T_PARENT (migrate-table.ts). */
export const R_PARENT = 2;
export const R_INDEX = 3;
export const R_PREV = 4;

/** In T_STATE: sharers' records name this table. */
export const T_SHARED: number = 1 << 20;

export function isSharedTable(m: Machine, table: number): boolean {
  return (m.words[table + T_STATE] & T_SHARED) !== 0;
}

/** True for the word of an entry that names a sharer's record. */
export function isSharedWord(word: number): boolean {
  return word < 0 && (word & 3) === 2;
}

export function sharerAt(word: number): number {
  return -word - 2;
}

/** The table that a sharer's entry leads to: to be read, not changed. */
export function sharedTableAt(m: Machine, word: number): number {
  return m.words[sharerAt(word) + R_TABLE];
}

/** True if the entry `index` of `upper` is the owner's. */
export function isOwnersEntry(m: Machine, upper: number, index: number, table: number): boolean {
  return m.words[table + T_PARENT] === upper && tableIndex(m, table) === index;
}
