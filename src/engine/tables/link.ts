import { assert } from '../../base/index.ts';
import { arenaAllocZeroed } from '../arena.ts';
import { shareCountsOf } from '../counts/share-counts.ts';
import type { Machine } from '../machine.ts';
import { ENTRY_ACCESSED, ENTRY_LINK, KIND_MASK } from './entry.ts';
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
/** The same where the window's object itself holds what it leads to: not counted. */
const ENTRY_LINK_HELD: number = ENTRY_LINK | ENTRY_ACCESSED;

/** True if the entry `index` of an upper table is a link. */
export function isLink(m: Machine, parent: number, index: number): boolean {
  const w = m.words;
  if ((w[parent + T_STATE] & FORM_MASK) !== FORM_DENSE) return false;
  return (m.bytes[flagsAt(m, w[parent + T_CONTENTS]) + index] & KIND_MASK) === ENTRY_LINK;
}

/** True for a link that is in the share counts. */
export function isCountedLink(m: Machine, parent: number, index: number): boolean {
  return m.bytes[flagsAt(m, m.words[parent + T_CONTENTS]) + index] === ENTRY_LINK;
}

/** Writes a link into an empty entry, and counts it. */
export function linkForeign(m: Machine, parent: number, index: number, table: number): void {
  writeLink(m, parent, index, table, ENTRY_LINK);
  shareCountsOf(m).inc(m.words[table + T_PFN]);
}

/** The same without counting it. */
export function linkHeld(m: Machine, parent: number, index: number, table: number): void {
  writeLink(m, parent, index, table, ENTRY_LINK_HELD);
}

/** Leads a link that is not counted elsewhere. */
export function redirectHeld(m: Machine, parent: number, index: number, table: number): void {
  m.words[m.words[parent + T_CONTENTS] + index] = table;
  m.forgetWalk();
}

function writeLink(m: Machine, parent: number, index: number, table: number, flags: number): void {
  const w = m.words;
  if ((w[parent + T_STATE] & FORM_MASK) === FORM_EMPTY) {
    w[parent + T_CONTENTS] = arenaAllocZeroed(m, denseClass(m));
    setTableForm(m, parent, FORM_DENSE);
  }
  const contents = w[parent + T_CONTENTS];
  assert(w[contents + index] === 0, 'a link where an entry is');
  w[contents + index] = table;
  m.bytes[flagsAt(m, contents) + index] = flags;
  w[parent + T_COUNT] += 1;
}

/** Takes a counted link out; the references that are left to the table, its owner's among them. */
export function unlinkForeign(m: Machine, parent: number, index: number): number {
  return shareCountsOf(m).dec(m.words[unlinkHeld(m, parent, index) + T_PFN]);
}

/** Takes a link out; where it led. */
export function unlinkHeld(m: Machine, parent: number, index: number): number {
  const w = m.words;
  const contents = w[parent + T_CONTENTS];
  const table = w[contents + index];
  assert(isLink(m, parent, index), 'no link where one is taken out');
  w[contents + index] = 0;
  m.bytes[flagsAt(m, contents) + index] = 0;
  w[parent + T_COUNT] -= 1;
  m.forgetWalk();
  return table;
}

/** Links that lead to the table. */
export function linksTo(m: Machine, table: number): number {
  return m.shareCounts === null ? 0 : m.shareCounts.get(m.words[table + T_PFN]) - 1;
}
