import { assert } from '../../base/index.ts';
import { HintedSets } from './hinted-sets.ts';
import { INDEX_HIGH_MASK, joined } from './page-number.ts';
import { ScannedSets } from './scanned-sets.ts';

/** The upper part of no tag. */
export const EMPTY = -1;
/** Up to so many ways a scan is faster than a hint. */
const SCAN_WAYS_MAX = 6;
/** Entries of one structure; the largest TLBs have some thousands. */
export const ENTRIES_MAX = 32768;
const CLASS_SHIFT = 28;

/** No upper part of a tag: none is there; they may differ. */
const NOTHING = -2;
const MIXED = -1;
/** For filters that carry nothing beside the tags. */
export const NO_PAYLOAD: Uint16Array = new Uint16Array(0);

/** What `access` found. */
export const HIT = 0;
/** Missed, and there was room. */
export const FILLED = 1;
/** Missed, and another entry went. */
export const EVICTED = 2;

/**
 * A set-associative structure with exact LRU, of any number of sets and ways. A tag is two integers
 * (page-number.ts), the upper one from 0 to 2^31 - 1; its lowest 60 bits, which must be below 2^51,
 * choose the set by their remainder. How the order of use is kept depends on the ways, what comes
 * out does not.
 */
export class LruSets {
  readonly sets: number;
  readonly ways: number;
  readonly #in: ScannedSets | HintedSets;
  /** The upper part of all valid tags; NOTHING without any, MIXED where they may differ. */
  #onlyHigh = NOTHING;
  /** Every entry is valid; only known while all upper parts are alike. */
  #isFull = false;

  constructor(sets: number, ways: number) {
    assert(Number.isSafeInteger(sets) && sets >= 1, 'sets');
    assert(Number.isSafeInteger(ways) && ways >= 1 && sets * ways <= ENTRIES_MAX, 'ways');
    this.sets = sets;
    this.ways = ways;
    this.#in = ways <= SCAN_WAYS_MAX ? new ScannedSets(sets, ways) : new HintedSets(sets, ways);
  }

  /** Looks a tag up; makes it the most recent of its set, in place of the oldest if it was not there. */
  access(low: number, high: number): number {
    if (high !== this.#onlyHigh) this.#onlyHigh = this.#onlyHigh === NOTHING ? high : MIXED;
    return this.#in.access(low, high);
  }

  /**
   * Looks up the first `count` tags one after the other. Those that missed are left at the beginning
   * of the arrays, in order, with what stands beside them in `payload`; returns how many.
   */
  filter(lows: Int32Array, highs: Int32Array, payload: Uint16Array, count: number): number {
    this.#onlyHigh = MIXED;
    return this.#in.filter(lows, highs, payload, count);
  }

  /**
   * The same for tags that all have the upper part `high`; without payload it is left as it is. Where
   * the structure is full of such tags, as with the pages of one program, no upper part is looked at.
   */
  filterNear(
    lows: Int32Array,
    highs: Int32Array,
    payload: Uint16Array,
    count: number,
    high: number,
    hasPayload: boolean,
  ): number {
    if (this.#onlyHigh === high && this.#isFull) {
      return this.#in.filterLows(lows, hasPayload ? payload : NO_PAYLOAD, count);
    }
    if (this.#onlyHigh !== high) this.#onlyHigh = this.#onlyHigh === NOTHING ? high : MIXED;
    const missed = this.#in.filter(lows, highs, payload, count);
    this.#isFull = this.#onlyHigh === high && this.size === this.sets * this.ways;
    return missed;
  }

  /** Entries that went for another one. */
  get evictions(): number {
    return this.#in.evictions;
  }

  /** Whether a tag is there; changes nothing. */
  has(low: number, high: number): boolean {
    return this.#in.has(low, high);
  }

  /**
   * Takes out every tag of [first, end) with that class (the bits above 60); returns how many. The
   * order of the others stays.
   */
  invalidate(first: number, end: number, tagClass: number): number {
    this.#isFull = false;
    return this.#in.invalidate((low, high) => {
      if (high === EMPTY || high >>> CLASS_SHIFT !== tagClass) return false;
      const number = joined(low, high & INDEX_HIGH_MASK);
      return number >= first && number < end;
    });
  }

  flush(): void {
    this.#onlyHigh = NOTHING;
    this.#isFull = false;
    this.#in.flush();
  }

  /** Valid entries. */
  get size(): number {
    return this.#in.size;
  }
}
