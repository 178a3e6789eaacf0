import { BATCH_MAX } from '../../counts/count-table.ts';
import { frameRecord } from '../../frames/frame-record.ts';
import type { Machine } from '../../machine.ts';
import { ENTRY_NONE, ENTRY_PAGE, KIND_MASK } from '../../tables/entry.ts';
import { entryFlags, entryWord, runFlags, runHigh, runLow } from '../../tables/leaf.ts';
import {
  FORM_DENSE,
  FORM_RUN,
  flagsAt,
  T_CONTENTS,
  T_COUNT,
  T_PFN,
  T_RULE,
  tableForm,
  tableLevel,
} from '../../tables/table.ts';
import { isWholeExtent, type MorselStore, pageFree, pagesFree, tableFree } from './morsel.ts';
import { BORROWED } from './tree.ts';

/**
 * One entry less that leads to a table: with the last the table goes, and what its own entries led to has
 * one less each, in one batch. A child that nobody else leads to follows.
 */
export function releaseTable(
  m: Machine,
  store: MorselStore,
  table: number,
  pageLevel: number,
): void {
  if (store.counts.dec(m.words[table + T_PFN]) === 0) freeTree(m, store, table, pageLevel);
}

function freeTree(m: Machine, store: MorselStore, table: number, pageLevel: number): void {
  if (m.words[table + T_COUNT] > 0) {
    if (tableLevel(m, table) > pageLevel) releaseChildren(m, store, table, pageLevel);
    else releasePages(m, store, table, pageLevel);
    clearEntries(m, table);
  }
  tableFree(m, store, table);
}

/** Frames of one table, and those of them that nobody leads to any more: a pair for each level. */
const batches: readonly { all: Int32Array; gone: Int32Array }[] = [0, 1, 2, 3].map(() => ({
  all: new Int32Array(BATCH_MAX),
  gone: new Int32Array(BATCH_MAX),
}));

function releaseChildren(m: Machine, store: MorselStore, table: number, pageLevel: number): void {
  const w = m.words;
  const { all, gone } = batches[tableLevel(m, table)] as (typeof batches)[number];
  const contents = w[table + T_CONTENTS];
  const flags = flagsAt(m, contents);
  let n = 0;
  for (let i = 0; i < m.entryCount; i++) {
    const child = w[contents + i];
    if (child !== 0 && (m.bytes[flags + i] & BORROWED) === 0) all[n++] = w[child + T_PFN];
  }
  store.work.countsChanged += n;
  const left = store.counts.decBatch(all, 0, n, gone);
  for (let i = 0; i < left; i++) freeTree(m, store, frameRecord(m, gone[i]), pageLevel);
}

function releasePages(m: Machine, store: MorselStore, table: number, pageLevel: number): void {
  const w = m.words;
  const { all, gone } = batches[tableLevel(m, table)] as (typeof batches)[number];
  let left = 0;
  if (tableForm(m, table) === FORM_RUN) {
    const rule = w[table + T_RULE];
    if ((runFlags(rule) & BORROWED) !== 0) return;
    const first = w[table + T_CONTENTS] + runLow(rule);
    const n = runHigh(rule) - runLow(rule);
    store.work.countsChanged += n;
    left = store.counts.decRun(first, n, gone);
    if (left === m.entryCount && isWholeExtent(m, first)) {
      pagesFree(m, store, first);
      return;
    }
  } else {
    let n = 0;
    for (let i = 0; i < m.entryCount; i++) {
      const flags = entryFlags(m, table, i);
      if ((flags & KIND_MASK) !== ENTRY_PAGE || (flags & BORROWED) !== 0) continue;
      all[n++] = entryWord(m, table, i);
    }
    store.work.countsChanged += n;
    left = store.counts.decBatch(all, 0, n, gone);
  }
  for (let i = 0; i < left; i++) pageFree(m, store, pageLevel, gone[i]);
}

/** Dense contents go back with all flags zero. */
function clearEntries(m: Machine, table: number): void {
  const w = m.words;
  if (tableForm(m, table) === FORM_DENSE) {
    const flags = flagsAt(m, w[table + T_CONTENTS]);
    m.bytes.fill(ENTRY_NONE, flags, flags + m.entryCount);
  }
  w[table + T_COUNT] = 0;
}
