import { allocFrameInReclaim } from '../frames/alloc.ts';
import {
  F_MAPCOUNT,
  F_NEXT,
  F_PREV,
  F_STATE,
  frameRecord,
  TYPE_ZPOOL,
} from '../frames/frame-record.ts';
import { MIGRATE_UNMOVABLE } from '../frames/pageblock.ts';
import { freeToPcp } from '../frames/pcp.ts';
import type { Machine } from '../machine.ts';

/**
 * Memory for compressed things: frames cut into objects of one size, after zsmalloc (mm/zsmalloc.c),
 * with classes 32 bytes apart and one frame a zspage. A frame's record says the class and how many
 * objects are in use; frames with room are on a list of their class. Which object of a frame is
 * used is not modelled, nor are contents: those are the caller's. Its frames do not move (zsmalloc's
 * can: zs_page_migrate).
 */
export const ZPOOL_UNIT_BYTES = 32;
/** Objects larger than half a frame would save nothing. */
export const ZPOOL_MAX_UNITS = 64;
/** Words of a pool: frames in use, then the heads of the lists by units. */
export const ZPOOL_FRAMES = 0;
const ZPOOL_HEADS = 1;
export const ZPOOL_WORDS: number = ZPOOL_HEADS + ZPOOL_MAX_UNITS + 1;

/** Units that an object of so many bytes takes. */
export function zpoolUnits(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / ZPOOL_UNIT_BYTES));
}

function objectsPerFrame(units: number): number {
  return Math.floor(4096 / (units * ZPOOL_UNIT_BYTES));
}

/**
 * Room for an object in the pool at `pool`: the frame it lies in, or 0. A new frame comes without
 * reclaim, as this serves reclaim.
 */
export function zpoolAlloc(m: Machine, pool: number, units: number): number {
  const w = m.words;
  const head = pool + ZPOOL_HEADS + units;
  let pfn = w[head];
  if (pfn === 0) {
    pfn = allocFrameInReclaim(m, MIGRATE_UNMOVABLE);
    if (pfn === 0) return 0;
    const rec = frameRecord(m, pfn);
    w[rec + F_STATE] = TYPE_ZPOOL | (units << 8);
    w[rec + F_MAPCOUNT] = 0;
    w[rec + F_NEXT] = 0;
    w[rec + F_PREV] = 0;
    w[head] = pfn;
    w[pool + ZPOOL_FRAMES] += 1;
  }
  const rec = frameRecord(m, pfn);
  w[rec + F_MAPCOUNT] += 1;
  if (w[rec + F_MAPCOUNT] === objectsPerFrame(units)) unlist(m, head, rec);
  return pfn;
}

/** Gives an object in the frame back; the frame goes with its last. */
export function zpoolFree(m: Machine, pool: number, pfn: number): void {
  const w = m.words;
  const rec = frameRecord(m, pfn);
  const units = w[rec + F_STATE] >> 8;
  const head = pool + ZPOOL_HEADS + units;
  const wasFull = w[rec + F_MAPCOUNT] === objectsPerFrame(units);
  w[rec + F_MAPCOUNT] -= 1;
  if (w[rec + F_MAPCOUNT] === 0) {
    if (!wasFull) unlist(m, head, rec);
    w[pool + ZPOOL_FRAMES] -= 1;
    freeToPcp(m, pfn, rec);
    return;
  }
  if (!wasFull) return;
  const next = w[head];
  w[rec + F_NEXT] = next;
  w[rec + F_PREV] = 0;
  if (next !== 0) w[frameRecord(m, next) + F_PREV] = pfn;
  w[head] = pfn;
}

function unlist(m: Machine, head: number, rec: number): void {
  const w = m.words;
  const next = w[rec + F_NEXT];
  const prev = w[rec + F_PREV];
  if (next !== 0) w[frameRecord(m, next) + F_PREV] = prev;
  if (prev !== 0) w[frameRecord(m, prev) + F_NEXT] = next;
  else w[head] = next;
}
