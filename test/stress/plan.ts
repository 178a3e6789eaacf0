/**
 * What a stress run is: several threads on one machine, each with its own generator of random
 * operations, on address spaces that they share and on children of their own.
 *
 * Every page has a word of contents. Who may write a page is fixed, so each thread knows what its
 * pages must hold, whatever the others do around them:
 *
 *   mixed    tables whose pages belong to the threads in turn: single pages are written, given
 *            back, freed lazily, paged out, guarded by their owner
 *   covered  anyone gives back any part, whole slots above all; pages are written by their owners, and
 *            hold 0 or what the owner wrote last
 *   window   one thread's alone, next to the others': areas are mapped, cut, protected, moved
 *   object   shared memory that all spaces map, pages of the threads in turn; holes are punched
 */
export const PAGE = 4096;
export const SLOT_PAGES = 512;
export const BASE = 0x100000000000;

export const MIXED_AT: number = BASE;
export const MIXED_PAGES: number = 3 * SLOT_PAGES;
export const COVERED_AT: number = BASE + 16 * 2 ** 20;
export const COVERED_PAGES: number = 2 * SLOT_PAGES;
export const OBJECT_AT: number = BASE + 32 * 2 ** 20;
export const OBJECT_PAGES = 256;
/** One window a thread, without gaps, so that areas of neighbours merge; no multiple of a slot. */
export const WINDOW_AT: number = BASE + 64 * 2 ** 20;
export const WINDOW_PAGES = 700;

export interface StressPlan {
  readonly seed: number;
  readonly threads: number;
  /** Address spaces that all threads share. */
  readonly spaces: number;
  readonly memoryMiB: number;
  readonly swapMiB: number;
  /** Kernel by name (lab/kernels.ts). */
  readonly kernel: string;
  /** Operations of each thread. */
  readonly ops: number;
  /** Pages of each mixed and covered table that are used: few, and tables come and go. */
  readonly pagesPerSlot: number;
  /** True: one more thread reclaims in the background. */
  readonly hasKswapd?: boolean;
  /** Per cent of the operations in the mixed and covered tables, the rest elsewhere. */
  readonly tablesShare: number;
}

export interface StressStart extends StressPlan {
  readonly buffer: SharedArrayBuffer;
  readonly thread: number;
  readonly spaceIds: readonly number[];
  readonly object: number;
}

export type StressAnswer =
  | { readonly kind: 'done'; readonly ops: number; readonly checks: number }
  | { readonly kind: 'wrong'; readonly what: string };
