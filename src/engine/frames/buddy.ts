import * as L from '../layout.ts';
import type { Machine } from '../machine.ts';
import {
  blockOf,
  F_NEXT,
  F_STATE,
  FRAME_WORDS,
  frameRecord,
  TYPE_FREE,
  TYPE_TAIL,
} from './frame-record.ts';
import {
  attachChunk,
  blockFreeOrder,
  blockMigrateType,
  blockZone,
  detachChunk,
  EXTENT_NONE,
  MIGRATE_ISOLATE,
  MIGRATE_MOVABLE,
  MIGRATE_RECLAIMABLE,
  MIGRATE_UNMOVABLE,
  setBlockExtent,
  setBlockFreeOrder,
  setBlockMigrateType,
} from './pageblock.ts';

/**
 * The buddy allocator (mm/page_alloc.c): free blocks of 2^order frames, order 0 to 10, one list an
 * order and migrate type. A free block smaller than a pageblock is headed by a frame record; one of
 * order 9 or 10 by its pageblock, so free memory has no frame records at all.
 *
 * All functions here want the zone's lock on a shared machine.
 */

/** Word offset of the link words (next at +0, prev at +1) of a free block's head. */
function linksOf(m: Machine, pfn: number, order: number): number {
  return order >= L.BLOCK_SHIFT ? blockOf(m, pfn) + L.B_NEXT : frameRecord(m, pfn) + F_NEXT;
}

function listHead(zone: number, order: number, type: number): number {
  return zone + L.Z_LISTS + order * L.MIGRATE_TYPES + type;
}

/** Puts a block on its free list; the zone's count of free frames is the caller's. */
export function addFree(m: Machine, zone: number, pfn: number, order: number, type: number): void {
  const w = m.words;
  if (order >= L.BLOCK_SHIFT) setBlockFreeOrder(m, blockOf(m, pfn), order);
  else w[frameRecord(m, pfn) + F_STATE] = TYPE_FREE | (order << 4);
  const head = listHead(zone, order, type);
  const links = linksOf(m, pfn, order);
  const next = w[head];
  w[links] = next;
  w[links + 1] = 0;
  if (next !== 0) w[linksOf(m, next, order) + 1] = pfn;
  w[head] = pfn;
  w[zone + L.Z_COUNTS + order] += 1;
}

/** Takes a block off its free list; the zone's count of free frames is the caller's. */
export function removeFree(
  m: Machine,
  zone: number,
  pfn: number,
  order: number,
  type: number,
): void {
  const w = m.words;
  const links = linksOf(m, pfn, order);
  const next = w[links];
  const prev = w[links + 1];
  if (next !== 0) w[linksOf(m, next, order) + 1] = prev;
  if (prev !== 0) w[linksOf(m, prev, order)] = next;
  else w[listHead(zone, order, type)] = next;
  if (order >= L.BLOCK_SHIFT) setBlockFreeOrder(m, blockOf(m, pfn), 0);
  else w[frameRecord(m, pfn) + F_STATE] = TYPE_TAIL;
  w[zone + L.Z_COUNTS + order] -= 1;
}

function isFreeHead(m: Machine, zone: number, pfn: number, order: number): boolean {
  const w = m.words;
  if (pfn < w[zone + L.Z_START] || pfn >= w[zone + L.Z_START] + w[zone + L.Z_FRAMES]) return false;
  const block = blockOf(m, pfn);
  if (order >= L.BLOCK_SHIFT) return blockFreeOrder(m, block) === order;
  const chunk = w[block + L.B_CHUNK];
  if (chunk === 0) return false;
  const rec = chunk + (pfn & (L.BLOCK_FRAMES - 1)) * FRAME_WORDS;
  return w[rec + F_STATE] === (TYPE_FREE | (order << 4));
}

/**
 * Gives a block of 2^order frames back, merging it with its free buddies (__free_one_page). The
 * frames' records must say "tail".
 */
export function buddyFree(m: Machine, zone: number, pfn: number, order: number): void {
  const w = m.words;
  const type = blockMigrateType(m, blockOf(m, pfn));
  // Isolated frames are free for nobody, so no watermark counts them (account_freepages).
  if (type !== MIGRATE_ISOLATE) w[zone + L.Z_FREE] += 1 << order;
  let at = pfn;
  let o = order;
  while (o < L.MAX_ORDER) {
    const buddy = at ^ (1 << o);
    if (!isFreeHead(m, zone, buddy, o)) break;
    removeFree(m, zone, buddy, o, blockMigrateType(m, blockOf(m, buddy)));
    // Two pageblocks that merge become of one type, so that a later split finds the right lists.
    if (o >= L.BLOCK_SHIFT) setBlockMigrateType(m, blockOf(m, buddy), type);
    at &= ~(1 << o);
    o++;
    if (o === L.BLOCK_SHIFT) detachChunk(m, blockOf(m, at));
  }
  addFree(m, zone, at, o, type);
  m.events.blockFreed?.(m, pfn, order, o);
}

/**
 * Takes the next frames that single allocations would give, as long as they lie in one block of at
 * most 2^order frames: its first frame, and the order got in `m.foundIndex`; 0 if the zone has none
 * of the migrate type.
 */
export function buddyAllocUpTo(m: Machine, zone: number, order: number, type: number): number {
  const w = m.words;
  for (let o = 0; o <= L.MAX_ORDER; o++) {
    const pfn = w[listHead(zone, o, type)];
    if (pfn === 0) continue;
    const got = Math.min(o, order);
    removeFree(m, zone, pfn, o, type);
    splitDown(m, zone, pfn, o, got, type);
    w[zone + L.Z_FREE] -= 1 << got;
    m.foundIndex = got;
    return pfn;
  }
  m.foundIndex = 0;
  return allocFallback(m, zone, 0, type);
}

/** Takes a block of 2^order frames; 0 if the zone has none that serves the migrate type. */
export function buddyAlloc(m: Machine, zone: number, order: number, type: number): number {
  const pfn = takeSmallest(m, zone, order, type);
  return pfn !== 0 ? pfn : allocFallback(m, zone, order, type);
}

/** The smallest free block of the type, split down to the order (__rmqueue_smallest, expand). */
function takeSmallest(m: Machine, zone: number, order: number, type: number): number {
  const w = m.words;
  for (let o = order; o <= L.MAX_ORDER; o++) {
    const pfn = w[listHead(zone, o, type)];
    if (pfn === 0) continue;
    removeFree(m, zone, pfn, o, type);
    splitDown(m, zone, pfn, o, order, type);
    w[zone + L.Z_FREE] -= 1 << order;
    return pfn;
  }
  return 0;
}

function splitDown(
  m: Machine,
  zone: number,
  pfn: number,
  from: number,
  to: number,
  type: number,
): void {
  for (let o = from - 1; o >= to; o--) {
    if (o === L.BLOCK_SHIFT - 1) attachChunk(m, blockOf(m, pfn));
    addFree(m, zone, pfn + (1 << o), o, type);
  }
}

/** Order in which a type borrows from others (mm/page_alloc.c: fallbacks). */
const FALLBACKS: readonly (readonly number[])[] = [
  [MIGRATE_RECLAIMABLE, MIGRATE_MOVABLE],
  [MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE],
  [MIGRATE_UNMOVABLE, MIGRATE_MOVABLE],
];

/**
 * Borrows from another type: the largest block there, claiming its whole pageblock where that is
 * worth it (__rmqueue_claim), else just the smallest block (__rmqueue_steal).
 */
function allocFallback(m: Machine, zone: number, order: number, type: number): number {
  const w = m.words;
  const fallbacks = FALLBACKS[type] as readonly number[];
  const minOrder = Math.max(order, type === MIGRATE_MOVABLE ? L.BLOCK_SHIFT >> 1 : order);
  for (let o = L.MAX_ORDER; o >= minOrder; o--) {
    for (let i = 0; i < fallbacks.length; i++) {
      const from = fallbacks[i] as number;
      const pfn = w[listHead(zone, o, from)];
      if (pfn === 0) continue;
      if (claimBlock(m, zone, pfn, o, from, type)) return takeSmallest(m, zone, order, type);
    }
  }
  for (let o = order; o <= L.MAX_ORDER; o++) {
    for (let i = 0; i < fallbacks.length; i++) {
      const from = fallbacks[i] as number;
      const pfn = w[listHead(zone, o, from)];
      if (pfn === 0) continue;
      removeFree(m, zone, pfn, o, from);
      splitDown(m, zone, pfn, o, order, from);
      w[zone + L.Z_FREE] -= 1 << order;
      return pfn;
    }
  }
  return 0;
}

/**
 * Turns the pageblock of a free block over to another type if at least half of its frames are free
 * (try_to_claim_block, which also counts pages of the new type). Free blocks inside move to the new type's lists.
 */
function claimBlock(
  m: Machine,
  zone: number,
  pfn: number,
  order: number,
  from: number,
  type: number,
): boolean {
  if (order >= L.BLOCK_SHIFT) {
    removeFree(m, zone, pfn, order, from);
    for (let p = pfn; p < pfn + (1 << order); p += L.BLOCK_FRAMES) {
      setBlockMigrateType(m, blockOf(m, p), type);
    }
    addFree(m, zone, pfn, order, type);
    return true;
  }
  const first = pfn & ~(L.BLOCK_FRAMES - 1);
  let free = 0;
  for (let p = first; p < first + L.BLOCK_FRAMES; ) {
    const state = m.words[frameRecord(m, p) + F_STATE];
    const isHead = (state & 15) === TYPE_FREE;
    const size = isHead ? 1 << (state >> 4) : 1;
    if (isHead) free += size;
    p += size;
  }
  if (free < L.BLOCK_FRAMES / 2) return false;
  for (let p = first; p < first + L.BLOCK_FRAMES; ) {
    const state = m.words[frameRecord(m, p) + F_STATE];
    if ((state & 15) !== TYPE_FREE) {
      p++;
      continue;
    }
    const o = state >> 4;
    removeFree(m, zone, p, o, from);
    addFree(m, zone, p, o, type);
    p += 1 << o;
  }
  setBlockMigrateType(m, blockOf(m, first), type);
  return true;
}

/** Puts [first, end), whole 4 MiB pieces, on the lists of a new zone. */
export function freeBlocks(m: Machine, zone: number, first: number, end: number): void {
  // From the top down, so that the lowest addresses are allocated first.
  for (let pfn = end - 1024; pfn >= first; pfn -= 1024) {
    addFree(m, zone, pfn, L.MAX_ORDER, blockMigrateType(m, blockOf(m, pfn)));
  }
  m.words[zone + L.Z_FREE] += end - first;
}

/**
 * Takes `blocks` pageblocks that lie one after the other, starting at a multiple of their total
 * size, all free (alloc_contig_range without migration); the first frame, or 0. The search
 * starts at the zone's hand.
 */
export function buddyAllocContiguous(m: Machine, zone: number, blocks: number): number {
  const w = m.words;
  const frames = blocks * L.BLOCK_FRAMES;
  const start = w[zone + L.Z_START];
  const end = start + w[zone + L.Z_FRAMES];
  const firstTry = Math.max(start, w[zone + L.Z_HAND]);
  for (let pass = 0; pass < 2; pass++) {
    let pfn = Math.ceil((pass === 0 ? firstTry : start) / frames) * frames;
    for (; pfn + frames <= end; pfn += frames) {
      if (!isRangeFree(m, zone, pfn, frames)) continue;
      takeRange(m, zone, pfn, frames);
      w[zone + L.Z_HAND] = pfn + frames;
      return pfn;
    }
  }
  return 0;
}

function isRangeFree(m: Machine, zone: number, pfn: number, frames: number): boolean {
  const number = (zone - m.zonesAt) / L.ZONE_WORDS;
  for (let p = pfn; p < pfn + frames; ) {
    const block = blockOf(m, p);
    const order = blockFreeOrder(m, block);
    if (order === 0 || blockZone(m, block) !== number) return false;
    if (blockMigrateType(m, block) === MIGRATE_ISOLATE) return false;
    p += 1 << order;
  }
  return true;
}

function takeRange(m: Machine, zone: number, pfn: number, frames: number): void {
  for (let p = pfn; p < pfn + frames; ) {
    const block = blockOf(m, p);
    const order = blockFreeOrder(m, block);
    removeFree(m, zone, p, order, blockMigrateType(m, block));
    p += 1 << order;
  }
  m.words[zone + L.Z_FREE] -= frames;
}

/** Gives one extent (a whole pageblock) back. */
export function buddyFreeBlock(m: Machine, zone: number, pfn: number): void {
  setBlockExtent(m, blockOf(m, pfn), EXTENT_NONE);
  buddyFree(m, zone, pfn, L.BLOCK_SHIFT);
}
