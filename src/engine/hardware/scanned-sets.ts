import { EMPTY, EVICTED, FILLED, HIT } from './lru-sets.ts';
import { remainder } from './page-number.ts';

/**
 * Exact LRU for sets of few ways. A set is a ring of tags in the order of use, beginning at its
 * head. A tag that was not there is written over the last one, which is the one before the head, and
 * becomes the head: nothing moves. A tag that was there moves those before it by one place.
 */
export class ScannedSets {
  evictions = 0;
  readonly #sets: number;
  readonly #ways: number;
  readonly #mask: number;
  readonly #inverse: number;
  readonly #lows: Int32Array;
  readonly #highs: Int32Array;
  readonly #heads: Uint8Array;

  constructor(sets: number, ways: number) {
    this.#sets = sets;
    this.#ways = ways;
    this.#mask = (sets & (sets - 1)) === 0 ? sets - 1 : -1;
    this.#inverse = 1 / sets;
    this.#lows = new Int32Array(sets * ways);
    this.#highs = new Int32Array(sets * ways).fill(EMPTY);
    this.#heads = new Uint8Array(sets);
  }

  access(low: number, high: number): number {
    const set = this.#setOf(low, high);
    const ways = this.#ways;
    const highs = this.#highs;
    const at = this.#find(low, high, set);
    const head = this.#heads[set]!;
    if (at >= 0) {
      this.#toHead(at - set * ways, head, set * ways);
      return HIT;
    }
    const last = head === 0 ? ways - 1 : head - 1;
    this.#heads[set] = last;
    const isRoom = highs[set * ways + last] === EMPTY;
    this.#lows[set * ways + last] = low;
    highs[set * ways + last] = high;
    if (isRoom) return FILLED;
    this.evictions += 1;
    return EVICTED;
  }

  filter(into: Int32Array, intoHighs: Int32Array, payload: Uint16Array, count: number): number {
    const lows = this.#lows;
    const highs = this.#highs;
    const heads = this.#heads;
    const ways = this.#ways;
    const mask = this.#mask;
    let missed = 0;
    let evictions = 0;
    for (let i = 0; i < count; i++) {
      const low = into[i]!;
      const high = intoHighs[i]!;
      const set = mask >= 0 ? low & mask : this.#setOf(low, high);
      const first = set * ways;
      const head = heads[set]!;
      if (lows[first + head] === low && highs[first + head] === high) continue;
      const end = first + ways;
      let at = first;
      while (at < end && (lows[at] !== low || highs[at] !== high)) at++;
      if (at < end) {
        this.#toHead(at - first, head, first);
        continue;
      }
      // The place before the head, in the ring; heads are as good as random to a branch.
      const last = head - 1 + (((head - 1) >> 31) & ways);
      heads[set] = last;
      if (highs[first + last] !== EMPTY) evictions += 1;
      lows[first + last] = low;
      highs[first + last] = high;
      into[missed] = low;
      intoHighs[missed] = high;
      payload[missed] = payload[i]!;
      missed += 1;
    }
    this.evictions += evictions;
    return missed;
  }

  /** The same by the lower parts alone: all tags here and there have one upper part, and none is empty. */
  filterLows(into: Int32Array, payload: Uint16Array, count: number): number {
    const lows = this.#lows;
    const heads = this.#heads;
    const ways = this.#ways;
    const mask = this.#mask;
    const hasPayload = payload.length > 0;
    const high = this.#highs[0]!;
    let missed = 0;
    for (let i = 0; i < count; i++) {
      const low = into[i]!;
      const set = mask >= 0 ? low & mask : this.#setOf(low, high);
      const first = set * ways;
      const head = heads[set]!;
      const at = ways === 4 ? fourthOf(lows, first, low) : this.#findLow(low, first);
      if (at >= 0) {
        if (at !== first + head) this.#toHead(at - first, head, first);
        continue;
      }
      const last = head - 1 + (((head - 1) >> 31) & ways);
      heads[set] = last;
      lows[first + last] = low;
      into[missed] = low;
      if (hasPayload) payload[missed] = payload[i]!;
      missed += 1;
    }
    this.evictions += missed;
    return missed;
  }

  #findLow(low: number, first: number): number {
    const lows = this.#lows;
    const end = first + this.#ways;
    for (let at = first; at < end; at++) if (lows[at] === low) return at;
    return -1;
  }

  has(low: number, high: number): boolean {
    return this.#find(low, high, this.#setOf(low, high)) >= 0;
  }

  invalidate(isGone: (low: number, high: number) => boolean): number {
    const before = this.size;
    for (let set = 0; set < this.#sets; set++) {
      const kept = this.#inOrder(set).filter(([low, high]) => high !== EMPTY && !isGone(low, high));
      const first = set * this.#ways;
      this.#heads[set] = 0;
      this.#highs.fill(EMPTY, first, first + this.#ways);
      kept.forEach(([low, high], way) => {
        this.#lows[first + way] = low;
        this.#highs[first + way] = high;
      });
    }
    return before - this.size;
  }

  flush(): void {
    this.#highs.fill(EMPTY);
  }

  get size(): number {
    return this.#highs.reduce((sum, high) => sum + (high === EMPTY ? 0 : 1), 0);
  }

  /** The places of a set from the most recent on. */
  #inOrder(set: number): [number, number][] {
    const first = set * this.#ways;
    return Array.from({ length: this.#ways }, (_, i) => {
      const at = first + ((this.#heads[set]! + i) % this.#ways);
      return [this.#lows[at]!, this.#highs[at]!];
    });
  }

  #setOf(low: number, high: number): number {
    return this.#mask >= 0 ? low & this.#mask : remainder(low, high, this.#sets, this.#inverse);
  }

  /** Where a tag stands, or a negative number. */
  #find(low: number, high: number, set: number): number {
    const first = set * this.#ways;
    for (let at = first; at < first + this.#ways; at++) {
      if (this.#lows[at] === low && this.#highs[at] === high) return at;
    }
    return -1;
  }

  /** Moves a way of the set that begins at `first` to its head. */
  #toHead(way: number, head: number, first: number): void {
    const low = this.#lows[first + way]!;
    const high = this.#highs[first + way]!;
    for (let to = way; to !== head; ) {
      const from = to === 0 ? this.#ways - 1 : to - 1;
      this.#lows[first + to] = this.#lows[first + from]!;
      this.#highs[first + to] = this.#highs[first + from]!;
      to = from;
    }
    this.#lows[first + head] = low;
    this.#highs[first + head] = high;
  }
}

/** Which of four places from `first` on holds a tag; -1 for none. */
function fourthOf(lows: Int32Array, first: number, low: number): number {
  if (lows[first] === low) return first;
  if (lows[first + 1] === low) return first + 1;
  if (lows[first + 2] === low) return first + 2;
  return lows[first + 3] === low ? first + 3 : -1;
}
