import { allOnes, countLanes, fullLanes, nonzeroLanes } from './lanes.ts';
import { L_OWN, L_SIDE_LOCK, SideCounts } from './side-counts.ts';

/**
 * Counters in lanes, changed many at a time by one compare-exchange, and what does not fit in one.
 *
 * A lane at its largest value says that the count stands in the side table, a small hash under one
 * lock. A lane comes to that value and leaves it only under the lock, and no addition is tried where
 * it could carry into the next lane, so words are exact at every moment.
 */

export const L_BITS: number = L_OWN;
export const L_FRAMES: number = L_OWN + 1;
/** First of the words of who extends this. */
export const L_LANE_OWN: number = L_OWN + 2;

export abstract class LaneCounts extends SideCounts {
  readonly bits: number;
  readonly frames: number;
  /** log2 of the lanes of a word. */
  protected readonly wordShift: number;
  protected readonly all: number;
  protected readonly max: number;
  /** What the last change of lanes did to the word: 1 from zero, -1 to zero. */
  protected turned = 0;

  constructor(buffer: ArrayBufferLike, worker: number) {
    super(buffer, worker, 0);
    this.bits = this.words[L_BITS];
    this.frames = this.words[L_FRAMES] >>> 0;
    this.wordShift = this.bits === 8 ? 2 : 3;
    this.all = allOnes(this.bits);
    this.max = 2 ** this.bits - 1;
  }

  /** The bit of the frame's lane in its word. */
  protected shiftOf(frame: number): number {
    return (frame & ((1 << this.wordShift) - 1)) * this.bits;
  }

  protected laneGet(at: number, frame: number): number {
    const lane = (this.words[at] >>> this.shiftOf(frame)) & this.max;
    return lane === this.max ? this.#sideCount(at, frame) : lane + 1;
  }

  /** One more in one lane; the new count. */
  protected laneInc(at: number, frame: number): number {
    const w = this.words;
    const shift = this.shiftOf(frame);
    let old = w[at];
    for (;;) {
      const lane = (old >>> shift) & this.max;
      if (lane >= this.max - 1) {
        const count = this.#slow(at, frame, 1);
        if (count !== 0) return count;
        old = Atomics.load(w, at);
        continue;
      }
      const got = Atomics.compareExchange(w, at, old, (old + (1 << shift)) | 0);
      if (got === old) {
        this.turned = old === 0 ? 1 : 0;
        if (lane === 0) this.addEntries(1);
        return lane + 2;
      }
      old = got;
    }
  }

  /** One less in one lane; the new count, 0 where the lane was 0 and stays so. */
  protected laneDec(at: number, frame: number): number {
    const w = this.words;
    const shift = this.shiftOf(frame);
    let old = w[at];
    this.turned = 0;
    for (;;) {
      const lane = (old >>> shift) & this.max;
      if (lane === 0) return 0;
      if (lane === this.max) {
        const count = this.#slow(at, frame, -1);
        if (count !== 0) return count;
        old = Atomics.load(w, at);
        continue;
      }
      const now = (old - (1 << shift)) | 0;
      const got = Atomics.compareExchange(w, at, old, now);
      if (got === old) {
        this.turned = now === 0 ? -1 : 0;
        if (lane === 1) this.addEntries(-1);
        return lane;
      }
      old = got;
    }
  }

  /** One more in each lane of the set; `first` is the frame of the word's lowest lane. */
  protected lanesInc(at: number, ones: number, first: number): void {
    const w = this.words;
    const bits = this.bits;
    let old = w[at];
    let full = 0;
    this.turned = 0;
    for (;;) {
      full = fullLanes(old, bits) & ones;
      const add = ones & ~full;
      if (add === 0) break;
      const got = Atomics.compareExchange(w, at, old, (old + add) | 0);
      if (got === old) {
        if (old === 0) this.turned = 1;
        const added = add & ~nonzeroLanes(old, bits);
        if (added !== 0) this.addEntries(countLanes(added, bits));
        break;
      }
      old = got;
    }
    if (full !== 0) this.#incEach(at, full, first);
  }

  #incEach(at: number, ones: number, first: number): void {
    let turned = this.turned;
    for (let i = 0; i < 1 << this.wordShift; i++) {
      if (((ones >>> (i * this.bits)) & 1) === 0) continue;
      this.turned = 0;
      this.laneInc(at, first + i);
      turned += this.turned;
    }
    this.turned = turned;
  }

  /** One less in each lane of the set; frames whose lane was 0 go to `gone` from `goneCount` on, whose end it returns. */
  protected lanesDec(
    at: number,
    ones: number,
    first: number,
    gone: Int32Array,
    goneCount: number,
  ): number {
    const w = this.words;
    const bits = this.bits;
    let old = w[at];
    let full = 0;
    let zero = 0;
    this.turned = 0;
    for (;;) {
      zero = ones & ~nonzeroLanes(old, bits);
      // The largest value: all bits of the lane, the lowest too.
      full = fullLanes(old, bits) & old & ones;
      const take = ones & ~zero & ~full;
      if (take === 0) break;
      const now = (old - take) | 0;
      const got = Atomics.compareExchange(w, at, old, now);
      if (got === old) {
        if (now === 0) this.turned = -1;
        const ended = take & ~nonzeroLanes(now, bits);
        if (ended !== 0) this.addEntries(-countLanes(ended, bits));
        break;
      }
      old = got;
    }
    let end = goneCount;
    for (let i = 0; zero !== 0; i++, zero >>>= bits) {
      if ((zero & 1) !== 0) gone[end++] = first + i;
    }
    return full === 0 ? end : this.#decEach(at, full, first, gone, end);
  }

  #decEach(at: number, ones: number, first: number, gone: Int32Array, goneCount: number): number {
    let turned = this.turned;
    let end = goneCount;
    for (let i = 0; i < 1 << this.wordShift; i++) {
      if (((ones >>> (i * this.bits)) & 1) === 0) continue;
      if (this.laneDec(at, first + i) === 0) gone[end++] = first + i;
      turned += this.turned;
    }
    this.turned = turned;
    return end;
  }

  #sideCount(at: number, frame: number): number {
    const w = this.words;
    this.lock(L_SIDE_LOCK);
    const lane = (Atomics.load(w, at) >>> this.shiftOf(frame)) & this.max;
    const count = lane === this.max ? w[this.sideSlot(frame) + 1] : lane + 1;
    this.unlock(L_SIDE_LOCK);
    return count;
  }

  /** A change that enters or may leave the side table; the new count, 0 if meanwhile it is neither. */
  #slow(at: number, frame: number, delta: number): number {
    this.lock(L_SIDE_LOCK);
    const count = delta > 0 ? this.#slowInc(at, frame) : this.#slowDec(at, frame);
    this.unlock(L_SIDE_LOCK);
    this.turned = 0;
    return count;
  }

  #slowInc(at: number, frame: number): number {
    const w = this.words;
    const shift = this.shiftOf(frame);
    for (;;) {
      const old = Atomics.load(w, at);
      const lane = (old >>> shift) & this.max;
      if (lane === this.max) {
        const slot = this.sideSlot(frame);
        w[slot + 1] += 1;
        return w[slot + 1];
      }
      if (lane !== this.max - 1) return 0;
      const now = (old + (1 << shift)) | 0;
      if (Atomics.compareExchange(w, at, old, now) !== old) continue;
      this.sideInsert(frame, this.max + 1);
      return this.max + 1;
    }
  }

  #slowDec(at: number, frame: number): number {
    const w = this.words;
    const shift = this.shiftOf(frame);
    if (((Atomics.load(w, at) >>> shift) & this.max) !== this.max) return 0;
    const slot = this.sideSlot(frame);
    w[slot + 1] -= 1;
    const count = w[slot + 1];
    // Back in the lane only at half, so that a count at the edge does not move to and fro.
    if (count - 1 > this.max >> 1) return count;
    this.sideDelete(slot);
    for (;;) {
      const old = Atomics.load(w, at);
      const now = (old - ((this.max - count + 1) << shift)) | 0;
      if (Atomics.compareExchange(w, at, old, now) === old) return count;
    }
  }

  /** The least count that stands aside. */
  protected get leastAside(): number {
    return (this.max >> 1) + 2;
  }
}
