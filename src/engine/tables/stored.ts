import { arenaAlloc, arenaAllocZeroed, arenaFree, CLASS_8, CLASS_16, classFor } from '../arena.ts';
import { TYPE_MASK, TYPE_TABLE } from '../frames/frame-record.ts';
import { H_STORED, H_STORED_LOCK } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { swapSlotAlloc, swapSlotGet, swapSlotPut, swapSlotUsers } from '../objects/swap.ts';
import {
  ZPOOL_MAX_UNITS,
  ZPOOL_WORDS,
  zpoolAlloc,
  zpoolFree,
  zpoolUnits,
} from '../reclaim/zpool.ts';
import { MM_POOL_BYTES, MM_STORED_TABLES, MM_TABLE_REFAULTS } from '../space/mm.ts';
import { raiseSequence } from '../space/mmap-lock.ts';
import { isSharedWord } from './shared-entry.ts';
import { unshareChild } from './sharing.ts';
import {
  clearChild,
  countEmptyTables,
  dropContents,
  FORM_DENSE,
  FORM_MASK,
  flagsAt,
  formatTable,
  hangWord,
  linkTable,
  ownerOfTable,
  setChild,
  T_CONTENTS,
  T_COUNT,
  T_INDEX,
  T_LOCK,
  T_PARENT,
  T_PFN,
  T_STATE,
  tableCreate,
  tableDestroy,
  tableIndex,
} from './table.ts';
import { decodeImage, ENCODED_MAX_BYTES, encodeImage } from './table-codec.ts';
import { readImage, TableImage, writeImage } from './table-image.ts';

/**
 * Stored tables: last-level tables that gave their frame back and left their entries, compressed, in
 * a pool in memory or on the swap device. The entry above names the record, as a negative word:
 *
 *   > 0    a table
 *   0      none
 *   -1     look at the form of the table above (uniform.ts)
 *   < -1   -(a table): a table that nobody walked to since a scan marked it; or
 *          -(a record of below + 1): a stored table; or
 *          -(a sharer's record + 2): a table that others have too (shared-table.ts)
 *
 * So a walk that finds a table tests nothing that it did not test before. Ids are multiples of 8, so
 * a record is told from a table by the word alone, without a look at either.
 *
 * Who needs a table back:
 *   a fault      `restoreTable`: gets a frame, and the record goes
 *   other walks  `openStored`: entries in a record that looks like a table but has no frame (T_PFN 0),
 *                hung where the stored one was; `closeStored` writes it back, or drops it if it is
 *                empty. So zap, exit, fork and page-out need no frame.
 *
 * A stored table is no table: it is in no count of its owner but MM_STORED_TABLES. Its entries are as
 * good as in a table: pages are mapped, swap slots used, counters count them.
 *
 * On a shared machine tables are stored while the world stands still. A fault brings one back under
 * the lock of the table above and H_STORED_LOCK; other walks stop the world for as long as they have
 * one open (`openStopped`).
 */
const S_STATE = 0; // STORED_*, index << 4, units of room << 16
const S_COUNT = 1;
/** The same word as T_PARENT (migrate-table.ts). */
const S_PARENT = 2;
const S_BYTES = 3;
/** Word offset of the encoded entries in the arena: the pool's or the device's contents. */
const S_DATA = 4;
/** Frame in the pool, or swap slot. */
const S_PLACE = 5;
/** Entries that need no more than this stand in the record itself, as those of a table of one entry. */
const S_INLINE = 6;
const INLINE_BYTES = 8;

// Beyond all types of frames, so that no record is taken for a table.
export const STORED_COMPRESSED = 14;
export const STORED_SWAPPED = 15;

/** The record of an opened table has its stored record behind it. */
const OPENED_STORED = 8;

// The machine's state of stored tables, at H_STORED. Levels now:
export const K_COMPRESSED = 0;
export const K_SWAPPED = 1;
/** Encoded bytes of both, and those in the pool. */
export const K_BYTES = 2;
export const K_POOL_BYTES = 3;
/** The swap slot that is being filled, and how many units of it are taken. */
const K_OPEN_SLOT = 4;
const K_OPEN_UNITS = 5;
// Events:
export const K_FREED = 6; // tables freed: nothing in them, or zero pages
export const K_COMPRESSIONS = 7;
export const K_SWAP_OUTS = 8;
export const K_MIGRATIONS = 9;
export const K_RESTORES = 10; // by a fault: refaults
export const K_EDITS = 11; // opened and written back changed
export const K_DROPS = 12; // became empty while stored
export const K_SLOT_READS = 13;
export const K_SLOT_WRITES = 14;
/** Written back into a place that is smaller than the entries, as there was no other. */
export const K_OVERFULL = 15;
export const K_PICKS = 16; // victims looked at
export const K_SCANNED = 17; // tables whose mark a scan looked at
export const K_REFUSED = 18; // victims that no way took
const K_POOL = 24;
const STATE_WORDS: number = K_POOL + ZPOOL_WORDS;

/** A slot has room for so many units: several tables share one. */
const SLOT_UNITS = 128;

/** Makes the machine able to store tables. */
export function enableStoredTables(m: Machine): void {
  if (m.words[H_STORED] === 0) m.words[H_STORED] = arenaAllocZeroed(m, classFor(STATE_WORDS));
}

/** A word of the machine's state of stored tables (K_*). */
export function storedState(m: Machine, field: number): number {
  return m.words[m.words[H_STORED] + field];
}

export function countStored(m: Machine, field: number, change: number): void {
  m.words[m.words[H_STORED] + field] += change;
}

/** Frames of the pool. */
export function poolFrames(m: Machine): number {
  return m.words[H_STORED] === 0 ? 0 : storedState(m, K_POOL);
}

/** The entry of a stored table. */
function storedWord(stored: number): number {
  return -(stored + 1);
}

/** The record that the entry of a stored table names. */
export function storedAt(word: number): number {
  return -word - 1;
}

/** The table that a negative entry marks as not walked to, or 0 if the entry names something else. */
export function markedTable(word: number): number {
  return (word & 3) === 0 ? -word : 0;
}

/** True for the record of a table that is only opened. */
export function isOpened(m: Machine, table: number): boolean {
  return m.words[table + T_PFN] === 0;
}

const image = new TableImage();
const encoded = new Uint8Array(ENCODED_MAX_BYTES);

/**
 * Stores a last-level table that has entries, in the pool or on the swap device; false if it does not
 * compress to half a frame, or there is no room. The table is gone then.
 */
export function storeTable(m: Machine, owner: number, table: number, form: number): boolean {
  const w = m.words;
  readImage(m, table, image);
  const bytes = encodeImage(image, encoded);
  const units = Math.min(zpoolUnits(bytes), SLOT_UNITS);
  const place = takePlace(m, form, units);
  if (place === 0) return false;
  const parent = w[table + T_PARENT];
  const index = tableIndex(m, table);
  const stored = arenaAlloc(m, CLASS_8);
  w[stored + S_STATE] = form | (index << 4) | (units << 16);
  w[stored + S_COUNT] = image.count;
  w[stored + S_PARENT] = parent;
  w[stored + S_PLACE] = place;
  takeData(m, stored, bytes);
  writeData(m, stored, bytes);
  countForm(m, stored, 1);
  countBytes(m, owner, stored, bytes);
  w[owner + MM_STORED_TABLES] += 1;
  discardEntries(m, table);
  countEmptyTables(m, owner, 1);
  setChild(m, parent, index, storedWord(stored));
  if (m.isShared) raiseSequence(m, owner);
  tableDestroy(m, owner, table);
  countStored(m, form === STORED_COMPRESSED ? K_COMPRESSIONS : K_SWAP_OUTS, 1);
  return true;
}

/** Forgets a table's entries, which live on elsewhere; it is EMPTY then. */
function discardEntries(m: Machine, table: number): void {
  const w = m.words;
  if ((w[table + T_STATE] & FORM_MASK) === FORM_DENSE) {
    const flags = flagsAt(m, w[table + T_CONTENTS]);
    m.bytes.fill(0, flags, flags + m.entryCount);
  }
  dropContents(m, table);
  w[table + T_COUNT] = 0;
}

/**
 * Brings the table back that the entry `index` of `parent` stores, for a fault. A marked table just
 * loses its mark, a shared one becomes the owner's own. 0 when memory is out.
 */
export function restoreTable(m: Machine, owner: number, parent: number, index: number): number {
  return m.isShared && !m.isWorldStopped
    ? restoreShared(m, owner, parent, index)
    : restoreAlone(m, owner, parent, index);
}

/** The same with other threads about, one of which may be faster. */
function restoreShared(m: Machine, owner: number, parent: number, index: number): number {
  const before = unmarkChild(m, parent, index);
  if (before > 0) return before;
  const table = tableCreate(m, owner, 0);
  if (table === 0) return 0;
  m.lock(parent + T_LOCK);
  const word = unmarkLocked(m, m.words[parent + T_CONTENTS] + index);
  if (word < 0) {
    m.lock(H_STORED_LOCK);
    putBack(m, owner, parent, index, table);
    m.unlock(H_STORED_LOCK);
  } else if (word === 0) {
    linkTable(m, parent, index, table);
  }
  m.unlock(parent + T_LOCK);
  if (word <= 0) return table;
  tableDestroy(m, owner, table);
  return word;
}

/** The entry `index` of `parent` on a shared machine; a marked table loses its mark. */
export function unmarkChild(m: Machine, parent: number, index: number): number {
  m.lock(parent + T_LOCK);
  const word = unmarkLocked(m, m.words[parent + T_CONTENTS] + index);
  m.unlock(parent + T_LOCK);
  return word;
}

/** The word at `at`; a marked table loses its mark. The lock of the table above is held. */
function unmarkLocked(m: Machine, at: number): number {
  const w = m.words;
  const marked = w[at] < 0 ? markedTable(w[at]) : 0;
  if (marked !== 0) w[at] = marked;
  return w[at];
}

/** The stored entries into `table`, which takes the place of the stored one. */
function putBack(m: Machine, owner: number, parent: number, index: number, table: number): void {
  const w = m.words;
  const stored = storedAt(w[w[parent + T_CONTENTS] + index]);
  fetchStored(m, stored);
  writeImage(m, table, image);
  countEmptyTables(m, owner, -1);
  w[table + T_PARENT] = parent;
  w[table + T_INDEX] = (w[table + T_INDEX] & ~511) | index;
  setChild(m, parent, index, table);
  forgetStored(m, owner, stored);
  w[owner + MM_TABLE_REFAULTS] += 1;
  countStored(m, K_RESTORES, 1);
}

function restoreAlone(m: Machine, owner: number, parent: number, index: number): number {
  const w = m.words;
  const contents = w[parent + T_CONTENTS];
  if (isSharedWord(w[contents + index])) return unshareChild(m, owner, parent, index);
  const marked = markedTable(w[contents + index]);
  if (marked !== 0) {
    w[contents + index] = marked;
    return marked;
  }
  const table = tableCreate(m, owner, 0);
  if (table === 0) return 0;
  // Reclaim inside may have taken the last page out of it.
  if (w[contents + index] === 0) linkTable(m, parent, index, table);
  else putBack(m, owner, parent, index, table);
  return table;
}

/** A record like a table's with the entries of a stored one, in its place; see `closeStored`. */
export function openStored(m: Machine, parent: number, index: number): number {
  const w = m.words;
  const stored = storedAt(w[w[parent + T_CONTENTS] + index]);
  const table = arenaAlloc(m, CLASS_16);
  formatTable(m, table, 0, TYPE_TABLE, 0);
  w[table + T_PARENT] = parent;
  w[table + T_INDEX] = index;
  w[table + OPENED_STORED] = stored;
  fetchStored(m, stored);
  writeImage(m, table, image);
  w[w[parent + T_CONTENTS] + index] = table;
  return table;
}

/** Stores an opened table again, or drops it if it lost all entries. */
export function closeStored(m: Machine, owner: number, table: number): void {
  const w = m.words;
  const stored = w[table + OPENED_STORED];
  const parent = w[table + T_PARENT];
  const index = tableIndex(m, table);
  if (w[table + T_COUNT] === 0) {
    countEmptyTables(m, owner, -1);
    clearChild(m, parent, index);
    forgetStored(m, owner, stored);
    countStored(m, K_DROPS, 1);
  } else {
    rewrite(m, owner, stored, table);
    discardEntries(m, table);
    w[w[parent + T_CONTENTS] + index] = storedWord(stored);
  }
  arenaFree(m, CLASS_16, table);
}

/** How many opened tables reclaim keeps at once: neighbours in time are often neighbours there. */
const OPENED_MAX = 16;

/** As `openStored` for reclaim, which meets the same table again and again. */
export function openForReclaim(m: Machine, parent: number, index: number): number {
  if (m.opened.length >= OPENED_MAX) closeOldest(m);
  const table = openStored(m, parent, index);
  m.opened.push(table);
  return table;
}

/** Writes back what reclaim has opened; whoever calls page-out does so when done. */
export function closeOpened(m: Machine): void {
  while (m.opened.length > 0) closeOldest(m);
}

function closeOldest(m: Machine): void {
  const table = m.opened.shift() as number;
  closeStored(m, ownerOfTable(m, table), table);
}

/** Whole-slot moves take stored tables along as they are (move_normal_pmd moves the PMD entry). */
export function moveStored(m: Machine, from: number, index: number, to: number, at: number): void {
  const w = m.words;
  const word = w[w[from + T_CONTENTS] + index];
  clearChild(m, from, index);
  hangWord(m, to, at, word);
  const stored = storedAt(word);
  w[stored + S_PARENT] = to;
  w[stored + S_STATE] = (w[stored + S_STATE] & ~(511 << 4)) | (at << 4);
}

/** Reads a stored table's entries. */
export function readStored(m: Machine, stored: number, into: TableImage): void {
  const w = m.words;
  decodeImage(m.bytes, w[stored + S_DATA] << 2, w[stored + S_COUNT], into);
}

/** As `readStored` for somebody who needs the entries: one of the device costs a read. */
function fetchStored(m: Machine, stored: number): void {
  readStored(m, stored, image);
  if ((m.words[stored + S_STATE] & TYPE_MASK) === STORED_SWAPPED) countStored(m, K_SLOT_READS, 1);
}

/** What a record says of itself, for validateMachine. */
export interface StoredFacts {
  form: number;
  index: number;
  units: number;
  count: number;
  parent: number;
  bytes: number;
  place: number;
}

export function storedFacts(m: Machine, stored: number): StoredFacts {
  const w = m.words;
  const state = w[stored + S_STATE];
  return {
    form: state & TYPE_MASK,
    index: (state >> 4) & 511,
    units: state >> 16,
    count: w[stored + S_COUNT],
    parent: w[stored + S_PARENT],
    bytes: w[stored + S_BYTES],
    place: w[stored + S_PLACE],
  };
}

/** Encodes the entries of an opened table anew; a larger place is taken where one is to be had. */
function rewrite(m: Machine, owner: number, stored: number, table: number): void {
  const w = m.words;
  readImage(m, table, image);
  const bytes = encodeImage(image, encoded);
  if (bytes === w[stored + S_BYTES] && isSame(m, stored, bytes)) return;
  countStored(m, K_EDITS, 1);
  const before = w[stored + S_BYTES];
  countBytes(m, owner, stored, -before);
  if (dataClass(bytes) !== dataClass(before)) {
    releaseData(m, stored, before);
    takeData(m, stored, bytes);
  }
  w[stored + S_COUNT] = image.count;
  changePlace(m, stored, Math.min(zpoolUnits(bytes), SLOT_UNITS));
  writeData(m, stored, bytes);
  countBytes(m, owner, stored, bytes);
}

function changePlace(m: Machine, stored: number, units: number): void {
  const w = m.words;
  const state = w[stored + S_STATE];
  const form = state & TYPE_MASK;
  const old = state >> 16;
  // On the device a smaller table stays where it is: it is written there again.
  if (units === old || (form === STORED_SWAPPED && units < old)) return;
  const place = takePlace(m, form, units);
  if (place === 0) {
    if (units > old) countStored(m, K_OVERFULL, 1);
    return;
  }
  releasePlace(m, form, w[stored + S_PLACE]);
  w[stored + S_PLACE] = place;
  w[stored + S_STATE] = (state & 0xffff) | (units << 16);
}

function isSame(m: Machine, stored: number, bytes: number): boolean {
  const at = m.words[stored + S_DATA] << 2;
  for (let i = 0; i < bytes; i++) if (m.bytes[at + i] !== encoded[i]) return false;
  return true;
}

/** Size class of room for so many encoded bytes; 0: the record has it. */
function dataClass(bytes: number): number {
  return bytes <= INLINE_BYTES ? 0 : classFor((bytes + 3) >> 2);
}

function takeData(m: Machine, stored: number, bytes: number): void {
  const sizeClass = dataClass(bytes);
  m.words[stored + S_DATA] = sizeClass === 0 ? stored + S_INLINE : arenaAlloc(m, sizeClass);
}

function releaseData(m: Machine, stored: number, bytes: number): void {
  const sizeClass = dataClass(bytes);
  if (sizeClass !== 0) arenaFree(m, sizeClass, m.words[stored + S_DATA]);
}

function writeData(m: Machine, stored: number, bytes: number): void {
  const w = m.words;
  w[stored + S_BYTES] = bytes;
  const at = w[stored + S_DATA] << 2;
  for (let i = 0; i < bytes; i++) m.bytes[at + i] = encoded[i] as number;
}

/** A stored table came back or became empty: its record, data and place go. */
function forgetStored(m: Machine, owner: number, stored: number): void {
  const w = m.words;
  const bytes = w[stored + S_BYTES];
  countForm(m, stored, -1);
  countBytes(m, owner, stored, -bytes);
  w[owner + MM_STORED_TABLES] -= 1;
  releasePlace(m, w[stored + S_STATE] & TYPE_MASK, w[stored + S_PLACE]);
  releaseData(m, stored, bytes);
  arenaFree(m, CLASS_8, stored);
}

function countForm(m: Machine, stored: number, change: number): void {
  const isCompressed = (m.words[stored + S_STATE] & TYPE_MASK) === STORED_COMPRESSED;
  countStored(m, isCompressed ? K_COMPRESSED : K_SWAPPED, change);
}

function countBytes(m: Machine, owner: number, stored: number, change: number): void {
  countStored(m, K_BYTES, change);
  if ((m.words[stored + S_STATE] & TYPE_MASK) !== STORED_COMPRESSED) return;
  m.words[owner + MM_POOL_BYTES] += change;
  countStored(m, K_POOL_BYTES, change);
}

/** Room in the pool (a frame) or on the swap device (a slot); 0 if there is none. */
function takePlace(m: Machine, form: number, units: number): number {
  if (form === STORED_SWAPPED) return takeSlot(m, units);
  if (units > ZPOOL_MAX_UNITS) return 0;
  return zpoolAlloc(m, m.words[H_STORED] + K_POOL, units);
}

/**
 * Tables are written into the open slot one behind the other. A slot is free again when all of its
 * tables are gone; holes are not filled.
 */
function takeSlot(m: Machine, units: number): number {
  const state = m.words[H_STORED];
  let slot = m.words[state + K_OPEN_SLOT];
  if (slot === 0 || m.words[state + K_OPEN_UNITS] + units > SLOT_UNITS) {
    slot = swapSlotAlloc(m);
    if (slot === 0) return 0;
    m.words[state + K_OPEN_SLOT] = slot;
    m.words[state + K_OPEN_UNITS] = 0;
    countStored(m, K_SLOT_WRITES, 1);
  }
  m.words[state + K_OPEN_UNITS] += units;
  swapSlotGet(m, slot);
  return slot;
}

function releasePlace(m: Machine, form: number, place: number): void {
  if (form === STORED_COMPRESSED) {
    zpoolFree(m, m.words[H_STORED] + K_POOL, place);
    return;
  }
  const isLast = swapSlotUsers(m, place) === 1;
  if (isLast && storedState(m, K_OPEN_SLOT) === place) {
    m.words[m.words[H_STORED] + K_OPEN_SLOT] = 0;
  }
  swapSlotPut(m, place);
}
