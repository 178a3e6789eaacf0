import { LoadWindow } from './load-window.ts';
import { HIT, LruSets } from './lru-sets.ts';
import { INDEX_HIGH_MASK, shiftedHigh, shiftedLow } from './page-number.ts';

/** Sets and ways of one structure. */
export interface Shape {
  readonly sets: number;
  readonly ways: number;
}

/**
 * Caches of upper page-table entries, each for entries of one level: 2 is the PDE cache (tagged by
 * VA bits 47:21), 3 PDPTE, 4 PML4E, 5 PML5E. They hold entries that refer to another table, never
 * leaves (Intel SDM vol. 3, 4.10). The host's caches of a nested walk may have level 1, which holds
 * whole translations of guest-physical pages: a nested TLB.
 */
export type WalkCacheShapes = Readonly<Partial<Record<number, Shape>>>;

export interface WalkerOptions {
  /** Levels of the tables: 4 or 5. */
  readonly levels: number;
  readonly caches: WalkCacheShapes;
  /** Granule of the addresses, in bytes. */
  readonly granuleBytes: number;
  /** Page sizes of the TLB, by size class: PageSizes.bytes. */
  readonly tlbBytes: readonly number[];
  /** Page sizes of the guest's tables (or of the only ones), by size class. */
  readonly pageBytes: readonly number[];
  readonly nested: NestedOptions | null;
  /** Lines of page-table entries that L1D, L2 and L3 hold. */
  readonly lines: { readonly l1: number; readonly l2: number; readonly l3: number };
}

/** The host's side of a nested walk. */
export interface NestedOptions {
  readonly levels: number;
  readonly caches: WalkCacheShapes;
  readonly pageBytes: number;
}

/** Where loads of a walk were served. */
export const SERVED_BY = ['L1D', 'L2', 'L3', 'DRAM'] as const;

/** Walk caches by level. */
const CACHE_NAMES = ['', 'nested TLB', 'PDE', 'PDPTE', 'PML4E', 'PML5E'] as const;

const LEVEL_BITS = 9;
const PAGE_SHIFT = 12;
const MAX_LEVEL = 5;
/** 8 entries of 8 bytes in a line of 64. */
const LINE_BITS = 3;
/** Guest-physical pages of the guest's tables lie beyond all data, each level apart: their bit 45. */
const TABLE_PAGES_HIGH = 2 ** 13;
const PROBED_NONE = 0;
/** The size class stands above the page number. */
const CLASS_SHIFT = 28;
/** Walks that go through the caches together. */
const WALKS_MAX = 4096;

/** The level of the entry that maps a page: 1 below 2 MiB, 2 below 1 GiB, and so on. */
export function leafLevel(pageBytes: number): number {
  return Math.max(1, Math.floor((Math.log2(pageBytes) - PAGE_SHIFT) / LEVEL_BITS) + 1);
}

/** Loads of a native walk without caches. */
export function nativeLoads(levels: number, pageBytes: number): number {
  return levels - leafLevel(pageBytes) + 1;
}

/**
 * Loads of a nested walk without caches: each of the guest's loads, and the page itself, is at a
 * guest-physical address that the host's tables translate: (g + 1)(h + 1) - 1.
 */
export function nestedLoads(guestLoads: number, hostLoads: number): number {
  return (guestLoads + 1) * (hostLoads + 1) - 1;
}

/** The tables of one side: its walk caches, its counts. */
class WalkSide {
  readonly levels: number;
  readonly caches: (LruSets | null)[] = [];
  /** By level: lookups and hits of its cache. */
  readonly lookups: Float64Array = new Float64Array(MAX_LEVEL + 1);
  readonly hits: Float64Array = new Float64Array(MAX_LEVEL + 1);

  constructor(levels: number, shapes: WalkCacheShapes, lowest: number) {
    this.levels = levels;
    for (let level = 0; level <= MAX_LEVEL; level++) {
      const shape = level >= lowest && level <= levels ? shapes[level] : undefined;
      this.caches.push(shape === undefined ? null : new LruSets(shape.sets, shape.ways));
    }
  }

  /** The lowest level from `lowest` whose cache knows the entry of this page, or PROBED_NONE. */
  probe(low: number, high: number, lowest: number): number {
    for (let level = lowest; level <= this.levels; level++) {
      const cache = this.caches[level]!;
      if (cache === null) continue;
      this.lookups[level]! += 1;
      const bits = LEVEL_BITS * (level - 1);
      // The entry is put in at once: the walk that follows reads it.
      if (cache.access(shiftedLow(low, high, bits), shiftedHigh(high, bits)) === HIT) {
        this.hits[level]! += 1;
        return level;
      }
    }
    return PROBED_NONE;
  }
}

/**
 * Page walks: which entries are loaded after a miss in all TLBs, and which cache each load would
 * find its line in. Counts only; cycles are counts times costs (costs.ts).
 */
export class Walker {
  readonly guest: WalkSide;
  readonly host: WalkSide | null;
  readonly served: Float64Array = new Float64Array(SERVED_BY.length);
  /** By size class. */
  readonly walks: Float64Array;
  readonly loads: Float64Array;
  readonly #window: LoadWindow;
  readonly #leaves: Int32Array;
  readonly #hostLeaf: number;
  readonly #granuleShift: number;
  /** Pages of one size, which the TLB holds by 4 KiB, and no host below (#walkAlike). */
  readonly #isAlike: boolean;
  /** Bits by which a page of each class is larger than 4 KiB. */
  readonly #pageShifts: Int32Array;
  /** The walks under way: page, size class, level of the entry that a cache had. */
  readonly #lows: Int32Array = new Int32Array(WALKS_MAX);
  readonly #highs: Int32Array = new Int32Array(WALKS_MAX);
  readonly #classes: Uint8Array = new Uint8Array(WALKS_MAX);
  readonly #found: Uint8Array = new Uint8Array(WALKS_MAX);
  /** Lookups in one cache, and whose they are. */
  readonly #tagLows: Int32Array = new Int32Array(WALKS_MAX);
  readonly #tagHighs: Int32Array = new Int32Array(WALKS_MAX);
  readonly #walksOf: Uint16Array = new Uint16Array(WALKS_MAX);
  /** Lines that are loaded, with their levels. */
  readonly #lineLows: Int32Array = new Int32Array(WALKS_MAX * MAX_LEVEL);
  readonly #lineHighs: Int32Array = new Int32Array(WALKS_MAX * MAX_LEVEL);
  readonly #lineLevels: Uint8Array = new Uint8Array(WALKS_MAX * MAX_LEVEL);
  #lines = 0;

  constructor(options: WalkerOptions) {
    const { levels, caches, nested, lines, pageBytes } = options;
    this.guest = new WalkSide(levels, caches, 2);
    this.host = nested === null ? null : new WalkSide(nested.levels, nested.caches, 1);
    this.#hostLeaf = nested === null ? 0 : leafLevel(nested.pageBytes);
    this.#leaves = Int32Array.from(pageBytes, leafLevel);
    this.walks = new Float64Array(pageBytes.length);
    this.loads = new Float64Array(pageBytes.length);
    this.#window = new LoadWindow(lines.l1, lines.l2, lines.l3);
    this.#pageShifts = Int32Array.from(options.tlbBytes, (b) => Math.log2(b) - PAGE_SHIFT);
    this.#granuleShift = Math.log2(options.granuleBytes) - PAGE_SHIFT;
    this.#isAlike = nested === null && pageBytes.length === 1 && this.#pageShifts[0] === 0;
  }

  /**
   * Walks for the first `count` pages: numbers in pages of their size (page-number.ts), the size
   * class above bit 60. All probe the caches of one level, then of the next; the loads come last. Where
   * it is known, `commonHigh` is the upper part of all numbers (else -1), and `lowDifference` has the
   * bits in which their lower parts may differ.
   */
  walkAll(
    lows: Int32Array,
    highs: Int32Array,
    count: number,
    commonHigh = -1,
    lowDifference = -1,
  ): void {
    if (this.#isAlike && commonHigh >= 0) {
      this.#walkNear(lows, highs, count, commonHigh, lowDifference);
      return;
    }
    this.#takeAll(lows, highs, count);
    for (let level = 2; level <= this.guest.levels; level++) this.#probeAll(level, count);
    if (this.host !== null) for (let i = 0; i < count; i++) this.#walkNested(this.host, i);
    else this.#walkNative(count);
  }

  /**
   * The same where all pages have one size, of 4 KiB in the TLB, and one upper part, and no host is below:
   * nothing is copied, and a level looks up only what the one before did not have.
   */
  #walkNear(
    lows: Int32Array,
    highs: Int32Array,
    count: number,
    high: number,
    lowDifference: number,
  ): void {
    const { levels, caches, lookups, hits } = this.guest;
    const leaf = this.#leaves[0]!;
    const tops = this.#found;
    const pending = this.#walksOf;
    tops.fill(levels, 0, count);
    let left = count;
    for (let level = leaf + 1, isFirst = true; level <= levels && left > 0; level++) {
      const cache = caches[level]!;
      if (cache === null) continue;
      const bits = LEVEL_BITS * (level - 1);
      if (isFirst) tops.fill(level - 1, 0, count);
      else for (let at = 0; at < left; at++) tops[pending[at]!] = level - 1;
      // Pages that do not differ in these bits have one entry: the first looks it up.
      const isOne = bits >= 32 || lowDifference >>> bits === 0;
      const distinct = this.#tagNear(lows, highs, bits, isOne ? 1 : left, isFirst);
      const tagHigh = shiftedHigh(high, bits);
      this.#tagHighs.fill(tagHigh, 0, distinct);
      // The entry is put in at once: the walk that follows reads it.
      const missed = cache.filterNear(
        this.#tagLows,
        this.#tagHighs,
        pending,
        distinct,
        tagHigh,
        true,
      );
      for (let i = 0; i < missed; i++) tops[pending[i]!] = levels;
      lookups[level]! += left;
      hits[level]! += left - missed;
      left = missed;
      isFirst = false;
    }
    const lines = this.#window.loadWalks(lows, high, tops, leaf, count, this.served);
    this.walks[0]! += count;
    this.loads[0]! += lines;
  }

  /**
   * Lower parts of a level's tags for the first `count` walks, or of those that are pending; returns how
   * many differ from the walk before (the others find what that one has just put in).
   */
  #tagNear(
    lows: Int32Array,
    highs: Int32Array,
    bits: number,
    count: number,
    isFirst: boolean,
  ): number {
    const pending = this.#walksOf;
    const tagLows = this.#tagLows;
    const above = bits < 32 ? highs[0]! << (32 - bits) : highs[0]! >>> (bits - 32);
    const shift = Math.min(bits, 31);
    const kept = bits < 32 ? -1 : 0;
    let distinct = 0;
    let last = 0;
    for (let at = 0; at < count; at++) {
      const i = isFirst ? at : pending[at]!;
      const tag = ((lows[i]! >>> shift) & kept) | above;
      if (tag === last && distinct > 0) continue;
      last = tag;
      tagLows[distinct] = tag;
      pending[distinct] = i;
      distinct += 1;
    }
    return distinct;
  }

  /** Puts pages among the walks, as numbers of 4 KiB pages. */
  #takeAll(lows: Int32Array, highs: Int32Array, count: number): void {
    const pageLows = this.#lows;
    const pageHighs = this.#highs;
    const classes = this.#classes;
    const shifts = this.#pageShifts;
    this.#found.fill(PROBED_NONE, 0, count);
    if (shifts.length === 1 && shifts[0] === 0) {
      pageLows.set(lows.subarray(0, count));
      pageHighs.set(highs.subarray(0, count));
      return;
    }
    for (let i = 0; i < count; i++) {
      const low = lows[i]!;
      const sizeClass = highs[i]! >>> CLASS_SHIFT;
      const high = highs[i]! & INDEX_HIGH_MASK;
      const shift = shifts[sizeClass]!;
      classes[i] = sizeClass;
      if (shift === 0) {
        pageLows[i] = low;
        pageHighs[i] = high;
      } else if (shift > 0) {
        pageLows[i] = low << shift;
        pageHighs[i] = (high << shift) | (low >>> (32 - shift));
      } else {
        pageLows[i] = shiftedLow(low, high, -shift);
        pageHighs[i] = shiftedHigh(high, -shift);
      }
    }
  }

  /** Looks all walks up that have no entry yet and whose leaf is below this level. */
  #probeAll(level: number, count: number): void {
    const cache = this.guest.caches[level]!;
    if (cache === null) return;
    const found = this.#found;
    const leaves = this.#leaves;
    const classes = this.#classes;
    const pageLows = this.#lows;
    const pageHighs = this.#highs;
    const tagLows = this.#tagLows;
    const tagHighs = this.#tagHighs;
    const walksOf = this.#walksOf;
    const bits = LEVEL_BITS * (level - 1);
    let lookups = 0;
    let repeats = 0;
    let lastLow = 0;
    let lastHigh = -1;
    for (let i = 0; i < count; i++) {
      if (found[i] !== PROBED_NONE || leaves[classes[i]!]! >= level) continue;
      const high = pageHighs[i]!;
      const tagLow = shiftedLow(pageLows[i]!, high, bits);
      const tagHigh = shiftedHigh(high, bits);
      found[i] = level;
      if (tagLow === lastLow && tagHigh === lastHigh) {
        // The entry of the walk before: the most recent of its set.
        repeats += 1;
        continue;
      }
      lastLow = tagLow;
      lastHigh = tagHigh;
      tagLows[lookups] = tagLow;
      tagHighs[lookups] = tagHigh;
      walksOf[lookups] = i;
      lookups += 1;
    }
    // The entry is put in at once: the walk that follows reads it.
    const missed = cache.filter(tagLows, tagHighs, walksOf, lookups);
    for (let i = 0; i < missed; i++) found[walksOf[i]!] = PROBED_NONE;
    this.guest.lookups[level]! += repeats + lookups;
    this.guest.hits[level]! += repeats + lookups - missed;
  }

  /** The loads of all walks, from below the entry that was found. */
  #walkNative(count: number): void {
    const { walks, loads } = this;
    const found = this.#found;
    const classes = this.#classes;
    const leaves = this.#leaves;
    const pageLows = this.#lows;
    const pageHighs = this.#highs;
    const lineLows = this.#lineLows;
    const lineHighs = this.#lineHighs;
    const lineLevels = this.#lineLevels;
    const { levels } = this.guest;
    const isMixed = leaves.length > 1;
    let lines = 0;
    for (let i = 0; i < count; i++) {
      const low = pageLows[i]!;
      const high = pageHighs[i]!;
      const sizeClass = classes[i]!;
      const leaf = leaves[sizeClass]!;
      const top = found[i]! === PROBED_NONE ? levels : found[i]! - 1;
      if (isMixed) {
        walks[sizeClass]! += 1;
        loads[sizeClass]! += top - leaf + 1;
      }
      for (let level = top; level >= leaf; level--) {
        const bits = LEVEL_BITS * (level - 1) + LINE_BITS;
        lineLows[lines] = shiftedLow(low, high, bits);
        lineHighs[lines] = shiftedHigh(high, bits);
        lineLevels[lines] = level;
        lines += 1;
      }
    }
    if (!isMixed) {
      walks[0]! += count;
      loads[0]! += lines;
    }
    this.#window.loadAll(lineLows, lineHighs, lineLevels, lines, this.served);
  }

  /** The same for one walk where each load's address is translated by the host's tables. */
  #walkNested(host: WalkSide, at: number): void {
    const low = this.#lows[at]!;
    const high = this.#highs[at]!;
    const sizeClass = this.#classes[at]!;
    const leaf = this.#leaves[sizeClass]!;
    const hit = this.#found[at]!;
    this.#lines = 0;
    const top = hit === PROBED_NONE ? this.guest.levels : hit - 1;
    for (let level = top; level >= leaf; level--) {
      this.#walkToTable(host, low, high, level);
      this.#load(low, high, level, 0);
    }
    this.#walkHost(host, low, high);
    this.walks[sizeClass]! += 1;
    this.loads[sizeClass]! += this.#lines;
    const lines = this.#lines;
    this.#window.loadAll(this.#lineLows, this.#lineHighs, this.#lineLevels, lines, this.served);
  }

  /** Translates the guest-physical address of the guest's table that has the entry of `level`. */
  #walkToTable(host: WalkSide, low: number, high: number, level: number): void {
    const bits = LEVEL_BITS * level;
    const tableHigh = shiftedHigh(high, bits) + TABLE_PAGES_HIGH * level;
    this.#walkHost(host, shiftedLow(low, high, bits), tableHigh);
  }

  /** Translates a guest-physical page through the host's tables. */
  #walkHost(host: WalkSide, low: number, high: number): void {
    const leaf = this.#hostLeaf;
    const nestedTlb = host.caches[1]!;
    if (nestedTlb !== null) {
      host.lookups[1]! += 1;
      const bits = LEVEL_BITS * (leaf - 1);
      if (nestedTlb.access(shiftedLow(low, high, bits), shiftedHigh(high, bits)) === HIT) {
        host.hits[1]! += 1;
        return;
      }
    }
    const hit = host.probe(low, high, leaf + 1);
    const top = hit === PROBED_NONE ? host.levels : hit - 1;
    for (let level = top; level >= leaf; level--) this.#load(low, high, level, MAX_LEVEL);
  }

  /** Loads the entry of `level` for a page; `side` keeps lines of guest and host apart. */
  #load(low: number, high: number, level: number, side: number): void {
    const bits = LEVEL_BITS * (level - 1) + LINE_BITS;
    this.#lineLows[this.#lines] = shiftedLow(low, high, bits);
    this.#lineHighs[this.#lines] = shiftedHigh(high, bits);
    this.#lineLevels[this.#lines] = level + side;
    this.#lines += 1;
  }

  /** What each walk cache did. */
  cacheCounts(): { name: string; lookups: number; hits: number; misses: number }[] {
    return [this.guest, this.host].flatMap((side) => {
      const isHost = side !== null && side === this.host;
      return (side?.caches ?? []).flatMap((cache, level) => {
        if (cache === null) return [];
        const lookups = side!.lookups[level]!;
        const hits = side!.hits[level]!;
        const name = isHost && level > 1 ? `host ${CACHE_NAMES[level]}` : CACHE_NAMES[level]!;
        return [{ name, lookups, hits, misses: lookups - hits }];
      });
    });
  }

  /** Takes what covers any page of [first, end) granules out of the guest's walk caches. */
  invalidate(first: number, end: number): void {
    const scale = 2 ** this.#granuleShift;
    this.guest.caches.forEach((cache, level) => {
      const span = 2 ** (LEVEL_BITS * (level - 1));
      cache?.invalidate(Math.floor((first * scale) / span), Math.ceil((end * scale) / span), 0);
    });
  }

  /** Empties the walk caches; lines of tables stay in the data caches. */
  flush(): void {
    for (const side of [this.guest, this.host])
      for (const cache of side?.caches ?? []) cache?.flush();
  }
}
