import { assert } from '../../base/index.ts';

const PAGE_BYTES = 4096;
/** SC_NGROUP: classes for each doubling. */
const GROUP = 4;
/** Small classes end below PAGE * SC_NGROUP. */
const LARGE_MIN_BYTES = PAGE_BYTES * GROUP;

/** A size class (src/sc.c of jemalloc 5.3; the same in 4.0). */
export interface SizeClass {
  readonly index: number;
  readonly bytes: number;
  /** Pages of a slab of this class, 0 for large classes. */
  readonly slabPages: number;
  /** Regions of a slab. */
  readonly regions: number;
}

/** All size classes up to 1 TiB for a quantum of 8 or 16 bytes. */
export class SizeClasses {
  readonly all: readonly SizeClass[];
  readonly smallCount: number;
  /** Index of the class by size in units of 8 bytes, for small sizes. */
  readonly #lookup: Uint8Array = new Uint8Array(LARGE_MIN_BYTES / 8);

  constructor(quantumBytes: 8 | 16) {
    const sizes = classSizes(quantumBytes);
    this.all = sizes.map((bytes, index) => sizeClass(bytes, index));
    this.smallCount = sizes.filter((bytes) => bytes < LARGE_MIN_BYTES).length;
    let index = 0;
    for (let unit = 1; unit < this.#lookup.length; unit++) {
      if (unit * 8 > (sizes[index] as number)) index++;
      this.#lookup[unit] = index;
    }
  }

  /** The class that serves a request (sz_size2index). */
  of(bytes: number): SizeClass {
    assert(bytes > 0, 'a request of no bytes');
    const unit = Math.ceil(bytes / 8);
    if (bytes <= (this.all[this.smallCount - 1] as SizeClass).bytes) {
      return this.all[this.#lookup[unit] as number] as SizeClass;
    }
    let low = this.smallCount;
    let high = this.all.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.all[middle] as SizeClass).bytes < bytes) low = middle + 1;
      else high = middle;
    }
    const found = this.all[low] as SizeClass;
    assert(found.bytes >= bytes, 'a request of over 1 TiB');
    return found;
  }

  /**
   * How many pages a run must have for 4.0 to take a large one from it. It rounds class and pad up
   * to a class again, and that to what other large requests may have left (s2u in
   * arena_run_alloc_large_helper, run_quantize_first): 9 pages come from 13 or more.
   */
  largeRunSearch(bytes: number): number {
    const rounded = this.of(bytes + LARGE_PAD_PAGES * PAGE_BYTES).bytes / PAGE_BYTES;
    const above = this.of((rounded - LARGE_PAD_PAGES) * PAGE_BYTES);
    if (above.bytes === (rounded - LARGE_PAD_PAGES) * PAGE_BYTES) return rounded;
    return (this.all[above.index + 1] as SizeClass).bytes / PAGE_BYTES + LARGE_PAD_PAGES;
  }
}

/** Classes in order: below four quanta one for each quantum, then four for each doubling. */
function classSizes(quantumBytes: number): number[] {
  const sizes = quantumBytes > 8 ? [8] : [];
  for (let n = 1; n <= GROUP; n++) sizes.push(n * quantumBytes);
  for (let base = GROUP * quantumBytes; base < 2 ** 40; base *= 2) {
    for (let n = 1; n <= GROUP; n++) sizes.push(base + (n * base) / GROUP);
  }
  return sizes;
}

/** A slab has the fewest pages that its regions fill exactly (slab_size). */
function sizeClass(bytes: number, index: number): SizeClass {
  if (bytes >= LARGE_MIN_BYTES) return { index, bytes, slabPages: 0, regions: 0 };
  let slabPages = 1;
  while ((slabPages * PAGE_BYTES) % bytes !== 0) slabPages++;
  return { index, bytes, slabPages, regions: (slabPages * PAGE_BYTES) / bytes };
}

/**
 * Number of the largest page-size class that fits in `pages`, from 0 for one page (sz_psz2ind).
 * Page-size classes are 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, … pages.
 */
export function pageClassFloor(pages: number): number {
  if (pages <= GROUP) return pages - 1;
  const base = 31 - Math.clz32(pages);
  return (base - 2) * GROUP + ((pages >> (base - 2)) & (GROUP - 1)) + GROUP - 1;
}

/** Pages of a page-size class by its number. */
export function pageClassPages(number: number): number {
  if (number < GROUP) return number + 1;
  const group = Math.floor((number - GROUP + 1) / GROUP);
  const step = (number - GROUP + 1) % GROUP;
  return 2 ** (group + 2) + step * 2 ** group;
}

/** Large extents have one page more than their class, so that not all begin at the same offset. */
export const LARGE_PAD_PAGES = 1;

/**
 * Free extents are sorted by page-size classes with the pad, 1, 2, 3, …, 8, 9, 11, 13, 15, 17, 21, …
 * pages, so that one that was freed serves its class again: number of the largest that fits
 * (sz_psz_quantize_floor), which is also that of the smallest class of at least as many pages.
 */
export function extentClassFloor(pages: number): number {
  return pages <= 1 ? 0 : pageClassFloor(pages - LARGE_PAD_PAGES) + 1;
}

/** Number of the smallest of these of at least `pages` (sz_psz_quantize_ceil). */
export function extentClassCeil(pages: number): number {
  return pages <= 1 ? 0 : extentClassFloor(pages - 1) + 1;
}

/**
 * The same in 4.0 (run_quantize): no run of four pages can be asked for, so one that has four counts
 * as one of three.
 */
export function runClassFloor(pages: number): number {
  return pages === 4 ? extentClassFloor(3) : extentClassFloor(pages);
}
