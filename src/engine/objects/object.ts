import { assert } from '../../base/index.ts';
import { arenaAllocZeroed, arenaFree, classFor } from '../arena.ts';
import { allocFrame } from '../frames/alloc.ts';
import {
  F_INDEX,
  F_MAPCOUNT,
  F_MAPPING,
  F_STAMP,
  F_STATE,
  F_SWAP_SLOT,
  FRAME_DIRTY,
  frameRecord,
  TYPE_OBJECT,
} from '../frames/frame-record.ts';
import { ensureRecord } from '../frames/map-count.ts';
import { MIGRATE_MOVABLE, MIGRATE_UNMOVABLE } from '../frames/pageblock.ts';
import { freeToPcp } from '../frames/pcp.ts';
import { CPU_CLOCK, H_LIST_LOCK, H_OBJECT_LIST } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { V_OBJECT, V_OBJECT_NEXT, V_OBJECT_PREV } from '../space/vma.ts';
import { ENTRY_PAGE, ENTRY_SWAP, KIND_MASK } from '../tables/entry.ts';
import { addEntry, entryFlags, entryWord, removeEntry } from '../tables/leaf.ts';
import { OWNER_KIND, OWNER_OBJECT } from '../tables/owner.ts';
import { ensureLeaf, findLeaf } from '../tables/walk.ts';
import { contentsOfSlot, readContents, writeContents } from './contents.ts';
import { swapSlotPut } from './swap.ts';

/**
 * An object is where shared pages come from: a file with its page cache, or shared memory (a memfd,
 * shared anonymous memory). Its page index is a tree of the same tables as an address space, one
 * entry a page: the frame, or for shared memory a swap slot. (Linux's xarray needs 4.6 KiB for
 * 512 pages, a table 4 KiB: about the same modelled memory.)
 */
export const O_TYPE = 9;
/** Double: size in bytes; pages beyond it are SIGBUS. */
export const O_SIZE = 10;
export const O_VMAS = 12;
export const O_LOCK = 13;
export const O_NEXT = 14;
export const O_PREV = 15;
/** Mappings and open handles; the object goes with the last. */
export const O_REFS = 16;
/** Pages that are cached. */
export const O_PAGES = 17;
export const O_SWAPPED = 18;
/** Guards the list of mappings; O_LOCK the page index (object-lock.ts). */
export const O_MAP_LOCK = 19;
const OBJECT_WORDS = 32;
/** Above every page index: a size in bytes is below 2^57. */
export const OBJECT_PAGES_MAX: number = 2 ** 45;

/** A file on a disk: pages can be read again, clean ones dropped. */
export const OBJECT_FILE = 1;
/** Shared memory: pages live here or in swap. */
export const OBJECT_SHMEM = 2;
/** Pages that are not memory of ours (vvar). */
export const OBJECT_SPECIAL = 3;
/** Pages of the kernel that count as a file's (vdso): mapped one by one. */
export const OBJECT_KERNEL = 4;
/** Mapped by whole page tables, which hold its pages (window.ts); it has no page index. */
export const OBJECT_TABLES = 5;

/** A new object of `sizeBytes`; the caller holds one reference. */
export function objectCreate(m: Machine, type: number, sizeBytes: number): number {
  const w = m.words;
  const object = arenaAllocZeroed(m, classFor(OBJECT_WORDS));
  w[object + OWNER_KIND] = OWNER_OBJECT;
  w[object + O_TYPE] = type;
  w[object + O_REFS] = 1;
  m.doubles[(object + O_SIZE) >> 1] = sizeBytes;
  if (m.isShared) m.lock(H_LIST_LOCK);
  const next = w[H_OBJECT_LIST];
  w[object + O_NEXT] = next;
  if (next !== 0) w[next + O_PREV] = object;
  w[H_OBJECT_LIST] = object;
  if (m.isShared) m.unlock(H_LIST_LOCK);
  return object;
}

export function objectType(m: Machine, object: number): number {
  return m.words[object + O_TYPE];
}

export function isShmem(m: Machine, object: number): boolean {
  return m.words[object + O_TYPE] === OBJECT_SHMEM;
}

/** True for a mapping of shared memory, whose pages count as RssShmem. */
export function isShmemVma(m: Machine, vma: number): boolean {
  const object = m.words[vma + V_OBJECT];
  return object !== 0 && isShmem(m, object);
}

export function objectSize(m: Machine, object: number): number {
  return m.doubles[(object + O_SIZE) >> 1];
}

export function setObjectSize(m: Machine, object: number, sizeBytes: number): void {
  m.doubles[(object + O_SIZE) >> 1] = sizeBytes;
}

/** The object's size in pages, rounded up. */
export function objectPages(m: Machine, object: number): number {
  return Math.ceil(objectSize(m, object) / 4096);
}

/** Puts a VMA on the object's list of mappings (i_mmap). The caller holds the mapping lock. */
export function linkObjectVma(m: Machine, object: number, vma: number): void {
  const w = m.words;
  const next = w[object + O_VMAS];
  w[vma + V_OBJECT] = object;
  w[vma + V_OBJECT_NEXT] = next;
  w[vma + V_OBJECT_PREV] = 0;
  if (next !== 0) w[next + V_OBJECT_PREV] = vma;
  w[object + O_VMAS] = vma;
  objectGet(m, object);
}

/** Takes a VMA off the list, under the mapping lock; then the caller drops its reference. */
export function unlinkObjectVma(m: Machine, vma: number): void {
  const w = m.words;
  const object = w[vma + V_OBJECT];
  const next = w[vma + V_OBJECT_NEXT];
  const prev = w[vma + V_OBJECT_PREV];
  if (next !== 0) w[next + V_OBJECT_PREV] = prev;
  if (prev !== 0) w[prev + V_OBJECT_NEXT] = next;
  else w[object + O_VMAS] = next;
  w[vma + V_OBJECT] = 0;
}

/** Writes the record of an object's frame that nothing maps yet. */
export function formatObjectFrame(m: Machine, pfn: number, object: number, page: number): void {
  const w = m.words;
  const rec = frameRecord(m, pfn);
  w[rec + F_STATE] = TYPE_OBJECT;
  w[rec + F_MAPCOUNT] = 0;
  w[rec + F_MAPPING] = object;
  w[rec + F_INDEX] = page | 0;
  w[rec + F_STAMP] = w[m.cpuAt + CPU_CLOCK]++;
  w[rec + F_SWAP_SLOT] = 0;
}

/**
 * The frame of a page of the object, read in or made where missing (filemap_fault, shmem_fault).
 * 0 when memory is out. A page of shared memory that was swapped out comes back.
 */
export function objectGetPage(m: Machine, object: number, page: number): number {
  const hi = Math.floor(page / m.loPages);
  const lo = page - hi * m.loPages;
  const leaf = findLeaf(m, object, hi, lo);
  if (leaf !== 0 && (entryFlags(m, leaf, lo & m.mask) & KIND_MASK) === ENTRY_PAGE) {
    return entryWord(m, leaf, lo & m.mask);
  }
  return objectAddPage(m, object, hi, lo, leaf);
}

/**
 * The frame of a page that is not in memory: read in or made, or back from swap; 0 when memory is
 * out. `leaf` is the index's table for the page, 0 for none yet.
 */
export function objectAddPage(
  m: Machine,
  object: number,
  hi: number,
  lo: number,
  leaf: number,
): number {
  const reclaims = m.reclaims;
  // The vdso is the kernel's own: it never moves.
  const isKernel = m.words[object + O_TYPE] === OBJECT_KERNEL;
  const pfn = allocFrame(m, isKernel ? MIGRATE_UNMOVABLE : MIGRATE_MOVABLE);
  if (pfn === 0) return 0;
  let table = leaf;
  // Reclaim inside may have taken the table away.
  if (table === 0 || m.reclaims !== reclaims) {
    table = ensureLeaf(m, object, hi, lo);
    if (table === 0) {
      freeToPcp(m, pfn, frameRecord(m, pfn));
      return 0;
    }
  }
  const index = lo & m.mask;
  let contents = 0;
  let dirty = 0;
  if ((entryFlags(m, table, index) & KIND_MASK) === ENTRY_SWAP) {
    const slot = entryWord(m, table, index);
    contents = readContents(m, contentsOfSlot(m, slot));
    // Its slot goes, so what stood there must be written again (shmem_swapin_folio).
    dirty = FRAME_DIRTY;
    removeEntry(m, object, table, index);
    swapSlotPut(m, slot);
    m.words[object + O_SWAPPED] -= 1;
  }
  formatObjectFrame(m, pfn, object, hi * m.loPages + lo);
  writeContents(m, pfn, contents);
  m.words[frameRecord(m, pfn) + F_STATE] |= dirty;
  addEntry(m, object, table, index, ENTRY_PAGE, pfn);
  m.words[object + O_PAGES] += 1;
  return pfn;
}

/** The page of the object that the frame holds; its record knows the low 32 bits only. */
export function objectPageOf(m: Machine, object: number, pfn: number, low: number): number {
  for (let page = low; page < OBJECT_PAGES_MAX; page += 2 ** 32) {
    const hi = Math.floor(page / m.loPages);
    const lo = page - hi * m.loPages;
    const leaf = findLeaf(m, object, hi, lo);
    if (leaf === 0 || (entryFlags(m, leaf, lo & m.mask) & KIND_MASK) !== ENTRY_PAGE) continue;
    if (entryWord(m, leaf, lo & m.mask) === pfn) return page;
  }
  assert(false, 'a frame that its object does not know');
}

/** Frees an unmapped frame that left its object's index. */
export function freeObjectFrame(m: Machine, pfn: number): void {
  freeToPcp(m, pfn, ensureRecord(m, pfn));
}

export function objectGet(m: Machine, object: number): void {
  if (m.isShared) Atomics.add(m.words, object + O_REFS, 1);
  else m.words[object + O_REFS] += 1;
}

/** Drops a reference; the last one frees the pages, the index and the record. */
export function objectPut(m: Machine, object: number): void {
  const w = m.words;
  const at = object + O_REFS;
  const left = m.isShared ? Atomics.sub(w, at, 1) - 1 : w[at] - 1;
  if (!m.isShared) w[at] = left;
  if (left > 0) return;
  if (w[object + O_TYPE] === OBJECT_TABLES) opsOfObject(m, object).gone(m, object);
  else dropObjectPages(m, object, 0, OBJECT_PAGES_MAX);
  if (m.isShared) m.lock(H_LIST_LOCK);
  const next = w[object + O_NEXT];
  const prev = w[object + O_PREV];
  if (next !== 0) w[next + O_PREV] = prev;
  if (prev !== 0) w[prev + O_NEXT] = next;
  else w[H_OBJECT_LIST] = next;
  if (m.isShared) m.unlock(H_LIST_LOCK);
  w[object + OWNER_KIND] = 0;
  m.forgetWalk();
  arenaFree(m, classFor(OBJECT_WORDS), object);
}

import { dropObjectPages } from './truncate.ts';
import { opsOfObject } from './window.ts';
