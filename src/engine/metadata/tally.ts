import { isFolio } from '../frames/folio.ts';
import {
  F_MAPCOUNT,
  F_STATE,
  FRAME_KSM,
  FRAME_WORDS,
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
  TYPE_TABLE,
  TYPE_ZPOOL,
} from '../frames/frame-record.ts';
import {
  blockExtent,
  blockFreeOrder,
  EXTENT_ANON,
  EXTENT_MORSEL,
  EXTENT_OBJECT,
  EXTENT_TABLES,
  isBlockOnline,
} from '../frames/pageblock.ts';
import { smallFolioOrder } from '../frames/small-folio.ts';
import { RESERVED_FRAMES } from '../frames/zones.ts';
import {
  B_CHUNK,
  B_MAPCOUNT,
  BLOCK_FRAMES,
  BLOCK_SHIFT,
  BLOCK_WORDS,
  H_SPARE_CHUNKS,
} from '../layout.ts';
import type { Machine } from '../machine.ts';
import { GROUP_BLOCKS, unitsOf } from './need.ts';

/** What stands in the frames of a machine at one moment, as far as schemes of metadata tell it apart. */
export interface FrameTally {
  /** Frames that are online, and of those free ones, cpus' lists included. */
  frames: number;
  free: number;
  /** Anonymous folios: pages of one frame, of 4 to 256 frames, and of 512. */
  single: number;
  sized: number;
  huge: number;
  /** Merged pages. */
  ksm: number;
  /** Pages of files and shared memory. */
  object: number;
  /** Page tables, of address spaces and of page indexes. */
  table: number;
  /** Compressed memory. */
  zpool: number;
  /** The kernel's own; frames that hold metadata; frames held for pages that are not there. */
  kernel: number;
  metadata: number;
  held: number;
  /** Pages and tables of Morsels: no scheme keeps more of one than of a free frame. */
  morsel: number;
  /** Units of vmemmap that must be there, where a huge page keeps one, and groups with any of them. */
  units: number;
  groups: number;
  /** Groups with a huge page: HVO would have to map their vmemmap by small pages. */
  hugeGroups: number;
  /** Rows of 128 frames with one that is mapped more than once, and such frames (engine/counts). */
  sharedRows: number;
  shared: number;
  /** Of the engine: pageblocks, those with records for their frames, and sets of records in reserve. */
  blocks: number;
  chunks: number;
  spareChunks: number;
}

const ROW_SHIFT = 7;
const ROWS_PER_BLOCK: number = BLOCK_FRAMES >> ROW_SHIFT;

export function emptyTally(): FrameTally {
  return {
    ...{ frames: 0, free: 0, single: 0, sized: 0, huge: 0, ksm: 0, object: 0, table: 0 },
    ...{ zpool: 0, kernel: 0, metadata: 0, held: 0, morsel: 0, units: 0, groups: 0, hugeGroups: 0 },
    ...{ sharedRows: 0, shared: 0, blocks: 0, chunks: 0, spareChunks: 0 },
  };
}

/** Looks at every pageblock, and at the records of those that have any. */
export function tallyFrames(m: Machine): FrameTally {
  const tally = emptyTally();
  let group = -1;
  let hugeGroup = -1;
  tally.blocks = m.blockCount;
  for (let number = 0; number < m.blockCount; number++) {
    const block = m.blocksAt + number * BLOCK_WORDS;
    const order = blockFreeOrder(m, block);
    if (order > 0) {
      tally.frames += 1 << order;
      tally.free += 1 << order;
      number += (1 << (order - BLOCK_SHIFT)) - 1;
      continue;
    }
    if (!isBlockOnline(m, block)) continue;
    tally.frames += BLOCK_FRAMES;
    tallyBlock(m, number, block, tally);
    const units = bitCount(unitsOf(m, number, 1) & 0xff);
    tally.units += units;
    const own = Math.floor(number / GROUP_BLOCKS);
    if (units > 0 && own !== group) {
      group = own;
      tally.groups += 1;
    }
    if (isFolio(m, block) && own !== hugeGroup) {
      hugeGroup = own;
      tally.hugeGroups += 1;
    }
  }
  for (let chunk = m.words[H_SPARE_CHUNKS]; chunk !== 0; chunk = m.words[chunk + F_MAPCOUNT]) {
    tally.spareChunks += 1;
  }
  return tally;
}

function bitCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}

function tallyBlock(m: Machine, number: number, block: number, tally: FrameTally): void {
  const chunk = m.words[block + B_CHUNK];
  if (chunk !== 0) {
    tally.chunks += 1;
    tallyRecords(m, chunk, isFolio(m, block), tally);
    return;
  }
  const extent = blockExtent(m, block);
  if (m.words[block + B_MAPCOUNT] > 1 && (extent === EXTENT_ANON || extent === EXTENT_OBJECT)) {
    tally.shared += BLOCK_FRAMES;
    tally.sharedRows += ROWS_PER_BLOCK;
  }
  if (isFolio(m, block)) tally.huge += 1;
  else if (extent === EXTENT_ANON) tally.single += BLOCK_FRAMES;
  else if (extent === EXTENT_OBJECT) tally.object += BLOCK_FRAMES;
  else if (extent === EXTENT_TABLES) tally.table += BLOCK_FRAMES;
  else if (extent === EXTENT_MORSEL) tally.morsel += BLOCK_FRAMES;
  else if (number * BLOCK_FRAMES < RESERVED_FRAMES) tally.kernel += BLOCK_FRAMES;
  else tally.free += BLOCK_FRAMES;
}

function tallyRecords(m: Machine, chunk: number, isHuge: boolean, tally: FrameTally): void {
  const w = m.words;
  if (isHuge) tally.huge += 1;
  let sharedRow = -1;
  for (let i = 0; i < BLOCK_FRAMES; i++) {
    const rec = chunk + i * FRAME_WORDS;
    const state = w[rec + F_STATE];
    const type = state & TYPE_MASK;
    if (type === TYPE_FREE) {
      tally.free += 1 << (state >> 4);
      i += (1 << (state >> 4)) - 1;
      continue;
    }
    if ((type === TYPE_ANON || type === TYPE_OBJECT) && w[rec + F_MAPCOUNT] > 1) {
      tally.shared += 1;
      if (i >> ROW_SHIFT !== sharedRow) {
        sharedRow = i >> ROW_SHIFT;
        tally.sharedRows += 1;
      }
    }
    if (!isHuge) tallyFrame(m, rec, i, type, tally);
  }
}

/** A frame by its record, `i` its place in the pageblock. */
function tallyFrame(m: Machine, rec: number, i: number, type: number, tally: FrameTally): void {
  switch (type) {
    case TYPE_ANON:
    case TYPE_FOLIO: {
      const order = smallFolioOrder(m, rec);
      if (order > 0) {
        // A folio counts where it begins.
        if ((i & ((1 << order) - 1)) === 0) tally.sized += 1;
      } else if ((m.words[rec + F_STATE] & FRAME_KSM) !== 0) tally.ksm += 1;
      else tally.single += 1;
      return;
    }
    case TYPE_OBJECT:
      tally.object += 1;
      return;
    case TYPE_TABLE:
    case TYPE_INDEX:
      tally.table += 1;
      return;
    case TYPE_ZPOOL:
      tally.zpool += 1;
      return;
    case TYPE_KERNEL:
      tally.kernel += 1;
      return;
    case TYPE_METADATA:
      tally.metadata += 1;
      return;
    case TYPE_HELD:
      tally.held += 1;
      return;
    case TYPE_MORSEL:
    case TYPE_MORSEL_TABLE:
      tally.morsel += 1;
      return;
    default:
      tally.free += 1;
  }
}
