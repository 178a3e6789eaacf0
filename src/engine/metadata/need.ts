import { isFolio } from '../frames/folio.ts';
import {
  F_STATE,
  FRAME_WORDS,
  TYPE_FREE,
  TYPE_MASK,
  TYPE_METADATA,
  TYPE_MORSEL,
  TYPE_MORSEL_TABLE,
  TYPE_PCP,
  TYPE_TAIL,
} from '../frames/frame-record.ts';
import {
  blockExtent,
  blockFreeOrder,
  EXTENT_MORSEL,
  EXTENT_NONE,
  isBlockOnline,
} from '../frames/pageblock.ts';
import { RESERVED_FRAMES } from '../frames/zones.ts';
import { B_CHUNK, BLOCK_FRAMES, BLOCK_WORDS } from '../layout.ts';
import type { Machine } from '../machine.ts';

/**
 * This folder says what the modelled kernel must know of its frames, and what that costs by different
 * schemes (docs/dynamic-metadata.md). Nothing here is part of any other operation.
 *
 * This file: which pieces of the array of struct pages anybody needs. The array (vmemmap) is 64 bytes a
 * frame, so one page of it, here a UNIT, describes 64 frames, eight a pageblock, and 512 units are what
 * one page table of the kernel's maps: a GROUP, 128 MiB of memory.
 */
export const STRUCT_PAGE_BYTES = 64;
export const UNIT_SHIFT = 6;
export const UNIT_FRAMES: number = 1 << UNIT_SHIFT;
/** Units of a pageblock. */
export const BLOCK_UNITS = 8;
/** Pageblocks of a group. */
export const GROUP_BLOCKS = 64;

/** A unit of which frames are in use: it must be there. */
const NEEDED = 1;
/** All of its frames are free in one piece: it must not be there. */
const FREE = 2;

/** Bits 0 to 7: units that must be there; bits 8 to 15: units that must not. */
export type UnitMask = number;

/**
 * What a pageblock's state asks for. A unit may be there or not while its frames are free in pieces or
 * stand on cpus' lists. `hugeUnits`: units that a page of 2 MiB keeps, from the first on.
 */
export function unitsOf(m: Machine, number: number, hugeUnits: number): UnitMask {
  const w = m.words;
  const block = m.blocksAt + number * BLOCK_WORDS;
  const all = 0xff;
  if (!isBlockOnline(m, block)) return all << 8;
  if (isFolio(m, block)) {
    const kept = (1 << hugeUnits) - 1;
    return kept | ((all & ~kept) << 8);
  }
  const chunk = w[block + B_CHUNK];
  if (chunk === 0) {
    if (blockExtent(m, block) === EXTENT_MORSEL) return all << 8;
    const isUsed = blockExtent(m, block) !== EXTENT_NONE || number * BLOCK_FRAMES < RESERVED_FRAMES;
    return isUsed && blockFreeOrder(m, block) === 0 ? all : all << 8;
  }
  let mask = 0;
  for (let unit = 0; unit < BLOCK_UNITS; unit++) {
    const state = unitState(m, chunk, unit);
    if (state === NEEDED) mask |= 1 << unit;
    else if (state === FREE) mask |= 1 << (unit + 8);
  }
  return mask;
}

/**
 * What needs no struct page: free frames, those that hold metadata, which nobody looks up by their
 * number, and those of Morsels, of which their tables say all (seed 003).
 */
const BARE_TYPES: number =
  (1 << TYPE_FREE) |
  (1 << TYPE_PCP) |
  (1 << TYPE_TAIL) |
  (1 << TYPE_METADATA) |
  (1 << TYPE_MORSEL) |
  (1 << TYPE_MORSEL_TABLE);

function unitState(m: Machine, chunk: number, unit: number): number {
  const from = unit * UNIT_FRAMES;
  for (let i = from; i < from + UNIT_FRAMES; ) {
    const state = m.words[chunk + i * FRAME_WORDS + F_STATE];
    const type = state & TYPE_MASK;
    const order = type === TYPE_FREE ? state >> 4 : 0;
    if (order >= UNIT_SHIFT) return FREE;
    if (((BARE_TYPES >> type) & 1) === 0) return NEEDED;
    i += 1 << order;
  }
  return isInLargeBlock(m, chunk, from) ? FREE : 0;
}

/** The unit lies in a free block of more than 64 frames that begins before it. */
function isInLargeBlock(m: Machine, chunk: number, from: number): boolean {
  for (let order = UNIT_SHIFT + 1; 1 << order < BLOCK_FRAMES; order++) {
    const head = from & -(1 << order);
    const state = m.words[chunk + head * FRAME_WORDS + F_STATE];
    if (state === (TYPE_FREE | (order << 4))) return true;
  }
  return false;
}
