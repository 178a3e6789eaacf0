import { blockOf, F_MAPCOUNT, FRAME_WORDS } from '../frames/frame-record.ts';
import { addMapping, changeRunMappings } from '../frames/map-count.ts';
import { breakExtent } from '../frames/pageblock.ts';
import { B_CHUNK, BLOCK_FRAMES } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { swapSlotGet } from '../objects/swap.ts';
import {
  C_ANON,
  C_FILE,
  C_GUARD,
  C_SHMEM,
  C_SPECIAL,
  C_SWAP,
  C_ZERO,
  mmCounters,
} from '../space/mm.ts';
import { MUTANT, MUTANT_KEEPS_WRITE, MUTANT_NO_MAPPING } from '../threads/test-switches.ts';
import { tableLostEntries } from './emptied.ts';
import {
  ENTRY_DIRTY,
  ENTRY_GUARD,
  ENTRY_NONE,
  ENTRY_OBJECT,
  ENTRY_PAGE,
  ENTRY_SPECIAL,
  ENTRY_SWAP,
  ENTRY_WRITE,
  ENTRY_ZERO,
  KIND_MASK,
} from './entry.ts';
import { isHuge, markHuge } from './huge-entry.ts';
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
} from './leaf.ts';
import { lockLeaf, unlockLeaf } from './leaf-lock.ts';
import { OWNER_ROOT } from './owner.ts';
import { mayShareSlot } from './shareable.ts';
import { isSharedTable, isSharedWord } from './shared-entry.ts';
import { shareTable } from './shared-table.ts';
import {
  countEmptyTables,
  dropContents,
  FORM_DENSE,
  FORM_RUN,
  flagsAt,
  T_CONTENTS,
  T_COUNT,
  T_RULE,
  tableForm,
} from './table.ts';
import {
  breakUniform,
  makeUniform,
  setUniformFlags,
  UNIFORM_RUN,
  uniformBase,
  uniformFlags,
  uniformKind,
} from './uniform.ts';
import { closeLeaf, ensureTable, entrySpan, isUniform, leafWord, openToRead } from './walk.ts';
import { rssCounter } from './zap.ts';

/**
 * fork's copy of one VMA (copy_page_range): the child gets a table wherever the parent has one,
 * empty ones too, and the entries that lie in the VMA. With `isCow` (private memory) both lose the
 * right to write, so the next write copies. False when memory is out.
 */
export function copyTables(
  m: Machine,
  parent: number,
  child: number,
  start: number,
  end: number,
  isCow: boolean,
  shmem: boolean,
): boolean {
  const root = m.words[parent + OWNER_ROOT];
  const level = m.geometry.levels - 1;
  return copyBelow(m, parent, child, root, level, 0, start, end, isCow, shmem);
}

function copyBelow(
  m: Machine,
  parent: number,
  child: number,
  table: number,
  level: number,
  base: number,
  start: number,
  end: number,
  isCow: boolean,
  shmem: boolean,
): boolean {
  const w = m.words;
  const span = entrySpan(m, level);
  if (level === 1 && isUniform(m, table)) {
    const isWhole = start <= base && base + m.loPages <= end && m.sharing === null;
    if (isWhole && copyUniform(m, child, table, base, isCow, shmem)) return true;
    breakUniform(m, parent, table);
  }
  const first = Math.max(0, Math.floor((start - base) / span));
  const last = Math.min(m.entryCount - 1, Math.floor((end - 1 - base) / span));
  for (let i = first; i <= last; i++) {
    const below = w[w[table + T_CONTENTS] + i];
    if (below === 0) continue;
    const from = base + i * span;
    if (level > 1) {
      if (!ensureAt(m, child, level - 1, from)) return false;
      if (!copyBelow(m, parent, child, below, level - 1, from, start, end, isCow, shmem)) {
        return false;
      }
      continue;
    }
    if (m.sharing !== null && isCow && shareSlot(m, parent, child, table, i, from)) continue;
    const low = Math.max(0, start - from);
    const high = Math.min(m.entryCount, end - from);
    if (!copySlot(m, parent, child, table, i, from, low, high, isCow, shmem)) return false;
  }
  return true;
}

/** fork on a machine that shares tables: true if the child has the parent's table of this slot. */
function shareSlot(
  m: Machine,
  parent: number,
  child: number,
  upper: number,
  slot: number,
  from: number,
): boolean {
  const word = tableAt(m, child, from);
  // Another area of the slot has brought it.
  if (word !== 0) return isSharedWord(word);
  if (!mayShareSlot(m, parent, upper, slot, from)) return false;
  const childUpper = ensureAt(m, child, 1, from);
  if (childUpper === 0 || !shareTable(m, upper, slot, childUpper)) return false;
  m.forkWork.tablesShared += 1;
  return true;
}

function ensureAt(m: Machine, mm: number, level: number, page: number): number {
  const hi = Math.floor(page / m.loPages);
  return ensureTable(m, mm, level, hi, page - hi * m.loPages);
}

function tableAt(m: Machine, mm: number, page: number): number {
  const hi = Math.floor(page / m.loPages);
  return leafWord(m, mm, hi, page - hi * m.loPages);
}

/** One last-level table, the child `slot` of the parent's `upper`. False when memory is out. */
function copySlot(
  m: Machine,
  parent: number,
  child: number,
  upper: number,
  slot: number,
  from: number,
  low: number,
  high: number,
  isCow: boolean,
  shmem: boolean,
): boolean {
  for (;;) {
    const copy = ensureAt(m, child, 0, from);
    if (copy === 0) return false;
    // Looked up only now: reclaim inside may have stored or freed the source.
    const source = openToRead(m, upper, slot);
    if (m.stoppedFor !== 0 && tableAt(m, child, from) !== copy) {
      // And to stop the world may have cost the copy.
      closeLeaf(m, parent, source);
      continue;
    }
    if (source === 0 || !lockLeaf(m, source)) {
      tableLostEntries(m, child, copy);
      return true;
    }
    const isThere = lockLeaf(m, copy);
    if (isThere) {
      const before = m.words[copy + T_COUNT];
      copyEntries(m, child, source, copy, low, high, isCow, shmem);
      m.forkWork.entriesCopied += m.words[copy + T_COUNT] - before;
      if (before === 0) m.forkWork.tablesCopied += 1;
      unlockLeaf(m, child, copy);
    }
    unlockLeaf(m, parent, source);
    closeLeaf(m, parent, source);
    if (isThere) return true;
  }
}

function copyUniform(
  m: Machine,
  child: number,
  table: number,
  base: number,
  isCow: boolean,
  shmem: boolean,
): boolean {
  const hi = Math.floor(base / m.loPages);
  const copy = ensureTable(m, child, 1, hi, 0);
  if (copy === 0 || m.words[copy + T_COUNT] !== 0) return false;
  const kind = uniformKind(m, table);
  let flags = uniformFlags(m, table);
  if (isCow && kind === UNIFORM_RUN) {
    flags &= ~ENTRY_WRITE;
    setUniformFlags(m, table, flags);
  }
  const frames = uniformBase(m, table);
  if (!makeUniform(m, child, copy, kind, frames, flags & ~ENTRY_DIRTY)) return false;
  if (kind !== UNIFORM_RUN) return true;
  changeRunMappings(m, frames, m.loPages, 1);
  m.forkWork.entriesCopied += m.loPages;
  m.forkWork.tablesCopied += m.entryCount;
  m.words[mmCounters(m, child) + rssCounter(flags, shmem)] += m.loPages;
  return true;
}

/** Gives `child` the entries [low, high) of a table, as fork does; `to` is a table of its own. */
export function copyEntries(
  m: Machine,
  child: number,
  from: number,
  to: number,
  low: number,
  high: number,
  isCow: boolean,
  shmem: boolean,
): void {
  const w = m.words;
  if (w[from + T_COUNT] === 0) return;
  if (tableForm(m, from) === FORM_RUN && w[to + T_COUNT] === 0) {
    const rule = w[from + T_RULE];
    if (low <= runLow(rule) && high >= runHigh(rule)) {
      copyRun(m, child, from, to, isCow, shmem);
      return;
    }
  }
  if (w[from + T_COUNT] > 16) makeDense(m, to);
  const areDense = tableForm(m, from) === FORM_DENSE && tableForm(m, to) === FORM_DENSE;
  if (areDense && !m.isShared) {
    copyDense(m, child, from, to, low, high, isCow, shmem);
  } else {
    for (let i = low; i < high; i++) {
      const flags = entryFlags(m, from, i);
      if (flags !== ENTRY_NONE) copyEntry(m, child, from, to, i, flags, isCow, shmem);
    }
  }
  // None of the entries lay in this VMA: an empty table has no contents.
  if (w[to + T_COUNT] === 0) dropContents(m, to);
}

/** The common case, written out: no call for a page. */
function copyDense(
  m: Machine,
  child: number,
  from: number,
  to: number,
  low: number,
  high: number,
  isCow: boolean,
  shmem: boolean,
): void {
  const w = m.words;
  const bytes = m.bytes;
  const source = w[from + T_CONTENTS];
  const target = w[to + T_CONTENTS];
  const sourceFlags = flagsAt(m, source);
  const targetFlags = flagsAt(m, target);
  const isFromShared = isSharedTable(m, from);
  const lost = isCow ? ENTRY_WRITE : 0;
  const mappings = MUTANT === MUTANT_NO_MAPPING && isFromShared ? 0 : 1;
  let anon = 0;
  let ofObject = 0;
  for (let i = low; i < high; i++) {
    const flags = bytes[sourceFlags + i];
    if (flags === ENTRY_NONE) continue;
    if ((flags & KIND_MASK) !== ENTRY_PAGE) {
      copyEntry(m, child, from, to, i, flags, isCow, shmem);
      continue;
    }
    const pfn = w[source + i];
    const block = blockOf(m, pfn);
    if (w[block + B_CHUNK] === 0) breakExtent(m, pfn);
    const rec = w[block + B_CHUNK] + (pfn & (BLOCK_FRAMES - 1)) * FRAME_WORDS;
    w[rec + F_MAPCOUNT] += mappings;
    const kept = flags & ~lost;
    if (MUTANT !== MUTANT_KEEPS_WRITE || !isFromShared) bytes[sourceFlags + i] = kept;
    w[target + i] = pfn;
    bytes[targetFlags + i] = kept;
    if ((flags & ENTRY_OBJECT) === 0) anon++;
    else ofObject++;
  }
  const counters = mmCounters(m, child);
  w[counters + C_ANON] += anon;
  w[counters + (shmem ? C_SHMEM : C_FILE)] += ofObject;
  const before = w[to + T_COUNT];
  if (before === 0 && anon + ofObject > 0) countEmptyTables(m, child, -1);
  w[to + T_COUNT] = before + anon + ofObject;
}

function copyEntry(
  m: Machine,
  child: number,
  from: number,
  to: number,
  index: number,
  flags: number,
  isCow: boolean,
  shmem: boolean,
): void {
  const w = m.words;
  const counters = mmCounters(m, child);
  const word = entryWord(m, from, index);
  let kept = flags;
  switch (flags & KIND_MASK) {
    case ENTRY_PAGE:
      if (isCow && (flags & ENTRY_WRITE) !== 0) {
        kept = flags & ~ENTRY_WRITE;
        if (MUTANT === MUTANT_KEEPS_WRITE && isSharedTable(m, from)) kept = flags;
        changeEntry(m, from, index, kept, word);
        kept = flags & ~ENTRY_WRITE;
      }
      if (MUTANT !== MUTANT_NO_MAPPING || !isSharedTable(m, from)) addMapping(m, word);
      w[counters + rssCounter(flags, shmem)] += 1;
      break;
    case ENTRY_ZERO:
      w[counters + C_ZERO] += 1;
      break;
    case ENTRY_SWAP:
      swapSlotGet(m, word);
      w[counters + C_SWAP] += 1;
      break;
    case ENTRY_SPECIAL:
      w[counters + C_SPECIAL] += 1;
      break;
    case ENTRY_GUARD:
      w[counters + C_GUARD] += 1;
      break;
    default:
      break;
  }
  addEntry(m, child, to, index, kept, word);
}

function copyRun(
  m: Machine,
  child: number,
  from: number,
  to: number,
  isCow: boolean,
  shmem: boolean,
): void {
  const w = m.words;
  const rule = w[from + T_RULE];
  const low = runLow(rule);
  const high = runHigh(rule);
  const flags = isCow ? runFlags(rule) & ~ENTRY_WRITE : runFlags(rule);
  setRunFlags(m, from, flags);
  setRun(m, child, to, low, high, w[from + T_CONTENTS], flags);
  if (isHuge(m, from)) markHuge(m, child, to);
  if ((flags & KIND_MASK) === ENTRY_ZERO) {
    w[mmCounters(m, child) + C_ZERO] += high - low;
    return;
  }
  changeRunMappings(m, w[from + T_CONTENTS] + low, high - low, 1);
  w[mmCounters(m, child) + rssCounter(flags, shmem)] += high - low;
}
