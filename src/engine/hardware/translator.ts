import { type AddressBatch, FETCH, type Merging } from '../../base/index.ts';
import { EVICTED, HIT, LruSets } from './lru-sets.ts';
import { joined, shiftedHigh, shiftedLow } from './page-number.ts';
import { type PageSizes, SIZE_CLASSES } from './page-sizes.ts';
import type { TlbStructure } from './structure.ts';
import type { Walker } from './walker.ts';

/** The size class of a tag stands above the page number, in its upper part (lru-sets.ts). */
const CLASS_SHIFT = 28;
/** FETCH in the upper part of a number. */
const FETCH_HIGH: number = FETCH / 2 ** 32;
const KINDS = 2;
/** Lookups that go through the levels together. */
const CHUNK = 4096;
const NONE = -1;
/** Counts of a structure for one size class: hits, misses, evictions. */
const MISSES = 1;
const EVICTIONS = 2;
const COUNTS = 3;

/** What a structure did for pages of one size class. */
export interface StructureCounts {
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
}

/**
 * The translation hardware of one core: TLB levels, each looked up where the one before missed, and
 * the walker behind them. Every level that missed is filled (inclusive by fill); an eviction below
 * takes nothing out above. Of each level, one structure serves a page size and kind of access.
 *
 * So what a level does depends only on the order of its own lookups, and accesses pass through the
 * hardware level by level, some thousands at a time: first those that are not on the page of the
 * access before, then those that missed level 1, and so on.
 *
 * The page of the access before is the most recent of its set: to find it again changes no order, so
 * it is counted without a lookup. That holds for the last data page and the last fetched page, and
 * where both kinds share a structure only for the later one.
 */
export class Translator {
  readonly structures: readonly TlbStructure[];
  readonly sizes: PageSizes;
  readonly walker: Walker;
  /** Further granules that accesses reached into, in the same page or not. */
  crossings = 0;
  readonly #sets: readonly LruSets[];
  /** Structure by (level, kind, size class); NONE where the level has none. */
  readonly #route: Int32Array;
  readonly #levels: number;
  /** Counts by (structure, size class). */
  readonly #counts: Float64Array;
  /** Hits without a lookup by (kind, size class). */
  readonly #repeats: Float64Array = new Float64Array(KINDS * SIZE_CLASSES);
  /** Granules of the last page as entries of a batch, [first, end), of data and of fetches. */
  readonly #last: Float64Array = Float64Array.of(NONE, NONE, NONE, NONE);
  /** The same; none where the page may not be the most recent of its set. */
  readonly #recent: Float64Array = Float64Array.of(NONE, NONE, NONE, NONE);
  /** Class of the recent page of each kind, as an index into #repeats. */
  readonly #recentRoutes: Int32Array = Int32Array.of(0, SIZE_CLASSES);
  readonly #isShared: boolean;
  /** All structures serve data and fetches alike: kinds need not be told apart. */
  readonly #isUnified: boolean;
  /** One page size, and level 1 has structures for it: #takeUniform. */
  readonly #isUniform: boolean;
  /** Most recent page, as an entry, of each set of level 1: of data and of fetches. */
  readonly #mru: readonly Float64Array[];
  /** Upper part of all lookups under way, or -1; bits in which their lower parts differ from each other. */
  #commonHigh = NONE;
  #lowDifference = 0;
  /** Whether the lookups under way differ in kind or size class. */
  #isMixed = false;
  /** Lookups on their way from level to level: page, page and size class, kind and size class. */
  readonly #lows: Int32Array = new Int32Array(CHUNK);
  readonly #highs: Int32Array = new Int32Array(CHUNK);
  readonly #routes: Uint16Array = new Uint16Array(CHUNK);

  constructor(structures: readonly TlbStructure[], sizes: PageSizes, walker: Walker) {
    this.structures = structures;
    this.sizes = sizes;
    this.walker = walker;
    this.#sets = structures.map(({ sets, ways }) => new LruSets(sets, ways));
    this.#counts = new Float64Array(structures.length * SIZE_CLASSES * COUNTS);
    this.#levels = Math.max(...structures.map(({ level }) => level));
    this.#route = new Int32Array(this.#levels * KINDS * SIZE_CLASSES).fill(NONE);
    this.#fillRoutes();
    this.#isShared = this.#sharesFirst();
    this.#isUnified = structures.every(({ serves }) => serves === 'all');
    const firsts = [this.#firstOf(0), this.#firstOf(SIZE_CLASSES)];
    const isServed = !firsts.includes(NONE) && (this.#isUnified || !this.#isShared);
    this.#isUniform = sizes.bytes.length === 1 && isServed;
    this.#mru = firsts.map((structure) => {
      const sets = structures[structure]?.sets ?? 1;
      // One place, for the last page of all, where the set is no bits of the page.
      return new Float64Array((sets & (sets - 1)) === 0 ? sets : 1).fill(NONE);
    });
  }

  /**
   * Which accesses batches may merge. Further ones to the most recent page are hits in level 1 and
   * change nothing, if there is a level 1 for every page size and kind.
   */
  get merging(): Merging {
    const isServed = [0, SIZE_CLASSES].every((kind) =>
      this.sizes.bytes.every((_, sizeClass) => this.#firstOf(kind + sizeClass) !== NONE),
    );
    if (!isServed) return 'none';
    return this.#isShared ? 'adjacent' : 'kinds';
  }

  /** Translates the accesses of a batch, which merges no more than `merging` says. */
  run(batch: AddressBatch): void {
    for (let at = 0; at < batch.count; at += CHUNK) {
      const end = Math.min(batch.count, at + CHUNK);
      let count = this.#isUniform
        ? this.#takeUniform(batch, at, end)
        : this.#takePages(batch, at, end);
      for (let level = 0; level < this.#levels && count > 0; level++) {
        count = this.#lookUp(level, count);
      }
      if (count === 0) continue;
      this.walker.walkAll(this.#lows, this.#highs, count, this.#commonHigh, this.#lowDifference);
    }
  }

  /**
   * Takes the pages of entries where all have the granule's size; returns how many. What is the most
   * recent of its set in level 1 is not looked up: that set's last page is known (#mru).
   */
  #takeUniform({ entries, repeats }: AddressBatch, from: number, to: number): number {
    const lows = this.#lows;
    const highs = this.#highs;
    const routes = this.#routes;
    const [dataMru, fetchMru] = this.#mru as [Float64Array, Float64Array];
    const dataMask = dataMru.length - 1;
    const fetchMask = fetchMru.length - 1;
    const isUnified = this.#isUnified;
    let dataHits = 0;
    let fetchHits = 0;
    let fetches = 0;
    let count = 0;
    let lowDifference = 0;
    let highDifference = 0;
    for (let i = from; i < to; i++) {
      let entry = entries[i]!;
      const more = repeats[i]!;
      if (entry < 0) {
        // Another granule is another page here.
        entry = -1 - entry;
        this.crossings += 1;
      }
      if (isUnified && entry >= FETCH) entry -= FETCH;
      const low = entry | 0;
      if (entry < FETCH) {
        if (dataMru[low & dataMask] === entry) {
          dataHits += 1 + more;
          continue;
        }
        dataHits += more;
        dataMru[low & dataMask] = entry;
        routes[count] = 0;
      } else {
        if (fetchMru[low & fetchMask] === entry) {
          fetchHits += 1 + more;
          continue;
        }
        fetchHits += more;
        fetchMru[low & fetchMask] = entry;
        routes[count] = SIZE_CLASSES;
        fetches += 1;
      }
      const high = ((entry * 2 ** -32) | 0) & (FETCH_HIGH - 1);
      lows[count] = low;
      highs[count] = high;
      lowDifference |= low ^ lows[0]!;
      highDifference |= high ^ highs[0]!;
      count += 1;
    }
    this.#lowDifference = lowDifference;
    this.#commonHigh = count > 0 && highDifference === 0 ? highs[0]! : NONE;
    this.#repeats[0]! += dataHits;
    this.#repeats[SIZE_CLASSES]! += fetchHits;
    this.#isMixed = fetches > 0 && fetches < count;
    return count;
  }

  /** Takes the pages of entries that are not on a recent page; returns how many. */
  #takePages(batch: AddressBatch, from: number, to: number): number {
    const { entries } = batch;
    const recent = this.#recent;
    const repeats = this.#repeats;
    let dataFirst = recent[0]!;
    let dataEnd = recent[1]!;
    let fetchFirst = recent[2]!;
    let fetchEnd = recent[3]!;
    let dataHits = 0;
    let fetchHits = 0;
    let count = 0;
    this.#isMixed = true;
    this.#commonHigh = NONE;
    for (let i = from; i < to; i++) {
      const entry = entries[i]!;
      const more = batch.repeats[i]!;
      if (entry >= dataFirst && entry < dataEnd) {
        dataHits += 1 + more;
      } else if (entry >= fetchFirst && entry < fetchEnd) {
        fetchHits += 1 + more;
      } else {
        repeats[this.#recentRoutes[0]!]! += dataHits;
        repeats[this.#recentRoutes[1]!]! += fetchHits;
        dataHits = 0;
        fetchHits = 0;
        const value = entry < 0 ? -1 - entry : entry;
        const low = value | 0;
        const high = (value * 2 ** -32) | 0;
        count += this.#takePage(low, high, entry < 0, count);
        if (more > 0) repeats[this.#recentRoutes[high >= FETCH_HIGH ? 1 : 0]!]! += more;
        dataFirst = recent[0]!;
        dataEnd = recent[1]!;
        fetchFirst = recent[2]!;
        fetchEnd = recent[3]!;
      }
    }
    repeats[this.#recentRoutes[0]!]! += dataHits;
    repeats[this.#recentRoutes[1]!]! += fetchHits;
    return count;
  }

  /**
   * Puts the page of an entry at place `at` of the lookups and notes it as the last one; 0 if the
   * entry is `further` and in the same page as the access's beginning, else 1.
   */
  #takePage(low: number, highAndKind: number, isFurther: boolean, at: number): number {
    const kind = highAndKind >= FETCH_HIGH ? 1 : 0;
    const high = highAndKind & (FETCH_HIGH - 1);
    const granule = joined(low, high);
    const kindFirst = kind * FETCH;
    const last = this.#last;
    if (isFurther) {
      this.crossings += 1;
      const entry = granule + kindFirst;
      if (entry >= last[kind * 2]! && entry < last[kind * 2 + 1]!) return 0;
    }
    const { sizes } = this;
    const sizeClass = sizes.hasRegions ? sizes.classOf(granule) : sizes.otherClass;
    const shift = sizes.shifts[sizeClass]!;
    this.#lows[at] = shiftedLow(low, high, shift);
    this.#highs[at] = shiftedHigh(high, shift) | (sizeClass << CLASS_SHIFT);
    const route = kind * SIZE_CLASSES + sizeClass;
    this.#routes[at] = route;
    const span = sizes.granules[sizeClass]!;
    const first = kindFirst + (span === 1 ? granule : Math.floor(granule / span) * span);
    this.#remember(kind, first, first + span, this.#route[route] !== NONE);
    this.#recentRoutes[kind] = route;
    return 1;
  }

  #remember(kind: number, first: number, end: number, isServed: boolean): void {
    const at = kind * 2;
    this.#last[at] = first;
    this.#last[at + 1] = end;
    this.#recent[at] = isServed ? first : NONE;
    this.#recent[at + 1] = isServed ? end : NONE;
    if (this.#isShared) {
      this.#recent[2 - at] = NONE;
      this.#recent[3 - at] = NONE;
    }
  }

  /** Looks the first `count` pages up in a level; returns how many missed, and leaves those. */
  #lookUp(level: number, count: number): number {
    if (this.#isMixed) return this.#lookUpMixed(level, count);
    const routes = this.#routes;
    const first = routes[0]!;
    const structure = this.#route[level * KINDS * SIZE_CLASSES + first]!;
    if (structure === NONE) return count;
    const sets = this.#sets[structure]!;
    const slot = (structure * SIZE_CLASSES + (first % SIZE_CLASSES)) * COUNTS;
    const evictions = sets.evictions;
    const high = this.#commonHigh;
    // Routes are all alike: those at the beginning are those of what missed.
    const missed =
      high >= 0
        ? sets.filterNear(this.#lows, this.#highs, routes, count, high, false)
        : sets.filter(this.#lows, this.#highs, routes, count);
    this.#counts[slot]! += count - missed;
    this.#counts[slot + MISSES]! += missed;
    this.#counts[slot + EVICTIONS]! += sets.evictions - evictions;
    return missed;
  }

  /** The same where page sizes or kinds are mixed. */
  #lookUpMixed(level: number, count: number): number {
    const lows = this.#lows;
    const highs = this.#highs;
    const routes = this.#routes;
    const counts = this.#counts;
    let missed = 0;
    for (let i = 0; i < count; i++) {
      const route = routes[i]!;
      const structure = this.#route[level * KINDS * SIZE_CLASSES + route]!;
      if (structure !== NONE) {
        const slot = (structure * SIZE_CLASSES + (route % SIZE_CLASSES)) * COUNTS;
        const found = this.#sets[structure]!.access(lows[i]!, highs[i]!);
        if (found === HIT) {
          counts[slot]! += 1;
          continue;
        }
        counts[slot + MISSES]! += 1;
        if (found === EVICTED) counts[slot + EVICTIONS]! += 1;
      }
      lows[missed] = lows[i]!;
      highs[missed] = highs[i]!;
      routes[missed] = route;
      missed += 1;
    }
    return missed;
  }

  /** Counts of a structure for pages of one size class. */
  counts(structure: number, sizeClass: number): StructureCounts {
    const slot = (structure * SIZE_CLASSES + sizeClass) * COUNTS;
    let hits = this.#counts[slot]!;
    for (let kind = 0; kind < KINDS; kind++) {
      const route = kind * SIZE_CLASSES + sizeClass;
      if (this.#firstOf(route) === structure) hits += this.#repeats[route]!;
    }
    const misses = this.#counts[slot + MISSES]!;
    return { hits, misses, evictions: this.#counts[slot + EVICTIONS]! };
  }

  /** INVLPG: takes the pages of [first, end) granules out of all structures and walk caches. */
  invalidate(first: number, end: number): number {
    let gone = 0;
    for (const sets of this.#sets) {
      for (let c = 0; c < this.sizes.bytes.length; c++) {
        const span = this.sizes.granules[c]!;
        gone += sets.invalidate(Math.floor(first / span), Math.ceil(end / span), c);
      }
    }
    this.walker.invalidate(first, end);
    this.#forget();
    return gone;
  }

  /** A new CR3: everything goes. Global pages are not modelled. */
  flush(): void {
    for (const sets of this.#sets) sets.flush();
    this.walker.flush();
    this.#forget();
  }

  /** Valid entries of a structure. */
  sizeOf(structure: number): number {
    return this.#sets[structure]!.size;
  }

  #forget(): void {
    this.#last.fill(NONE);
    this.#recent.fill(NONE);
    for (const pages of this.#mru) pages.fill(NONE);
  }

  #fillRoutes(): void {
    for (let level = 0; level < this.#levels; level++) {
      for (let kind = 0; kind < KINDS; kind++) {
        this.sizes.bytes.forEach((bytes, c) => {
          const found = this.structures.findIndex(
            (structure) =>
              structure.level === level + 1 &&
              (structure.pageBytes.length === 0 || structure.pageBytes.includes(bytes)) &&
              structure.serves !== (kind === 0 ? 'fetch' : 'data'),
          );
          this.#route[(level * KINDS + kind) * SIZE_CLASSES + c] = found;
        });
      }
    }
  }

  /** The first structure that a kind and size class is looked up in. */
  #firstOf(route: number): number {
    return this.#route[route]!;
  }

  /** Whether data and fetches share a structure of the first level. */
  #sharesFirst(): boolean {
    const firsts = (kind: number): number[] =>
      this.sizes.bytes.map((_, c) => this.#firstOf(kind * SIZE_CLASSES + c));
    return firsts(0).some((structure) => structure !== NONE && firsts(1).includes(structure));
  }
}
