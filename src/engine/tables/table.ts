import {
  arenaAlloc,
  arenaAllocZeroed,
  arenaFree,
  CLASS_8,
  CLASS_16,
  CLASS_DENSE,
  CLASS_SMALL_DENSE,
} from '../arena.ts';
import { allocFrame } from '../frames/alloc.ts';
import { frameRecord, TYPE_INDEX, TYPE_MASK, TYPE_TABLE } from '../frames/frame-record.ts';
import { freeToPcp } from '../frames/pcp.ts';
import { H_ZERO_CONTENTS } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { freeAfterGrace } from '../threads/deferred.ts';
import { ENTRY_TABLE } from './entry.ts';
import {
  OWNER_EMPTY_TABLES,
  OWNER_GUEST,
  OWNER_KIND,
  OWNER_MM,
  OWNER_OBJECT,
  OWNER_ROOT,
  OWNER_ROOT_LEVEL,
  OWNER_TABLES,
} from './owner.ts';
import { initRefs } from './table-refs.ts';

/**
 * A page-table page: the record of its frame, read as below. The table's id is the word offset of
 * that record, so a walk is one load for the contents and one for the child, per level.
 *
 * The contents exist in forms, as few bytes as they need (DESIGN, "Forms of a table page"):
 *
 *   EMPTY    no entry, no contents
 *   ONE      one entry, inside the record
 *   FEW      up to 8 entries, as pairs
 *   RUN      entries [low, high) with frames base + i and the same flags
 *   DENSE    all entries: entryCount words, then entryCount bytes of flags
 *   UNIFORM  second-lowest level: all children present and following one rule (uniform.ts)
 *
 * Upper tables are DENSE, UNIFORM, or EMPTY (with the machine's all-zero contents).
 *
 * THE COUNT: T_COUNT is the number of entries that are not none, whatever the form. It changes at
 * no other place than tables/, under the table's lock, and is what pte-ref, Ingens and Morsels read.
 * Lines that keep it on the paths of `multi-fault` end in "the count": bench/engine-build.ts takes them
 * out to measure what they cost.
 */
export const T_STATE = 0; // frame type, level << 4, form << 8
export const T_COUNT = 1;
/** The table above, or the owner for a root. */
export const T_PARENT = 2;
/** Index in the parent (9 bits); for ONE also the entry's index << 9 and its flags << 18. */
export const T_INDEX = 3;
/** Word offset of the contents; ONE and RUN: the frame. */
export const T_CONTENTS = 4;
export const T_LOCK = 5;
export const T_PFN = 6;
/** RUN: low | high << 10 | flags << 20. UNIFORM: word offset of its rule. */
export const T_RULE = 7;

export const LEVEL_SHIFT = 4;
export const LEVEL_MASK = 7 << LEVEL_SHIFT;
export const FORM_SHIFT = 8;
export const FORM_MASK = 7 << FORM_SHIFT;
export const FORM_EMPTY = 0 << FORM_SHIFT;
export const FORM_ONE = 1 << FORM_SHIFT;
export const FORM_FEW = 2 << FORM_SHIFT;
export const FORM_RUN = 3 << FORM_SHIFT;
export const FORM_DENSE = 4 << FORM_SHIFT;
export const FORM_UNIFORM = 5 << FORM_SHIFT;

/** Being reclaimed: nobody else may pick it (mechanisms/table-reclaim). */
export const TABLE_FROZEN = 1 << 11;
/** Shared machines: the table hangs in no tree any more; whoever finds it walks again. */
export const T_DEAD: number = 1 << 12;

export const FEW_MAX = 8;
export const FEW_CLASS = CLASS_16;
export const RULE_CLASS = CLASS_8;

export function tableLevel(m: Machine, table: number): number {
  return (m.words[table + T_STATE] & LEVEL_MASK) >> LEVEL_SHIFT;
}

export function tableForm(m: Machine, table: number): number {
  return m.words[table + T_STATE] & FORM_MASK;
}

export function setTableForm(m: Machine, table: number, form: number): void {
  m.words[table + T_STATE] = (m.words[table + T_STATE] & ~FORM_MASK) | form;
}

export function setTableDead(m: Machine, table: number): void {
  m.words[table + T_STATE] |= T_DEAD;
}

export function tableIndex(m: Machine, table: number): number {
  return m.words[table + T_INDEX] & 511;
}

/** Size class of dense contents for the machine's geometry. */
export function denseClass(m: Machine): number {
  return m.entryCount === 512 ? CLASS_DENSE : CLASS_SMALL_DENSE;
}

/** Byte offset of the flags in dense contents. */
export function flagsAt(m: Machine, contents: number): number {
  return (contents + m.entryCount) << 2;
}

/**
 * A new empty table in a frame of its own, linked nowhere yet; 0 when memory is out. The owner's
 * count of tables of that level goes up here and down in `tableDestroy`.
 */
export function tableCreate(m: Machine, owner: number, level: number): number {
  const w = m.words;
  const isMm = w[owner + OWNER_KIND] !== OWNER_OBJECT;
  const pfn = allocFrame(m, isMm ? m.tableMigrateType : m.indexMigrateType);
  if (pfn === 0) return 0;
  const table = frameRecord(m, pfn);
  formatTable(m, table, pfn, isMm ? TYPE_TABLE : TYPE_INDEX, level);
  if (m.tableRefs !== 0 && isMm && level === 0) initRefs(m, table);
  countTables(m, owner, level, 1);
  if (level > 0) m.events.upperTableMade?.(m, owner, table, level);
  return table;
}

/** Writes the record of an empty table. */
export function formatTable(
  m: Machine,
  table: number,
  pfn: number,
  type: number,
  level: number,
): void {
  const w = m.words;
  w[table + T_STATE] = type | (level << LEVEL_SHIFT) | FORM_EMPTY;
  w[table + T_COUNT] = 0;
  w[table + T_PARENT] = 0;
  w[table + T_INDEX] = 0;
  w[table + T_CONTENTS] = level === 0 ? 0 : w[H_ZERO_CONTENTS];
  w[table + T_LOCK] = 0;
  w[table + T_PFN] = pfn;
  w[table + T_RULE] = 0;
}

/** Adds to the owner's number of tables of a level. New last-level tables are empty ones. */
export function countTables(m: Machine, owner: number, level: number, change: number): void {
  if (m.isShared) Atomics.add(m.words, owner + OWNER_TABLES + level, change);
  else m.words[owner + OWNER_TABLES + level] += change;
  if (level !== 0) return;
  countEmptyTables(m, owner, change);
  if (change > 0 && m.words[owner + OWNER_KIND] === OWNER_MM) m.tablesMade += change;
}

export function countEmptyTables(m: Machine, owner: number, change: number): void {
  if (m.isShared) Atomics.add(m.words, owner + OWNER_EMPTY_TABLES, change);
  else m.words[owner + OWNER_EMPTY_TABLES] += change;
}

/** Frees an unlinked table that has no entries: its frame and what is left of its contents. */
export function tableDestroy(m: Machine, owner: number, table: number): void {
  const level = tableLevel(m, table);
  if (level > 0) m.events.upperTableGone?.(m, owner, table, level);
  dropContents(m, table);
  countTables(m, owner, level, -1);
  m.forgetWalk();
  if (m.isShared) freeAfterGrace(m, table);
  else freeToPcp(m, m.words[table + T_PFN], table);
}

/** Frees the contents and makes the table EMPTY; the caller has dealt with the entries. */
export function dropContents(m: Machine, table: number): void {
  const w = m.words;
  const form = w[table + T_STATE] & FORM_MASK;
  const level = tableLevel(m, table);
  if (form === FORM_DENSE) arenaFree(m, denseClass(m), w[table + T_CONTENTS]);
  else if (form === FORM_FEW) arenaFree(m, FEW_CLASS, w[table + T_CONTENTS]);
  else if (form === FORM_UNIFORM) arenaFree(m, RULE_CLASS, w[table + T_RULE]);
  setTableForm(m, table, FORM_EMPTY);
  w[table + T_CONTENTS] = level === 0 ? 0 : w[H_ZERO_CONTENTS];
}

function setTableIndex(m: Machine, table: number, index: number): void {
  const at = table + T_INDEX;
  if (m.isShared) {
    // The bits above may be another thread's at this moment (cgroup/table-list.ts).
    Atomics.and(m.words, at, ~511);
    Atomics.or(m.words, at, index);
  } else {
    m.words[at] = (m.words[at] & ~511) | index;
  }
}

/** Hangs a table into its parent's empty entry. */
export function linkTable(m: Machine, parent: number, index: number, child: number): void {
  m.words[child + T_PARENT] = parent;
  setTableIndex(m, child, index);
  hangWord(m, parent, index, child);
}

/** A word into an empty entry of an upper table: a child, or what stands for one (stored.ts). */
export function hangWord(m: Machine, parent: number, index: number, word: number): void {
  const w = m.words;
  if ((w[parent + T_STATE] & FORM_MASK) === FORM_EMPTY) {
    // Upper contents must start as zero words: "no child" is a word of 0.
    w[parent + T_CONTENTS] = arenaAllocZeroed(m, denseClass(m));
    setTableForm(m, parent, FORM_DENSE);
  }
  const contents = w[parent + T_CONTENTS];
  m.bytes[flagsAt(m, contents) + index] = ENTRY_TABLE;
  w[parent + T_COUNT] += 1;
  // Last: from here on other threads find the child and write its record.
  w[contents + index] = word;
}

/** The word of an entry that is not none, and its flags without any history. */
export function setChild(m: Machine, parent: number, index: number, word: number): void {
  const contents = m.words[parent + T_CONTENTS];
  m.words[contents + index] = word;
  m.bytes[flagsAt(m, contents) + index] = word === 0 ? 0 : ENTRY_TABLE;
}

/** Empties an entry of an upper table, whose child lives on elsewhere or is gone already. */
export function clearChild(m: Machine, parent: number, index: number): void {
  setChild(m, parent, index, 0);
  m.words[parent + T_COUNT] -= 1;
}

/** Takes a table out of its parent; the parent stays, even with no child left. */
export function unlinkTable(m: Machine, child: number): void {
  const w = m.words;
  const parent = w[child + T_PARENT];
  const index = tableIndex(m, child);
  const contents = w[parent + T_CONTENTS];
  w[contents + index] = 0;
  m.bytes[flagsAt(m, contents) + index] = 0;
  w[parent + T_COUNT] -= 1;
  w[child + T_PARENT] = 0;
  m.forgetWalk();
}

/** Makes `table` the root of the owner. */
export function setRoot(m: Machine, owner: number, table: number): void {
  const w = m.words;
  w[owner + OWNER_ROOT] = table;
  w[owner + OWNER_ROOT_LEVEL] = tableLevel(m, table);
  w[table + T_PARENT] = owner;
}

/** Fresh contents for FEW; the words are undefined. */
export function allocFew(m: Machine): number {
  return arenaAlloc(m, FEW_CLASS);
}

/** The frame's type as the record says it: TYPE_TABLE, or TYPE_INDEX for an object's index. */
export function tableType(m: Machine, table: number): number {
  return m.words[table + T_STATE] & TYPE_MASK;
}

/** True if `parent` is the owner whose root `table` is, and no table. */
export function isOwner(m: Machine, parent: number, table: number): boolean {
  const w = m.words;
  const kind = w[parent + OWNER_KIND];
  // A table's first word has its type, which no owner's kind is.
  const isKind = kind === OWNER_MM || kind === OWNER_OBJECT || kind === OWNER_GUEST;
  return isKind && w[parent + OWNER_ROOT] === table;
}

/** Address space or object that a linked table belongs to. */
export function ownerOfTable(m: Machine, table: number): number {
  let at = table;
  for (;;) {
    const parent = m.words[at + T_PARENT];
    if (isOwner(m, parent, at)) return parent;
    at = parent;
  }
}
