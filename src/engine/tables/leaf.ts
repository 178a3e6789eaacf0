import { arenaAlloc, arenaFree } from '../arena.ts';
import { addMapping } from '../frames/map-count.ts';
import type { Machine } from '../machine.ts';
import { ENTRY_ACCESSED, ENTRY_NONE } from './entry.ts';
import { isHuge, splitHuge, unmarkHuge } from './huge-entry.ts';
import {
  allocFew,
  countEmptyTables,
  denseClass,
  FEW_CLASS,
  FEW_MAX,
  FORM_DENSE,
  FORM_EMPTY,
  FORM_FEW,
  FORM_MASK,
  FORM_ONE,
  FORM_RUN,
  flagsAt,
  setTableForm,
  T_CONTENTS,
  T_COUNT,
  T_INDEX,
  T_RULE,
  T_STATE,
} from './table.ts';

/**
 * Entries of a last-level table, whatever its form. A table grows EMPTY -> ONE -> FEW -> DENSE and
 * goes back to EMPTY when its last entry goes; RUN is made only by bulk operations.
 */

/** Low index, high index and flags of a RUN. */
export function runLow(rule: number): number {
  return rule & 1023;
}
export function runHigh(rule: number): number {
  return (rule >> 10) & 1023;
}
export function runFlags(rule: number): number {
  return (rule >>> 20) & 255;
}
/** Entries of the huge zero page have no frame. */
function runWord(base: number, index: number): number {
  return base === 0 ? 0 : base + index;
}
export function runRule(low: number, high: number, flags: number): number {
  return low | (high << 10) | (flags << 20);
}

/** Flags of entry `index`; 0 for none. */
export function entryFlags(m: Machine, table: number, index: number): number {
  const w = m.words;
  switch (w[table + T_STATE] & FORM_MASK) {
    case FORM_DENSE:
      return m.bytes[flagsAt(m, w[table + T_CONTENTS]) + index];
    case FORM_ONE: {
      const one = w[table + T_INDEX];
      return ((one >> 9) & 511) === index ? (one >>> 18) & 255 : ENTRY_NONE;
    }
    case FORM_FEW: {
      const at = fewFind(m, table, index);
      return at < 0 ? ENTRY_NONE : (w[at] >> 9) & 255;
    }
    case FORM_RUN: {
      const rule = w[table + T_RULE];
      return index >= runLow(rule) && index < runHigh(rule) ? runFlags(rule) : ENTRY_NONE;
    }
    default:
      return ENTRY_NONE;
  }
}

/** Where the entry of a table of form ONE stands. */
export function oneIndex(m: Machine, table: number): number {
  return (m.words[table + T_INDEX] >> 9) & 511;
}

/** The word of an entry that is not none: frame or swap slot. */
export function entryWord(m: Machine, table: number, index: number): number {
  const w = m.words;
  switch (w[table + T_STATE] & FORM_MASK) {
    case FORM_DENSE:
      return w[w[table + T_CONTENTS] + index];
    case FORM_ONE:
      return w[table + T_CONTENTS];
    case FORM_FEW:
      return w[fewFind(m, table, index) + 1];
    case FORM_RUN:
      return runWord(w[table + T_CONTENTS], index);
    default:
      return 0;
  }
}

/** Word offset of the pair of an index in a FEW table, or -1. */
function fewFind(m: Machine, table: number, index: number): number {
  const w = m.words;
  const contents = w[table + T_CONTENTS];
  const end = contents + w[table + T_COUNT] * 2;
  for (let at = contents; at < end; at += 2) if ((w[at] & 511) === index) return at;
  return -1;
}

/** Fills an empty entry. `owner` keeps the number of empty tables. */
export function addEntry(
  m: Machine,
  owner: number,
  table: number,
  index: number,
  flags: number,
  word: number,
): void {
  const w = m.words;
  const count = w[table + T_COUNT];
  if (count === 0) countEmptyTables(m, owner, -1);
  switch (w[table + T_STATE] & FORM_MASK) {
    case FORM_EMPTY:
      w[table + T_INDEX] = (w[table + T_INDEX] & 511) | (index << 9) | (flags << 18);
      w[table + T_CONTENTS] = word;
      setTableForm(m, table, FORM_ONE);
      break;
    case FORM_ONE:
      oneToFew(m, table);
      fewPut(m, table, index, flags, word);
      break;
    case FORM_FEW:
      if (count < FEW_MAX) {
        fewPut(m, table, index, flags, word);
        break;
      }
      makeDense(m, table);
      densePut(m, table, index, flags, word);
      break;
    case FORM_RUN:
      makeDense(m, table);
      densePut(m, table, index, flags, word);
      break;
    default:
      densePut(m, table, index, flags, word);
  }
  w[table + T_COUNT] = count + 1;
}

/**
 * Maps frames into empty entries [from, to), all with the same flags: `frames[i]` into entry i, 0
 * leaves it empty; `count` of them are not 0, at least one.
 */
export function addPages(
  m: Machine,
  owner: number,
  table: number,
  from: number,
  to: number,
  frames: Int32Array,
  count: number,
  flags: number,
): void {
  const w = m.words;
  const bytes = m.bytes;
  const before = w[table + T_COUNT];
  if (before + count <= FEW_MAX && (w[table + T_STATE] & FORM_MASK) !== FORM_DENSE) {
    for (let i = from; i < to; i++) {
      const pfn = frames[i];
      if (pfn === 0) continue;
      addMapping(m, pfn);
      addEntry(m, owner, table, i, flags, pfn);
    }
    return;
  }
  makeDense(m, table);
  const contents = w[table + T_CONTENTS];
  const flagBytes = flagsAt(m, contents);
  for (let i = from; i < to; i++) {
    const pfn = frames[i];
    if (pfn === 0) continue;
    addMapping(m, pfn);
    w[contents + i] = pfn;
    bytes[flagBytes + i] = flags;
  }
  if (before === 0) countEmptyTables(m, owner, -1);
  w[table + T_COUNT] = before + count;
}

function densePut(m: Machine, table: number, index: number, flags: number, word: number): void {
  const contents = m.words[table + T_CONTENTS];
  m.words[contents + index] = word;
  m.bytes[flagsAt(m, contents) + index] = flags;
}

/** Appends a pair; T_COUNT is still the number of pairs before. */
function fewPut(m: Machine, table: number, index: number, flags: number, word: number): void {
  const w = m.words;
  const at = w[table + T_CONTENTS] + w[table + T_COUNT] * 2;
  w[at] = index | (flags << 9);
  w[at + 1] = word;
}

function oneToFew(m: Machine, table: number): void {
  const w = m.words;
  const one = w[table + T_INDEX];
  const contents = allocFew(m);
  w[contents] = ((one >> 9) & 511) | (((one >>> 18) & 255) << 9);
  w[contents + 1] = w[table + T_CONTENTS];
  w[table + T_CONTENTS] = contents;
  setTableForm(m, table, FORM_FEW);
}

/** Changes the flags and word of an entry that is not none (it stays not none). */
export function changeEntry(
  m: Machine,
  table: number,
  index: number,
  flags: number,
  word: number,
): void {
  const w = m.words;
  switch (w[table + T_STATE] & FORM_MASK) {
    case FORM_ONE:
      w[table + T_INDEX] = (w[table + T_INDEX] & 0x3ffff) | (flags << 18);
      w[table + T_CONTENTS] = word;
      break;
    case FORM_FEW: {
      const at = fewFind(m, table, index);
      w[at] = index | (flags << 9);
      w[at + 1] = word;
      break;
    }
    case FORM_RUN:
      if (entryWord(m, table, index) === word) {
        const now = runFlags(w[table + T_RULE]);
        if (now === flags) break;
        // One accessed bit for the whole of a huge page: to clear it is no reason to split it.
        if (isHuge(m, table) && (now ^ flags) === ENTRY_ACCESSED) {
          setRunFlags(m, table, flags);
          break;
        }
      }
      makeDense(m, table);
      densePut(m, table, index, flags, word);
      break;
    default:
      densePut(m, table, index, flags, word);
  }
}

/** Empties an entry that is not none. The table may be empty afterwards (see `tableEmptied`). */
export function removeEntry(m: Machine, owner: number, table: number, index: number): void {
  const w = m.words;
  const count = w[table + T_COUNT] - 1;
  const form = w[table + T_STATE] & FORM_MASK;
  if (form === FORM_FEW) {
    const at = fewFind(m, table, index);
    const last = w[table + T_CONTENTS] + count * 2;
    w[at] = w[last];
    w[at + 1] = w[last + 1];
  } else if (form !== FORM_ONE) {
    if (form === FORM_RUN) makeDense(m, table);
    m.bytes[flagsAt(m, w[table + T_CONTENTS]) + index] = ENTRY_NONE;
  }
  w[table + T_COUNT] = count;
  if (count === 0) leafBecameEmpty(m, owner, table);
}

/** The count reached zero: the contents go, the table stays (whoever owns the policy may free it). */
export function leafBecameEmpty(m: Machine, owner: number, table: number): void {
  const w = m.words;
  const form = w[table + T_STATE] & FORM_MASK;
  unmarkHuge(m, table);
  // Dense contents go back with all flags zero: that is what the next user relies on.
  if (form === FORM_DENSE) arenaFree(m, denseClass(m), w[table + T_CONTENTS]);
  else if (form === FORM_FEW) arenaFree(m, FEW_CLASS, w[table + T_CONTENTS]);
  w[table + T_INDEX] &= 511;
  w[table + T_CONTENTS] = 0;
  setTableForm(m, table, FORM_EMPTY);
  countEmptyTables(m, owner, 1);
}

/** Dense contents whose flags are all zero; the words are undefined. */
function allocDense(m: Machine): number {
  return arenaAlloc(m, denseClass(m));
}

/** Any form to DENSE, entries kept. */
export function makeDense(m: Machine, table: number): void {
  const w = m.words;
  const form = w[table + T_STATE] & FORM_MASK;
  if (form === FORM_DENSE) return;
  const contents = allocDense(m);
  const flags = flagsAt(m, contents);
  const old = w[table + T_CONTENTS];
  if (form === FORM_ONE) {
    const one = w[table + T_INDEX];
    const index = (one >> 9) & 511;
    w[contents + index] = old;
    m.bytes[flags + index] = (one >>> 18) & 255;
    w[table + T_INDEX] &= 511;
  } else if (form === FORM_FEW) {
    const end = old + w[table + T_COUNT] * 2;
    for (let at = old; at < end; at += 2) {
      const index = w[at] & 511;
      w[contents + index] = w[at + 1];
      m.bytes[flags + index] = (w[at] >> 9) & 255;
    }
    arenaFree(m, FEW_CLASS, old);
  } else if (form === FORM_RUN) {
    splitHuge(m, table);
    const rule = w[table + T_RULE];
    for (let i = runLow(rule); i < runHigh(rule); i++) w[contents + i] = runWord(old, i);
    m.bytes.fill(runFlags(rule), flags + runLow(rule), flags + runHigh(rule));
  }
  w[table + T_CONTENTS] = contents;
  setTableForm(m, table, FORM_DENSE);
}

/** Changes the flags of all entries of a RUN, which stays one. */
export function setRunFlags(m: Machine, table: number, flags: number): void {
  const w = m.words;
  const rule = w[table + T_RULE];
  w[table + T_RULE] = runRule(runLow(rule), runHigh(rule), flags);
}

/** Makes an EMPTY table a RUN: entries [low, high) = base + i, all with the same flags. */
export function setRun(
  m: Machine,
  owner: number,
  table: number,
  low: number,
  high: number,
  base: number,
  flags: number,
): void {
  const w = m.words;
  w[table + T_CONTENTS] = base;
  w[table + T_RULE] = runRule(low, high, flags);
  w[table + T_COUNT] = high - low;
  setTableForm(m, table, FORM_RUN);
  countEmptyTables(m, owner, -1);
}
