import * as L from '../layout.ts';
import type { Machine } from '../machine.ts';
import { zoneAt } from './zones.ts';

/**
 * How broken up free memory is, seen from one order (mm/vmstat.c), from the number of free blocks of
 * each order: a zone's of the machine, or a line of /proc/buddyinfo. Three measures that are easily
 * taken for one another:
 *
 *   fragmentationIndex   why an allocation would fail: towards 0 too little memory, towards 1000
 *                        fragmentation; -1000: it would not (/sys/kernel/debug/extfrag/extfrag_index)
 *   unusableIndex        part of free memory that is in blocks too small, 0 to 1000 (unusable_index)
 *   externalFragmentation  the same as 0 to 100 (extfrag_for_order); Ingens calls it FMFI
 */
export interface FreeInfo {
  /** Free frames, and free blocks of all orders. */
  frames: number;
  blocks: number;
  /** Free blocks of the order, larger ones counted as several. */
  suitable: number;
}

/** vm.extfrag_threshold: up to there a failure is put down to too little memory. */
export const EXTFRAG_THRESHOLD: number = 500;
/** PAGE_ALLOC_COSTLY_ORDER. */
const COSTLY_ORDER = 3;

/** fill_contig_page_info: `counts[o]` is the number of free blocks of order o. */
export function freeInfoOf(counts: ArrayLike<number>, order: number): FreeInfo {
  const info: FreeInfo = { frames: 0, blocks: 0, suitable: 0 };
  for (let o = 0; o < counts.length; o++) {
    const blocks = counts[o] as number;
    info.blocks += blocks;
    info.frames += blocks * 2 ** o;
    if (o >= order) info.suitable += blocks * 2 ** (o - order);
  }
  return info;
}

/**
 * __fragmentation_index: -1000, or a number up to 1000; below 0 but not -1000 where few blocks are
 * left that are nearly large enough.
 */
export function fragmentationIndexOf(info: FreeInfo, order: number): number {
  const { frames, blocks, suitable } = info;
  if (blocks === 0) return 0;
  if (suitable > 0) return -1000;
  const wanted = Math.floor((frames * 1000) / 2 ** order);
  return 1000 - Math.floor((1000 + wanted) / blocks);
}

/** unusable_free_index: 0 to 1000. No free memory counts as all of it unusable. */
export function unusableIndexOf({ frames, suitable }: FreeInfo, order: number): number {
  if (frames === 0) return 1000;
  return Math.floor(((frames - suitable * 2 ** order) * 1000) / frames);
}

/** extfrag_for_order: 0 to 100. */
export function externalFragmentationOf({ frames, suitable }: FreeInfo, order: number): number {
  if (frames === 0) return 0;
  return Math.floor(((frames - suitable * 2 ** order) * 100) / frames);
}

/** Why a zone is not compacted, or 'continue' (compaction_suit_allocation_order). */
export type Suitability = 'continue' | 'success' | 'skipped';

/**
 * `success`: there is a block already. `skipped`: fewer free frames than the watermark and twice the
 * order, or the lack of a block is a lack of memory (fragmentation index up to 500).
 * `markFrames`: the low watermark above order 3, else min, with what the zone keeps back from the
 * allocation (lowmem_reserve).
 */
export function compactionSuitabilityOf(
  info: FreeInfo,
  order: number,
  freeFrames: number,
  markFrames: number,
): Suitability {
  if (info.suitable > 0 && freeFrames - 2 ** order + 1 > markFrames) return 'success';
  if (freeFrames <= markFrames + 2 * 2 ** order) return 'skipped';
  if (order <= COSTLY_ORDER) return 'continue';
  const index = fragmentationIndexOf(info, order);
  return index >= 0 && index <= EXTFRAG_THRESHOLD ? 'skipped' : 'continue';
}

/** The watermark that compaction for an order looks at: `isCostly` ones want the low one. */
export function isCostlyOrder(order: number): boolean {
  return order > COSTLY_ORDER;
}

/** A zone of the machine. */
export function zoneFreeInfo(m: Machine, zone: number, order: number): FreeInfo {
  const counts = zoneAt(m, zone) + L.Z_COUNTS;
  return freeInfoOf(m.words.subarray(counts, counts + L.MAX_ORDER + 1), order);
}

/** Free blocks of 2^order frames that could be had at once. */
export function freeBlocksOf(m: Machine, zone: number, order: number): number {
  return zoneFreeInfo(m, zone, order).suitable;
}

export function fragmentationIndex(m: Machine, zone: number, order: number): number {
  return fragmentationIndexOf(zoneFreeInfo(m, zone, order), order);
}

export function unusableIndex(m: Machine, zone: number, order: number): number {
  return unusableIndexOf(zoneFreeInfo(m, zone, order), order);
}

export function externalFragmentation(m: Machine, zone: number, order: number): number {
  return externalFragmentationOf(zoneFreeInfo(m, zone, order), order);
}
