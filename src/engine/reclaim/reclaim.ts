import { cgroupOf, cgroupUsage } from '../cgroup/cgroup.ts';
import { freeFrameCount } from '../frames/alloc.ts';
import {
  blockOf,
  F_MAPPING,
  F_STAMP,
  F_STATE,
  FRAME_ACTIVE,
  FRAME_KSM,
  FRAME_LAZYFREE,
  FRAME_REFERENCED,
  FRAME_WORDS,
  frameRecord,
  TYPE_ANON,
  TYPE_MASK,
  TYPE_OBJECT,
} from '../frames/frame-record.ts';
import { blockExtent, breakExtent, EXTENT_ANON, EXTENT_OBJECT } from '../frames/pageblock.ts';
import { drainAllPcp } from '../frames/pcp.ts';
import { breakReservations } from '../frames/reservation.ts';
import { zoneAt } from '../frames/zones.ts';
import { splitDeferred } from '../huge/deferred-split.ts';
import {
  B_CHUNK,
  B_MAPPING,
  BLOCK_FRAMES,
  BLOCK_WORDS,
  CPU_CLOCK,
  H_FRAMES,
  H_GUESTS,
  H_MM_LIST,
  H_OBJECT_LIST,
  Z_FREE,
  Z_HIGH,
} from '../layout.ts';
import type { Machine } from '../machine.ts';
import { firstMapping, mappingVma } from '../objects/anon-vma.ts';
import { O_NEXT, O_PAGES, O_TYPE, OBJECT_SHMEM } from '../objects/object.ts';
import { RmapWalk } from '../objects/rmap.ts';
import { hasFreeSwap } from '../objects/swap.ts';
import { MM_NEXT } from '../space/mm.ts';
import { V_MM } from '../space/vma.ts';
import { ENTRY_ACCESSED } from '../tables/entry.ts';
import { changeEntry, entryFlags, entryWord } from '../tables/leaf.ts';
import { OWNER_TABLES } from '../tables/owner.ts';
import { closeOpened } from '../tables/stored.ts';
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
  m.events.memoryShort = new Reclaimer().reclaim;
}

/** One LRU and where it stands: that of the machine, or of one memory cgroup. */
export class Reclaimer {
  readonly #queues = [new Queue(), new Queue()] as const;
  readonly #cgroup: number;
  #turn = 0;

  /** `cgroup`: only what is charged to it; 0: everything. */
  constructor(cgroup = 0) {
    this.#cgroup = cgroup;
  }

  /**
   * Frees memory up to the high watermark, as kswapd does, or as much as can be; how many frames.
   * Several rounds: the first may only clear accessed bits and age pages.
   */
  readonly reclaim = (m: Machine, frames: number): number => {
    const want = Math.max(frames, framesToHighMark(m));
    let freed = splitDeferred(m, want);
    freed += breakReservations(m, want - freed);
    const held = m.reservations.heldFrames;
    if (m.events.tablesShort !== null && freed < want) freed += shrinkTables(m, want - freed);
    for (let round = 0; round < 3 && freed < frames; round++) {
      this.#turn = (this.#turn + SWAPPINESS) % 200;
      const first = this.#turn < SWAPPINESS ? LRU_SWAP_BACKED : LRU_FILE;
      freed += this.#shrink(m, first, want - freed);
      if (freed < want) freed += this.#shrink(m, 1 - first, want - freed);
    }
    // A page of a reservation leaves its frame held: as many come free by breaking some.
    breakReservations(m, m.reservations.heldFrames - held);
    if (m.events.tablesShort === null) return freed;
    closeOpened(m);
    // What pages could not give, tables must.
    if (freed < frames) freed += reclaimTables(m, frames - freed, 0);
    return freed;
  };

  /**
   * Takes memory from the cgroup until it uses so many pages less, as far as can be; how many (more
   * than asked for, at times). Its tables give in proportion, then its anonymous pages, then tables
   * what pages could not.
   */
  reclaimCgroup(m: Machine, pages: number): number {
    const before = cgroupUsage(m, this.#cgroup);
    const freed = (): number => before - cgroupUsage(m, this.#cgroup);
    const tables = cgroupTables(m, this.#cgroup);
    reclaimTables(m, Math.ceil((pages * tables) / Math.max(1, before)), this.#cgroup);
    for (let round = 0; round < 3 && freed() < pages; round++) {
      this.#shrink(m, LRU_SWAP_BACKED, pages - freed());
    }
    closeOpened(m);
    if (freed() < pages) reclaimTables(m, pages - freed(), this.#cgroup);
    m.forgetWalk();
    return freed();
  }

  #shrink(m: Machine, lru: number, want: number): number {
    const queue = this.#queues[lru as 0 | 1];
    if (lru === LRU_SWAP_BACKED && !hasFreeSwap(m)) return 0;
    if (lru === LRU_FILE && !hasFilePages(m)) return 0;
    return shrinkList(m, queue, lru, want, this.#cgroup);
  }
}

/** False where the list of files is empty for certain: who has only shared memory need not look for it. */
function hasFilePages(m: Machine): boolean {
  const w = m.words;
  if (m.isShared || m.lazyFrees > 0) return true;
  for (let object = w[H_OBJECT_LIST]; object !== 0; object = w[object + O_NEXT]) {
    if (w[object + O_TYPE] !== OBJECT_SHMEM && w[object + O_PAGES] > 0) return true;
  }
  return false;
}

/** Last-level tables of a cgroup; 0: of all. */
function cgroupTables(m: Machine, cgroup: number): number {
  let tables = 0;
  for (let mm = m.words[H_MM_LIST]; mm !== 0; mm = m.words[mm + MM_NEXT]) {
    if (cgroup === 0 || cgroupOf(m, mm) === cgroup) tables += m.words[mm + OWNER_TABLES];
  }
  for (let guest = m.words[H_GUESTS]; guest !== 0; guest = m.words[guest + MM_NEXT]) {
    if (cgroup === 0 || cgroupOf(m, guest) === cgroup) tables += m.words[guest + OWNER_TABLES];
  }
  return tables;
}

/**
 * Page tables give in proportion to their part of the memory in use, as shrink_slab asks each cache
 * for the part of it that was scanned of the pages.
 */
function shrinkTables(m: Machine, want: number): number {
  const tables = cgroupTables(m, 0);
  const used = m.words[H_FRAMES] - freeFrameCount(m);
  const part = Math.ceil((want * tables) / Math.max(1, used));
  return part === 0 ? 0 : reclaimTables(m, part, 0);
}

/** Frees come to lists of the unmovable kind: they are drained, so that pages can have them. */
function reclaimTables(m: Machine, frames: number, cgroup: number): number {
  const freed = m.events.tablesShort?.(m, frames, cgroup) ?? 0;
  if (freed > 0) drainAllPcp(m);
  return freed;
}

/** Frames that all zones lack up to their high watermarks. */
export function framesToHighMark(m: Machine): number {
  let missing = 0;
  for (let zone = 0; zone < m.zoneCount; zone++) {
    const z = zoneAt(m, zone);
    missing += Math.max(0, m.words[z + Z_HIGH] - m.words[z + Z_FREE]);
  }
  return missing;
}

/** shrink_inactive_list: works through the oldest frames until `want` are free. */
function shrinkList(m: Machine, queue: Queue, lru: number, want: number, cgroup: number): number {
  const w = m.words;
  if (queue.at >= queue.frames.length) refill(m, queue, lru, cgroup);
  const from = queue.at;
  let freed = 0;
  while (freed < want && queue.at < queue.frames.length) {
    // Without a slot the rest of the queue could only be tried in vain: it waits.
    if (lru === LRU_SWAP_BACKED && !hasFreeSwap(m)) break;
    const pfn = queue.frames[queue.at++] as number;
    // Its pageblock may be free as a whole by now, and then has no records.
    if (m.words[blockOf(m, pfn) + B_CHUNK] === 0) continue;
    const rec = frameRecord(m, pfn);
    if (lruOf(m, rec) !== lru || (cgroup !== 0 && !isCharged(m, rec, cgroup))) continue;
    if ((w[rec + F_STATE] & FRAME_ACTIVE) !== 0) continue;
    if (isReferenced(m, pfn, rec)) continue;
    if (pageOut(m, pfn, rec, 0)) freed++;
  }
  countWork(m, queue.at - from, freed);
  return freed;
}

function countWork(m: Machine, scanned: number, freed: number): void {
  const { vmstat } = m;
  if (m.kswapd.isRunning) {
    vmstat.pgscanKswapd += scanned;
    vmstat.pgstealKswapd += freed;
  } else {
    vmstat.pgscanDirect += scanned;
    vmstat.pgstealDirect += freed;
  }
}

/** Which LRU a frame is on; -1 for frames that are on none. */
function lruOf(m: Machine, rec: number): number {
  const type = m.words[rec + F_STATE] & TYPE_MASK;
  // Pages given up by MADV_FREE need no swap: they stand on the list of files (lru_lazyfree).
  const isLazyFree = (m.words[rec + F_STATE] & FRAME_LAZYFREE) !== 0;
  if (type === TYPE_ANON) return isLazyFree ? LRU_FILE : LRU_SWAP_BACKED;
  if (type !== TYPE_OBJECT) return -1;
  const object = m.words[rec + F_MAPPING];
  return m.words[object + O_TYPE] === OBJECT_SHMEM ? LRU_SWAP_BACKED : LRU_FILE;
}

/** True for an extent of pages on that list: others keep their form. None of its pages is lazyfree. */
function isExtentOf(m: Machine, block: number, lru: number): boolean {
  const extent = blockExtent(m, block);
  if (extent === EXTENT_ANON) return lru === LRU_SWAP_BACKED;
  if (extent !== EXTENT_OBJECT) return false;
  const isShmem = m.words[m.words[block + B_MAPPING] + O_TYPE] === OBJECT_SHMEM;
  return isShmem === (lru === LRU_SWAP_BACKED);
}

/** True for an anonymous page that the cgroup's processes map: the first that does is looked at. */
function isCharged(m: Machine, rec: number, cgroup: number): boolean {
  const { words } = m;
  if ((words[rec + F_STATE] & TYPE_MASK) !== TYPE_ANON) return false;
  if ((words[rec + F_STATE] & FRAME_KSM) !== 0) return isMergedCharged(m, rec, cgroup);
  const link = firstMapping(m, words[rec + F_MAPPING]);
  return link !== 0 && cgroupOf(m, words[mappingVma(m, link) + V_MM]) === cgroup;
}

function isMergedCharged(m: Machine, rec: number, cgroup: number): boolean {
  const vma = m.ksm?.firstArea(m.words[rec + F_MAPPING]) ?? 0;
  return vma !== 0 && cgroupOf(m, m.words[vma + V_MM]) === cgroup;
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
function refill(m: Machine, queue: Queue, lru: number, cgroup: number): void {
  const inactive: number[] = [];
  const active: number[] = [];
  collect(m, lru, cgroup, inactive, active);
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

function collect(
  m: Machine,
  lru: number,
  cgroup: number,
  inactive: number[],
  active: number[],
): void {
  const w = m.words;
  for (let b = 0; b < m.blockCount; b++) {
    const block = m.blocksAt + b * BLOCK_WORDS;
    if (isExtentOf(m, block, lru)) breakExtent(m, b * BLOCK_FRAMES);
    const chunk = w[block + B_CHUNK];
    if (chunk === 0) continue;
    for (let i = 0; i < BLOCK_FRAMES; i++) {
      const rec = chunk + i * FRAME_WORDS;
      if (lruOf(m, rec) !== lru) continue;
      if (cgroup !== 0 && !isCharged(m, rec, cgroup)) continue;
      const isActive = (w[rec + F_STATE] & FRAME_ACTIVE) !== 0;
      (isActive ? active : inactive).push(b * BLOCK_FRAMES + i);
    }
  }
}

/** Positions of a list that fit into a key beside the age. */
const KEY_POSITIONS = 2 ** 23;
const AGE_MAX = 2 ** 29;

/** Oldest first. Numbers sort far faster than by a comparison, so age and place make one. */
function sortByStamp(m: Machine, frames: number[]): void {
  const w = m.words;
  const now = w[m.cpuAt + CPU_CLOCK];
  const age = (pfn: number): number =>
    Math.min(AGE_MAX, (now - w[frameRecord(m, pfn) + F_STAMP]) >>> 0);
  if (frames.length > KEY_POSITIONS) {
    frames.sort((a, b) => age(b) - age(a));
    return;
  }
  const keys = Float64Array.from(frames, (pfn, i) => (AGE_MAX - age(pfn)) * KEY_POSITIONS + i);
  keys.sort();
  const unsorted = frames.slice();
  for (let i = 0; i < keys.length; i++) {
    frames[i] = unsorted[(keys[i] as number) % KEY_POSITIONS] as number;
  }
}
