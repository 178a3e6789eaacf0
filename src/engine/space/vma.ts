import { arenaAlloc, arenaFree, CLASS_VMA, classFor } from '../arena.ts';
import { splitHugeAt } from '../huge/split-at.ts';
import type { Machine } from '../machine.ts';
import {
  MM_LAST_VMA,
  MM_LIST_SEQ,
  MM_LOCK_SEQ,
  MM_TOTAL_VM,
  MM_VMA_CAPACITY,
  MM_VMA_COUNT,
  MM_VMA_ENDS,
  MM_VMA_IDS,
} from './mm.ts';
import { raiseSequence } from './mmap-lock.ts';
import { vmaStartWrite } from './vma-lock.ts';

/**
 * A virtual memory area and the ordered list of an address space's areas.
 *
 * A VMA is a 16-word record; pages of its bounds are doubles, so 57-bit spaces are
 * exact. The list is two arrays in address order (the ends, and the records): a look-up is a binary
 * search in one contiguous array, an insertion moves the tail with one copy. At Linux's limit of
 * 65530 areas that copy is 768 KiB; at the usual hundreds it is nothing.
 */
export const V_START = 0; // double, page number
export const V_END = 2; // double, page number after the last
export const V_PGOFF = 4; // double: page offset in the object, or for anonymous memory Linux's vm_pgoff
export const V_FLAGS = 6;
export const V_ANON_VMA = 7;
export const V_OBJECT = 8;
export const V_MM = 9;
export const V_AVC = 10; // list of links to anon_vmas
export const V_OBJECT_NEXT = 11; // list of the object's mappings
export const V_OBJECT_PREV = 12;
/** The address space's MM_LOCK_SEQ while this VMA is locked for writing (vma-lock.ts). */
export const V_LOCK_SEQ = 13;
/** Low 32 bits of pgoff - start: turns a page number into a frame's index with one addition. */
export const V_INDEX_DELTA = 14;
/** Readers of the VMA lock. Never set to zero: a late reader may still be counted off. */
export const V_LOCK = 15;

export function vmaStart(m: Machine, vma: number): number {
  return m.doubles[(vma + V_START) >> 1];
}

export function vmaEnd(m: Machine, vma: number): number {
  return m.doubles[(vma + V_END) >> 1];
}

export function vmaPgoff(m: Machine, vma: number): number {
  return m.doubles[(vma + V_PGOFF) >> 1];
}

export function vmaFlags(m: Machine, vma: number): number {
  return m.words[vma + V_FLAGS];
}

/** A record outside any list. */
export function vmaCreate(
  m: Machine,
  mm: number,
  start: number,
  end: number,
  pgoff: number,
  flags: number,
): number {
  const vma = arenaAlloc(m, CLASS_VMA);
  const w = m.words;
  for (let i = 0; i < V_LOCK; i++) w[vma + i] = 0;
  w[vma + V_MM] = mm;
  // Whoever makes an area holds the mmap_lock for writing, and with it the area.
  w[vma + V_LOCK_SEQ] = w[mm + MM_LOCK_SEQ];
  w[vma + V_FLAGS] = flags;
  writeBounds(m, vma, start, end, pgoff);
  return vma;
}

export function vmaDestroy(m: Machine, vma: number): void {
  arenaFree(m, CLASS_VMA, vma);
}

function writeBounds(m: Machine, vma: number, start: number, end: number, pgoff: number): void {
  const d = m.doubles;
  d[(vma + V_START) >> 1] = start;
  d[(vma + V_END) >> 1] = end;
  d[(vma + V_PGOFF) >> 1] = pgoff;
  m.words[vma + V_INDEX_DELTA] = low32(pgoff - start);
}

/** Low 32 bits of an integer beyond 32 bits. */
export function low32(value: number): number {
  return (value - Math.floor(value / 4294967296) * 4294967296) | 0;
}

/** Index of the first VMA that ends after `page`; the count if there is none (find_vma). */
export function findVmaIndex(m: Machine, mm: number, page: number): number {
  const d = m.doubles;
  const ends = m.words[mm + MM_VMA_ENDS] >> 1;
  let low = 0;
  let high = m.words[mm + MM_VMA_COUNT];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (d[ends + middle] > page) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The VMA at a position of the list; 0 beyond either end. */
export function vmaAt(m: Machine, mm: number, index: number): number {
  if (index < 0 || index >= m.words[mm + MM_VMA_COUNT]) return 0;
  return m.words[m.words[mm + MM_VMA_IDS] + index];
}

/** The first VMA that ends after `page`, or 0. */
export function findVma(m: Machine, mm: number, page: number): number {
  return vmaAt(m, mm, findVmaIndex(m, mm, page));
}

/** The VMA that holds `page`, or 0. */
export function vmaLookup(m: Machine, mm: number, page: number): number {
  const vma = findVma(m, mm, page);
  return vma !== 0 && vmaStart(m, vma) <= page ? vma : 0;
}

/** Position of a VMA that is in the list. */
export function vmaIndexOf(m: Machine, vma: number): number {
  return findVmaIndex(m, m.words[vma + V_MM], vmaStart(m, vma));
}

/** Puts a VMA into its address space's list; nothing may overlap it. */
export function vmaInsert(m: Machine, vma: number): void {
  const w = m.words;
  const mm = w[vma + V_MM];
  const count = w[mm + MM_VMA_COUNT];
  beginListChange(m, mm);
  if (count === w[mm + MM_VMA_CAPACITY]) growList(m, mm);
  const at = findVmaIndex(m, mm, vmaStart(m, vma));
  const ids = w[mm + MM_VMA_IDS];
  const ends = w[mm + MM_VMA_ENDS] >> 1;
  w.copyWithin(ids + at + 1, ids + at, ids + count);
  m.doubles.copyWithin(ends + at + 1, ends + at, ends + count);
  w[ids + at] = vma;
  m.doubles[ends + at] = vmaEnd(m, vma);
  w[mm + MM_VMA_COUNT] = count + 1;
  endListChange(m, mm);
  m.doubles[(mm + MM_TOTAL_VM) >> 1] += vmaEnd(m, vma) - vmaStart(m, vma);
}

/** Takes a VMA out of the list; the record stays. */
export function vmaRemove(m: Machine, vma: number): void {
  const w = m.words;
  const mm = w[vma + V_MM];
  vmaStartWrite(m, vma);
  const at = vmaIndexOf(m, vma);
  const count = w[mm + MM_VMA_COUNT];
  beginListChange(m, mm);
  const ids = w[mm + MM_VMA_IDS];
  const ends = w[mm + MM_VMA_ENDS] >> 1;
  w.copyWithin(ids + at, ids + at + 1, ids + count);
  m.doubles.copyWithin(ends + at, ends + at + 1, ends + count);
  w[mm + MM_VMA_COUNT] = count - 1;
  endListChange(m, mm);
  if (w[mm + MM_LAST_VMA] === vma) w[mm + MM_LAST_VMA] = 0;
  m.doubles[(mm + MM_TOTAL_VM) >> 1] -= vmaEnd(m, vma) - vmaStart(m, vma);
}

/**
 * Changes the bounds of a VMA in the list (vma_set_range). Its place in the order must stay, so
 * whoever makes room on one side first does that first.
 */
export function vmaSetRange(
  m: Machine,
  vma: number,
  start: number,
  end: number,
  pgoff: number,
): void {
  const w = m.words;
  const mm = w[vma + V_MM];
  vmaStartWrite(m, vma);
  if (start % m.entryCount !== 0) splitHugeAt(m, mm, start);
  if (end % m.entryCount !== 0) splitHugeAt(m, mm, end);
  const at = vmaIndexOf(m, vma);
  const pages = end - start - (vmaEnd(m, vma) - vmaStart(m, vma));
  beginListChange(m, mm);
  writeBounds(m, vma, start, end, pgoff);
  m.doubles[(w[mm + MM_VMA_ENDS] >> 1) + at] = end;
  endListChange(m, mm);
  if (w[mm + MM_LAST_VMA] === vma) w[mm + MM_LAST_VMA] = 0;
  m.doubles[(mm + MM_TOTAL_VM) >> 1] += pages;
}

/** Look-ups without a lock see the odd number and try another way (vma-lock.ts). */
function beginListChange(m: Machine, mm: number): void {
  if (m.isShared) Atomics.add(m.words, mm + MM_LIST_SEQ, 1);
}

function endListChange(m: Machine, mm: number): void {
  if (m.isShared) Atomics.add(m.words, mm + MM_LIST_SEQ, 1);
  raiseSequence(m, mm);
}

function growList(m: Machine, mm: number): void {
  const w = m.words;
  const count = w[mm + MM_VMA_COUNT];
  const oldCapacity = w[mm + MM_VMA_CAPACITY];
  const capacity = Math.max(16, oldCapacity * 2);
  const ids = arenaAlloc(m, classFor(capacity));
  const ends = arenaAlloc(m, classFor(capacity * 2));
  const oldIds = w[mm + MM_VMA_IDS];
  const oldEnds = w[mm + MM_VMA_ENDS];
  w.copyWithin(ids, oldIds, oldIds + count);
  w.copyWithin(ends, oldEnds, oldEnds + count * 2);
  w[mm + MM_VMA_IDS] = ids;
  w[mm + MM_VMA_ENDS] = ends;
  w[mm + MM_VMA_CAPACITY] = capacity;
  if (oldCapacity > 0) {
    arenaFree(m, classFor(oldCapacity), oldIds);
    arenaFree(m, classFor(oldCapacity * 2), oldEnds);
  }
}

/** Frees the list's arrays at the end of the address space. */
export function freeVmaList(m: Machine, mm: number): void {
  const w = m.words;
  const capacity = w[mm + MM_VMA_CAPACITY];
  if (capacity === 0) return;
  arenaFree(m, classFor(capacity), w[mm + MM_VMA_IDS]);
  arenaFree(m, classFor(capacity * 2), w[mm + MM_VMA_ENDS]);
  w[mm + MM_VMA_CAPACITY] = 0;
}
