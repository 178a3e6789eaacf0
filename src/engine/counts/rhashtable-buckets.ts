import {
  C_OWN,
  CLASS_6,
  CLASS_BUCKETS,
  CountMemory,
  classOf,
  classWordsOf,
} from './count-memory.ts';
import { mix32 } from './mix.ts';

/**
 * Bucket tables of the rhashtable (include/linux/rhashtable.h, lib/rhashtable.c of Linux 6.18), in
 * the kernel's sizes: pointers, keys and counts have 64 bits, of which the lower 32 are used.
 *
 * A bucket is a pointer to the first element of its chain, with the lock in bit 0. The last element
 * points to an odd value made of the bucket's place, so a reader who was led to another chain by a
 * move notices it at the end.
 */

export const RH_TBL: number = C_OWN;
/** Elements in all tables. */
export const RH_NELEMS: number = C_OWN + 1;
export const RH_MUTEX: number = C_OWN + 2;
/** 1: the worker has something to do. */
export const RH_WORK: number = C_OWN + 3;
export const RH_MIN: number = C_OWN + 4;
/** Largest table; 0: no limit. */
export const RH_MAX: number = C_OWN + 5;
export const RH_SHRINKS: number = C_OWN + 6;
/** Larger tables are nested when they are made where nobody may sleep; in bytes. */
export const RH_CONTIGUOUS: number = C_OWN + 7;
/** 1: who asks for a resize does it himself. */
export const RH_INLINE: number = C_OWN + 8;
export const RH_SEED: number = C_OWN + 9;

// struct bucket_table: a line, then the buckets.
export const T_SIZE = 0;
/** Bits of the first level of a nested table; 0: flat. */
export const T_NEST = 2;
export const T_RND = 4;
export const T_FUTURE = 5;
/** Buckets that have been moved to the future table. */
export const T_REHASHED = 6;
export const T_BUCKETS = 16;

// An element: struct rhash_head, key, count.
export const E_NEXT = 0;
export const E_KEY = 2;
export const E_COUNT = 4;

const PAGE_POINTERS = 512;
const PAGE_SHIFT = 9;
const CLASS_PAGE = 10;

/** jhash2 of the key as two words, the upper one 0 (include/linux/jhash.h). */
export function jhashFrame(frame: number, seed: number): number {
  let b = (0xdeadbeef + 8 + seed) | 0;
  let c = b;
  let a = (b + frame) | 0;
  c = ((c ^ b) - ((b << 14) | (b >>> 18))) | 0;
  a = ((a ^ c) - ((c << 11) | (c >>> 21))) | 0;
  b = ((b ^ a) - ((a << 25) | (a >>> 7))) | 0;
  c = ((c ^ b) - ((b << 16) | (b >>> 16))) | 0;
  a = ((a ^ c) - ((c << 4) | (c >>> 28))) | 0;
  b = ((b ^ a) - ((a << 14) | (a >>> 18))) | 0;
  return ((c ^ b) - ((b << 24) | (b >>> 8))) | 0;
}

/** The end of the bucket's chain. */
export function nullsOf(bucket: number): number {
  return (bucket << 1) | 1;
}

export abstract class RhashtableBuckets extends CountMemory {
  constructor(buffer: ArrayBufferLike, worker: number) {
    super(buffer, worker, CLASS_6);
  }

  /** The bucket of the hash; 0 where a nested table has no page for it. */
  protected bucketOf(tbl: number, hash: number): number {
    const w = this.words;
    const index = hash & (w[tbl + T_SIZE] - 1);
    if (w[tbl + T_NEST] === 0) return tbl + T_BUCKETS + 2 * index;
    return this.#nestedBucket(tbl, index, false);
  }

  /** The same; makes the pages that it needs. */
  protected bucketForInsert(tbl: number, hash: number): number {
    const w = this.words;
    const index = hash & (w[tbl + T_SIZE] - 1);
    if (w[tbl + T_NEST] === 0) return tbl + T_BUCKETS + 2 * index;
    return this.#nestedBucket(tbl, index, true);
  }

  #nestedBucket(tbl: number, hash: number, makes: boolean): number {
    const w = this.words;
    const nest = w[tbl + T_NEST];
    let size = w[tbl + T_SIZE] >>> nest;
    let sub = hash >>> nest;
    const root = w[tbl + T_BUCKETS];
    let page = this.#child(root + 2 * (hash & ((1 << nest) - 1)), makes);
    while (page !== 0 && size > PAGE_POINTERS) {
      page = this.#child(page + 2 * (sub & (PAGE_POINTERS - 1)), makes);
      size >>>= PAGE_SHIFT;
      sub >>>= PAGE_SHIFT;
    }
    return page === 0 ? 0 : page + 2 * sub;
  }

  #child(pointer: number, makes: boolean): number {
    const w = this.words;
    const page = Atomics.load(w, pointer);
    if (page !== 0 || !makes) return page;
    const made = this.#allocPage();
    const got = Atomics.compareExchange(w, pointer, 0, made);
    if (got === 0) return made;
    this.free(CLASS_PAGE, made);
    return got;
  }

  #allocPage(): number {
    const page = this.alloc(CLASS_PAGE);
    this.words.fill(0, page, page + classWordsOf(CLASS_PAGE));
    return page;
  }

  /** An empty table. `isAtomic`: its maker may not sleep, so a large one is nested. */
  protected allocTable(size: number, isAtomic: boolean): number {
    const w = this.words;
    const isNested = isAtomic && size * 8 > w[RH_CONTIGUOUS] && size > PAGE_POINTERS;
    const log = 31 - Math.clz32(size);
    const sizeClass = CLASS_BUCKETS + (isNested ? 0 : log);
    const tbl = this.alloc(sizeClass);
    w.fill(0, tbl, tbl + classWordsOf(sizeClass));
    w[tbl + T_SIZE] = size;
    w[tbl + T_RND] = mix32(Atomics.add(w, RH_SEED, 0x9e3779b9));
    if (isNested) {
      w[tbl + T_BUCKETS] = this.#allocPage();
      w[tbl + T_NEST] = ((log - 1) % PAGE_SHIFT) + 1;
    }
    return tbl;
  }

  protected tableClass(tbl: number): number {
    const w = this.words;
    return CLASS_BUCKETS + (w[tbl + T_NEST] !== 0 ? 0 : classOf(w[tbl + T_SIZE]));
  }

  /** Frees a table that nobody has seen. */
  protected freeTable(tbl: number): void {
    if (this.words[tbl + T_NEST] !== 0) this.free(CLASS_PAGE, this.words[tbl + T_BUCKETS]);
    this.free(this.tableClass(tbl), tbl);
  }

  /** Frees a table, and its pages, when no reader holds it any more. */
  protected deferBucketTable(tbl: number): void {
    const w = this.words;
    if (w[tbl + T_NEST] !== 0) {
      const levels = this.#levelsOf(tbl);
      this.#deferPages(w[tbl + T_BUCKETS], levels);
    }
    this.deferTable(this.tableClass(tbl), tbl);
  }

  /** Levels of pages of a nested table, the one with the buckets included. */
  #levelsOf(tbl: number): number {
    let levels = 2;
    for (let size = this.words[tbl + T_SIZE] >>> this.words[tbl + T_NEST]; size > PAGE_POINTERS; ) {
      size >>>= PAGE_SHIFT;
      levels += 1;
    }
    return levels;
  }

  #deferPages(page: number, levels: number): void {
    const w = this.words;
    for (let i = 0; i < PAGE_POINTERS && levels > 1; i++) {
      if (w[page + 2 * i] !== 0) this.#deferPages(w[page + 2 * i], levels - 1);
    }
    this.deferTable(CLASS_PAGE, page);
  }

  /** Words of a table, its pages included. */
  protected tableWords(tbl: number): number {
    const words = classWordsOf(this.tableClass(tbl));
    if (this.words[tbl + T_NEST] === 0) return words;
    return words + this.#pageWords(this.words[tbl + T_BUCKETS], this.#levelsOf(tbl));
  }

  #pageWords(page: number, levels: number): number {
    const w = this.words;
    let words = classWordsOf(CLASS_PAGE);
    for (let i = 0; i < PAGE_POINTERS && levels > 1; i++) {
      if (w[page + 2 * i] !== 0) words += this.#pageWords(w[page + 2 * i], levels - 1);
    }
    return words;
  }

  /** Takes the bucket's lock; what it held. */
  protected lockBucket(bucket: number): number {
    const w = this.words;
    for (let spins = 0; ; spins++) {
      const old = Atomics.load(w, bucket);
      if ((old & 1) !== 0) this.wait(bucket, old, spins);
      else if (Atomics.compareExchange(w, bucket, old, old | 1) === old) return old;
    }
  }

  /** The store of the new head is the unlock. */
  protected unlockBucket(bucket: number, head: number): void {
    Atomics.store(this.words, bucket, (head & 1) !== 0 ? 0 : head);
  }

  /** First element of the bucket's chain, or its end. */
  protected headOf(bucket: number): number {
    const head = this.words[bucket] & ~1;
    return head !== 0 ? head : nullsOf(bucket);
  }

  protected lastTable(tbl: number): number {
    let last = tbl;
    for (;;) {
      const next = Atomics.load(this.words, last + T_FUTURE);
      if (next === 0) return last;
      last = next;
    }
  }
}
