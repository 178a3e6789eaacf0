import { BATCH_MAX } from '../../counts/count-table.ts';
import { FAULT_DONE, FAULT_NONE, FAULT_OOM, WRITTEN_PAGE } from '../../fault/fault-codes.ts';
import type { Machine } from '../../machine.ts';
import { contentsOfFrame, readContents, writeContents } from '../../objects/contents.ts';
import {
  ENTRY_ACCESSED,
  ENTRY_NONE,
  ENTRY_PAGE,
  ENTRY_WRITE,
  ENTRY_ZERO,
  KIND_MASK,
} from '../../tables/entry.ts';
import {
  addEntry,
  changeEntry,
  entryFlags,
  entryWord,
  makeDense,
  runFlags,
  runHigh,
  runLow,
  setRun,
  setRunFlags,
} from '../../tables/leaf.ts';
import {
  countEmptyTables,
  FORM_DENSE,
  FORM_RUN,
  flagsAt,
  T_CONTENTS,
  T_COUNT,
  T_PFN,
  T_RULE,
  tableForm,
} from '../../tables/table.ts';
import { entrySpan } from '../../tables/walk.ts';
import {
  isRootBorrowed,
  M_BASE,
  M_LEVEL,
  M_PAGE_LEVEL,
  M_ROOT,
  type MorselStore,
  pageFree,
  pageNew,
  tableNew,
} from './morsel.ts';
import {
  addTable,
  BORROWED,
  indexAt,
  makeUpperDense,
  setUpper,
  UPPER_OWN,
  UPPER_SHARED,
  upperFlags,
  upperWord,
} from './tree.ts';

/**
 * Copy-on-write with nesting: a write splits the shared tables on its way level by level, then the page.
 * To copy a table is one table, up to 512 entries, and one batch of counts: each child has one more entry
 * that leads to it. A table or page whose count is one is taken over as it is.
 */

/** Page frames, or frames of tables, of one table: what a batch counts. */
const frames = new Int32Array(BATCH_MAX);

/**
 * Makes the way to the page's table of level `bottom` the object's own, and that table too; makes what is
 * missing. 0 when memory is out: what was copied by then stays copied. `store.hasMoved` says that a table
 * took another's place, so that windows must be led there.
 */
export function ownPath(
  m: Machine,
  store: MorselStore,
  morsel: number,
  page: number,
  bottom: number,
): number {
  let table = ownRoot(m, store, morsel);
  for (let level = m.words[morsel + M_LEVEL]; level > bottom && table !== 0; level--) {
    table = ownChild(m, store, morsel, table, indexAt(m, level, page), level - 1);
  }
  return table;
}

function ownRoot(m: Machine, store: MorselStore, morsel: number): number {
  const w = m.words;
  const root = w[morsel + M_ROOT];
  const isBorrowed = isRootBorrowed(m, morsel);
  if (!isBorrowed && store.counts.get(w[root + T_PFN]) === 1) return root;
  const copy = copyTable(m, store, morsel, root, w[morsel + M_LEVEL]);
  if (copy === 0) return 0;
  w[morsel + M_ROOT] = copy;
  // Another object counts it still, or it would not have been shared.
  if (!isBorrowed) store.counts.dec(w[root + T_PFN]);
  store.hasMoved = true;
  return copy;
}

function ownChild(
  m: Machine,
  store: MorselStore,
  morsel: number,
  table: number,
  index: number,
  level: number,
): number {
  const flags = upperFlags(m, table, index);
  if (flags === ENTRY_NONE) return addTable(m, store, table, index, level);
  const child = upperWord(m, table, index);
  if ((flags & ENTRY_WRITE) !== 0) return child;
  const isBorrowed = (flags & BORROWED) !== 0;
  if (!isBorrowed && store.counts.get(m.words[child + T_PFN]) === 1) {
    store.work.takeOvers += 1;
    setUpper(m, table, index, child, UPPER_OWN);
    return child;
  }
  const copy = copyTable(m, store, morsel, child, level);
  if (copy === 0) return 0;
  setUpper(m, table, index, copy, UPPER_OWN);
  // Others lead to it still, or it would have been taken over.
  if (!isBorrowed) store.counts.dec(m.words[child + T_PFN]);
  store.hasMoved = true;
  return copy;
}

/** A copy of a table whose entries both sides may only read; 0 when memory is out. */
function copyTable(
  m: Machine,
  store: MorselStore,
  morsel: number,
  table: number,
  level: number,
): number {
  const copy = tableNew(m, store, level);
  if (copy === 0) return 0;
  store.work.tableCopies += 1;
  store.work.entriesCopied += m.words[table + T_COUNT];
  // What a base lends is neither counted nor changed.
  const isBorrowing = m.words[morsel + M_BASE] !== 0;
  if (level > m.words[morsel + M_PAGE_LEVEL]) copyUpper(m, store, table, copy, isBorrowing);
  else copyPages(m, store, table, copy, isBorrowing);
  return copy;
}

function copyUpper(
  m: Machine,
  store: MorselStore,
  table: number,
  copy: number,
  isBorrowing: boolean,
): void {
  const w = m.words;
  if (w[table + T_COUNT] === 0) return;
  makeUpperDense(m, copy);
  const from = w[table + T_CONTENTS];
  const to = w[copy + T_CONTENTS];
  const fromFlags = flagsAt(m, from);
  const toFlags = flagsAt(m, to);
  let counted = 0;
  for (let i = 0; i < m.entryCount; i++) {
    const child = w[from + i];
    if (child === 0) continue;
    w[to + i] = child;
    if (isBorrowing) {
      m.bytes[toFlags + i] = UPPER_SHARED | BORROWED;
      continue;
    }
    m.bytes[fromFlags + i] = UPPER_SHARED;
    m.bytes[toFlags + i] = UPPER_SHARED;
    frames[counted++] = w[child + T_PFN];
  }
  w[copy + T_COUNT] = w[table + T_COUNT];
  countUp(store, counted);
}

function copyPages(
  m: Machine,
  store: MorselStore,
  table: number,
  copy: number,
  isBorrowing: boolean,
): void {
  const w = m.words;
  const form = tableForm(m, table);
  if (w[table + T_COUNT] === 0) return;
  if (form === FORM_RUN) {
    copyRun(m, store, table, copy, isBorrowing);
    return;
  }
  if (form === FORM_DENSE) {
    copyDense(m, store, table, copy, isBorrowing);
    return;
  }
  let counted = 0;
  for (let i = 0; i < m.entryCount; i++) {
    const flags = entryFlags(m, table, i);
    if (flags === ENTRY_NONE) continue;
    const word = entryWord(m, table, i);
    const isPage = (flags & KIND_MASK) === ENTRY_PAGE;
    const kept = flags & ~ENTRY_WRITE;
    const lent = isBorrowing && isPage ? kept | BORROWED : kept;
    addEntry(m, store.owner, copy, i, lent, word);
    if (isBorrowing || !isPage) continue;
    if (kept !== flags) changeEntry(m, table, i, kept, word);
    frames[counted++] = word;
  }
  countUp(store, counted);
}

/** The common case, written out. */
function copyDense(
  m: Machine,
  store: MorselStore,
  table: number,
  copy: number,
  isBorrowing: boolean,
): void {
  const w = m.words;
  const { bytes } = m;
  makeDense(m, copy);
  const from = w[table + T_CONTENTS];
  const to = w[copy + T_CONTENTS];
  const fromFlags = flagsAt(m, from);
  const toFlags = flagsAt(m, to);
  let counted = 0;
  for (let i = 0; i < m.entryCount; i++) {
    const flags = bytes[fromFlags + i];
    if (flags === ENTRY_NONE) continue;
    const kept = flags & ~ENTRY_WRITE;
    w[to + i] = w[from + i];
    if ((flags & KIND_MASK) !== ENTRY_PAGE) {
      bytes[toFlags + i] = kept;
    } else if (isBorrowing) {
      bytes[toFlags + i] = kept | BORROWED;
    } else {
      bytes[toFlags + i] = kept;
      bytes[fromFlags + i] = kept;
      frames[counted++] = w[from + i];
    }
  }
  w[copy + T_COUNT] = w[table + T_COUNT];
  countEmptyTables(m, store.owner, -1);
  countUp(store, counted);
}

function copyRun(
  m: Machine,
  store: MorselStore,
  table: number,
  copy: number,
  isBorrowing: boolean,
): void {
  const w = m.words;
  const rule = w[table + T_RULE];
  const low = runLow(rule);
  const high = runHigh(rule);
  const flags = runFlags(rule) & ~ENTRY_WRITE;
  const base = w[table + T_CONTENTS];
  setRun(m, store.owner, copy, low, high, base, isBorrowing ? flags | BORROWED : flags);
  if (isBorrowing) return;
  setRunFlags(m, table, flags);
  store.counts.incRun(base + low, high - low);
  store.work.countsChanged += high - low;
}

function countUp(store: MorselStore, n: number): void {
  store.counts.incBatch(frames, 0, n);
  store.work.countsChanged += n;
}

/** A read of a page whose table is there: the zero page where there is nothing. A FAULT_* code. */
export function readEntry(m: Machine, store: MorselStore, table: number, index: number): number {
  if (entryFlags(m, table, index) !== ENTRY_NONE) return FAULT_NONE;
  addEntry(m, store.owner, table, index, ENTRY_ZERO | ENTRY_ACCESSED, 0);
  return FAULT_DONE;
}

/** A write to a page whose table, and the way there, is the object's own. A FAULT_* code. */
export function writeEntry(
  m: Machine,
  store: MorselStore,
  pageLevel: number,
  table: number,
  index: number,
): number {
  const flags = entryFlags(m, table, index);
  const kind = flags & KIND_MASK;
  if (kind !== ENTRY_PAGE) {
    const pfn = pageNew(m, store, pageLevel);
    if (pfn === 0) return FAULT_OOM;
    if (kind === ENTRY_NONE) addEntry(m, store.owner, table, index, WRITTEN_PAGE, pfn);
    else changeEntry(m, table, index, WRITTEN_PAGE, pfn);
    return FAULT_DONE;
  }
  const pfn = entryWord(m, table, index);
  if ((flags & ENTRY_WRITE) !== 0) {
    if (flags !== WRITTEN_PAGE) changeEntry(m, table, index, WRITTEN_PAGE, pfn);
    return FAULT_NONE;
  }
  const isBorrowed = (flags & BORROWED) !== 0;
  if (!isBorrowed && store.counts.get(pfn) === 1) {
    store.work.takeOvers += 1;
    changeEntry(m, table, index, WRITTEN_PAGE, pfn);
    return FAULT_DONE;
  }
  const copy = pageNew(m, store, pageLevel);
  if (copy === 0) return FAULT_OOM;
  copyContents(m, pfn, copy, entrySpan(m, pageLevel));
  store.work.pageCopies += 1;
  changeEntry(m, table, index, WRITTEN_PAGE, copy);
  if (!isBorrowed && store.counts.dec(pfn) === 0) pageFree(m, store, pageLevel, pfn);
  return FAULT_DONE;
}

function copyContents(m: Machine, from: number, to: number, n: number): void {
  if (m.contentsAt === 0) return;
  for (let i = 0; i < n; i++) {
    writeContents(m, to + i, readContents(m, contentsOfFrame(m, from + i)));
  }
}
