import * as L from '../layout.ts';
import type { Machine } from '../machine.ts';
import { zoneAt } from './zones.ts';

/**
 * How broken up a zone's free memory is, seen from one order (mm/vmstat.c). Three measures that are
 * easily taken for one another:
 *
 *   fragmentationIndex   why an allocation would fail: towards 0 too little memory, towards 1000
 *                        fragmentation; -1000: it would not (/sys/kernel/debug/extfrag/extfrag_index)
 *   unusableIndex        part of free memory that is in blocks too small, 0 to 1000 (unusable_index)
 *   externalFragmentation  the same as 0 to 100 (extfrag_for_order); Ingens calls it FMFI
 */
interface FreeInfo {
  /** Free frames, and free blocks of all orders. */
  frames: number;
  blocks: number;
  /** Free blocks of the order, larger ones counted as several. */
  suitable: number;
}

/** fill_contig_page_info. */
function freeInfo(m: Machine, zone: number, order: number): FreeInfo {
  const counts = zoneAt(m, zone) + L.Z_COUNTS;
  const info: FreeInfo = { frames: 0, blocks: 0, suitable: 0 };
  for (let o = 0; o <= L.MAX_ORDER; o++) {
    const blocks = m.words[counts + o];
    info.blocks += blocks;
    info.frames += blocks * 2 ** o;
    if (o >= order) info.suitable += blocks * 2 ** (o - order);
  }
  return info;
}

/** Free blocks of 2^order frames that could be had at once. */
export function freeBlocksOf(m: Machine, zone: number, order: number): number {
  return freeInfo(m, zone, order).suitable;
}

/** __fragmentation_index: -1000, or 0 to 1000. */
export function fragmentationIndex(m: Machine, zone: number, order: number): number {
  const { frames, blocks, suitable } = freeInfo(m, zone, order);
  if (blocks === 0) return 0;
  if (suitable > 0) return -1000;
  const wanted = Math.floor((frames * 1000) / 2 ** order);
  return 1000 - Math.floor((1000 + wanted) / blocks);
}

/** unusable_free_index: 0 to 1000. No free memory counts as all of it unusable. */
export function unusableIndex(m: Machine, zone: number, order: number): number {
  const { frames, suitable } = freeInfo(m, zone, order);
  if (frames === 0) return 1000;
  return Math.floor(((frames - suitable * 2 ** order) * 1000) / frames);
}

/** extfrag_for_order: 0 to 100. */
export function externalFragmentation(m: Machine, zone: number, order: number): number {
  const { frames, suitable } = freeInfo(m, zone, order);
  if (frames === 0) return 0;
  return Math.floor(((frames - suitable * 2 ** order) * 100) / frames);
}
