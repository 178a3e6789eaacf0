/** How one release of jemalloc differs from another, as data. */
export interface AllocatorRules {
  readonly name: string;
  /** LG_QUANTUM as bytes: 16, or 8 as Redis builds it (--with-lg-quantum=3). */
  readonly quantumBytes: 8 | 16;
  /**
   * Chunks: memory comes in equal aligned pieces with their records in front, and no run crosses
   * one. Else it comes in ever larger mappings, with the records elsewhere.
   */
  readonly chunk: { readonly pages: number; readonly headerPages: number } | null;
  /**
   * `best`: the smallest size class of free extents that serves, dirty or clean, and there the
   * lowest address; large requests look for more than they take. `first`: dirty before muzzy before retained, and in each the oldest mapping and
   * lowest address.
   */
  readonly fit: 'best' | 'first';
  /** Dirty extents of fewer pages merge with others only when they are about to go back. */
  readonly dirtyMergePages: number;
  readonly purge: PurgeRule;
  /** Of each extent, in use or free; 0 where chunks have it in front. */
  readonly extentRecordBytes: number;
  /** Of each page, in the radix tree from addresses to extents; 0 likewise. */
  readonly pageRecordBytes: number;
}

/** When dirty pages go back to the kernel. */
export type PurgeRule =
  /** At once when they are more than active pages / 2^lgDirtyMult, the oldest first. */
  | { readonly kind: 'ratio'; readonly lgDirtyMult: number }
  /** Along a curve, within the given time; 0: at once; -1: never. Muzzy: MADV_FREE in between. */
  | { readonly kind: 'decay'; readonly dirtyMs: number; readonly muzzyMs: number };

/**
 * jemalloc 4.0.3, which Redis 3.2 and 4.0 were built with: chunks of 2 MiB (LG_CHUNK_DEFAULT 21),
 * lg_dirty_mult 3. The header has for each page 8 bytes of map bits and 96 of run record (red-black
 * link 16; bin, free regions and a bitmap of nine words 80): 13 pages by arena_boot's arithmetic.
 */
export const JEMALLOC_4_0: AllocatorRules = {
  name: 'jemalloc-4.0',
  quantumBytes: 8,
  chunk: { pages: 512, headerPages: 13 },
  fit: 'best',
  dirtyMergePages: 0,
  purge: { kind: 'ratio', lgDirtyMult: 3 },
  extentRecordBytes: 0,
  pageRecordBytes: 0,
};

/** jemalloc 5.3: dirty_decay_ms 10,000, muzzy_decay_ms 0; edata_t of 128 bytes, 8 a page in the rtree. */
export const JEMALLOC_5_3: AllocatorRules = {
  name: 'jemalloc-5.3',
  quantumBytes: 8,
  chunk: null,
  fit: 'first',
  // delay_coalesce: below SC_LARGE_MINCLASS, 16 KiB.
  dirtyMergePages: 4,
  purge: { kind: 'decay', dirtyMs: 10_000, muzzyMs: 0 },
  extentRecordBytes: 128,
  pageRecordBytes: 8,
};
