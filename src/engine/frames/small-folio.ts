import type { Machine } from '../machine.ts';
import { buddyFree } from './buddy.ts';
import { dequeueFolio, enqueueFolio } from './folio-queue.ts';
import {
  blockOf,
  F_MAPCOUNT,
  F_NEXT,
  F_STATE,
  FRAME_WORDS,
  frameRecord,
  TYPE_ANON,
  TYPE_FOLIO,
  TYPE_MASK,
  TYPE_TAIL,
} from './frame-record.ts';
import { blockZone } from './pageblock.ts';
import { freeToPcp } from './pcp.ts';
import { zoneAt } from './zones.ts';

/**
 * Pages of 16 KiB to 1 MiB (mTHP): folios of order 2 to 8, mapped by ordinary entries. As with those of
 * 2 MiB (folio.ts), what is unmapped of one stays in use until the whole is, or until it is split.
 *
 * Bits 4 to 7 of each of its frames' F_STATE are its order. How many of its frames are mapped stands in
 * F_NEXT of its second frame, the number of its first frame in F_NEXT of its third; the links of the
 * queue are those of its first.
 */
const ORDER_SHIFT = 4;
const ORDER_MASK = 15 << ORDER_SHIFT;

/** Order of the small folio that a frame belongs to; 0 for any other. */
export function smallFolioOrder(m: Machine, rec: number): number {
  const state = m.words[rec + F_STATE];
  const type = state & TYPE_MASK;
  return type === TYPE_ANON || type === TYPE_FOLIO ? (state & ORDER_MASK) >> ORDER_SHIFT : 0;
}

/** The frames from `first` on, all pages that are mapped, are one folio. */
export function markSmallFolio(m: Machine, first: number, order: number): void {
  const rec = frameRecord(m, first);
  for (let i = 0; i < 1 << order; i++) {
    m.words[rec + i * FRAME_WORDS + F_STATE] |= order << ORDER_SHIFT;
  }
  m.words[rec + FRAME_WORDS + F_NEXT] = 1 << order;
  m.words[rec + 2 * FRAME_WORDS + F_NEXT] = first;
}

/** The first frame of a folio, by its record. */
export function firstFrameOf(m: Machine, head: number): number {
  return m.words[head + 2 * FRAME_WORDS + F_NEXT];
}

/** Frames of a folio that are not mapped, by the record of its first frame. */
export function unmappedOf(m: Machine, head: number): number {
  return (1 << smallFolioOrder(m, head)) - m.words[head + FRAME_WORDS + F_NEXT];
}

/** The last mapping of one of its frames went. The whole is free with the last of all. */
export function unmapSmallFolioFrame(m: Machine, pfn: number, rec: number, order: number): void {
  const w = m.words;
  const frames = 1 << order;
  const first = pfn & -frames;
  const head = frameRecord(m, first);
  const countAt = head + FRAME_WORDS + F_NEXT;
  w[rec + F_STATE] = TYPE_FOLIO | (order << ORDER_SHIFT);
  w[rec + F_MAPCOUNT] = 0;
  w[countAt] -= 1;
  if (w[countAt] > 0) {
    if (w[countAt] === frames - 1) enqueueFolio(m, head);
    return;
  }
  dequeueFolio(m, head);
  for (let i = 0; i < frames; i++) w[head + i * FRAME_WORDS + F_STATE] = TYPE_TAIL;
  buddyFree(m, zoneAt(m, blockZone(m, blockOf(m, first))), first, order);
  m.events.listsAtRest?.(m);
}

/** The folio becomes single pages, of which those that nothing maps are free; how many. */
export function splitSmallFolio(m: Machine, first: number, order: number): number {
  const w = m.words;
  const head = frameRecord(m, first);
  if (unmappedOf(m, head) > 0) dequeueFolio(m, head);
  let freed = 0;
  for (let i = 0; i < 1 << order; i++) {
    const rec = head + i * FRAME_WORDS;
    w[rec + F_STATE] &= ~ORDER_MASK;
    if ((w[rec + F_STATE] & TYPE_MASK) !== TYPE_FOLIO) continue;
    freeToPcp(m, first + i, rec);
    freed++;
  }
  return freed;
}
