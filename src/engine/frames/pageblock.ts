import { arenaAlloc, CLASS_CHUNK } from '../arena.ts';
import * as L from '../layout.ts';
import type { Machine } from '../machine.ts';
import {
  blockOf,
  F_INDEX,
  F_MAPCOUNT,
  F_MAPPING,
  F_STAMP,
  F_STATE,
  F_SWAP_SLOT,
  FRAME_WORDS,
  TYPE_ANON,
  TYPE_MORSEL,
  TYPE_OBJECT,
} from './frame-record.ts';

/**
 * A pageblock's state word:
 *   bits 0-3  migrate type
 *   bits 4-7  order (9 or 10) if the block heads a free block of that order, else 0
 *   bits 8-11 extent: all 512 frames are one thing, without records of their own
 *   bits 12-15 zone, 15 for memory that is not online
 *   bit  16   compaction found nothing here lately (PB_migrate_skip)
 *   bit  17   one page of 2 MiB (folio.ts)
 *   bit  18   kept together for a region (reservation.ts)
 *   bit  19   waits to be split (folio.ts)
 *   bits 20-23 migrate type from before the block was isolated
 */
export const MIGRATE_UNMOVABLE = 0;
export const MIGRATE_MOVABLE = 1;
export const MIGRATE_RECLAIMABLE = 2;
/** Free frames of the block are given to nobody: it is about to go offline. */
export const MIGRATE_ISOLATE = 3;

export const EXTENT_NONE = 0;
export const EXTENT_ANON = 1;
export const EXTENT_OBJECT = 2;
/** 512 page-table pages of a uniform table (tables/uniform.ts). */
export const EXTENT_TABLES = 3;
/** 512 pages of a Morsel (mechanisms/morsels). */
export const EXTENT_MORSEL = 4;
/** A page of the hugetlb pool, free or not (hugetlb/pool.ts). */
export const EXTENT_HUGETLB = 5;
/** Memory that is there but not in use (a memory block that is offline). */
export const EXTENT_OFFLINE = 6;
/** No memory is there: room for hot-plug. */
export const EXTENT_ABSENT = 7;

/** Zone of a pageblock that is in none. */
export const NO_ZONE = 15;

const ORDER_SHIFT = 4;
const EXTENT_SHIFT = 8;
const ZONE_SHIFT = 12;
const SKIP_BIT = 1 << 16;
const OLD_TYPE_SHIFT = 20;

export function blockMigrateType(m: Machine, block: number): number {
  return m.words[block + L.B_STATE] & 15;
}

export function setBlockMigrateType(m: Machine, block: number, type: number): void {
  m.words[block + L.B_STATE] = (m.words[block + L.B_STATE] & ~15) | type;
}

export function blockFreeOrder(m: Machine, block: number): number {
  return (m.words[block + L.B_STATE] >> ORDER_SHIFT) & 15;
}

export function setBlockFreeOrder(m: Machine, block: number, order: number): void {
  const w = m.words;
  w[block + L.B_STATE] = (w[block + L.B_STATE] & ~(15 << ORDER_SHIFT)) | (order << ORDER_SHIFT);
}

export function blockExtent(m: Machine, block: number): number {
  return (m.words[block + L.B_STATE] >> EXTENT_SHIFT) & 15;
}

export function setBlockExtent(m: Machine, block: number, extent: number): void {
  const w = m.words;
  w[block + L.B_STATE] = (w[block + L.B_STATE] & ~(15 << EXTENT_SHIFT)) | (extent << EXTENT_SHIFT);
}

export function blockZone(m: Machine, block: number): number {
  return (m.words[block + L.B_STATE] >> ZONE_SHIFT) & 15;
}

/** The state of a movable block at the machine's start. */
export function formatBlock(m: Machine, block: number, extent: number, zone: number): void {
  m.words[block + L.B_STATE] = MIGRATE_MOVABLE | (extent << EXTENT_SHIFT) | (zone << ZONE_SHIFT);
}

export function setBlockZone(m: Machine, block: number, zone: number): void {
  const w = m.words;
  w[block + L.B_STATE] = (w[block + L.B_STATE] & ~(15 << ZONE_SHIFT)) | (zone << ZONE_SHIFT);
}

/** True if the block's memory is online. */
export function isBlockOnline(m: Machine, block: number): boolean {
  return blockExtent(m, block) < EXTENT_OFFLINE;
}

/** Compaction's mark: the block's last scan found nothing to move, or nothing free. */
export function isBlockSkipped(m: Machine, block: number): boolean {
  return (m.words[block + L.B_STATE] & SKIP_BIT) !== 0;
}

export function setBlockSkipped(m: Machine, block: number, isSkipped: boolean): void {
  const w = m.words;
  if (isSkipped) w[block + L.B_STATE] |= SKIP_BIT;
  else w[block + L.B_STATE] &= ~SKIP_BIT;
}

/** MIGRATE_ISOLATE as the block's type, or the type from before that again. */
export function setBlockIsolated(m: Machine, block: number, isIsolated: boolean): void {
  const w = m.words;
  const type = blockMigrateType(m, block);
  if (isIsolated) {
    const state = w[block + L.B_STATE] & ~(15 << OLD_TYPE_SHIFT);
    w[block + L.B_STATE] = state | (type << OLD_TYPE_SHIFT);
    setBlockMigrateType(m, block, MIGRATE_ISOLATE);
  } else if (type === MIGRATE_ISOLATE) {
    setBlockMigrateType(m, block, (w[block + L.B_STATE] >> OLD_TYPE_SHIFT) & 15);
  }
}

/** Gives the block records for its frames, all of type "tail". */
export function attachChunk(m: Machine, block: number): number {
  const w = m.words;
  if (m.isShared) m.lock(m.arenaLock);
  let chunk = w[L.H_SPARE_CHUNKS];
  if (chunk !== 0) w[L.H_SPARE_CHUNKS] = w[chunk + F_MAPCOUNT];
  if (m.isShared) m.unlock(m.arenaLock);
  if (chunk === 0) {
    // Chunks never leave for another purpose, so a fresh one is zero and a spare one has zero states.
    chunk = arenaAlloc(m, CLASS_CHUNK);
  }
  w[block + L.B_CHUNK] = chunk;
  return chunk;
}

/** Takes the records away again; every state word must be "tail". */
export function detachChunk(m: Machine, block: number): void {
  const w = m.words;
  const chunk = w[block + L.B_CHUNK];
  w[block + L.B_CHUNK] = 0;
  if (m.isShared) m.lock(m.arenaLock);
  w[chunk + F_MAPCOUNT] = w[L.H_SPARE_CHUNKS];
  w[L.H_SPARE_CHUNKS] = chunk;
  if (m.isShared) m.unlock(m.arenaLock);
}

/** Whose the frames of an extent are, from which page on (32 bits), and how often mapped. */
export function formatExtent(
  m: Machine,
  block: number,
  mapping: number,
  index: number,
  mapCount: number,
): void {
  const w = m.words;
  w[block + L.B_MAPPING] = mapping;
  w[block + L.B_INDEX] = index;
  w[block + L.B_MAPCOUNT] = mapCount;
  w[block + L.B_STAMP] = w[m.cpuAt + L.CPU_CLOCK]++;
}

function typeOfExtent(extent: number): number {
  if (extent === EXTENT_ANON) return TYPE_ANON;
  return extent === EXTENT_MORSEL ? TYPE_MORSEL : TYPE_OBJECT;
}

/**
 * Breaks an extent into 512 frames with records of their own that say the same. Nothing changes
 * for whoever maps them: entries name frames, and each frame is mapped as often as the extent was.
 */
export function breakExtent(m: Machine, pfn: number): void {
  const w = m.words;
  const block = blockOf(m, pfn);
  const type = typeOfExtent(blockExtent(m, block));
  const chunk = attachChunk(m, block);
  for (let i = 0; i < L.BLOCK_FRAMES; i++) {
    const rec = chunk + i * FRAME_WORDS;
    w[rec + F_STATE] = type;
    w[rec + F_MAPCOUNT] = w[block + L.B_MAPCOUNT];
    w[rec + F_MAPPING] = w[block + L.B_MAPPING];
    w[rec + F_INDEX] = (w[block + L.B_INDEX] + i) | 0;
    w[rec + F_STAMP] = w[block + L.B_STAMP];
    w[rec + F_SWAP_SLOT] = 0;
  }
  setBlockExtent(m, block, EXTENT_NONE);
  // Of a huge page: how many of its frames are mapped.
  w[block + L.B_MAPCOUNT] = L.BLOCK_FRAMES;
}
