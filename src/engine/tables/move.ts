import type { Machine } from '../machine.ts';
import { tableLostEntries } from './emptied.ts';
import { ENTRY_NONE } from './entry.ts';
import { addEntry, entryFlags, entryWord, removeEntry } from './leaf.ts';
import { lockLeaf, unlockLeaf } from './leaf-lock.ts';
import { isSharedWord } from './shared-entry.ts';
import { moveShared } from './shared-table.ts';
import { isOpened, markedTable, moveStored } from './stored.ts';
import { linkTable, T_CONTENTS, T_LOCK, T_PARENT, unlinkTable } from './table.ts';
import { closeLeaf, ensureTable, findTable, levelIndex, openLeaf } from './walk.ts';

/**
 * Moves the entries of [from, from + pages) to `to` (move_page_tables): whole tables where both
 * sides are aligned to what a table spans and the destination has none, else entry by entry. Which
 * tables the destination gets where the source has none or empty ones follows the kernel's walk:
 *
 *   source has a table of 512 PTEs, even an empty one -> the destination gets PTE, PMD, PUD tables
 *   source has only the PMD table                     -> the destination gets the PUD table
 *   source has no PMD table                           -> nothing
 *
 * False when memory for a table is out: what was moved so far stays moved.
 */
export function moveTables(
  m: Machine,
  mm: number,
  from: number,
  to: number,
  pages: number,
): boolean {
  const end = from + pages;
  let at = from;
  while (at < end) {
    const target = to + (at - from);
    const midTable = tableAt(m, mm, 1, at);
    if (midTable === 0) {
      at += untilBorder(m.loPages, at, target, end);
      continue;
    }
    if (ensure(m, mm, 2, target) === 0) return false;
    const midSpan = untilBorder(m.loPages, at, target, end);
    if (midSpan === m.loPages && moveWhole(m, mm, midTable, 2, target)) {
      at += midSpan;
      continue;
    }
    const span = untilBorder(m.entryCount, at, target, end);
    if (!moveSlot(m, mm, at, target, span)) return false;
    at += span;
  }
  return true;
}

/** Pages up to the next border of `span` on either side (get_extent). */
function untilBorder(span: number, at: number, target: number, end: number): number {
  return Math.min(span - (at % span), span - (target % span), end - at);
}

function tableAt(m: Machine, mm: number, level: number, page: number): number {
  const hi = Math.floor(page / m.loPages);
  return findTable(m, mm, level, hi, page - hi * m.loPages);
}

function ensure(m: Machine, mm: number, level: number, page: number): number {
  const hi = Math.floor(page / m.loPages);
  return ensureTable(m, mm, level, hi, page - hi * m.loPages);
}

/** Takes `table` out and hangs it below the destination's table of `parentLevel`, if it is free. */
function moveWhole(
  m: Machine,
  mm: number,
  table: number,
  parentLevel: number,
  target: number,
): boolean {
  const parent = tableAt(m, mm, parentLevel, target);
  const hi = Math.floor(target / m.loPages);
  const index = levelIndex(m, parentLevel, hi, target - hi * m.loPages);
  const w = m.words;
  if (w[w[parent + T_CONTENTS] + index] !== 0) return false;
  const source = w[table + T_PARENT];
  if (!m.isShared) {
    unlinkTable(m, table);
    linkTable(m, parent, index, table);
    return true;
  }
  // A table that went at this moment was empty.
  if (source === 0) return true;
  lockUppers(m, source, parent);
  if (w[table + T_PARENT] === source) {
    unlinkTable(m, table);
    linkTable(m, parent, index, table);
  }
  unlockUppers(m, source, parent);
  return true;
}

/** Two tables of one upper level, the lower id first. */
function lockUppers(m: Machine, a: number, b: number): void {
  if (!m.isShared) return;
  m.lock(Math.min(a, b) + T_LOCK);
  if (a !== b) m.lock(Math.max(a, b) + T_LOCK);
}

function unlockUppers(m: Machine, a: number, b: number): void {
  if (!m.isShared) return;
  if (a !== b) m.unlock(b + T_LOCK);
  m.unlock(a + T_LOCK);
}

/** Two last-level tables, the lower id first: other threads may lock both as well. False if one went. */
function lockPair(m: Machine, mm: number, a: number, b: number): boolean {
  const first = Math.min(a, b);
  if (!lockLeaf(m, first)) return false;
  if (a === b || lockLeaf(m, Math.max(a, b))) return true;
  unlockLeaf(m, mm, first);
  return false;
}

function unlockPair(m: Machine, mm: number, a: number, b: number): void {
  if (a !== b) unlockLeaf(m, mm, Math.max(a, b));
  unlockLeaf(m, mm, Math.min(a, b));
}

/** Moves a piece that lies in one slot on both sides. */
function moveSlot(m: Machine, mm: number, at: number, target: number, pages: number): boolean {
  if (tableAt(m, mm, 0, at) === 0) return true;
  if (pages === m.entryCount) {
    if (ensure(m, mm, 1, target) === 0) return false;
    if (moveLeaf(m, mm, at, target)) return true;
  }
  const table = ensure(m, mm, 0, target);
  if (table === 0) return false;
  // Looked up only now: reclaim inside may have stored or freed the source.
  const source = openLeaf(m, mm, Math.floor(at / m.loPages), at % m.loPages);
  // What others have too, and there is no memory for a copy.
  if (source === 0) return !isSharedWord(tableAt(m, mm, 0, at));
  const isStored = isOpened(m, source);
  if (m.stoppedFor !== 0 && tableAt(m, mm, 0, target) !== table) {
    // To stop the world may have cost the destination's.
    closeLeaf(m, mm, source);
    return moveSlot(m, mm, at, target, pages);
  }
  const low = at % m.entryCount;
  const shift = (target % m.entryCount) - low;
  if (m.isShared && !lockPair(m, mm, source, table)) return moveSlot(m, mm, at, target, pages);
  for (let i = low; i < low + pages; i++) {
    const flags = entryFlags(m, source, i);
    if (flags === ENTRY_NONE) continue;
    const word = entryWord(m, source, i);
    removeEntry(m, mm, source, i);
    addEntry(m, mm, table, i + shift, flags, word);
  }
  if (m.isShared) unlockPair(m, mm, source, table);
  tableLostEntries(m, mm, source);
  // An empty source table has given the destination an empty one.
  if (table !== source) tableLostEntries(m, mm, table);
  if (isStored) closeLeaf(m, mm, source);
  return true;
}

/** moveWhole for the last level, where the source may be stored. */
function moveLeaf(m: Machine, mm: number, at: number, target: number): boolean {
  const w = m.words;
  const word = tableAt(m, mm, 0, at);
  const isShared = isSharedWord(word);
  const table = word >= 0 ? word : isShared ? 0 : markedTable(word);
  if (table !== 0) return moveWhole(m, mm, table, 1, target);
  if (word === 0) return true;
  const to = tableAt(m, mm, 1, target);
  const index = (target % m.loPages) >> m.bits;
  if (w[w[to + T_CONTENTS] + index] !== 0) return false;
  const from = tableAt(m, mm, 1, at);
  if (isShared) {
    moveShared(m, from, (at % m.loPages) >> m.bits, to, index);
    return true;
  }
  lockUppers(m, from, to);
  moveStored(m, from, (at % m.loPages) >> m.bits, to, index);
  unlockUppers(m, from, to);
  return true;
}
