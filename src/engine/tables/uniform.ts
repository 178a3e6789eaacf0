import { arenaAlloc, arenaFree } from '../arena.ts';
import { allocSinglesExtent, freeExtent } from '../frames/alloc.ts';
import { blockOf, FRAME_WORDS, TYPE_INDEX, TYPE_TABLE } from '../frames/frame-record.ts';
import { attachChunk, EXTENT_NONE, EXTENT_TABLES, setBlockExtent } from '../frames/pageblock.ts';
import { B_MAPPING, H_UNIFORM_CONTENTS, H_ZERO_CONTENTS } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { ENTRY_TABLE } from './entry.ts';
import { runRule } from './leaf.ts';
import { OWNER_KIND, OWNER_MM } from './owner.ts';
import {
  countEmptyTables,
  countTables,
  denseClass,
  FORM_DENSE,
  FORM_EMPTY,
  FORM_RUN,
  FORM_UNIFORM,
  flagsAt,
  formatTable,
  RULE_CLASS,
  setTableForm,
  T_CONTENTS,
  T_COUNT,
  T_INDEX,
  T_PARENT,
  T_RULE,
  T_STATE,
} from './table.ts';

/**
 * UNIFORM: a second-lowest table all of whose 512 children exist and follow one rule, so that 1 GiB
 * of address space is one record. The children are counted and charged (their frames are one
 * extent of 512), but have no records until something changes inside: then `breakUniform` writes
 * them out, and nothing else in the engine can tell the difference.
 */

/** All children are empty last-level tables. */
export const UNIFORM_EMPTY = 0;
/** Child k maps frames base + 512 k ..., all entries present with the same flags. */
export const UNIFORM_RUN = 1;

const U_KIND = 0;
const U_TABLES_PFN = 1;
const U_BASE = 2;
const U_FLAGS = 3;

export function uniformKind(m: Machine, table: number): number {
  return m.words[m.words[table + T_RULE] + U_KIND];
}
/** First frame of the children's own extent. */
export function uniformTablesPfn(m: Machine, table: number): number {
  return m.words[m.words[table + T_RULE] + U_TABLES_PFN];
}
/** The children's frames are another extent now. */
export function setUniformTablesPfn(m: Machine, table: number, pfn: number): void {
  m.words[m.words[table + T_RULE] + U_TABLES_PFN] = pfn;
  m.words[blockOf(m, pfn) + B_MAPPING] = table;
}
export function uniformBase(m: Machine, table: number): number {
  return m.words[m.words[table + T_RULE] + U_BASE];
}
export function uniformFlags(m: Machine, table: number): number {
  return m.words[m.words[table + T_RULE] + U_FLAGS];
}

/**
 * Fills an EMPTY table of level 1 with 512 children by one rule. False when no extent is to be had
 * for the children's frames: the caller then works child by child.
 */
export function makeUniform(
  m: Machine,
  owner: number,
  table: number,
  kind: number,
  base: number,
  flags: number,
): boolean {
  if (m.entryCount !== 512) return false;
  const w = m.words;
  const isMm = w[owner + OWNER_KIND] === OWNER_MM;
  const type = isMm ? m.tableMigrateType : m.indexMigrateType;
  const tablesPfn = allocSinglesExtent(m, EXTENT_TABLES, type);
  if (tablesPfn === 0) return false;
  const rule = arenaAlloc(m, RULE_CLASS);
  w[rule + U_KIND] = kind;
  w[rule + U_TABLES_PFN] = tablesPfn;
  w[rule + U_BASE] = base;
  w[rule + U_FLAGS] = flags;
  // From the children's frames back to their table, for whoever wants to move them.
  w[blockOf(m, tablesPfn) + B_MAPPING] = table;
  w[table + T_RULE] = rule;
  w[table + T_CONTENTS] = w[H_UNIFORM_CONTENTS];
  w[table + T_COUNT] = 512;
  setTableForm(m, table, FORM_UNIFORM);
  countTables(m, owner, 0, 512);
  if (kind === UNIFORM_RUN) countEmptyTables(m, owner, -512);
  return true;
}

/** A uniform table whose children lost all entries, but stay. */
export function uniformBecameEmpty(m: Machine, owner: number, table: number): void {
  m.words[m.words[table + T_RULE] + U_KIND] = UNIFORM_EMPTY;
  countEmptyTables(m, owner, 512);
}

/** Changes the flags of all entries. */
export function setUniformFlags(m: Machine, table: number, flags: number): void {
  m.words[m.words[table + T_RULE] + U_FLAGS] = flags;
}

/** Frees all 512 (empty) children of a uniform table; it becomes EMPTY. */
export function freeUniformChildren(m: Machine, owner: number, table: number): void {
  const w = m.words;
  const rule = w[table + T_RULE];
  freeExtent(m, w[rule + U_TABLES_PFN]);
  arenaFree(m, RULE_CLASS, rule);
  w[table + T_COUNT] = 0;
  w[table + T_RULE] = 0;
  w[table + T_CONTENTS] = w[H_ZERO_CONTENTS];
  setTableForm(m, table, FORM_EMPTY);
  countTables(m, owner, 0, -512);
}

/** Writes the 512 children out as tables of their own; the table becomes DENSE. */
export function breakUniform(m: Machine, owner: number, table: number): void {
  const w = m.words;
  const rule = w[table + T_RULE];
  const type = w[owner + OWNER_KIND] === OWNER_MM ? TYPE_TABLE : TYPE_INDEX;
  const tablesPfn = w[rule + U_TABLES_PFN];
  const block = blockOf(m, tablesPfn);
  setBlockExtent(m, block, EXTENT_NONE);
  const chunk = attachChunk(m, block);
  const contents = arenaAlloc(m, denseClass(m));
  const isRun = w[rule + U_KIND] === UNIFORM_RUN;
  for (let i = 0; i < 512; i++) {
    const child = chunk + i * FRAME_WORDS;
    formatTable(m, child, tablesPfn + i, type, 0);
    w[child + T_PARENT] = table;
    w[child + T_INDEX] = i;
    if (isRun) {
      w[child + T_STATE] |= FORM_RUN;
      w[child + T_COUNT] = 512;
      w[child + T_CONTENTS] = w[rule + U_BASE] + i * 512;
      w[child + T_RULE] = runRule(0, 512, w[rule + U_FLAGS]);
    }
    w[contents + i] = child;
  }
  const flags = flagsAt(m, contents);
  m.bytes.fill(ENTRY_TABLE, flags, flags + 512);
  arenaFree(m, RULE_CLASS, rule);
  w[table + T_RULE] = 0;
  w[table + T_CONTENTS] = contents;
  setTableForm(m, table, FORM_DENSE);
}
