import { Errno } from '../../base/index.ts';
import { freeExtent } from '../frames/alloc.ts';
import { blockOf, FRAME_ORPHAN, frameRecord, setFrameFlags } from '../frames/frame-record.ts';
import { addMapping, dropMapping } from '../frames/map-count.ts';
import { blockExtent, EXTENT_NONE } from '../frames/pageblock.ts';
import { BLOCK_FRAMES } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { V_MM, V_OBJECT_NEXT, vmaEnd, vmaPgoff, vmaStart } from '../space/vma.ts';
import { ENTRY_NONE, ENTRY_PAGE, ENTRY_SWAP, KIND_MASK } from '../tables/entry.ts';
import { freeAllTables } from '../tables/free-range.ts';
import {
  entryFlags,
  entryWord,
  leafBecameEmpty,
  removeEntry,
  runHigh,
  runLow,
} from '../tables/leaf.ts';
import { OWNER_ROOT } from '../tables/owner.ts';
import { FORM_RUN, T_CONTENTS, T_COUNT, T_RULE, tableForm } from '../tables/table.ts';
import { UNIFORM_RUN, uniformBase, uniformBecameEmpty, uniformKind } from '../tables/uniform.ts';
import { freeTable, isLeaf, LeafCursor } from '../tables/walk.ts';
import { ZAP_KEEP_GUARDS, ZAP_OBJECT_ONLY, ZAP_ORPHANS_ONLY, zapRange } from '../tables/zap.ts';
import { enter, leave } from '../threads/world.ts';
import {
  freeObjectFrame,
  O_PAGES,
  O_SWAPPED,
  O_VMAS,
  OBJECT_PAGES_MAX,
  objectSize,
  setObjectSize,
} from './object.ts';
import { lockMappings, lockPages, unlockMappings, unlockPages } from './object-lock.ts';
import { swapSlotPut } from './swap.ts';
import { isTablesObject, opsOfObject } from './window.ts';

const cursor = new LeafCursor();

/**
 * Sets the object's size (ftruncate); 0, or a negative errno for a size that it cannot have. Pages beyond it go, from all mappings too, private copies
 * included (unmap_mapping_range with even_cows); the mappings' tables stay.
 */
export function truncateObject(m: Machine, object: number, sizeBytes: number): number {
  if (isTablesObject(m, object)) {
    return opsOfObject(m, object).parts?.truncate(m, object, sizeBytes) ?? -Errno.EINVAL;
  }
  const from = Math.ceil(sizeBytes / 4096);
  const wasOffline = enter(m);
  lockMappings(m, object);
  lockPages(m, object);
  const old = Math.ceil(objectSize(m, object) / 4096);
  setObjectSize(m, object, sizeBytes);
  unlockPages(m, object);
  if (from < old) removePages(m, object, from, OBJECT_PAGES_MAX, ZAP_KEEP_GUARDS);
  unlockMappings(m, object);
  leave(m, wasOffline);
  return 0;
}

/**
 * Gives the pages of [start, end) back (fallocate PUNCH_HOLE, MADV_REMOVE), from all mappings too,
 * but not private copies.
 */
export function punchObject(m: Machine, object: number, start: number, end: number): void {
  if (isTablesObject(m, object)) {
    opsOfObject(m, object).parts?.punch(m, object, start, end);
    return;
  }
  const wasOffline = enter(m);
  lockMappings(m, object);
  removePages(m, object, start, end, ZAP_OBJECT_ONLY | ZAP_KEEP_GUARDS);
  unlockMappings(m, object);
  leave(m, wasOffline);
}

/**
 * Out of all mappings and out of the index. On a shared machine first out of the index, so that no
 * fault maps the page again behind the zap; a frame that is still mapped then is an orphan, freed
 * with its last mapping.
 */
function removePages(m: Machine, object: number, start: number, end: number, how: number): void {
  if (m.isShared) {
    lockPages(m, object);
    dropObjectPages(m, object, start, end);
    unlockPages(m, object);
  }
  const isPunch = (how & ZAP_OBJECT_ONLY) !== 0;
  unmapObjectRange(m, object, start, end, isPunch && m.isShared ? how | ZAP_ORPHANS_ONLY : how);
  if (!m.isShared) dropObjectPages(m, object, start, end);
}

/** Zaps the pages [start, end) of the object in every mapping. */
export function unmapObjectRange(
  m: Machine,
  object: number,
  start: number,
  end: number,
  how: number,
): void {
  const w = m.words;
  for (let vma = w[object + O_VMAS]; vma !== 0; vma = w[vma + V_OBJECT_NEXT]) {
    const shift = vmaStart(m, vma) - vmaPgoff(m, vma);
    const from = Math.max(start + shift, vmaStart(m, vma));
    const to = Math.min(end + shift, vmaEnd(m, vma));
    if (from < to) zapRange(m, w[vma + V_MM], vma, from, to, how);
  }
}

/** Takes unmapped pages out of the index and frees them, and index tables that are left empty. */
export function dropObjectPages(m: Machine, object: number, start: number, end: number): void {
  const w = m.words;
  cursor.begin(object, start, end);
  for (let table = cursor.next(m); table !== 0; table = cursor.next(m)) {
    if (!isLeaf(m, table)) {
      if (uniformKind(m, table) !== UNIFORM_RUN) continue;
      freeRun(m, uniformBase(m, table), m.loPages);
      w[object + O_PAGES] -= m.loPages;
      uniformBecameEmpty(m, object, table);
      continue;
    }
    const from = cursor.start % m.entryCount;
    dropLeafPages(m, object, table, from, from + cursor.end - cursor.start);
    if (w[table + T_COUNT] === 0) freeTable(m, object, table);
  }
  if (w[object + O_PAGES] === 0 && w[object + O_SWAPPED] === 0 && w[object + OWNER_ROOT] !== 0) {
    freeAllTables(m, object);
  }
}

function dropLeafPages(m: Machine, object: number, table: number, from: number, to: number): void {
  const w = m.words;
  if (tableForm(m, table) === FORM_RUN) {
    const rule = w[table + T_RULE];
    if (from <= runLow(rule) && to >= runHigh(rule)) {
      freeRun(m, w[table + T_CONTENTS] + runLow(rule), runHigh(rule) - runLow(rule));
      w[object + O_PAGES] -= runHigh(rule) - runLow(rule);
      w[table + T_COUNT] = 0;
      leafBecameEmpty(m, object, table);
      return;
    }
  }
  for (let i = from; i < to; i++) {
    const flags = entryFlags(m, table, i);
    if (flags === ENTRY_NONE) continue;
    const word = entryWord(m, table, i);
    removeEntry(m, object, table, i);
    if ((flags & KIND_MASK) === ENTRY_PAGE) {
      dropObjectFrame(m, word);
      w[object + O_PAGES] -= 1;
    } else if ((flags & KIND_MASK) === ENTRY_SWAP) {
      swapSlotPut(m, word);
      w[object + O_SWAPPED] -= 1;
    }
  }
}

/** Frees a frame that left the index, now or with its last mapping. */
function dropObjectFrame(m: Machine, pfn: number): void {
  if (!m.isShared) {
    freeObjectFrame(m, pfn);
    return;
  }
  // A mapping of our own for the moment, so that the flag and the last mapping cannot miss each other.
  addMapping(m, pfn);
  setFrameFlags(m, frameRecord(m, pfn), FRAME_ORPHAN);
  dropMapping(m, pfn);
}

function freeRun(m: Machine, base: number, frames: number): void {
  for (let pfn = base; pfn < base + frames; ) {
    const isBlock = (pfn & (BLOCK_FRAMES - 1)) === 0 && pfn + BLOCK_FRAMES <= base + frames;
    if (isBlock && blockExtent(m, blockOf(m, pfn)) !== EXTENT_NONE) {
      freeExtent(m, pfn);
      pfn += BLOCK_FRAMES;
    } else {
      freeObjectFrame(m, pfn);
      pfn++;
    }
  }
}
