import { assert } from '../../base/index.ts';
import { shiftedHigh, shiftedLow } from './page-number.ts';

/** Places of the table for each line of the largest cache. */
const PLACES_A_LINE = 4;
/** With fewer, what is above a place would not fit beside the level. */
const PLACE_BITS_MIN = 18;
/** Lines of different levels of tables begin at different places. */
const LEVEL_STEP = 40503;
const LEVEL_BITS = 4;
/** Entries of a table, and entries in a line of 64 bytes. */
const ENTRY_BITS = 9;
const LINE_BITS = 3;
const PDE_LINE_BITS: number = ENTRY_BITS + LINE_BITS;
/** A new beginning, long before 32 bits of clock run out. */
const CLOCK_END = 2 ** 30;

/**
 * Which cache a load of a page-table entry is served from: the smallest one that has at least as
 * many lines as loads of page-table lines were made since the line's last load. That is the working
 * set of Denning (1968) with a window as long as the cache has lines: a line loaded twice counts
 * twice, so a cache holds at most as much as under LRU. The program's data is not there: how many
 * lines page tables get beside it is an input (costs.ts).
 *
 * One table, directly indexed by the line, holds who was there last and when. Where two lines of
 * one place alternate, both are taken for new.
 */
export class LoadWindow {
  readonly #l1Lines: number;
  readonly #l2Lines: number;
  readonly #l3Lines: number;
  /** Pairs: level and the bits of the line above its place (0 for none), clock of its last load. */
  readonly #places: Int32Array;
  readonly #placeBits: number;
  #clock = 0;

  /** Lines that each cache holds, ascending; the last at most 2^24. */
  constructor(l1Lines: number, l2Lines: number, l3Lines: number) {
    assert(l1Lines >= 1 && l1Lines <= l2Lines && l2Lines <= l3Lines, 'caches ascend');
    assert(l3Lines <= 2 ** 24, 'lines of L3');
    this.#l1Lines = l1Lines;
    this.#l2Lines = l2Lines;
    this.#l3Lines = l3Lines;
    const bits = Math.ceil(Math.log2(l3Lines * PLACES_A_LINE));
    this.#placeBits = Math.max(PLACE_BITS_MIN, bits);
    this.#places = new Int32Array(2 ** this.#placeBits * 2);
  }

  /**
   * Loads lines one after the other and counts in `served` which cache had each: 0 L1D, 1 L2, 2 L3,
   * 3 DRAM. A line is a number below 2^45 in two parts (page-number.ts) of the tables of a level (1
   * to 15).
   */
  loadAll(
    lows: Int32Array,
    highs: Int32Array,
    levels: Uint8Array,
    count: number,
    served: Float64Array,
  ): void {
    if (this.#clock > CLOCK_END) this.#restart();
    const places = this.#places;
    const bits = this.#placeBits;
    const mask = (1 << bits) - 1;
    const l1Lines = this.#l1Lines;
    const l2Lines = this.#l2Lines;
    const l3Lines = this.#l3Lines;
    let clock = this.#clock;
    let beyondL1 = 0;
    let beyondL2 = 0;
    let beyondL3 = 0;
    for (let i = 0; i < count; i++) {
      const low = lows[i]!;
      const level = levels[i]!;
      const at = ((low + level * LEVEL_STEP) & mask) * 2;
      const rest = (((low >>> bits) | (highs[i]! << (32 - bits))) << LEVEL_BITS) | level;
      clock += 1;
      const age = places[at] === rest ? clock - places[at + 1]! : CLOCK_END;
      places[at] = rest;
      places[at + 1] = clock;
      // Sign bits of differences: which cache it is, is as good as random to a branch.
      beyondL1 += (l1Lines - age) >>> 31;
      beyondL2 += (l2Lines - age) >>> 31;
      beyondL3 += (l3Lines - age) >>> 31;
    }
    this.#clock = clock;
    addServed(served, count, beyondL1, beyondL2, beyondL3);
  }

  /**
   * The same for the loads of whole walks, each from the table of level `tops[i]` down to the `leaf`,
   * for pages of 4 KiB; returns how many loads that were. All page numbers have the upper part `high`, so
   * what it gives to the lines of the two lowest levels is known.
   */
  loadWalks(
    lows: Int32Array,
    high: number,
    tops: Uint8Array,
    leaf: number,
    count: number,
    served: Float64Array,
  ): number {
    if (this.#clock > CLOCK_END) this.#restart();
    const places = this.#places;
    const placeBits = this.#placeBits;
    const mask = (1 << placeBits) - 1;
    const farShift = 32 - placeBits;
    const pteHigh = high << (32 - LINE_BITS);
    const pteFar = (high >>> LINE_BITS) << farShift;
    const pdeHigh = high << (32 - PDE_LINE_BITS);
    const pdeFar = (high >>> PDE_LINE_BITS) << farShift;
    const l1Lines = this.#l1Lines;
    const l2Lines = this.#l2Lines;
    const l3Lines = this.#l3Lines;
    const began = this.#clock;
    let clock = began;
    let beyondL1 = 0;
    let beyondL2 = 0;
    let beyondL3 = 0;
    for (let i = 0; i < count; i++) {
      const low = lows[i]!;
      const top = tops[i]!;
      for (let level = top; level >= leaf; level--) {
        let line = 0;
        let far = 0;
        if (level === 1) {
          line = (low >>> LINE_BITS) | pteHigh;
          far = pteFar;
        } else if (level === 2) {
          line = (low >>> PDE_LINE_BITS) | pdeHigh;
          far = pdeFar;
        } else {
          const bits = ENTRY_BITS * (level - 1) + LINE_BITS;
          line = shiftedLow(low, high, bits);
          far = shiftedHigh(high, bits) << farShift;
        }
        const at = ((line + level * LEVEL_STEP) & mask) * 2;
        const rest = (((line >>> placeBits) | far) << LEVEL_BITS) | level;
        clock += 1;
        const age = places[at] === rest ? clock - places[at + 1]! : CLOCK_END;
        places[at] = rest;
        places[at + 1] = clock;
        beyondL1 += (l1Lines - age) >>> 31;
        beyondL2 += (l2Lines - age) >>> 31;
        beyondL3 += (l3Lines - age) >>> 31;
      }
    }
    const loads = clock - began;
    this.#clock = clock;
    addServed(served, loads, beyondL1, beyondL2, beyondL3);
    return loads;
  }

  #restart(): void {
    this.#places.fill(0);
    this.#clock = 0;
  }
}

/** Counts loads by the smallest cache that had them; so many were beyond each. */
function addServed(
  served: Float64Array,
  loads: number,
  beyondL1: number,
  beyondL2: number,
  beyondL3: number,
): void {
  served[0]! += loads - beyondL1;
  served[1]! += beyondL1 - beyondL2;
  served[2]! += beyondL2 - beyondL3;
  served[3]! += beyondL3;
}
