import { assert } from '../base/index.ts';
import { unmappedFolioFrames } from './frames/folio.ts';
import {
  blockOf,
  F_STATE,
  F_SWAP_SLOT,
  FRAME_WORDS,
  frameRecord,
  TYPE_ANON,
  TYPE_FOLIO,
  TYPE_FREE,
  TYPE_HELD,
  TYPE_INDEX,
  TYPE_KERNEL,
  TYPE_MASK,
  TYPE_METADATA,
  TYPE_MORSEL,
  TYPE_MORSEL_TABLE,
  TYPE_OBJECT,
  TYPE_PCP,
  TYPE_TABLE,
  TYPE_ZPOOL,
} from './frames/frame-record.ts';
import {
  blockExtent,
  blockFreeOrder,
  blockMigrateType,
  blockZone,
  EXTENT_ABSENT,
  EXTENT_ANON,
  EXTENT_HUGETLB,
  EXTENT_MORSEL,
  EXTENT_NONE,
  EXTENT_OBJECT,
  EXTENT_OFFLINE,
  EXTENT_TABLES,
  MIGRATE_ISOLATE,
  NO_ZONE,
} from './frames/pageblock.ts';
import { isReserved } from './frames/reservation.ts';
import { smallFolioOrder, unmappedOf } from './frames/small-folio.ts';
import { RESERVED_FRAMES, zoneAt } from './frames/zones.ts';
import * as L from './layout.ts';
import type { Machine } from './machine.ts';
import { swapCacheLookup } from './objects/swap.ts';
import { poolFrames } from './tables/stored.ts';

/** The part of `validateMachine` that looks at every frame (validate.ts). */

/** What the walk over all trees has found. */
export interface FrameTally {
  /** Times that each frame is mapped by entries of address spaces. */
  readonly maps: ReadonlyMap<number, number>;
  /** Frames of tables and of objects' pages. */
  readonly tableFrames: number;
  readonly objectFrames: number;
  /** Tables and pages of objects that are mapped by their tables (objects/window.ts). */
  readonly windowTables: number;
  readonly windowPages: number;
}

/** Every frame is free, on a cpu's list, a table, a page, or reserved. */
export function checkFrames(m: Machine, tally: FrameTally): void {
  const w = m.words;
  const found = {
    free: 0,
    pcp: 0,
    tables: 0,
    objects: 0,
    anon: 0,
    reserved: 0,
    pool: 0,
    folio: 0,
    held: 0,
    metadata: 0,
    windowTables: 0,
    windowPages: 0,
  };
  const freeByZone: number[] = new Array(m.zoneCount).fill(0);
  const onlineByZone: number[] = new Array(m.zoneCount).fill(0);
  for (let pfn = 0; pfn < m.blockCount * L.BLOCK_FRAMES; ) {
    const block = blockOf(m, pfn);
    const zone = blockZone(m, block);
    const [free, reserved] = [found.free, found.reserved];
    const frames = countBlock(m, pfn, found);
    pfn += frames;
    if (zone === NO_ZONE) continue;
    if (blockMigrateType(m, block) !== MIGRATE_ISOLATE) freeByZone[zone]! += found.free - free;
    onlineByZone[zone]! += frames - (found.reserved - reserved);
  }
  for (let zone = 0; zone < m.zoneCount; zone++) {
    const z = zoneAt(m, zone);
    const free = freeByZone[zone];
    assert(free === w[z + L.Z_FREE], `free frames of zone ${zone}: ${free}`);
    assert(onlineByZone[zone] === w[z + L.Z_MANAGED], `frames of zone ${zone}`);
  }
  assert(
    found.tables === tally.tableFrames,
    `frames of tables: ${found.tables}, in trees ${tally.tableFrames}`,
  );
  assert(
    found.objects === tally.objectFrames,
    `frames of objects: ${found.objects}, in indices ${tally.objectFrames}`,
  );
  assert(found.windowTables === tally.windowTables, `tables of Morsels: ${found.windowTables}`);
  assert(found.windowPages === tally.windowPages, `pages of Morsels: ${found.windowPages}`);
  assert(found.pool === poolFrames(m), `frames of the pool: ${found.pool}, ${poolFrames(m)} kept`);
  assert(found.folio === unmappedFolioFrames(m), `frames of huge pages: ${found.folio}`);
  checkReservations(m, found.held);
  let anonMapped = 0;
  for (const pfn of tally.maps.keys()) if (typeOf(m, pfn) === TYPE_ANON) anonMapped++;
  assert(found.anon === anonMapped, `anonymous frames: ${found.anon}, mapped ${anonMapped}`);
  const total = Object.values(found).reduce((sum, n) => sum + n, 0);
  assert(total === w[L.H_FRAMES], `frames: ${total} found, ${w[L.H_FRAMES]} there`);
}

function typeOf(m: Machine, pfn: number): number {
  const block = m.blocksAt + (pfn >> L.BLOCK_SHIFT) * L.BLOCK_WORDS;
  const chunk = m.words[block + L.B_CHUNK];
  if (chunk === 0) return blockExtent(m, block) === EXTENT_ANON ? TYPE_ANON : TYPE_OBJECT;
  return m.words[chunk + (pfn & (L.BLOCK_FRAMES - 1)) * FRAME_WORDS + F_STATE] & TYPE_MASK;
}

/** Each held frame belongs to a reservation, which counts its pages and is queued until it is full. */
function checkReservations(m: Machine, held: number): void {
  const w = m.words;
  const queued = new Set<number>();
  for (let block = w[L.H_RESERVED_FIRST], prev = 0; block !== 0; block = w[block + L.B_NEXT]) {
    assert(isReserved(m, block) && w[block + L.B_PREV] === prev, 'the queue of reservations');
    queued.add(block);
    prev = block;
  }
  let inReservations = 0;
  let standing = 0;
  for (let b = 0; b < m.blockCount; b++) {
    const block = m.blocksAt + b * L.BLOCK_WORDS;
    if (!isReserved(m, block)) continue;
    standing += 1;
    let own = 0;
    for (let i = 0; i < L.BLOCK_FRAMES; i++) {
      if (typeOf(m, b * L.BLOCK_FRAMES + i) === TYPE_HELD) own += 1;
    }
    assert(own + w[block + L.B_MAPCOUNT] === L.BLOCK_FRAMES, `pages of a reservation: ${own} held`);
    assert(queued.has(block) === own > 0, 'a reservation is queued until it is full');
    inReservations += own;
  }
  const state = m.reservations;
  assert(held === inReservations && held === state.heldFrames, `frames held: ${held}`);
  assert(standing === state.standing, `reservations: ${standing} found`);
}

/** A page that also stands in swap is the one that its slot's users would get. */
function checkSwapCache(m: Machine, rec: number): void {
  const slot = m.words[rec + F_SWAP_SLOT];
  if (slot === 0) return;
  const cached = swapCacheLookup(m, slot);
  assert(cached !== 0 && frameRecord(m, cached) === rec, `swap slot ${slot}: another frame`);
}

interface FrameCounts {
  free: number;
  pcp: number;
  tables: number;
  objects: number;
  anon: number;
  reserved: number;
  pool: number;
  folio: number;
  held: number;
  metadata: number;
  windowTables: number;
  windowPages: number;
}

/** Counts the frames of a pageblock (or free block of two); returns how many those are. */
function countBlock(m: Machine, pfn: number, found: FrameCounts): number {
  const block = m.blocksAt + (pfn >> L.BLOCK_SHIFT) * L.BLOCK_WORDS;
  const order = blockFreeOrder(m, block);
  if (order > 0) {
    found.free += 1 << order;
    return 1 << order;
  }
  const extent = blockExtent(m, block);
  const chunk = m.words[block + L.B_CHUNK];
  if (extent === EXTENT_OFFLINE || extent === EXTENT_ABSENT) {
    assert(blockZone(m, block) === NO_ZONE && chunk === 0, `pageblock at ${pfn} is not online`);
    return L.BLOCK_FRAMES;
  }
  if (pfn < RESERVED_FRAMES) found.reserved += L.BLOCK_FRAMES;
  else if (extent === EXTENT_TABLES) found.tables += L.BLOCK_FRAMES;
  else if (extent === EXTENT_ANON) found.anon += L.BLOCK_FRAMES;
  else if (extent === EXTENT_HUGETLB) found.windowPages += L.BLOCK_FRAMES;
  else if (extent === EXTENT_MORSEL) found.windowPages += L.BLOCK_FRAMES;
  else if (extent === EXTENT_OBJECT) found.objects += L.BLOCK_FRAMES;
  else assert(extent === EXTENT_NONE && chunk !== 0, `pageblock at ${pfn} is nothing`);
  if (chunk === 0) return L.BLOCK_FRAMES;
  assert(extent === EXTENT_NONE, `pageblock at ${pfn} is an extent and has records`);
  for (let i = 0; i < L.BLOCK_FRAMES; ) {
    checkSmallFolio(m, chunk, i);
    i += countFrame(m, chunk + i * FRAME_WORDS, found);
  }
  return L.BLOCK_FRAMES;
}

/** A folio of several frames: aligned, all of one order, and as many mapped as it says. */
function checkSmallFolio(m: Machine, chunk: number, i: number): void {
  const order = smallFolioOrder(m, chunk + i * FRAME_WORDS);
  const first = i & -(1 << order);
  assert(smallFolioOrder(m, chunk + first * FRAME_WORDS) === order, 'frames of a folio');
  if (order === 0 || first !== i) return;
  let unmapped = 0;
  for (let k = first; k < first + (1 << order); k++) {
    const rec = chunk + k * FRAME_WORDS;
    assert(smallFolioOrder(m, rec) === order, 'frames of a folio are of one order');
    if ((m.words[rec + F_STATE] & TYPE_MASK) === TYPE_FOLIO) unmapped++;
  }
  const kept = unmappedOf(m, chunk + first * FRAME_WORDS);
  assert(unmapped === kept, `frames of a folio: ${unmapped} not mapped, ${kept} kept`);
}

function countFrame(m: Machine, rec: number, found: FrameCounts): number {
  const state = m.words[rec + F_STATE];
  switch (state & TYPE_MASK) {
    case TYPE_FREE:
      found.free += 1 << (state >> 4);
      return 1 << (state >> 4);
    case TYPE_PCP:
      found.pcp += 1;
      return 1;
    case TYPE_TABLE:
    case TYPE_INDEX:
      found.tables += 1;
      return 1;
    case TYPE_ANON:
      checkSwapCache(m, rec);
      found.anon += 1;
      return 1;
    case TYPE_OBJECT:
      found.objects += 1;
      return 1;
    case TYPE_ZPOOL:
      found.pool += 1;
      return 1;
    case TYPE_FOLIO:
      found.folio += 1;
      return 1;
    case TYPE_HELD:
      found.held += 1;
      return 1;
    case TYPE_MORSEL:
      found.windowPages += 1;
      return 1;
    case TYPE_MORSEL_TABLE:
      found.windowTables += 1;
      return 1;
    case TYPE_KERNEL:
      found.reserved += 1;
      return 1;
    case TYPE_METADATA:
      found.metadata += 1;
      return 1;
    default:
      throw new Error(`a frame record of state ${state} in a used place`);
  }
}
