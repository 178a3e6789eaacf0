import { assert, InputError } from '../../base/index.ts';
import { bufferBytes, CLASS_16, formatMemory, reserveWords } from './count-memory.ts';
import type { CountKind, CountOptions, CountTable } from './count-table.ts';
import { L_BITS, L_FRAMES, L_LANE_OWN, LaneCounts } from './lane-counts.ts';
import { countLanes, fullLanes, nonzeroLanes } from './lanes.ts';
import { SIDE_WORDS } from './side-counts.ts';

/**
 * A directory of one word a row of consecutive frames, and a line of 64 bytes of lanes ("leaf") for
 * each row in which a frame is shared. Counts come in page tables, and tables point to runs of
 * frames, so locality is what a hash would destroy. Nothing is ever rehashed; a leaf comes and goes.
 *
 * A row's word: bits 0-20 the leaf (0: none), bits 21-31 `live`: words of the leaf that are not zero,
 * plus one for each thread that is inside the leaf (a pin). A thread adds the unit of a word before
 * it makes it nonzero and takes it off after it made it zero, so `live` is never too low. Who brings
 * `live` to 0 tries to swap the word to 0 and so frees the leaf, which is all zeros then.
 */

const LEAF_WORDS = 16;
const LEAF_MASK = 0x1fffff;
const LIVE_SHIFT = 21;
const LIVE_ONE = 2097152; // 1 << LIVE_SHIFT
/** A pin, and a unit for every word of the leaf: what a batch may need at most. */
const LIVE_BATCH = 17;
const R_DIR: number = L_LANE_OWN;
const R_ROWS: number = L_LANE_OWN + 1;
/** Leaves are numbered from here, so that 21 bits reach 128 MiB of them. */
const R_POOL: number = L_LANE_OWN + 2;

function rowsOf({ frames }: CountOptions, bits: number): number {
  if (!(frames >= 1 && frames <= 2 ** 32)) throw new InputError(`frames ${frames}: want 1 to 2^32`);
  return Math.ceil(frames / ((LEAF_WORDS * 32) / bits));
}

function kindOf(name: string, bits: number): CountKind {
  return {
    name,
    bytesFor(options) {
      const rows = rowsOf(options, bits);
      // Every thread's list may hold two refills; the side table is at most half full.
      const leaves = Math.min(LEAF_MASK, rows, options.entries) + 256 * options.workers;
      const side = SIDE_WORDS * options.entries;
      return bufferBytes(rows + (leaves + 2) * LEAF_WORDS + side + 256, options.workers);
    },
    format(buffer, options) {
      const words = formatMemory(buffer, options.workers);
      const rows = rowsOf(options, bits);
      words[L_BITS] = bits;
      words[L_FRAMES] = options.frames;
      words[R_DIR] = reserveWords(words, rows);
      words[R_ROWS] = rows;
      words[R_POOL] = ((words[R_DIR] + rows + 15) & ~15) - LEAF_WORDS;
    },
    attach: (buffer, worker) => new RowLeaf(buffer, worker),
  };
}

/** Lanes of 8 bits: rows of 64 frames, counts to 255 in the leaf. */
export const ROW_LEAF: CountKind = kindOf('row-leaf', 8);
/** Lanes of 4 bits: rows of 128 frames, counts to 15 in the leaf. */
export const ROW_LEAF_4: CountKind = kindOf('row-leaf-4', 4);

/** Shorter runs are counted with the other frames of their row. */
const RUN_MIN = 4;

/** How many frames from `from` on are consecutive. */
export function runLength(frames: Int32Array, from: number, end: number): number {
  const offset = (frames[from] - from) | 0;
  let i = from + 1;
  while (i < end && frames[i] === ((offset + i) | 0)) i += 1;
  return i - from;
}

export class RowLeaf extends LaneCounts implements CountTable {
  readonly #dir: number;
  readonly #rows: number;
  readonly #pool: number;
  readonly #rowShift: number;

  constructor(buffer: ArrayBufferLike, worker: number) {
    super(buffer, worker);
    this.#dir = this.words[R_DIR];
    this.#rows = this.words[R_ROWS];
    this.#pool = this.words[R_POOL];
    this.#rowShift = this.wordShift + 4;
  }

  /**
   * Without a lock: a frame whose count stays above 1 keeps its leaf, so it is never read as 1. A leaf
   * that went meanwhile may hold anything; the second look at the directory tells.
   */
  get(frame: number): number {
    const w = this.words;
    const row = this.#dir + (frame >>> this.#rowShift);
    let leaf = w[row] & LEAF_MASK;
    while (leaf !== 0) {
      const at = this.#pool + leaf * LEAF_WORDS + ((frame >>> this.wordShift) & 15);
      const lane = (w[at] >>> this.shiftOf(frame)) & this.max;
      if (lane === 0) return 1;
      const again = Atomics.load(w, row) & LEAF_MASK;
      if (again === leaf) {
        if (lane !== this.max) return lane + 1;
        return this.#getPinned(row, frame);
      }
      leaf = again;
    }
    return 1;
  }

  #getPinned(row: number, frame: number): number {
    const leaf = this.#tryPin(row, 1);
    if (leaf === 0) return 1;
    const count = this.laneGet(leaf + ((frame >>> this.wordShift) & 15), frame);
    this.#unpin(row, 1);
    return count;
  }

  inc(frame: number): number {
    const row = this.#dir + (frame >>> this.#rowShift);
    const leaf = this.#pin(row, 1);
    this.turned = 0;
    const count = this.laneInc(leaf + ((frame >>> this.wordShift) & 15), frame);
    // The pin becomes the unit of a word that was zero.
    if (this.turned === 0) this.#unpin(row, 1);
    return count;
  }

  dec(frame: number): number {
    const row = this.#dir + (frame >>> this.#rowShift);
    const leaf = this.#tryPin(row, 1);
    if (leaf === 0) return 0;
    const count = this.laneDec(leaf + ((frame >>> this.wordShift) & 15), frame);
    this.#unpin(row, 1 - this.turned);
    return count;
  }

  /** Pins the row's leaf, making one where there is none; its first word. */
  #pin(row: number, units: number): number {
    const w = this.words;
    let old = w[row];
    let spare = 0;
    for (;;) {
      let now = (old + units * LIVE_ONE) | 0;
      if (old === 0) {
        if (spare === 0) spare = this.#allocLeaf();
        now |= spare;
      }
      const got = Atomics.compareExchange(w, row, old, now);
      if (got === old) {
        if (spare !== 0 && old !== 0) this.#freeLeaf(spare);
        return this.#pool + (now & LEAF_MASK) * LEAF_WORDS;
      }
      old = got;
    }
  }

  /** Pins the row's leaf if there is one; its first word, or 0. */
  #tryPin(row: number, units: number): number {
    const w = this.words;
    let old = w[row];
    for (;;) {
      if (old === 0) {
        old = Atomics.load(w, row);
        if (old === 0) return 0;
      }
      const got = Atomics.compareExchange(w, row, old, (old + units * LIVE_ONE) | 0);
      if (got === old) return this.#pool + (old & LEAF_MASK) * LEAF_WORDS;
      old = got;
    }
  }

  #unpin(row: number, units: number): void {
    const w = this.words;
    const old = Atomics.sub(w, row, units * LIVE_ONE);
    if (old >>> LIVE_SHIFT !== units) return;
    const leaf = old & LEAF_MASK;
    if (Atomics.compareExchange(w, row, leaf, 0) === leaf) this.#freeLeaf(leaf);
  }

  #allocLeaf(): number {
    const at = this.alloc(CLASS_16);
    this.words[at] = 0;
    const leaf = (at - this.#pool) / LEAF_WORDS;
    assert(leaf <= LEAF_MASK, 'row-leaf: more leaves than a row can name');
    return leaf;
  }

  #freeLeaf(leaf: number): void {
    this.free(CLASS_16, this.#pool + leaf * LEAF_WORDS);
  }

  incBatch(frames: Int32Array, from: number, n: number): void {
    const end = from + n;
    const rowShift = this.#rowShift;
    for (let i = from; i < end; ) {
      const run = runLength(frames, i, end);
      if (run >= RUN_MIN) {
        this.incRun(frames[i], run);
        i += run;
        continue;
      }
      const row = frames[i] >>> rowShift;
      let next = i + 1;
      while (next < end && frames[next] >>> rowShift === row) next += 1;
      if (next === i + 1) this.inc(frames[i]);
      else this.#incRow(row, frames, i, next);
      i = next;
    }
  }

  #incRow(row: number, frames: Int32Array, from: number, end: number): void {
    const { wordShift, bits } = this;
    const laneMask = (1 << wordShift) - 1;
    const leaf = this.#pin(this.#dir + row, LIVE_BATCH);
    let kept = 0;
    for (let i = from; i < end; ) {
      const word = frames[i] >>> wordShift;
      let ones = 0;
      do {
        const bit = 1 << ((frames[i] & laneMask) * bits);
        if ((ones & bit) !== 0) break;
        ones |= bit;
        i += 1;
      } while (i < end && frames[i] >>> wordShift === word);
      this.lanesInc(leaf + (word & 15), ones, word << wordShift);
      kept += this.turned;
    }
    this.#unpin(this.#dir + row, LIVE_BATCH - kept);
  }

  decBatch(frames: Int32Array, from: number, n: number, gone: Int32Array): number {
    const end = from + n;
    const rowShift = this.#rowShift;
    let goneEnd = 0;
    for (let i = from; i < end; ) {
      const run = runLength(frames, i, end);
      if (run >= RUN_MIN) {
        goneEnd = this.#decSpan(frames[i], run, gone, goneEnd);
        i += run;
        continue;
      }
      const row = frames[i] >>> rowShift;
      let next = i + 1;
      while (next < end && frames[next] >>> rowShift === row) next += 1;
      if (next > i + 1) goneEnd = this.#decRow(row, frames, i, next, gone, goneEnd);
      else if (this.dec(frames[i]) === 0) gone[goneEnd++] = frames[i];
      i = next;
    }
    return goneEnd;
  }

  #decRow(
    row: number,
    frames: Int32Array,
    from: number,
    end: number,
    gone: Int32Array,
    goneCount: number,
  ): number {
    const { wordShift, bits } = this;
    const laneMask = (1 << wordShift) - 1;
    const leaf = this.#tryPin(this.#dir + row, 1);
    let goneEnd = goneCount;
    if (leaf === 0) {
      for (let i = from; i < end; i++) gone[goneEnd++] = frames[i];
      return goneEnd;
    }
    let units = 1;
    for (let i = from; i < end; ) {
      const word = frames[i] >>> wordShift;
      let ones = 0;
      do {
        const bit = 1 << ((frames[i] & laneMask) * bits);
        if ((ones & bit) !== 0) break;
        ones |= bit;
        i += 1;
      } while (i < end && frames[i] >>> wordShift === word);
      goneEnd = this.lanesDec(leaf + (word & 15), ones, word << wordShift, gone, goneEnd);
      units -= this.turned;
    }
    this.#unpin(this.#dir + row, units);
    return goneEnd;
  }

  incRun(first: number, n: number): void {
    const { wordShift, all } = this;
    const lanes = 1 << wordShift;
    const rowFrames = 1 << this.#rowShift;
    let frame = first | 0;
    let left = n;
    while (left > 0) {
      const row = this.#dir + (frame >>> this.#rowShift);
      const inRow = Math.min(left, rowFrames - (frame & (rowFrames - 1)));
      const leaf = this.#pin(row, LIVE_BATCH);
      let kept = 0;
      left -= inRow;
      for (let rest = inRow; rest > 0; ) {
        const count = Math.min(rest, lanes - (frame & (lanes - 1)));
        const ones = count === lanes ? all : this.#onesOf(frame, count);
        const at = leaf + ((frame >>> wordShift) & 15);
        this.lanesInc(at, ones, (frame >>> wordShift) << wordShift);
        kept += this.turned;
        frame = (frame + count) | 0;
        rest -= count;
      }
      this.#unpin(row, LIVE_BATCH - kept);
    }
  }

  decRun(first: number, n: number, gone: Int32Array): number {
    return this.#decSpan(first | 0, n, gone, 0);
  }

  #decSpan(first: number, n: number, gone: Int32Array, goneCount: number): number {
    const { wordShift, all } = this;
    const lanes = 1 << wordShift;
    const rowFrames = 1 << this.#rowShift;
    let goneEnd = goneCount;
    let frame = first;
    let left = n;
    while (left > 0) {
      const row = this.#dir + (frame >>> this.#rowShift);
      const inRow = Math.min(left, rowFrames - (frame & (rowFrames - 1)));
      const leaf = this.#tryPin(row, 1);
      left -= inRow;
      if (leaf === 0) {
        for (let i = 0; i < inRow; i++) gone[goneEnd++] = frame + i;
        frame = (frame + inRow) | 0;
        continue;
      }
      let units = 1;
      for (let rest = inRow; rest > 0; ) {
        const count = Math.min(rest, lanes - (frame & (lanes - 1)));
        const ones = count === lanes ? all : this.#onesOf(frame, count);
        const at = leaf + ((frame >>> wordShift) & 15);
        goneEnd = this.lanesDec(at, ones, (frame >>> wordShift) << wordShift, gone, goneEnd);
        units -= this.turned;
        frame = (frame + count) | 0;
        rest -= count;
      }
      this.#unpin(row, units);
    }
    return goneEnd;
  }

  /** The lanes of `count` frames in the word of the first. */
  #onesOf(frame: number, count: number): number {
    const lanes = 1 << this.wordShift;
    const shift = (frame & (lanes - 1)) * this.bits;
    return (this.all >>> ((lanes - count) * this.bits)) << shift;
  }

  validate(): void {
    const w = this.words;
    let entries = 0;
    let atMax = 0;
    let leaves = 0;
    for (let row = 0; row < this.#rows; row++) {
      const dir = w[this.#dir + row];
      if (dir === 0) continue;
      leaves += 1;
      const leaf = this.#pool + (dir & LEAF_MASK) * LEAF_WORDS;
      let live = 0;
      for (let at = leaf; at < leaf + LEAF_WORDS; at++) {
        if (w[at] !== 0) live += 1;
        entries += countLanes(nonzeroLanes(w[at], this.bits), this.bits);
        atMax += countLanes(fullLanes(w[at], this.bits) & w[at], this.bits);
      }
      assert(live > 0, `row-leaf: row ${row} has a leaf of zeros`);
      assert(live === dir >>> LIVE_SHIFT, `row-leaf: row ${row}: ${live} live words`);
    }
    assert(entries === this.entries(), `row-leaf: ${entries} entries, ${this.entries()} noted`);
    this.validateSide(atMax, this.leastAside);
    const bytes = (this.#rows + leaves * LEAF_WORDS + this.sideWords()) * 4;
    assert(bytes === this.bytesInUse(), `row-leaf: ${bytes} bytes, ${this.bytesInUse()} noted`);
  }
}
