import * as L from '../layout.ts';
import type { Machine } from '../machine.ts';

/**
 * What the engine knows of one frame (4 KiB of modelled memory): eight words, the counterpart of
 * Linux's struct page. Records exist in chunks of 512 (one pageblock), and only while some frame of
 * the block is used by itself: a free block or a whole extent needs none.
 *
 * A page-table page keeps its own record in the same words (tables/table.ts), as ptdesc overlays
 * struct page.
 */

/** Low 4 bits: the type; a free head also has its order in bits 4 to 7. */
export const F_STATE = 0;
/** How many page-table entries map the frame. */
export const F_MAPCOUNT = 1;
/** Anonymous: its anon_vma. Object: the object. */
export const F_MAPPING = 2;
/** Page offset in that anon_vma or object, low 32 bits. */
export const F_INDEX = 3;
/** Clock of the last (in)activation: orders the frames of a reclaim list. */
export const F_STAMP = 4;
/** Swap slot of a page in the swap cache; 0 for none. */
export const F_SWAP_SLOT = 5;
/** Links of buddy lists. */
export const F_NEXT = 6;
export const F_PREV = 7;
export const FRAME_SHIFT = 3;
export const FRAME_WORDS = 8;

export const TYPE_MASK = 15;
export const TYPE_TAIL = 0;
export const TYPE_FREE = 1;
export const TYPE_PCP = 2;
export const TYPE_ANON = 3;
export const TYPE_OBJECT = 4;
export const TYPE_TABLE = 5;
export const TYPE_INDEX = 6;
export const TYPE_KERNEL = 7;
/** Holds compressed objects (reclaim/zpool.ts). */
export const TYPE_ZPOOL = 8;
/** A part of a huge page that nothing maps any more (frames/folio.ts). */
export const TYPE_FOLIO = 9;
/** Held for a page of a region that is not there (frames/reservation.ts). */
export const TYPE_HELD = 10;
/** Holds what the modelled kernel knows of other frames (mechanisms/dynamic-metadata). */
export const TYPE_METADATA = 11;

/** A page of a Morsel, and a table of one (mechanisms/morsels): nobody finds who maps them. */
export const TYPE_MORSEL = 12;
export const TYPE_MORSEL_TABLE = 13;

// Flags of anonymous and object frames, in F_STATE.
export const FRAME_ACTIVE = 1 << 8; // on the active list
export const FRAME_REFERENCED = 1 << 9;
export const FRAME_DIRTY = 1 << 10;
export const FRAME_LAZYFREE = 1 << 11; // MADV_FREE: may be dropped instead of swapped
export const FRAME_UNEVICTABLE = 1 << 12; // locked in memory
export const FRAME_PINNED = 1 << 13; // a guest's: neither reclaimed nor migrated
export const FRAME_KSM = 1 << 14; // merged by ksmd: F_MAPPING is its stable node, F_INDEX its place in that
export const FRAME_ORPHAN = 1 << 13; // an object's frame that left its index while it was mapped

/** Sets FRAME_* flags; on a shared machine threads may hold different locks here. */
export function setFrameFlags(m: Machine, rec: number, flags: number): void {
  if (m.isShared) Atomics.or(m.words, rec + F_STATE, flags);
  else m.words[rec + F_STATE] |= flags;
}

export function clearFrameFlags(m: Machine, rec: number, flags: number): void {
  if (m.isShared) Atomics.and(m.words, rec + F_STATE, ~flags);
  else m.words[rec + F_STATE] &= ~flags;
}

/** Record of a frame that has one (its block's chunk exists). */
export function frameRecord(m: Machine, pfn: number): number {
  return (
    m.words[m.blocksAt + ((pfn >> L.BLOCK_SHIFT) << 3) + L.B_CHUNK] +
    ((pfn & (L.BLOCK_FRAMES - 1)) << FRAME_SHIFT)
  );
}

/** Word offset of the pageblock that holds the frame. */
export function blockOf(m: Machine, pfn: number): number {
  return m.blocksAt + ((pfn >> L.BLOCK_SHIFT) << 3);
}
