import { assert } from '../../base/index.ts';
import { Decay } from './decay.ts';
import { CLEAN, DIRTY, Extents, MUZZY } from './extents.ts';
import type { MemorySink } from './memory-sink.ts';
import { Records } from './records.ts';
import type { AllocatorRules } from './rules.ts';
import {
  extentClassFloor,
  LARGE_PAD_PAGES,
  pageClassFloor,
  pageClassPages,
  runClassFloor,
  type SizeClass,
  SizeClasses,
} from './size-classes.ts';
import { Slabs } from './slabs.ts';
import { Spans } from './spans.ts';

const PAGE_BYTES = 4096;
const HUGE_PAGES = 512;
/** opt.lg_extent_max_active_fit 6: no small piece is cut from an extent over 64 times as large. */
const MAX_FIT = 64;
/** The records lie this far below the top, more than is ever handed out. */
const RECORDS_APART_BYTES = 2 ** 43;

export interface AllocatorStats {
  /** Pages of slabs and large extents in use. */
  readonly activePages: number;
  readonly dirtyPages: number;
  readonly muzzyPages: number;
  /** Free pages whose memory the kernel has back, or never gave. */
  readonly cleanPages: number;
  readonly mappedPages: number;
  readonly slabs: number;
}

/** One arena of jemalloc, without thread caches. All addresses in bytes. */
export class Allocator {
  readonly rules: AllocatorRules;
  readonly classes: SizeClasses;
  readonly #sink: MemorySink;
  readonly #spans: Spans;
  readonly #extents: Extents;
  readonly #classFloor: (pages: number) => number;
  readonly #slabs: Slabs;
  readonly #records: Records;
  /** By page: 1 + slab, for all pages of a slab; -pages, for the first page of a large extent. */
  #owner: Int32Array = new Int32Array(1024);
  readonly #slabAt: (page: number) => number;
  #activePages = 0;
  #largeCount = 0;
  /** Chunks with a header in front. */
  #headerCount = 0;
  #sparePages = 0;
  /** Page class of the next mapping, where mappings grow. */
  #growClass: number = pageClassFloor(HUGE_PAGES);
  /** Where chunks are: huge extents that were freed, first pages by length in pages. */
  readonly #hugeSpare: Map<number, number[]> = new Map();
  readonly #dirtyDecay: Decay | null;
  readonly #muzzyDecay: Decay | null;

  /** `topAddr`: memory is mapped from there downwards; a multiple of 2 MiB. */
  constructor(rules: AllocatorRules, sink: MemorySink, topAddr: number) {
    assert(topAddr % (HUGE_PAGES * PAGE_BYTES) === 0, 'the top is not aligned');
    this.rules = rules;
    this.#sink = sink;
    this.classes = new SizeClasses(rules.quantumBytes);
    this.#spans = new Spans(topAddr);
    this.#classFloor = rules.fit === 'best' ? runClassFloor : extentClassFloor;
    // Chunks go by address, mappings of 5.3 by age and then by address.
    const rank =
      rules.chunk === null
        ? (page: number): number => page
        : (page: number): number => this.#spans.addrOf(page);
    this.#extents = new Extents(rank, this.#classFloor, rules.dirtyMergePages);
    this.#slabs = new Slabs(this.classes.all.slice(0, this.classes.smallCount), rank);
    this.#slabAt = (page) => (this.#owner[page] as number) - 1;
    this.#records = new Records(sink, rules, topAddr - RECORDS_APART_BYTES);
    const { purge } = rules;
    const isDecay = purge.kind === 'decay';
    this.#dirtyDecay = isDecay && purge.dirtyMs > 0 ? new Decay(purge.dirtyMs) : null;
    this.#muzzyDecay = isDecay && purge.muzzyMs > 0 ? new Decay(purge.muzzyMs) : null;
  }

  get stats(): AllocatorStats {
    const { free } = this.#extents;
    return {
      activePages: this.#activePages,
      dirtyPages: free[DIRTY],
      muzzyPages: free[MUZZY],
      cleanPages: free[CLEAN],
      mappedPages: this.#spans.pages,
      slabs: this.#slabs.count,
    };
  }

  /** Address of memory for `bytes`. It is not written yet. */
  malloc(bytes: number): number {
    const sizeClass = this.classes.of(bytes);
    return sizeClass.slabPages > 0 ? this.#mallocSmall(sizeClass) : this.#mallocLarge(sizeClass);
  }

  free(addr: number): void {
    const page = this.#spans.pageOf(addr);
    const owner = this.#owner[page] as number;
    assert(owner !== 0, 'nothing was allocated there');
    if (owner < 0) this.#freeLarge(page, -owner);
    else this.#freeSmall(owner - 1, addr);
  }

  /** Time has come to `nowNs`: what is due goes back to the kernel. */
  advance(nowNs: number): void {
    const { free } = this.#extents;
    const dirtyLimit = this.#dirtyDecay?.advance(nowNs, free[DIRTY]) ?? -1;
    if (dirtyLimit >= 0) this.#purge(DIRTY, free[DIRTY] - dirtyLimit);
    const muzzyLimit = this.#muzzyDecay?.advance(nowNs, free[MUZZY]) ?? -1;
    if (muzzyLimit >= 0) this.#purge(MUZZY, free[MUZZY] - muzzyLimit);
  }

  /** Gives all unused memory back (arena.N.purge, Redis' MEMORY PURGE). */
  purgeAll(): void {
    this.#purge(DIRTY, Infinity);
    this.#purge(MUZZY, Infinity);
  }

  /** Checks what is counted against what there is, page by page. For tests: it reads everything. */
  validate(): void {
    const counted = [0, 0, 0, 0];
    let free = 0;
    for (const [first, pages, state] of this.#extents.list(this.#spans.pages)) {
      counted[state] = (counted[state] as number) + pages;
      free++;
      for (let page = first; page < first + pages; page++) {
        assert(this.#owner[page] === 0, `page ${page} is free and in use`);
      }
    }
    assert(free === this.#extents.count, 'number of free extents');
    assert(counted.join() === this.#extents.free.join(), `free pages ${counted.join()}`);
    const { stats } = this;
    const headers = this.#headerPages();
    const sum = stats.activePages + stats.dirtyPages + stats.muzzyPages + stats.cleanPages;
    assert(
      sum + headers === stats.mappedPages,
      `${sum} + ${headers} of ${stats.mappedPages} pages`,
    );
  }

  /** Pages that are neither in use nor free: headers of chunks and spare huge extents. */
  #headerPages(): number {
    return this.#headerCount * (this.rules.chunk?.headerPages ?? 0) + this.#sparePages;
  }

  #mallocSmall(sizeClass: SizeClass): number {
    let slab = this.#slabs.next(sizeClass.index, this.#slabAt);
    if (slab < 0) {
      const page = this.#takePages(sizeClass.slabPages);
      slab = this.#slabs.add(sizeClass, page);
      this.#owner.fill(slab + 1, page, page + sizeClass.slabPages);
      this.#countExtents();
    }
    const region = this.#slabs.take(slab);
    return this.#spans.addrOf(this.#slabs.firstPage(slab)) + region * sizeClass.bytes;
  }

  #mallocLarge({ bytes }: SizeClass): number {
    const pages = bytes / PAGE_BYTES + LARGE_PAD_PAGES;
    const { chunk } = this.rules;
    const isHuge = chunk !== null && pages > chunk.pages - chunk.headerPages;
    const search = chunk === null || isHuge ? pages : this.classes.largeRunSearch(bytes);
    const page = isHuge
      ? this.#takeHuge(bytes / PAGE_BYTES, chunk.pages)
      : this.#takePages(pages, search);
    this.#owner[page] = -(isHuge ? hugePages(bytes / PAGE_BYTES, chunk.pages) : pages);
    this.#largeCount++;
    this.#countExtents();
    return this.#spans.addrOf(page);
  }

  #freeSmall(slab: number, addr: number): void {
    const first = this.#slabs.firstPage(slab);
    const { bytes, slabPages } = this.#slabs.classOf(slab);
    const offset = addr - this.#spans.addrOf(first);
    assert(offset % bytes === 0, 'the address is inside a region');
    if (!this.#slabs.give(slab, offset / bytes)) return;
    this.#givePages(first, slabPages);
  }

  #freeLarge(page: number, pages: number): void {
    this.#largeCount--;
    const { chunk } = this.rules;
    if (chunk === null || pages <= chunk.pages - chunk.headerPages) {
      this.#givePages(page, pages);
      return;
    }
    // Chunks that were part of a huge extent go back at once, as if their cache were empty.
    this.#owner[page] = 0;
    this.#activePages -= pages;
    this.#sparePages += pages;
    this.#sink.purge(this.#spans.addrOf(page), pages * PAGE_BYTES);
    const spare = this.#hugeSpare.get(pages);
    if (spare === undefined) this.#hugeSpare.set(pages, [page]);
    else spare.push(page);
  }

  #takeHuge(wanted: number, chunkPages: number): number {
    const pages = hugePages(wanted, chunkPages);
    this.#activePages += pages;
    const spare = this.#hugeSpare.get(pages)?.pop();
    if (spare === undefined) return this.#map(pages);
    this.#sparePages -= pages;
    return spare;
  }

  /** Pages from a free extent of at least `search` pages, or from a new mapping. */
  #takePages(pages: number, search: number = pages): number {
    let first = this.#find(search);
    if (first < 0) first = this.#grow(pages);
    const state = this.#extents.stateAt(first);
    const length = this.#extents.remove(first);
    if (length > pages) this.#extents.putBack(first + pages, length - pages, state);
    this.#activePages += pages;
    this.#records.usePages(first, pages);
    return first;
  }

  #find(pages: number): number {
    const extents = this.#extents;
    if (this.rules.fit === 'first') {
      const dirty = extents.findFirst(pages, DIRTY, MAX_FIT);
      if (dirty >= 0) return dirty;
      const muzzy = extents.findFirst(pages, MUZZY, MAX_FIT);
      return muzzy >= 0 ? muzzy : extents.findFirst(pages, CLEAN, Infinity);
    }
    const dirty = extents.findBest(pages, DIRTY);
    const clean = extents.findBest(pages, CLEAN);
    if (dirty < 0 || clean < 0) return Math.max(dirty, clean);
    const dirtyClass = this.#classFloor(extents.lengthAt(dirty));
    const cleanClass = this.#classFloor(extents.lengthAt(clean));
    if (dirtyClass !== cleanClass) return dirtyClass < cleanClass ? dirty : clean;
    return this.#spans.addrOf(dirty) < this.#spans.addrOf(clean) ? dirty : clean;
  }

  /** Maps more; the first page of the free extent that this gives. */
  #grow(pages: number): number {
    const { chunk } = this.rules;
    if (chunk !== null) {
      const first = this.#map(chunk.pages);
      this.#headerCount++;
      this.#sink.write(this.#spans.addrOf(first), chunk.headerPages * PAGE_BYTES);
      this.#extents.insert(first + chunk.headerPages, chunk.pages - chunk.headerPages, CLEAN);
      return first + chunk.headerPages;
    }
    // exp_grow_size_prepare: each mapping is a size class larger than the last.
    while (pageClassPages(this.#growClass) < pages) this.#growClass++;
    const mapped = pageClassPages(this.#growClass++);
    const first = this.#map(mapped);
    this.#extents.insert(first, mapped, CLEAN);
    return first;
  }

  #map(pages: number): number {
    const first = this.#spans.add(pages);
    this.#extents.addSpan(first, pages);
    if (this.#spans.pages > this.#owner.length) {
      const owner = new Int32Array(Math.max(this.#spans.pages, 2 * this.#owner.length));
      owner.set(this.#owner);
      this.#owner = owner;
    }
    this.#sink.map(this.#spans.addrOf(first), pages * PAGE_BYTES);
    return first;
  }

  #givePages(first: number, pages: number): void {
    this.#owner.fill(0, first, first + pages);
    this.#activePages -= pages;
    this.#extents.insert(first, pages, DIRTY);
    const { purge, chunk } = this.rules;
    const dirty = this.#extents.free[DIRTY];
    if (purge.kind === 'ratio') {
      const active = Math.floor(this.#activePages / 2 ** purge.lgDirtyMult);
      this.#purge(DIRTY, dirty - Math.max(active, chunk?.pages ?? HUGE_PAGES));
    } else if (purge.dirtyMs === 0) {
      this.#purge(DIRTY, dirty);
    }
  }

  /** Gives back whole extents, the oldest first, until at least `pages` are given back. */
  #purge(state: number, pages: number): void {
    const stash: number[] = [];
    for (let left = pages; left > 0; ) {
      const first = this.#extents.oldest(state);
      if (first < 0) break;
      const length = this.#extents.remove(first);
      stash.push(first, length);
      left -= length;
    }
    const { purge } = this.rules;
    const isLazy = state === DIRTY && purge.kind === 'decay' && purge.muzzyMs !== 0;
    for (let i = 0; i < stash.length; i += 2) {
      const first = stash[i] as number;
      const length = stash[i + 1] as number;
      const addr = this.#spans.addrOf(first);
      if (isLazy) this.#sink.purgeLazily(addr, length * PAGE_BYTES);
      else this.#sink.purge(addr, length * PAGE_BYTES);
      this.#extents.insert(first, length, isLazy ? MUZZY : CLEAN);
    }
  }

  #countExtents(): void {
    this.#records.useExtents(this.#extents.count + this.#slabs.count + this.#largeCount);
  }
}

/** Huge extents are whole chunks. */
function hugePages(pages: number, chunkPages: number): number {
  return Math.ceil(pages / chunkPages) * chunkPages;
}
