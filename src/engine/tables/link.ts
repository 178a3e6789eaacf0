import { assert } from '../../base/index.ts';
import { arenaAllocZeroed } from '../arena.ts';
import { shareCountsOf } from '../counts/share-counts.ts';
import type { Machine } from '../machine.ts';
import { ENTRY_OBJECT, ENTRY_TABLE } from './entry.ts';
import {
  denseClass,
  FORM_DENSE,
  FORM_EMPTY,
  FORM_MASK,
  flagsAt,
  setTableForm,
  T_CONTENTS,
  T_COUNT,
  T_PFN,
  T_STATE,
} from './table.ts';

/**
 * Links: entries that lead into another owner's tree. The table below stays its owner's in every way
 * (parent, index, counters); each link is one more reference in the machine's share counts, so that
 * nobody frees a table that somebody still leads to.
 */
const ENTRY_LINK: number = ENTRY_TABLE | ENTRY_OBJECT;

/** True if the entry `index` of an upper table is a link. */
export function isLink(m: Machine, parent: number, index: number): boolean {
  const w = m.words;
  if ((w[parent + T_STATE] & FORM_MASK) !== FORM_DENSE) return false;
  return m.bytes[flagsAt(m, w[parent + T_CONTENTS]) + index] === ENTRY_LINK;
}

/** Writes a link into an empty entry. */
export function linkForeign(m: Machine, parent: number, index: number, table: number): void {
  const w = m.words;
  if ((w[parent + T_STATE] & FORM_MASK) === FORM_EMPTY) {
    w[parent + T_CONTENTS] = arenaAllocZeroed(m, denseClass(m));
    setTableForm(m, parent, FORM_DENSE);
  }
  const contents = w[parent + T_CONTENTS];
  assert(w[contents + index] === 0, 'a link where an entry is');
  w[contents + index] = table;
  m.bytes[flagsAt(m, contents) + index] = ENTRY_LINK;
  w[parent + T_COUNT] += 1;
  shareCountsOf(m).inc(w[table + T_PFN]);
}

/** Takes a link out; the references that are left to the table, its owner's among them. */
export function unlinkForeign(m: Machine, parent: number, index: number): number {
  const w = m.words;
  const contents = w[parent + T_CONTENTS];
  const table = w[contents + index];
  assert(isLink(m, parent, index), 'no link where one is taken out');
  w[contents + index] = 0;
  m.bytes[flagsAt(m, contents) + index] = 0;
  w[parent + T_COUNT] -= 1;
  m.forgetWalk();
  return shareCountsOf(m).dec(w[table + T_PFN]);
}

/** Links that lead to the table. */
export function linksTo(m: Machine, table: number): number {
  return m.shareCounts === null ? 0 : m.shareCounts.get(m.words[table + T_PFN]) - 1;
}
