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
const WALKS_MAX = 2048;

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
  #loads = 0;

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
  }

  /**
   * Walks for the first `count` pages: numbers in pages of their size (page-number.ts), the size
   * class above bit 60. All probe the caches of one level, then of the next; the loads come last.
   */
  walkAll(lows: Int32Array, highs: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) this.#take(lows[i]!, highs[i]!, i);
    for (let level = 2; level <= this.guest.levels; level++) this.#probeAll(level, count);
    for (let i = 0; i < count; i++) this.#walk(i);
  }

  /** Puts a page among the walks, as a number of 4 KiB pages. */
  #take(low: number, tagHigh: number, at: number): void {
    const sizeClass = tagHigh >>> CLASS_SHIFT;
    const high = tagHigh & INDEX_HIGH_MASK;
    const shift = this.#pageShifts[sizeClass]!;
    if (shift < 0) {
      this.#lows[at] = shiftedLow(low, high, -shift);
      this.#highs[at] = shiftedHigh(high, -shift);
    } else {
      this.#lows[at] = low << shift;
      this.#highs[at] = shift === 0 ? high : (high << shift) | (low >>> (32 - shift));
    }
    this.#classes[at] = sizeClass;
    this.#found[at] = PROBED_NONE;
  }

  /** Looks all walks up that have no entry yet and whose leaf is below this level. */
  #probeAll(level: number, count: number): void {
    const cache = this.guest.caches[level]!;
    if (cache === null) return;
    const found = this.#found;
    const bits = LEVEL_BITS * (level - 1);
    let lookups = 0;
    for (let i = 0; i < count; i++) {
      if (found[i] !== PROBED_NONE || this.#leaves[this.#classes[i]!]! >= level) continue;
      const high = this.#highs[i]!;
      this.#tagLows[lookups] = shiftedLow(this.#lows[i]!, high, bits);
      this.#tagHighs[lookups] = shiftedHigh(high, bits);
      this.#walksOf[lookups] = i;
      found[i] = level;
      lookups += 1;
    }
    // The entry is put in at once: the walk that follows reads it.
    const missed = cache.filter(this.#tagLows, this.#tagHighs, this.#walksOf, lookups);
    for (let i = 0; i < missed; i++) found[this.#walksOf[i]!] = PROBED_NONE;
    this.guest.lookups[level]! += lookups;
    this.guest.hits[level]! += lookups - missed;
  }

  /** The loads of a walk, from below the entry that was found. */
  #walk(at: number): void {
    const low = this.#lows[at]!;
    const high = this.#highs[at]!;
    const sizeClass = this.#classes[at]!;
    const leaf = this.#leaves[sizeClass]!;
    const hit = this.#found[at]!;
    const { host } = this;
    this.#loads = 0;
    const top = hit === PROBED_NONE ? this.guest.levels : hit - 1;
    for (let level = top; level >= leaf; level--) {
      if (host !== null) this.#walkToTable(host, low, high, level);
      this.#load(low, high, level, 0);
    }
    if (host !== null) this.#walkHost(host, low, high);
    this.walks[sizeClass]! += 1;
    this.loads[sizeClass]! += this.#loads;
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
    this.#loads += 1;
    const bits = LEVEL_BITS * (level - 1) + LINE_BITS;
    const line = shiftedLow(low, high, bits);
    this.served[this.#window.load(line, shiftedHigh(high, bits), level + side)]! += 1;
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
