import { arenaAllocZeroed, arenaFree, classFor } from '../arena.ts';
import type { Machine } from '../machine.ts';
import { T_RULE } from '../tables/table.ts';

/**
 * Entries of tables of level 1 that are pages. They stand beside the table's contents, in an array of 512
 * words that T_RULE names, so whoever walks to tables of the last level finds none here, and the table's
 * count is of its tables only. A word is the page's first frame, a multiple of 512, with flags in the bits
 * below; 0 is none.
 */
export const HUGE_WRITE = 1;
/** The page is the object's, not a private copy. */
export const HUGE_OF_FILE = 2;
const FRAME_MASK = ~511;

/** The page's first frame. */
export function frameOfEntry(entry: number): number {
  return entry & FRAME_MASK;
}

export function hugeEntry(m: Machine, table: number, index: number): number {
  const entries = m.words[table + T_RULE];
  return entries === 0 ? 0 : m.words[entries + index];
}

export function setHugeEntry(m: Machine, table: number, index: number, entry: number): void {
  const w = m.words;
  if (w[table + T_RULE] === 0) w[table + T_RULE] = arenaAllocZeroed(m, classFor(m.entryCount));
  w[w[table + T_RULE] + index] = entry;
}

/** Entries of the table that are pages. */
export function countHugeEntries(m: Machine, table: number): number {
  let count = 0;
  for (let i = 0; i < m.entryCount; i++) if (hugeEntry(m, table, i) !== 0) count++;
  return count;
}

/** Gives the array back where it holds nothing any more. */
export function trimHugeEntries(m: Machine, table: number): void {
  const entries = m.words[table + T_RULE];
  if (entries === 0 || countHugeEntries(m, table) > 0) return;
  arenaFree(m, classFor(m.entryCount), entries);
  m.words[table + T_RULE] = 0;
}
