import { EMPTY, EVICTED, FILLED, HIT } from './lru-sets.ts';
import { remainder } from './page-number.ts';

const NONE = -1;
/** Slots of the hints for each entry: one lookup in nine of a tag that is not there finds a slot in use. */
const SLOTS_AN_ENTRY = 8;
/** A few entries may as well have more: 16 KiB. */
const SLOT_BITS_MIN = 12;
/** A slot holds how many entries have it, above the entry that took it last. */
const COUNT_ONE = 0x10000;
const ENTRY_MASK = 0xffff;

/**
 * Exact LRU for sets of many ways. Each set is a ring in the order of use. A table of hints, chosen
 * by a hash of the tag, says how many entries share a slot and which one took it last: nobody means
 * the tag is not there, which is the usual answer where a TLB misses; the last one is mostly the
 * tag itself; else the set is scanned. So the ways cost nothing.
 */
export class HintedSets {
  /** By entry (set * ways + way): lower and upper part by turns. */
  readonly #tags: Int32Array;
  evictions = 0;
  readonly #sets: number;
  readonly #ways: number;
  readonly #mask: number;
  readonly #inverse: number;
  readonly #next: Uint16Array;
  readonly #previous: Uint16Array;
  /** Most recent entry of each set. Entries that hold nothing stand at the end of the ring. */
  readonly #heads: Uint16Array;
  readonly #slots: Int32Array;
  readonly #shift: number;

  constructor(sets: number, ways: number) {
    const entries = sets * ways;
    this.#sets = sets;
    this.#ways = ways;
    this.#mask = (sets & (sets - 1)) === 0 ? sets - 1 : -1;
    this.#inverse = 1 / sets;
    this.#tags = new Int32Array(entries * 2).fill(EMPTY);
    this.#next = Uint16Array.from({ length: entries }, (_, e) =>
      e % ways === ways - 1 ? e - ways + 1 : e + 1,
    );
    this.#previous = Uint16Array.from({ length: entries }, (_, e) =>
      e % ways === 0 ? e + ways - 1 : e - 1,
    );
    this.#heads = Uint16Array.from({ length: sets }, (_, set) => set * ways);
    const bits = Math.max(SLOT_BITS_MIN, Math.ceil(Math.log2(entries * SLOTS_AN_ENTRY)));
    this.#slots = new Int32Array(2 ** bits);
    this.#shift = 32 - bits;
  }

  access(low: number, high: number): number {
    const set = this.#setOf(low, high);
    const tags = this.#tags;
    const slots = this.#slots;
    const at = Math.imul(low, HASH) >>> this.#shift;
    const slot = slots[at]!;
    const head = this.#heads[set]!;
    if (slot >= COUNT_ONE) {
      let entry = slot & ENTRY_MASK;
      if (tags[entry * 2] !== low || tags[entry * 2 + 1] !== high) {
        entry = this.#scan(low, high, set);
      }
      if (entry !== NONE) {
        if (entry !== head) this.#toFront(entry, head, set);
        return HIT;
      }
    }
    // The oldest becomes the most recent: the ring turns by one.
    const oldest = this.#previous[head]!;
    const isRoom = tags[oldest * 2 + 1] === EMPTY;
    if (!isRoom) slots[Math.imul(tags[oldest * 2]!, HASH) >>> this.#shift]! -= COUNT_ONE;
    tags[oldest * 2] = low;
    tags[oldest * 2 + 1] = high;
    this.#heads[set] = oldest;
    // Read again: the one that went may have had the same slot.
    slots[at] = ((slots[at]! & ~ENTRY_MASK) + COUNT_ONE) | oldest;
    if (isRoom) return FILLED;
    this.evictions += 1;
    return EVICTED;
  }

  filter(lows: Int32Array, highs: Int32Array, payload: Uint16Array, count: number): number {
    const tags = this.#tags;
    const slots = this.#slots;
    const heads = this.#heads;
    const previous = this.#previous;
    const mask = this.#mask;
    const shift = this.#shift;
    let missed = 0;
    let evictions = 0;
    for (let i = 0; i < count; i++) {
      const low = lows[i]!;
      const high = highs[i]!;
      const set = mask >= 0 ? low & mask : this.#setOf(low, high);
      const head = heads[set]!;
      const at = Math.imul(low, HASH) >>> shift;
      const slot = slots[at]!;
      if (slot >= COUNT_ONE) {
        let entry = slot & ENTRY_MASK;
        if (tags[entry * 2] !== low || tags[entry * 2 + 1] !== high) {
          entry = this.#scan(low, high, set);
        }
        if (entry !== NONE) {
          if (entry !== head) this.#toFront(entry, head, set);
          continue;
        }
      }
      const oldest = previous[head]!;
      if (tags[oldest * 2 + 1] !== EMPTY) {
        slots[Math.imul(tags[oldest * 2]!, HASH) >>> shift]! -= COUNT_ONE;
        evictions += 1;
      }
      tags[oldest * 2] = low;
      tags[oldest * 2 + 1] = high;
      heads[set] = oldest;
      slots[at] = ((slots[at]! & ~ENTRY_MASK) + COUNT_ONE) | oldest;
      lows[missed] = low;
      highs[missed] = high;
      payload[missed] = payload[i]!;
      missed += 1;
    }
    this.evictions += evictions;
    return missed;
  }

  /** The same by the lower parts alone: all tags here and there have one upper part, and none is empty. */
  filterLows(lows: Int32Array, payload: Uint16Array, count: number): number {
    const tags = this.#tags;
    const slots = this.#slots;
    const heads = this.#heads;
    const previous = this.#previous;
    const mask = this.#mask;
    const shift = this.#shift;
    const hasPayload = payload.length > 0;
    const high = tags[1]!;
    let missed = 0;
    for (let i = 0; i < count; i++) {
      const low = lows[i]!;
      const set = mask >= 0 ? low & mask : this.#setOf(low, high);
      const head = heads[set]!;
      const at = Math.imul(low, HASH) >>> shift;
      const slot = slots[at]!;
      if (slot >= COUNT_ONE) {
        let entry = slot & ENTRY_MASK;
        if (tags[entry * 2] !== low) entry = this.#scan(low, high, set);
        if (entry !== NONE) {
          if (entry !== head) this.#toFront(entry, head, set);
          continue;
        }
      }
      const oldest = previous[head]!;
      slots[Math.imul(tags[oldest * 2]!, HASH) >>> shift]! -= COUNT_ONE;
      tags[oldest * 2] = low;
      heads[set] = oldest;
      slots[at] = ((slots[at]! & ~ENTRY_MASK) + COUNT_ONE) | oldest;
      lows[missed] = low;
      if (hasPayload) payload[missed] = payload[i]!;
      missed += 1;
    }
    this.evictions += missed;
    return missed;
  }

  has(low: number, high: number): boolean {
    return this.#scan(low, high, this.#setOf(low, high)) !== NONE;
  }

  invalidate(isGone: (low: number, high: number) => boolean): number {
    let gone = 0;
    const tags = this.#tags;
    for (let entry = 0; entry * 2 < tags.length; entry++) {
      if (!isGone(tags[entry * 2]!, tags[entry * 2 + 1]!)) continue;
      this.#drop(entry, Math.floor(entry / this.#ways));
      gone += 1;
    }
    return gone;
  }

  flush(): void {
    this.#tags.fill(EMPTY);
    this.#slots.fill(0);
  }

  get size(): number {
    let size = 0;
    for (let at = 1; at < this.#tags.length; at += 2) if (this.#tags[at] !== EMPTY) size += 1;
    return size;
  }

  #setOf(low: number, high: number): number {
    return this.#mask >= 0 ? low & this.#mask : remainder(low, high, this.#sets, this.#inverse);
  }

  #scan(low: number, high: number, set: number): number {
    const tags = this.#tags;
    const first = set * this.#ways;
    const end = first + this.#ways;
    for (let entry = first; entry < end; entry++) {
      if (tags[entry * 2] === low && tags[entry * 2 + 1] === high) return entry;
    }
    return NONE;
  }

  /** Moves an entry that is not the head before it. */
  #toFront(entry: number, head: number, set: number): void {
    const oldest = this.#previous[head]!;
    this.#heads[set] = entry;
    if (entry === oldest) return;
    const before = this.#previous[entry]!;
    const after = this.#next[entry]!;
    this.#next[before] = after;
    this.#previous[after] = before;
    this.#next[entry] = head;
    this.#previous[head] = entry;
    this.#previous[entry] = oldest;
    this.#next[oldest] = entry;
  }

  /** Empties an entry and puts it at the end of its ring. */
  #drop(entry: number, set: number): void {
    this.#slots[Math.imul(this.#tags[entry * 2]!, HASH) >>> this.#shift]! -= COUNT_ONE;
    this.#tags.fill(EMPTY, entry * 2, entry * 2 + 2);
    const head = this.#heads[set]!;
    if (entry !== head) this.#toFront(entry, head, set);
    // As the head it is followed by all others; the ring turns, and it is the last.
    this.#heads[set] = this.#next[entry]!;
  }
}

/** Multiplicative hashing (Knuth, 6.4) of the lowest 32 bits; the rest seldom differs. */
const HASH = 0x9e3779b1;
