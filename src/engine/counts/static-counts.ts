import { assert, InputError } from '../../base/index.ts';
import { bufferBytes, formatMemory, reserveWords } from './count-memory.ts';
import type { CountKind, CountOptions, CountTable } from './count-table.ts';
import { L_BITS, L_FRAMES, L_LANE_OWN, LaneCounts } from './lane-counts.ts';
import { countLanes, fullLanes, nonzeroLanes } from './lanes.ts';
import { runLength } from './row-leaf.ts';
import { SIDE_WORDS } from './side-counts.ts';

/**
 * One byte for every frame of the machine, as the count in struct page is there for every frame. A
 * byte is a lane, so batches change four at a time. One atomic operation a change, never a resize;
 * the price is a byte for each frame that nobody shares.
 */

const BITS = 8;
const LANES = 4;
const S_AT: number = L_LANE_OWN;

function wordsFor({ frames }: CountOptions): number {
  if (!(frames >= 1 && frames <= 2 ** 32)) throw new InputError(`frames ${frames}: want 1 to 2^32`);
  return Math.ceil(frames / LANES);
}

export const STATIC_COUNTS: CountKind = {
  name: 'static',
  bytesFor: (options) =>
    bufferBytes(wordsFor(options) + 256 + SIDE_WORDS * options.entries, options.workers),
  format(buffer, options) {
    const words = formatMemory(buffer, options.workers);
    words[L_BITS] = BITS;
    words[L_FRAMES] = Math.ceil(options.frames / LANES) * LANES;
    words[S_AT] = reserveWords(words, wordsFor(options));
  },
  attach: (buffer, worker) => new StaticCounts(buffer, worker),
};

export class StaticCounts extends LaneCounts implements CountTable {
  readonly #at: number;

  constructor(buffer: ArrayBufferLike, worker: number) {
    super(buffer, worker);
    this.#at = this.words[S_AT];
  }

  get(frame: number): number {
    return this.laneGet(this.#at + (frame >>> 2), frame);
  }

  inc(frame: number): number {
    return this.laneInc(this.#at + (frame >>> 2), frame);
  }

  dec(frame: number): number {
    return this.laneDec(this.#at + (frame >>> 2), frame);
  }

  incBatch(frames: Int32Array, from: number, n: number): void {
    const end = from + n;
    for (let i = from; i < end; ) {
      const run = runLength(frames, i, end);
      if (run >= LANES) {
        this.incRun(frames[i], run);
        i += run;
        continue;
      }
      const word = frames[i] >>> 2;
      let ones = 0;
      do {
        const bit = 1 << ((frames[i] & 3) * BITS);
        if ((ones & bit) !== 0) break;
        ones |= bit;
        i += 1;
      } while (i < end && frames[i] >>> 2 === word);
      this.lanesInc(this.#at + word, ones, word * LANES);
    }
  }

  decBatch(frames: Int32Array, from: number, n: number, gone: Int32Array): number {
    const end = from + n;
    let goneCount = 0;
    for (let i = from; i < end; ) {
      const run = runLength(frames, i, end);
      if (run >= LANES) {
        goneCount = this.#decSpan(frames[i], run, gone, goneCount);
        i += run;
        continue;
      }
      const word = frames[i] >>> 2;
      let ones = 0;
      do {
        const bit = 1 << ((frames[i] & 3) * BITS);
        if ((ones & bit) !== 0) break;
        ones |= bit;
        i += 1;
      } while (i < end && frames[i] >>> 2 === word);
      goneCount = this.lanesDec(this.#at + word, ones, word * LANES, gone, goneCount);
    }
    return goneCount;
  }

  incRun(first: number, n: number): void {
    let frame = first | 0;
    for (let rest = n; rest > 0; ) {
      const count = Math.min(rest, LANES - (frame & 3));
      const word = frame >>> 2;
      this.lanesInc(this.#at + word, this.#onesOf(frame, count), word * LANES);
      frame = (frame + count) | 0;
      rest -= count;
    }
  }

  decRun(first: number, n: number, gone: Int32Array): number {
    return this.#decSpan(first | 0, n, gone, 0);
  }

  #decSpan(first: number, n: number, gone: Int32Array, goneCount: number): number {
    let goneEnd = goneCount;
    let frame = first;
    for (let rest = n; rest > 0; ) {
      const count = Math.min(rest, LANES - (frame & 3));
      const word = frame >>> 2;
      const ones = this.#onesOf(frame, count);
      goneEnd = this.lanesDec(this.#at + word, ones, word * LANES, gone, goneEnd);
      frame = (frame + count) | 0;
      rest -= count;
    }
    return goneEnd;
  }

  /** The lanes of `count` frames in the word of the first. */
  #onesOf(frame: number, count: number): number {
    return (this.all >>> ((LANES - count) * BITS)) << ((frame & 3) * BITS);
  }

  validate(): void {
    const w = this.words;
    const words = this.frames / LANES;
    let entries = 0;
    let atMax = 0;
    for (let at = this.#at; at < this.#at + words; at++) {
      entries += countLanes(nonzeroLanes(w[at], BITS), BITS);
      atMax += countLanes(fullLanes(w[at], BITS) & w[at], BITS);
    }
    assert(entries === this.entries(), `static: ${entries} entries, ${this.entries()} noted`);
    this.validateSide(atMax, this.leastAside);
    const bytes = (words + this.sideWords()) * 4;
    assert(bytes === this.bytesInUse(), `static: ${bytes} bytes, ${this.bytesInUse()} noted`);
  }
}
