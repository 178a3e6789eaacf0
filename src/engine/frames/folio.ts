import { B_CHUNK, B_MAPCOUNT, B_STATE, BLOCK_FRAMES, BLOCK_WORDS } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { dequeueFolio, enqueueFolio, firstQueued, isBlockId, nextQueued } from './folio-queue.ts';
import {
  blockOf,
  F_MAPCOUNT,
  F_STATE,
  FRAME_WORDS,
  frameRecord,
  TYPE_FOLIO,
  TYPE_MASK,
} from './frame-record.ts';
import { freeToPcp } from './pcp.ts';
import { smallFolioOrder, splitSmallFolio, unmappedOf } from './small-folio.ts';

/**
 * 2 MiB that were taken as one page (a folio of order 9). Its mapping may be split into small ones
 * and a part of those taken away: the frames of that part stay in use, though nothing maps them, until
 * the page itself is split, which Linux puts off till memory is short (deferred_split_folio,
 * mm/huge_memory.c). That is why memory given back by halves does not come free under huge pages, and
 * why RSS does not show it.
 *
 * A folio is a pageblock with FOLIO_BIT in its state. While its frames have no records it is one
 * extent; afterwards its B_MAPCOUNT is the number of its frames that are mapped, and those that are
 * not are of TYPE_FOLIO. From the first of them on it waits in a queue, oldest first; those that may be
 * mostly zeros wait there from the start (huge/deferred-split.ts).
 */
const FOLIO_BIT = 1 << 17;
const QUEUED_BIT = 1 << 19;

export function isFolio(m: Machine, block: number): boolean {
  return (m.words[block + B_STATE] & FOLIO_BIT) !== 0;
}

/** The extent that was just taken is one page. */
export function markFolio(m: Machine, block: number): void {
  m.words[block + B_STATE] |= FOLIO_BIT;
}

/** The block is about to be freed as a whole. */
export function unmarkFolio(m: Machine, block: number): void {
  takeOffQueue(m, block);
  m.words[block + B_STATE] &= ~FOLIO_BIT;
}

/** Waits to be split, unless it does already. */
export function putOnQueue(m: Machine, block: number): void {
  if ((m.words[block + B_STATE] & QUEUED_BIT) !== 0) return;
  m.words[block + B_STATE] |= QUEUED_BIT;
  enqueueFolio(m, block);
}

export function takeOffQueue(m: Machine, block: number): void {
  if ((m.words[block + B_STATE] & QUEUED_BIT) === 0) return;
  m.words[block + B_STATE] &= ~QUEUED_BIT;
  dequeueFolio(m, block);
}

/** Some of its frames are mapped no more. */
export function isPartlyUnmapped(m: Machine, block: number): boolean {
  return m.words[block + B_CHUNK] !== 0 && m.words[block + B_MAPCOUNT] < BLOCK_FRAMES;
}

/** The last mapping of one of a folio's frames went. The whole is free with the last of all. */
export function unmapFolioFrame(m: Machine, rec: number, block: number): void {
  const w = m.words;
  w[rec + F_STATE] = TYPE_FOLIO;
  w[rec + F_MAPCOUNT] = 0;
  w[block + B_MAPCOUNT] -= 1;
  putOnQueue(m, block);
  if (w[block + B_MAPCOUNT] === 0) splitFolio(m, block);
}

/** The page becomes 512 small ones, of which those that nothing maps are free; how many. */
function splitFolio(m: Machine, block: number): number {
  const w = m.words;
  m.events.folioSplit?.(m, ((block - m.blocksAt) / BLOCK_WORDS) * BLOCK_FRAMES);
  const hasUnmapped = isPartlyUnmapped(m, block);
  unmarkFolio(m, block);
  if (!hasUnmapped) return 0;
  const chunk = w[block + B_CHUNK];
  const base = ((block - m.blocksAt) / BLOCK_WORDS) * BLOCK_FRAMES;
  let freed = 0;
  for (let i = 0; i < BLOCK_FRAMES; i++) {
    const rec = chunk + i * FRAME_WORDS;
    if ((w[rec + F_STATE] & TYPE_MASK) !== TYPE_FOLIO) continue;
    freeToPcp(m, base + i, rec);
    freed++;
  }
  return freed;
}

/**
 * The same for the folio, of any size, that a frame belongs to; 0 where it belongs to none. What acts on
 * single pages needs it, and where contents are known does it by `splitHugePage` (huge/split-page.ts).
 */
export function splitFolioOf(m: Machine, pfn: number): number {
  const frames = folioFrames(m, pfn);
  if (frames === 1) return 0;
  if (frames === BLOCK_FRAMES) return splitFolio(m, blockOf(m, pfn));
  return splitSmallFolio(m, pfn & -frames, 31 - Math.clz32(frames));
}

/** Frames of the folio that a frame belongs to, 1 for a single page. */
export function folioFrames(m: Machine, pfn: number): number {
  const block = blockOf(m, pfn);
  if (isFolio(m, block)) return BLOCK_FRAMES;
  if (m.words[block + B_CHUNK] === 0) return 1;
  return 1 << smallFolioOrder(m, frameRecord(m, pfn));
}

/** Frames in use that nothing maps, of all folios that wait to be split. */
export function unmappedFolioFrames(m: Machine): number {
  let frames = 0;
  for (let id = firstQueued(m); id !== 0; id = nextQueued(m, id)) {
    if (!isBlockId(m, id)) frames += unmappedOf(m, id);
    else if (isPartlyUnmapped(m, id)) frames += BLOCK_FRAMES - m.words[id + B_MAPCOUNT];
  }
  return frames;
}
