import { B_CHUNK, B_MAPCOUNT, BLOCK_FRAMES } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { lockSwap, swapCacheForget, unlockSwap } from '../objects/swap.ts';
import { freeExtent } from './alloc.ts';
import { isFolio, unmapFolioFrame, unmarkFolio } from './folio.ts';
import {
  blockOf,
  F_MAPCOUNT,
  F_STATE,
  F_SWAP_SLOT,
  FRAME_DIRTY,
  FRAME_ORPHAN,
  FRAME_WORDS,
  frameRecord,
  setFrameFlags,
  TYPE_ANON,
  TYPE_MASK,
} from './frame-record.ts';
import { blockExtent, breakExtent, EXTENT_ANON, EXTENT_NONE } from './pageblock.ts';
import { freeToPcp } from './pcp.ts';
import { depopulate, isReserved } from './reservation.ts';
import { smallFolioOrder, unmapSmallFolioFrame } from './small-folio.ts';

/**
 * How often a frame is mapped, and what happens when the last mapping goes: an anonymous frame is
 * freed, an object's frame stays in its object.
 */

/** Record of a frame that may lie in an extent, which is then broken up. */
export function ensureRecord(m: Machine, pfn: number): number {
  const block = blockOf(m, pfn);
  if (m.words[block + B_CHUNK] === 0) breakExtent(m, pfn);
  return m.words[block + B_CHUNK] + (pfn & (BLOCK_FRAMES - 1)) * FRAME_WORDS;
}

export function addMapping(m: Machine, pfn: number): void {
  const at = ensureRecord(m, pfn) + F_MAPCOUNT;
  if (m.isShared) Atomics.add(m.words, at, 1);
  else m.words[at] += 1;
}

/** One mapping less; frees an anonymous frame that nobody maps any more. */
export function dropMapping(m: Machine, pfn: number): void {
  const w = m.words;
  const rec = ensureRecord(m, pfn);
  if (m.isShared) {
    dropMappingShared(m, pfn, rec);
    return;
  }
  const count = w[rec + F_MAPCOUNT] - 1;
  w[rec + F_MAPCOUNT] = count;
  if (count === 0 && isFreedWithLastMapping(m, rec)) freeAnon(m, pfn, rec);
}

/** Anonymous frames, and those that their object has given up while they were mapped. */
function isFreedWithLastMapping(m: Machine, rec: number): boolean {
  const state = m.words[rec + F_STATE];
  return (state & TYPE_MASK) === TYPE_ANON || (state & FRAME_ORPHAN) !== 0;
}

/**
 * A frame in the swap cache could be found there, and mapped anew, in the moment between its last
 * mapping and its end: for such a frame both are one step under the swap lock.
 */
function dropMappingShared(m: Machine, pfn: number, rec: number): void {
  const w = m.words;
  const isCached = w[rec + F_SWAP_SLOT] !== 0;
  if (isCached) lockSwap(m);
  const isLast = Atomics.sub(w, rec + F_MAPCOUNT, 1) === 1;
  const isFreed = isLast && isFreedWithLastMapping(m, rec);
  if (isFreed && isCached && w[rec + F_SWAP_SLOT] !== 0) swapCacheForget(m, rec);
  if (isCached) unlockSwap(m);
  if (isFreed) freeAnon(m, pfn, rec);
}

/** Frees an anonymous frame that nothing maps; a copy in swap stays with its other users. */
export function freeAnon(m: Machine, pfn: number, rec: number): void {
  if (m.words[rec + F_SWAP_SLOT] !== 0) {
    lockSwap(m);
    swapCacheForget(m, rec);
    unlockSwap(m);
  }
  const block = blockOf(m, pfn);
  if (isFolio(m, block)) unmapFolioFrame(m, rec, block);
  else if (isReserved(m, block)) depopulate(m, rec, block);
  else if (smallFolioOrder(m, rec) > 0) unmapSmallFolioFrame(m, pfn, rec, smallFolioOrder(m, rec));
  else freeToPcp(m, pfn, rec);
}

/** The page was written through a mapping. */
export function markFrameDirty(m: Machine, pfn: number): void {
  setFrameFlags(m, ensureRecord(m, pfn), FRAME_DIRTY);
}

/**
 * `change` more (or less) mappings of [pfn, pfn + frames): whole extents by their block, others
 * frame by frame. Frames without any mapping are freed as in `dropMapping`.
 */
export function changeRunMappings(m: Machine, pfn: number, frames: number, change: 1 | -1): void {
  const w = m.words;
  const end = pfn + frames;
  for (let p = pfn; p < end; ) {
    const block = blockOf(m, p);
    const isWholeBlock = (p & (BLOCK_FRAMES - 1)) === 0 && p + BLOCK_FRAMES <= end;
    if (isWholeBlock && blockExtent(m, block) !== EXTENT_NONE) {
      w[block + B_MAPCOUNT] += change;
      if (w[block + B_MAPCOUNT] === 0 && blockExtent(m, block) === EXTENT_ANON) {
        unmarkFolio(m, block);
        freeExtent(m, p);
      }
      p += BLOCK_FRAMES;
      continue;
    }
    if (change === 1) addMapping(m, p);
    else dropMapping(m, p);
    p++;
  }
}

/** How often the frame is mapped. */
export function mapCount(m: Machine, pfn: number): number {
  const block = blockOf(m, pfn);
  if (m.words[block + B_CHUNK] === 0) return m.words[block + B_MAPCOUNT];
  return m.words[frameRecord(m, pfn) + F_MAPCOUNT];
}
