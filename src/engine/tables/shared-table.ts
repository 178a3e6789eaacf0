import { assert } from '../../base/index.ts';
import { arenaAlloc, arenaFree, CLASS_8 } from '../arena.ts';
import { allocFrameInZone } from '../frames/alloc.ts';
import { frameRecord, TYPE_TABLE } from '../frames/frame-record.ts';
import type { Machine } from '../machine.ts';
import { isShmemVma } from '../objects/object.ts';
import { C_ANON, mmCounter } from '../space/mm.ts';
import { findVmaIndex, vmaAt, vmaEnd, vmaLookup, vmaStart } from '../space/vma.ts';
import {
  MUTANT,
  MUTANT_LAST_LEAVES,
  MUTANT_NO_PASS_ON,
  MUTANT_NO_SHARE_COUNT,
} from '../threads/test-switches.ts';
import { copyEntries } from './copy.ts';
import { countEntries } from './entry-tally.ts';
import { OWNER_EMPTY_TABLES, OWNER_TABLES } from './owner.ts';
import {
  isOwnersEntry,
  R_INDEX,
  R_NEXT,
  R_PARENT,
  R_PREV,
  R_TABLE,
  sharedTableAt,
  sharerAt,
  T_SHARED,
} from './shared-entry.ts';
import type { TableSharing } from './sharing.ts';
import {
  clearChild,
  countTables,
  formatTable,
  hangWord,
  ownerOfTable,
  setChild,
  T_CONTENTS,
  T_COUNT,
  T_INDEX,
  T_PARENT,
  T_PFN,
  T_STATE,
  tableCreate,
  tableIndex,
  tableLevel,
} from './table.ts';
import { entrySpan } from './walk.ts';

/**
 * What happens to tables that several address spaces have (shared-entry.ts): fork hands one on, a sharer
 * leaves it or gets a table of its own, the owner passes it on, it moves.
 */

function entryAt(m: Machine, upper: number, index: number): number {
  return m.words[m.words[upper + T_CONTENTS] + index];
}

function sharingOf(m: Machine): TableSharing {
  assert(m.sharing !== null, 'a shared table on a machine without sharing');
  return m.sharing;
}

/**
 * fork: the child gets the table that entry `index` of the parent's `upper` names, under the same index
 * of `childUpper`. One count, one entry, none of the pages. False if the table of counts refuses.
 */
export function shareTable(m: Machine, upper: number, index: number, childUpper: number): boolean {
  const w = m.words;
  const sharing = sharingOf(m);
  const word = entryAt(m, upper, index);
  const table = word > 0 ? word : sharedTableAt(m, word);
  const sharers = MUTANT === MUTANT_NO_SHARE_COUNT ? 2 : sharing.counts.inc(w[table + T_PFN]);
  if (sharers < 0) return false;
  let first = sharerAt(word);
  if (word > 0) {
    first = newSharer(m, table, upper, index, 0);
    setChild(m, upper, index, -(first + 2));
    w[table + T_STATE] |= T_SHARED;
  }
  const child = newSharer(m, table, childUpper, index, first);
  hangWord(m, childUpper, index, -(child + 2));
  m.forgetWalk();
  sharing.counted(1);
  sharing.work.shares += 1;
  if (sharers === 2) sharing.becameShared();
  return true;
}

/** A record behind `before` in the ring of the table's sharers; 0: the first one. */
function newSharer(
  m: Machine,
  table: number,
  upper: number,
  index: number,
  before: number,
): number {
  const w = m.words;
  const record = arenaAlloc(m, CLASS_8);
  w[record + R_TABLE] = table;
  w[record + R_PARENT] = upper;
  w[record + R_INDEX] = index;
  const next = before === 0 ? record : w[before + R_NEXT];
  const prev = before === 0 ? record : before;
  w[record + R_NEXT] = next;
  w[record + R_PREV] = prev;
  w[prev + R_NEXT] = record;
  w[next + R_PREV] = record;
  return record;
}

/**
 * The sharer at entry `index` of `upper` gives the table up whole (munmap, MADV_DONTNEED, exit). True:
 * the entry is none now, and nothing was zapped. False: nobody else has the table; it is an ordinary one
 * now, with its entries.
 */
export function leaveShared(m: Machine, mm: number, upper: number, index: number): boolean {
  const sharing = sharingOf(m);
  if (MUTANT !== MUTANT_LAST_LEAVES && takeOverIfLast(m, upper, index)) return false;
  removeSharer(m, mm, sharerAt(entryAt(m, upper, index)));
  clearChild(m, upper, index);
  m.forgetWalk();
  sharing.work.dropped += 1;
  return true;
}

/**
 * The sharer gets a table that is its own: the shared one, if nobody else has it, else a copy of it.
 * The entries of both lose the right to write, and the pages get one more mapping. 0 when memory is
 * out; `mustNotFail` takes the last reserve, for whoever gives memory back.
 */
export function unshareTable(
  m: Machine,
  mm: number,
  upper: number,
  index: number,
  mustNotFail = false,
): number {
  const w = m.words;
  if (takeOverIfLast(m, upper, index)) return entryAt(m, upper, index);
  let copy = tableCreate(m, mm, 0);
  if (copy === 0 && mustNotFail) copy = createFromReserve(m, mm);
  if (copy === 0) return 0;
  const record = sharerAt(entryAt(m, upper, index));
  const table = w[record + R_TABLE];
  const sharing = sharingOf(m);
  const before = mmCounter(m, mm, C_ANON);
  copyForSharer(m, mm, table, copy, pageOfEntry(m, upper, index));
  sharing.anonGained += mmCounter(m, mm, C_ANON) - before;
  w[copy + T_PARENT] = upper;
  w[copy + T_INDEX] = (w[copy + T_INDEX] & ~511) | index;
  setChild(m, upper, index, copy);
  removeSharer(m, mm, record);
  m.forgetWalk();
  const { work } = sharing;
  work.unshared += 1;
  work.entriesCopied += w[copy + T_COUNT];
  return copy;
}

/** True if the entry's sharer was the only one left: the table is an ordinary one of its own now. */
function takeOverIfLast(m: Machine, upper: number, index: number): boolean {
  const w = m.words;
  const sharing = sharingOf(m);
  const record = sharerAt(entryAt(m, upper, index));
  const table = w[record + R_TABLE];
  if (sharing.counts.get(w[table + T_PFN]) !== 1) return false;
  setChild(m, upper, index, table);
  w[table + T_STATE] &= ~T_SHARED;
  arenaFree(m, CLASS_8, record);
  sharing.work.takenOver += 1;
  m.forgetWalk();
  return true;
}

/** One sharer less; what it owned passes on to the next. */
function removeSharer(m: Machine, mm: number, record: number): void {
  const w = m.words;
  const sharing = sharingOf(m);
  const table = w[record + R_TABLE];
  const next = w[record + R_NEXT];
  const prev = w[record + R_PREV];
  w[prev + R_NEXT] = next;
  w[next + R_PREV] = prev;
  const wasOwner = isOwnersEntry(m, w[record + R_PARENT], w[record + R_INDEX], table);
  if (wasOwner && MUTANT !== MUTANT_NO_PASS_ON) passOn(m, mm, table, next);
  arenaFree(m, CLASS_8, record);
  const sharers = sharing.counts.dec(w[table + T_PFN]);
  sharing.counted(1);
  if (sharers === 1) sharing.becameSingle();
}

/** Table and entries are counted for another sharer from now on. */
function passOn(m: Machine, from: number, table: number, record: number): void {
  const w = m.words;
  w[table + T_PARENT] = w[record + R_PARENT];
  w[table + T_INDEX] = (w[table + T_INDEX] & ~511) | w[record + R_INDEX];
  const to = ownerOfTable(m, table);
  w[from + OWNER_TABLES] -= 1;
  w[to + OWNER_TABLES] += 1;
  if (w[table + T_COUNT] === 0) {
    w[from + OWNER_EMPTY_TABLES] -= 1;
    w[to + OWNER_EMPTY_TABLES] += 1;
    return;
  }
  const page = pageOfEntry(m, w[record + R_PARENT], w[record + R_INDEX]);
  const before = mmCounter(m, from, C_ANON);
  countEntries(m, from, to, table, (at) => isShmemVma(m, vmaLookup(m, to, page + at)));
  sharingOf(m).anonPassed += before - mmCounter(m, from, C_ANON);
}

/** Each area's part of the slot: entries of objects are counted by the kind of the area's object. */
function copyForSharer(m: Machine, mm: number, table: number, copy: number, page: number): void {
  const end = page + m.entryCount;
  for (let at = findVmaIndex(m, mm, page); ; at++) {
    const vma = vmaAt(m, mm, at);
    if (vma === 0 || vmaStart(m, vma) >= end) break;
    const low = Math.max(0, vmaStart(m, vma) - page);
    const high = Math.min(m.entryCount, vmaEnd(m, vma) - page);
    copyEntries(m, mm, table, copy, low, high, true, isShmemVma(m, vma));
  }
  assert(m.words[copy + T_COUNT] === m.words[table + T_COUNT], 'an entry outside any area');
}

/** A table out of the frames that only an allocation without any floor gets. */
function createFromReserve(m: Machine, mm: number): number {
  for (let zone = m.zoneCount - 1; zone >= 0; zone--) {
    const pfn = allocFrameInZone(m, zone, m.tableMigrateType, 0);
    if (pfn === 0) continue;
    const table = frameRecord(m, pfn);
    formatTable(m, table, pfn, TYPE_TABLE, 0);
    countTables(m, mm, 0, 1);
    return table;
  }
  return 0;
}

/** The first page that an entry of a table above the last level spans. */
export function pageOfEntry(m: Machine, upper: number, index: number): number {
  let table = upper;
  let page = index * entrySpan(m, tableLevel(m, table));
  for (let level = tableLevel(m, table); level < m.geometry.levels - 1; level++) {
    page += tableIndex(m, table) * entrySpan(m, level + 1);
    table = m.words[table + T_PARENT];
  }
  return page;
}

/** A sharer's entry goes to another place (move_page_tables): its record follows. */
export function moveShared(m: Machine, from: number, index: number, to: number, at: number): void {
  const w = m.words;
  const word = entryAt(m, from, index);
  const record = sharerAt(word);
  const table = w[record + R_TABLE];
  const isOwner = isOwnersEntry(m, from, index, table);
  clearChild(m, from, index);
  hangWord(m, to, at, word);
  w[record + R_PARENT] = to;
  w[record + R_INDEX] = at;
  if (isOwner) {
    w[table + T_PARENT] = to;
    w[table + T_INDEX] = (w[table + T_INDEX] & ~511) | at;
  }
  m.forgetWalk();
}

/** A shared table has another frame: its sharers' records and its count follow. */
export function sharedMoved(m: Machine, from: number, to: number): void {
  const w = m.words;
  const { counts } = sharingOf(m);
  const sharers = counts.get(w[from + T_PFN]);
  for (let i = 1; i < sharers; i++) {
    counts.dec(w[from + T_PFN]);
    counts.inc(w[to + T_PFN]);
  }
  const first = sharerAt(entryAt(m, w[from + T_PARENT], tableIndex(m, from)));
  for (let i = 0, at = first; i < sharers; i++) {
    w[at + R_TABLE] = to;
    at = w[at + R_NEXT];
  }
}

/** The table above a sharer's entry moves to another frame; its record is changed by the caller. */
export function moveUpper(m: Machine, from: number, to: number, index: number): void {
  const table = sharedTableAt(m, entryAt(m, to, index));
  if (isOwnersEntry(m, from, index, table)) m.words[table + T_PARENT] = to;
}

/** How many records stand in the ring of a table's sharers; for validateMachine. */
export function sharersInRing(m: Machine, word: number): number {
  const first = sharerAt(word);
  let count = 1;
  for (let at = m.words[first + R_NEXT]; at !== first; at = m.words[at + R_NEXT]) count++;
  return count;
}
