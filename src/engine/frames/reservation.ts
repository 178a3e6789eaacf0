import {
  B_CHUNK,
  B_INDEX,
  B_MAPCOUNT,
  B_MAPPING,
  B_NEXT,
  B_PREV,
  B_STAMP,
  B_STATE,
  BLOCK_FRAMES,
  BLOCK_WORDS,
  H_RESERVED_FIRST,
  H_RESERVED_LAST,
} from '../layout.ts';
import type { Machine } from '../machine.ts';
import { allocExtent, freeExtent } from './alloc.ts';
import { buddyFree } from './buddy.ts';
import {
  blockOf,
  F_STATE,
  FRAME_WORDS,
  frameRecord,
  TYPE_HELD,
  TYPE_MASK,
  TYPE_TAIL,
} from './frame-record.ts';
import {
  attachChunk,
  blockZone,
  detachChunk,
  EXTENT_ANON,
  EXTENT_NONE,
  setBlockExtent,
} from './pageblock.ts';
import { zoneAt } from './zones.ts';

/**
 * A reservation: 2 MiB of frames that are kept together for the pages of one region, each at its
 * place, so that a huge page can be made of them without a copy (Navarro et al., OSDI 2002; FreeBSD,
 * sys/vm/vm_reserv.c). Frames whose page is not there yet are of TYPE_HELD: nobody's, and not free.
 *
 * A reservation is a pageblock with RESERVED_BIT in its state and records for its frames:
 *
 *   B_MAPPING, B_INDEX  the region: an anon_vma, and the index of its first page there
 *   B_MAPCOUNT          pages that are there (popcnt)
 *   B_STAMP             tick of its last change
 *   B_NEXT, B_PREV      the queue of partially populated ones, the least recently changed first
 *
 * Which pages are there (popmap) the frames' types say.
 */
const RESERVED_BIT = 1 << 18;

/** What reservations did and hold, in all. */
export interface ReservationState {
  /** Frames that are held for pages which are not there; the most there ever were. */
  heldFrames: number;
  heldPeakFrames: number;
  /** Reservations that stand. */
  standing: number;
  /** Made; broken for want of memory, or as a page had to move; gone with their last page. */
  made: number;
  broken: number;
  emptied: number;
  /** The time in the queue's units (ticks), or -1 where nobody says: then each change counts. */
  tick: number;
}

export function noReservations(): ReservationState {
  return {
    heldFrames: 0,
    heldPeakFrames: 0,
    standing: 0,
    made: 0,
    broken: 0,
    emptied: 0,
    tick: -1,
  };
}

export function isReserved(m: Machine, block: number): boolean {
  return (m.words[block + B_STATE] & RESERVED_BIT) !== 0;
}

/** A new reservation without any page, for `populate`; its block, or 0 where no 2 MiB are free. */
export function reserve(m: Machine, mapping: number, index: number): number {
  const pfn = allocExtent(m, EXTENT_ANON);
  if (pfn === 0) return 0;
  const w = m.words;
  const block = blockOf(m, pfn);
  setBlockExtent(m, block, EXTENT_NONE);
  w[block + B_STATE] |= RESERVED_BIT;
  w[block + B_MAPPING] = mapping;
  w[block + B_INDEX] = index;
  w[block + B_MAPCOUNT] = 0;
  const chunk = attachChunk(m, block);
  for (let i = 0; i < BLOCK_FRAMES; i++) w[chunk + i * FRAME_WORDS + F_STATE] = TYPE_HELD;
  const state = m.reservations;
  state.made += 1;
  state.standing += 1;
  state.heldFrames += BLOCK_FRAMES;
  state.heldPeakFrames = Math.max(state.heldPeakFrames, state.heldFrames);
  enqueue(m, block);
  return block;
}

/** The frame at a place of a reservation, which its caller makes a page now; 0 if it is one. */
export function populate(m: Machine, block: number, place: number): number {
  const w = m.words;
  const rec = w[block + B_CHUNK] + place * FRAME_WORDS;
  if ((w[rec + F_STATE] & TYPE_MASK) !== TYPE_HELD) return 0;
  w[rec + F_STATE] = TYPE_TAIL;
  w[block + B_MAPCOUNT] += 1;
  m.reservations.heldFrames -= 1;
  if (w[block + B_MAPCOUNT] === BLOCK_FRAMES) dequeue(m, block);
  else changed(m, block);
  return firstFrame(m, block) + place;
}

/** The page of a frame went: it is held again, and all is free with the last of them. */
export function depopulate(m: Machine, rec: number, block: number): void {
  const w = m.words;
  w[rec + F_STATE] = TYPE_HELD;
  w[block + B_MAPCOUNT] -= 1;
  const state = m.reservations;
  state.heldFrames += 1;
  state.heldPeakFrames = Math.max(state.heldPeakFrames, state.heldFrames);
  if (w[block + B_MAPCOUNT] === BLOCK_FRAMES - 1) enqueue(m, block);
  else changed(m, block);
  if (w[block + B_MAPCOUNT] > 0) return;
  dequeue(m, block);
  state.emptied += 1;
  state.standing -= 1;
  state.heldFrames -= BLOCK_FRAMES;
  const chunk = w[block + B_CHUNK];
  for (let i = 0; i < BLOCK_FRAMES; i++) w[chunk + i * FRAME_WORDS + F_STATE] = TYPE_TAIL;
  detachChunk(m, block);
  w[block + B_STATE] &= ~RESERVED_BIT;
  freeExtent(m, firstFrame(m, block));
}

/** Ends a reservation: what is held comes free, its pages stay where they are; how many frames. */
function breakReservation(m: Machine, block: number): number {
  const w = m.words;
  const z = zoneAt(m, blockZone(m, block));
  const first = firstFrame(m, block);
  const held = BLOCK_FRAMES - w[block + B_MAPCOUNT];
  if (held > 0) dequeue(m, block);
  w[block + B_STATE] &= ~RESERVED_BIT;
  for (let pfn = first; pfn < first + BLOCK_FRAMES; pfn++) {
    const rec = frameRecord(m, pfn);
    if ((w[rec + F_STATE] & TYPE_MASK) !== TYPE_HELD) continue;
    w[rec + F_STATE] = TYPE_TAIL;
    buddyFree(m, z, pfn, 0);
  }
  const state = m.reservations;
  state.broken += 1;
  state.standing -= 1;
  state.heldFrames -= held;
  return held;
}

/** The same for the reservation that a frame belongs to, if it does: one of its pages is to move. */
export function breakReservationOf(m: Machine, pfn: number): void {
  const block = blockOf(m, pfn);
  if (isReserved(m, block)) breakReservation(m, block);
}

/**
 * Breaks partially populated reservations, the least recently changed first, until so many frames
 * are free (vm_reserv_reclaim_inactive, called until an allocation succeeds); how many.
 */
export function breakReservations(m: Machine, want: number): number {
  let freed = 0;
  while (freed < want && m.words[H_RESERVED_FIRST] !== 0) {
    freed += breakReservation(m, m.words[H_RESERVED_FIRST]);
  }
  return freed;
}

function firstFrame(m: Machine, block: number): number {
  return ((block - m.blocksAt) / BLOCK_WORDS) * BLOCK_FRAMES;
}

/** To the queue's end, at most once a tick (PARTPOPSLOP). */
function changed(m: Machine, block: number): void {
  const { tick } = m.reservations;
  if (tick >= 0 && m.words[block + B_STAMP] === tick) return;
  dequeue(m, block);
  enqueue(m, block);
}

function enqueue(m: Machine, block: number): void {
  const w = m.words;
  const last = w[H_RESERVED_LAST];
  w[block + B_STAMP] = m.reservations.tick;
  w[block + B_NEXT] = 0;
  w[block + B_PREV] = last;
  if (last !== 0) w[last + B_NEXT] = block;
  else w[H_RESERVED_FIRST] = block;
  w[H_RESERVED_LAST] = block;
}

function dequeue(m: Machine, block: number): void {
  const w = m.words;
  const next = w[block + B_NEXT];
  const prev = w[block + B_PREV];
  if (prev !== 0) w[prev + B_NEXT] = next;
  else w[H_RESERVED_FIRST] = next;
  if (next !== 0) w[next + B_PREV] = prev;
  else w[H_RESERVED_LAST] = prev;
}
