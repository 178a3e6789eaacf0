import { assert } from '../../base/index.ts';
import { PageHeap } from './page-heap.ts';
import type { SizeClass } from './size-classes.ts';

/**
 * Slabs of small regions. Of each class the slab that comes first by rank and is not full serves the
 * next request (slabcur and slabs_nonfull of jemalloc, runcur in 4.0), with its first free region.
 */
export class Slabs {
  /** Slabs that exist. */
  count = 0;
  readonly #nonfull: PageHeap[];
  readonly #classes: readonly SizeClass[];
  /** By slab: first page (-1: no such slab), class, free regions, where its bitmap begins. */
  readonly #page: number[] = [];
  readonly #class: number[] = [];
  readonly #free: number[] = [];
  readonly #bits: number[] = [];
  /** Slabs that are gone, by class: their bitmaps fit the next one. */
  readonly #spare: number[][];
  #bitmap: Uint32Array = new Uint32Array(1024);
  #bitmapUsed = 0;

  constructor(classes: readonly SizeClass[], rank: (page: number) => number) {
    this.#classes = classes;
    this.#nonfull = classes.map(() => new PageHeap(rank));
    this.#spare = classes.map(() => []);
  }

  firstPage(slab: number): number {
    return this.#page[slab] as number;
  }

  classOf(slab: number): SizeClass {
    return this.#classes[this.#class[slab] as number] as SizeClass;
  }

  /** Free regions of a slab. */
  freeRegions(slab: number): number {
    return this.#free[slab] as number;
  }

  /** The slab that the next request of a class is served from, -1 if a new one is needed. */
  next(index: number, slabAt: (page: number) => number): number {
    const heap = this.#nonfull[index] as PageHeap;
    for (;;) {
      const page = heap.top;
      if (page === undefined) return -1;
      // Heaps also hold slabs that are full or gone.
      const slab = slabAt(page);
      const isSame = slab >= 0 && this.#page[slab] === page && this.#class[slab] === index;
      if (isSame && (this.#free[slab] as number) > 0) return slab;
      heap.pop();
    }
  }

  /** A slab of free regions at a page. */
  add(sizeClass: SizeClass, page: number): number {
    const { index, regions } = sizeClass;
    const slab = this.#spare[index]?.pop() ?? this.#newSlab(sizeClass);
    this.#page[slab] = page;
    this.#free[slab] = regions;
    this.count++;
    this.#nonfull[index]?.push(page);
    return slab;
  }

  /** Takes the first free region of a slab; its number. */
  take(slab: number): number {
    const bits = this.#bits[slab] as number;
    const words = Math.ceil(this.classOf(slab).regions / 32);
    for (let word = 0; word < words; word++) {
      const used = this.#bitmap[bits + word] as number;
      if (used === 0xffffffff) continue;
      const bit = 31 - Math.clz32(~used & (used + 1));
      this.#bitmap[bits + word] = (used | (1 << bit)) >>> 0;
      this.#free[slab] = (this.#free[slab] as number) - 1;
      return word * 32 + bit;
    }
    throw new Error('no free region in a slab that has some');
  }

  /** Gives a region back. True if the slab has none in use any more: then it is gone. */
  give(slab: number, region: number): boolean {
    const { index, regions } = this.classOf(slab);
    const word = (this.#bits[slab] as number) + (region >> 5);
    const bit = 1 << (region & 31);
    assert(((this.#bitmap[word] as number) & bit) !== 0, 'the region is free already');
    this.#bitmap[word] = ((this.#bitmap[word] as number) & ~bit) >>> 0;
    const free = (this.#free[slab] as number) + 1;
    this.#free[slab] = free;
    if (free === regions) {
      this.#page[slab] = -1;
      this.#spare[index]?.push(slab);
      this.count--;
      return true;
    }
    if (free === 1) this.#nonfull[index]?.push(this.#page[slab] as number);
    return false;
  }

  #newSlab({ index, regions }: SizeClass): number {
    const words = Math.ceil(regions / 32);
    if (this.#bitmapUsed + words > this.#bitmap.length) {
      const bitmap = new Uint32Array(2 * this.#bitmap.length);
      bitmap.set(this.#bitmap);
      this.#bitmap = bitmap;
    }
    this.#class.push(index);
    this.#bits.push(this.#bitmapUsed);
    this.#bitmapUsed += words;
    return this.#class.length - 1;
  }
}
