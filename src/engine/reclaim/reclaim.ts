import {
  F_MAPPING,
  F_STAMP,
  F_STATE,
  FRAME_ACTIVE,
  FRAME_REFERENCED,
  FRAME_WORDS,
  frameRecord,
  TYPE_ANON,
  TYPE_MASK,
  TYPE_OBJECT,
} from '../frames/frame-record.ts';
import { blockExtent, breakExtent, EXTENT_ANON, EXTENT_OBJECT } from '../frames/pageblock.ts';
import {
  B_CHUNK,
  BLOCK_FRAMES,
  BLOCK_WORDS,
  CPU_CLOCK,
  H_SWAP_SLOTS,
  H_SWAP_USED,
} from '../layout.ts';
import type { Machine } from '../machine.ts';
import { O_TYPE, OBJECT_SHMEM } from '../objects/object.ts';
import { RmapWalk } from '../objects/rmap.ts';
import { ENTRY_ACCESSED } from '../tables/entry.ts';
import { changeEntry, entryFlags, entryWord } from '../tables/leaf.ts';
import { pageOut } from './page-out.ts';

/**
 * Reclaim: the two-list LRU of mm/vmscan.c, one pair of lists for swap-backed pages and one for
 * files. Frames carry no list links: the order of a list is the order of its frames' stamps, and a
 * reclaim round sorts out the oldest. So a fault pays one store for the LRU, and the sort is paid
 * by whoever is short of memory, once for many pages.
 */
const LRU_SWAP_BACKED = 0;
const LRU_FILE = 1;
/** vm.swappiness: 60 against 140 weighs swap-backed pages against files'. */
const SWAPPINESS = 60;

/** Frames in the order of their stamps, worked off from the front; derived, rebuilt when used up. */
class Queue {
  frames: Int32Array = new Int32Array(0);
  at = 0;
}

/** Lets a machine reclaim when an allocation finds too little free memory. */
export function attachReclaim(m: Machine): void {
  const inactive = [new Queue(), new Queue()] as const;
  let turn = 0;
  m.events.memoryShort = (machine, frames) => {
    let freed = 0;
    // Two rounds: the first may only clear accessed bits and age pages.
    for (let round = 0; round < 4 && freed < frames; round++) {
      const hasSwap = machine.words[H_SWAP_USED] < machine.words[H_SWAP_SLOTS];
      turn = (turn + SWAPPINESS) % 200;
      const first = hasSwap && turn < SWAPPINESS ? LRU_SWAP_BACKED : LRU_FILE;
      freed += shrinkList(machine, inactive[first], first, frames - freed);
      if (freed >= frames) break;
      const other = first === LRU_FILE ? LRU_SWAP_BACKED : LRU_FILE;
      if (other === LRU_FILE || hasSwap) {
        freed += shrinkList(machine, inactive[other], other, frames - freed);
      }
    }
    return freed;
  };
}

/** shrink_inactive_list: works through the oldest frames until `want` are free. */
function shrinkList(m: Machine, queue: Queue, lru: number, want: number): number {
  const w = m.words;
  if (queue.at >= queue.frames.length) refill(m, queue, lru);
  let freed = 0;
  while (freed < want && queue.at < queue.frames.length) {
    const pfn = queue.frames[queue.at++] as number;
    const rec = frameRecord(m, pfn);
    if (rec < BLOCK_FRAMES || lruOf(m, rec) !== lru) continue;
    if ((w[rec + F_STATE] & FRAME_ACTIVE) !== 0) continue;
    if (isReferenced(m, pfn, rec)) continue;
    if (pageOut(m, pfn, rec, 0)) freed++;
  }
  return freed;
}

/** Which LRU a frame is on; -1 for frames that are on none. */
function lruOf(m: Machine, rec: number): number {
  const type = m.words[rec + F_STATE] & TYPE_MASK;
  if (type === TYPE_ANON) return LRU_SWAP_BACKED;
  if (type !== TYPE_OBJECT) return -1;
  const object = m.words[rec + F_MAPPING];
  return m.words[object + O_TYPE] === OBJECT_SHMEM ? LRU_SWAP_BACKED : LRU_FILE;
}

const walk = new RmapWalk();

/**
 * folio_check_references: clears the accessed bits; a page used for the first time stays on the
 * inactive list once more, one used again or by several goes to the active list.
 */
function isReferenced(m: Machine, pfn: number, rec: number): boolean {
  const w = m.words;
  let referenced = 0;
  walk.begin(m, pfn);
  while (walk.next(m)) {
    const flags = entryFlags(m, walk.leaf, walk.index);
    if ((flags & ENTRY_ACCESSED) === 0) continue;
    referenced++;
    const word = entryWord(m, walk.leaf, walk.index);
    changeEntry(m, walk.leaf, walk.index, flags & ~ENTRY_ACCESSED, word);
  }
  if (referenced === 0) {
    w[rec + F_STATE] &= ~FRAME_REFERENCED;
    return false;
  }
  const wasReferenced = (w[rec + F_STATE] & FRAME_REFERENCED) !== 0;
  w[rec + F_STATE] |= FRAME_REFERENCED;
  if (wasReferenced || referenced > 1) w[rec + F_STATE] |= FRAME_ACTIVE;
  w[rec + F_STAMP] = w[m.cpuAt + CPU_CLOCK]++;
  return true;
}

/**
 * Makes the queue anew: the inactive frames by stamp. If fewer than a third of the list's frames
 * are inactive, the oldest active ones join them first (shrink_active_list).
 */
function refill(m: Machine, queue: Queue, lru: number): void {
  const inactive: number[] = [];
  const active: number[] = [];
  collect(m, lru, inactive, active);
  if (inactive.length < active.length / 2) {
    sortByStamp(m, active);
    const move = Math.ceil((active.length - inactive.length) / 2);
    for (let i = 0; i < move; i++) {
      const pfn = active[i] as number;
      const rec = frameRecord(m, pfn);
      m.words[rec + F_STATE] &= ~FRAME_ACTIVE;
      m.words[rec + F_STAMP] = m.words[m.cpuAt + CPU_CLOCK]++;
      inactive.push(pfn);
    }
  }
  sortByStamp(m, inactive);
  queue.frames = Int32Array.from(inactive);
  queue.at = 0;
}

function collect(m: Machine, lru: number, inactive: number[], active: number[]): void {
  const w = m.words;
  for (let b = 0; b < m.blockCount; b++) {
    const block = m.blocksAt + b * BLOCK_WORDS;
    const extent = blockExtent(m, block);
    if (extent === EXTENT_ANON || extent === EXTENT_OBJECT) breakExtent(m, b * BLOCK_FRAMES);
    const chunk = w[block + B_CHUNK];
    if (chunk === 0) continue;
    for (let i = 0; i < BLOCK_FRAMES; i++) {
      const rec = chunk + i * FRAME_WORDS;
      if (lruOf(m, rec) !== lru) continue;
      const isActive = (w[rec + F_STATE] & FRAME_ACTIVE) !== 0;
      (isActive ? active : inactive).push(b * BLOCK_FRAMES + i);
    }
  }
}

function sortByStamp(m: Machine, frames: number[]): void {
  const w = m.words;
  frames.sort((a, b) => w[frameRecord(m, a) + F_STAMP] - w[frameRecord(m, b) + F_STAMP]);
}
