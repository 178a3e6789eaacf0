import { assert } from '../../base/index.ts';
import { PageHeap } from './page-heap.ts';
import { extentClassCeil, pageClassFloor } from './size-classes.ts';

/** What is known of a run of pages. */
export const IN_USE = 0;
/** Free and perhaps not zero: their contents were never given back. */
export const DIRTY = 1;
/** Given back by MADV_FREE: the kernel may have taken them. */
export const MUZZY = 2;
/** Free and without memory. */
export const CLEAN = 3;
const STATES = 4;

/**
 * The free extents of an allocator, one list for each state. Neighbours of the same state and the
 * same mapping merge, at once but for small dirty ones. Each extent has its length at its first page and its start at its
 * last (boundary tags); heaps may hold extents that are no more, which are found out when they come
 * up.
 */
export class Extents {
  /** Pages that are free in each state. */
  readonly free: [number, number, number, number] = [0, 0, 0, 0];
  /** Extents that are free, in all states. */
  count = 0;
  #length: Int32Array = new Int32Array(1024);
  #start: Int32Array = new Int32Array(1024);
  #state: Uint8Array = new Uint8Array(1024);
  /** Number of the insertion, to tell an extent from a later one at the same place. */
  #stamp: Float64Array = new Float64Array(1024);
  /** The first page of a mapping never merges with the page before. */
  #isHead: Uint8Array = new Uint8Array(1024);
  #stamps = 0;
  readonly #rank: (page: number) => number;
  /** Number of the class by which an extent is sorted. */
  readonly #classFloor: (pages: number) => number;
  readonly #dirtyMergePages: number;
  readonly #bins: PageHeap[][] = Array.from({ length: STATES }, () => []);
  readonly #queues: AgeQueue[] = Array.from({ length: STATES }, () => new AgeQueue());

  /** Dirty extents of fewer pages than `dirtyMergePages` do not merge when they are freed. */
  constructor(
    rank: (page: number) => number,
    classFloor: (pages: number) => number,
    dirtyMergePages: number,
  ) {
    this.#rank = rank;
    this.#classFloor = classFloor;
    this.#dirtyMergePages = dirtyMergePages;
  }

  /** A mapping, all of it in use. */
  addSpan(first: number, pages: number): void {
    this.#reserve(first + pages);
    this.#isHead[first] = 1;
  }

  /** Frees pages; they may become part of a larger extent. */
  insert(page: number, pages: number, state: number): void {
    this.free[state] = (this.free[state] as number) + pages;
    let first = page;
    let length = pages;
    if (state !== DIRTY || pages >= this.#dirtyMergePages) {
      for (let merged = this.#merged(first, length, state); merged !== 0; ) {
        first = Math.min(first, first + merged);
        length += Math.abs(merged);
        merged = this.#merged(first, length, state);
      }
    }
    this.#put(first, length, state);
  }

  /** Puts back what was cut off an extent that was taken: it does not merge (extent_split). */
  putBack(page: number, pages: number, state: number): void {
    this.free[state] = (this.free[state] as number) + pages;
    this.#put(page, pages, state);
  }

  /**
   * Takes a neighbour of pages out that they can merge with. Its length, negative if it lies before
   * them; 0 if there is none.
   */
  #merged(first: number, length: number, state: number): number {
    const next = first + length;
    if (this.#isFree(next, state) && this.#isHead[next] === 0) {
      const nextLength = this.#length[next] as number;
      this.#forget(next);
      return nextLength;
    }
    if (first === 0 || this.#isHead[first] !== 0 || !this.#isFree(first - 1, state)) return 0;
    const before = this.#start[first - 1] as number;
    this.#forget(before);
    return before - first;
  }

  #put(first: number, length: number, state: number): void {
    this.count++;
    this.#length[first] = length;
    this.#start[first + length - 1] = first;
    this.#state[first] = state;
    this.#state[first + length - 1] = state;
    this.#stamp[first] = ++this.#stamps;
    this.#bin(state, this.#classFloor(length)).push(first);
    if (state !== CLEAN) this.#queues[state]?.push(first, this.#stamps);
  }

  /** Length of a free extent that begins at the page. */
  lengthAt(first: number): number {
    return this.#length[first] as number;
  }

  stateAt(first: number): number {
    return this.#state[first] as number;
  }

  /**
   * First page of the smallest class of free extents that serves, and there the first by rank; -1
   * if none serves.
   */
  findBest(pages: number, state: number): number {
    const bins = this.#bins[state] as PageHeap[];
    for (let bin = extentClassCeil(pages); bin < bins.length; bin++) {
      const first = this.#top(state, bin);
      if (first >= 0) return first;
    }
    return -1;
  }

  /** First by rank of all free extents that serve and are of at most `maxFit` times the pages; -1. */
  findFirst(pages: number, state: number, maxFit: number): number {
    const bins = this.#bins[state] as PageHeap[];
    let found = -1;
    const end = Math.min(bins.length, pageClassFloor(Math.min(pages * maxFit, 2 ** 30)) + 1);
    for (let bin = extentClassCeil(pages); bin < end; bin++) {
      const first = this.#top(state, bin);
      if (first >= 0 && (found < 0 || this.#rank(first) < this.#rank(found))) found = first;
    }
    return found;
  }

  /**
   * The dirty or muzzy extent that was freed, or merged, longest ago; -1 if there is none. One that
   * still can merge does so first, and is then the youngest (ecache_evict).
   */
  oldest(state: number): number {
    const queue = this.#queues[state] as AgeQueue;
    for (;;) {
      const first = queue.first;
      if (first < 0) return -1;
      const isThere = this.#isExtent(first, state) && this.#stamp[first] === queue.firstStamp;
      if (!isThere) {
        queue.drop();
        continue;
      }
      const length = this.#length[first] as number;
      const merged = this.#merged(first, length, state);
      if (merged === 0) return first;
      this.#forget(first);
      this.#put(Math.min(first, first + merged), length + Math.abs(merged), state);
    }
  }

  /** Takes a whole extent out. Returns its length. */
  remove(first: number): number {
    const state = this.#state[first] as number;
    const length = this.#length[first] as number;
    assert(this.#isExtent(first, state) && state !== IN_USE, 'no free extent there');
    this.free[state] = (this.free[state] as number) - length;
    this.#forget(first);
    return length;
  }

  /** Every free extent in order of page, for checks: [first, pages, state]. */
  *list(pages: number): Iterable<[number, number, number]> {
    for (let at = 0; at < pages; at++) {
      const state = this.#state[at] as number;
      if (state === IN_USE || !this.#isExtent(at, state)) continue;
      yield [at, this.#length[at] as number, state];
      at += (this.#length[at] as number) - 1;
    }
  }

  #forget(first: number): void {
    const last = first + (this.#length[first] as number) - 1;
    this.#state[first] = IN_USE;
    this.#state[last] = IN_USE;
    this.#length[first] = 0;
    this.count--;
  }

  /** True if the page is an end of a free extent of the state. */
  #isFree(page: number, state: number): boolean {
    return page < this.#state.length && this.#state[page] === state;
  }

  #isExtent(first: number, state: number): boolean {
    return this.#state[first] === state && (this.#length[first] as number) > 0;
  }

  #top(state: number, bin: number): number {
    const heap = this.#bin(state, bin);
    for (;;) {
      const first = heap.top;
      if (first === undefined) return -1;
      const isThere = this.#isExtent(first, state);
      if (isThere && this.#classFloor(this.#length[first] as number) === bin) return first;
      heap.pop();
    }
  }

  #bin(state: number, bin: number): PageHeap {
    const bins = this.#bins[state] as PageHeap[];
    while (bins.length <= bin) bins.push(new PageHeap(this.#rank));
    return bins[bin] as PageHeap;
  }

  #reserve(pages: number): void {
    if (pages < this.#state.length) return;
    const size = Math.max(pages + 1, 2 * this.#state.length);
    this.#length = grown(this.#length, new Int32Array(size));
    this.#start = grown(this.#start, new Int32Array(size));
    this.#state = grown(this.#state, new Uint8Array(size));
    this.#stamp = grown(this.#stamp, new Float64Array(size));
    this.#isHead = grown(this.#isHead, new Uint8Array(size));
  }
}

function grown<T extends Int32Array | Uint8Array | Float64Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

/** Extents in order of age. */
class AgeQueue {
  #items: number[] = [];
  #head = 0;

  get first(): number {
    return this.#items[this.#head] ?? -1;
  }

  get firstStamp(): number {
    return this.#items[this.#head + 1] ?? -1;
  }

  push(first: number, stamp: number): void {
    this.#items.push(first, stamp);
  }

  drop(): void {
    this.#head += 2;
    if (this.#head < 65_536 || this.#head * 2 < this.#items.length) return;
    this.#items = this.#items.slice(this.#head);
    this.#head = 0;
  }
}
