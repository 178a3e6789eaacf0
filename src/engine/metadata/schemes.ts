import { FRAME_WORDS } from '../frames/frame-record.ts';
import { BLOCK_FRAMES, BLOCK_WORDS } from '../layout.ts';
import { STRUCT_PAGE_BYTES } from './need.ts';
import type { FrameTally } from './tally.ts';

/** What metadata costs by each scheme, from what stands in the frames: arithmetic alone. */

const PAGE_BYTES = 4096;

/**
 * Sizes of the memdesc plan in bytes. `word` and `folio` follow from published layouts (kernelnewbies,
 * MatthewWilcox/Memdescs and /Path: `struct page { unsigned long memdesc; }`; the fields of struct folio
 * are 76 bytes, which its alignment to 16 makes 80). The others are assumed: no layout was published.
 * Memory of the kernel without further data ("misc"), reserved pages and the like need the word alone; a
 * free block keeps what the buddy needs in it.
 */
export interface MemdescSizes {
  readonly word: number;
  /** File and anonymous pages of any size, one each. */
  readonly folio: number;
  /** A merged page; assumed as large as a folio. */
  readonly ksm: number;
  /** A page table; assumed as large as today's ptdesc, which overlays struct page. */
  readonly ptdesc: number;
  /** A page of compressed memory (zpdesc); assumed as today's. */
  readonly zpdesc: number;
}

export const MEMDESC_SIZES: MemdescSizes = { word: 8, folio: 80, ksm: 80, ptdesc: 64, zpdesc: 64 };

/** The first step of the plan (/Path): struct page of 32 bytes, descriptors of their own beside it. */
export const MEMDESC_FIRST_WORD = 32;

/** LLFree: 32 KiB bit fields and 1 KiB counters of children a GiB (docs/llfree.md). */
export const LLFREE_BYTES_PER_GIB: number = 33 * 1024;

/** row-leaf-4 (engine/counts): a directory word and a leaf of 64 bytes for a row of 128 frames. */
const ROW_FRAMES = 128;
const ROW_WORD_BYTES = 4;
const LEAF_BYTES = 64;

export const SCHEMES = [
  'structPage',
  'hvo',
  'hvoAll',
  'memdesc',
  'onDemand',
  'engine',
  'counts',
] as const;
export type Scheme = (typeof SCHEMES)[number];

/** Bytes by scheme. */
export type SchemeBytes = Record<Scheme, number>;

export function schemeBytes(t: FrameTally, sizes: MemdescSizes = MEMDESC_SIZES): SchemeBytes {
  const structPage = t.frames * STRUCT_PAGE_BYTES;
  return {
    structPage,
    // Linux does so for hugetlb alone, of which there is none: a transparent huge page keeps all.
    hvo: structPage,
    hvoAll: structPage - t.huge * hvoSaves(BLOCK_FRAMES) + t.hugeGroups * PAGE_BYTES,
    memdesc: memdescBytes(t, sizes),
    onDemand: (t.units + t.groups) * PAGE_BYTES + llfreeBytes(t.frames),
    engine:
      (t.chunks + t.spareChunks) * BLOCK_FRAMES * FRAME_WORDS * 4 + t.blocks * BLOCK_WORDS * 4,
    counts: llfreeBytes(t.frames) + rowLeafBytes(t.frames, t.sharedRows),
  };
}

/**
 * What HVO gives back of a hugetlb page of so many frames: all but the first page of its vmemmap
 * (mm/hugetlb_vmemmap.h, HUGETLB_VMEMMAP_RESERVE_SIZE). The page table that then maps the vmemmap by
 * small pages is not taken off.
 */
export function hvoSaves(frames: number): number {
  return Math.max(0, frames * STRUCT_PAGE_BYTES - PAGE_BYTES);
}

/** The plan's words and descriptors; `sizes.word` 32 for its first step. */
export function memdescBytes(t: FrameTally, sizes: MemdescSizes = MEMDESC_SIZES): number {
  const folios = t.single + t.sized + t.huge + t.object;
  return (
    t.frames * sizes.word +
    folios * sizes.folio +
    t.ksm * sizes.ksm +
    t.table * sizes.ptdesc +
    t.zpool * sizes.zpdesc
  );
}

export function llfreeBytes(frames: number): number {
  return Math.ceil((frames * LLFREE_BYTES_PER_GIB) / 2 ** 18);
}

/** Share counts: only those that are not one. */
export function rowLeafBytes(frames: number, rows: number): number {
  return Math.ceil(frames / ROW_FRAMES) * ROW_WORD_BYTES + rows * LEAF_BYTES;
}
