import { assert } from '../../base/index.ts';
import * as L from '../layout.ts';
import type { Machine } from '../machine.ts';
import { addFree, removeFree } from './buddy.ts';
import { blockOf, F_STATE, frameRecord, TYPE_FREE, TYPE_MASK } from './frame-record.ts';
import {
  blockFreeOrder,
  blockMigrateType,
  blockZone,
  EXTENT_NONE,
  EXTENT_OFFLINE,
  NO_ZONE,
  setBlockExtent,
  setBlockIsolated,
  setBlockMigrateType,
  setBlockSkipped,
  setBlockZone,
} from './pageblock.ts';
import { zoneAt } from './zones.ts';

/**
 * Isolation of a range (mm/page_isolation.c): its pageblocks become MIGRATE_ISOLATE, so that free
 * frames in it are given to nobody, and frames that are freed in it stay there. A range is whole
 * pieces of 4 MiB, so no free block reaches beyond it. As since Linux 6.17, the migrate type from
 * before is kept beside the isolation.
 */

/** Order of the free block that the frame heads, or -1. */
export function freeHeadOrder(m: Machine, pfn: number): number {
  const block = blockOf(m, pfn);
  if ((pfn & (L.BLOCK_FRAMES - 1)) === 0 && blockFreeOrder(m, block) > 0) {
    return blockFreeOrder(m, block);
  }
  if (m.words[block + L.B_CHUNK] === 0) return -1;
  const state = m.words[frameRecord(m, pfn) + F_STATE];
  return (state & TYPE_MASK) === TYPE_FREE ? state >> 4 : -1;
}

/** Marks [start, end) as isolated; its free frames leave the zone's count. */
export function isolateRange(m: Machine, start: number, end: number): void {
  retype(m, start, end, true);
}

/** The range's free frames are anybody's again, of the migrate type that they had. */
export function undoIsolateRange(m: Machine, start: number, end: number): void {
  retype(m, start, end, false);
}

function retype(m: Machine, start: number, end: number, isIsolated: boolean): void {
  assert((start & 1023) === 0 && (end & 1023) === 0, 'a range of whole 4 MiB');
  const free = takeFreeBlocks(m, start, end);
  for (let pfn = start; pfn < end; pfn += L.BLOCK_FRAMES) {
    setBlockIsolated(m, blockOf(m, pfn), isIsolated);
    setBlockSkipped(m, blockOf(m, pfn), false);
  }
  const z = zoneAt(m, blockZone(m, blockOf(m, start)));
  for (const { pfn, order } of free) {
    addFree(m, z, pfn, order, blockMigrateType(m, blockOf(m, pfn)));
    m.words[z + L.Z_FREE] += isIsolated ? -(1 << order) : 1 << order;
  }
}

interface FreeBlock {
  readonly pfn: number;
  readonly order: number;
}

function takeFreeBlocks(m: Machine, start: number, end: number): FreeBlock[] {
  const found: FreeBlock[] = [];
  const z = zoneAt(m, blockZone(m, blockOf(m, start)));
  for (let pfn = start; pfn < end; ) {
    const order = freeHeadOrder(m, pfn);
    if (order >= 0) {
      removeFree(m, z, pfn, order, blockMigrateType(m, blockOf(m, pfn)));
      found.push({ pfn, order });
    }
    pfn += order >= 0 ? 1 << order : 1;
  }
  return found;
}

/** True if every frame of an isolated range is on a free list (test_pages_isolated). */
export function isRangeAllFree(m: Machine, start: number, end: number): boolean {
  for (let pfn = start; pfn < end; ) {
    const order = freeHeadOrder(m, pfn);
    if (order < 0) return false;
    pfn += 1 << order;
  }
  return true;
}

/** Takes an isolated, wholly free range out of its zone (__offline_isolated_pages). */
export function takeRangeOffline(m: Machine, start: number, end: number): void {
  takeFreeBlocks(m, start, end);
  for (let pfn = start; pfn < end; pfn += L.BLOCK_FRAMES) {
    const block = blockOf(m, pfn);
    setBlockIsolated(m, block, false);
    setBlockExtent(m, block, EXTENT_OFFLINE);
    setBlockZone(m, block, NO_ZONE);
  }
}

/** Gives the range to a zone as free frames (online_pages_range); it was offline. */
export function bringRangeOnline(
  m: Machine,
  zone: number,
  start: number,
  end: number,
  type: number,
): void {
  const z = zoneAt(m, zone);
  for (let pfn = start; pfn < end; pfn += L.BLOCK_FRAMES) {
    const block = blockOf(m, pfn);
    setBlockExtent(m, block, EXTENT_NONE);
    setBlockZone(m, block, zone);
    setBlockMigrateType(m, block, type);
  }
  for (let pfn = end - 1024; pfn >= start; pfn -= 1024) addFree(m, z, pfn, L.MAX_ORDER, type);
  m.words[z + L.Z_FREE] += end - start;
}
