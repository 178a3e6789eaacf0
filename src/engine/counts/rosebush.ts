import { assert } from '../../base/index.ts';
import { bufferBytes, CLASS_4, DEFER_ELEMENT, formatMemory } from './count-memory.ts';
import type { CountKind, CountOptions, CountTable } from './count-table.ts';
import { mix32, unmix32 } from './mix.ts';
import { RB_ENTRIES, RB_INLINE, RosebushBuckets, slotOf } from './rosebush-buckets.ts';

/**
 * Counts in a Rosebush. The table keeps hashes and not keys; the hash here is a bijection of the
 * frame number, so equal hashes are equal frames and never more than one place has one.
 *
 * As posted, a slot points to an element, which holds the count: found without a lock, changed by a
 * compare-exchange. Or the count stands in the slot itself (`rosebush-inline`), which spares the element
 * and its line, and is changed under the bucket's lock, since a split copies slots.
 */

const BUCKET_WORDS = 64;
// An element: key, count.
const E_KEY = 0;
const E_COUNT = 2;
const ELEMENT_WORDS = 4;

function kindOf(name: string, isInline: boolean): CountKind {
  return {
    name,
    bytesFor({ entries, workers }: CountOptions) {
      // Buckets are ln 2 full in the mean and never merge; the directory grows a little faster than
      // the entries; what has been replaced may wait for its readers.
      const directory = 16 * 2 ** Math.ceil(Math.log2(Math.max(2, entries / RB_ENTRIES)));
      const elements = isInline ? 0 : 2 * ELEMENT_WORDS * entries;
      const lists = 256 * workers * BUCKET_WORDS;
      return bufferBytes(12 * entries + elements + 4 * directory + lists + 65_536, workers);
    },
    format(buffer, options) {
      const words = formatMemory(buffer, options.workers);
      words[RB_INLINE] = isInline ? 1 : 0;
      new Rosebush(buffer, 0).makeFirst();
    },
    attach: (buffer, worker) => new Rosebush(buffer, worker),
  };
}

export const ROSEBUSH: CountKind = kindOf('rosebush', false);
export const ROSEBUSH_INLINE: CountKind = kindOf('rosebush-inline', true);

export class Rosebush extends RosebushBuckets implements CountTable {
  readonly #isInline: boolean;

  constructor(buffer: ArrayBufferLike, worker: number) {
    super(buffer, worker);
    this.#isInline = this.words[RB_INLINE] !== 0;
  }

  /** What the slot of the hash holds, or 0. Without a lock. */
  #lookup(hash: number): number {
    const w = this.words;
    for (;;) {
      const bucket = this.bucketOf(hash);
      const i = this.findIn(bucket, hash);
      if (i < 0) return 0;
      const value = w[slotOf(bucket, i)];
      if (Atomics.load(w, bucket + i) === hash) return value;
    }
  }

  get(frame: number): number {
    this.enter();
    const value = this.#lookup(mix32(frame));
    const count = value === 0 ? 1 : this.#isInline ? value : this.words[value + E_COUNT];
    this.leave();
    return count;
  }

  inc(frame: number): number {
    this.enter();
    const hash = mix32(frame);
    const count = this.#isInline ? this.#incSlot(hash) : this.#incElement(hash, frame);
    this.leave();
    return count;
  }

  dec(frame: number): number {
    this.enter();
    const hash = mix32(frame);
    const count = this.#isInline ? this.#decSlot(hash) : this.#decElement(hash);
    this.leave();
    return count;
  }

  #incSlot(hash: number): number {
    const w = this.words;
    for (;;) {
      const bucket = this.lockForInsert(hash);
      const i = this.findIn(bucket, hash);
      if (i >= 0) {
        const count = (w[slotOf(bucket, i)] += 1);
        this.unlockBucket(bucket);
        return count;
      }
      if (this.#insertLocked(bucket, hash, 2)) return 2;
    }
  }

  #decSlot(hash: number): number {
    const w = this.words;
    const bucket = this.lockBucketOf(hash);
    const i = this.findIn(bucket, hash);
    let count = 0;
    if (i >= 0) {
      const slot = slotOf(bucket, i);
      count = w[slot] - 1;
      w[slot] = count;
      if (count === 1) this.#removeLocked(bucket, i, hash);
    }
    this.unlockBucket(bucket);
    return count;
  }

  /** Unlocks; false if the bucket had no room, and has been split. */
  #insertLocked(bucket: number, hash: number, value: number): boolean {
    const i = this.findFree(bucket, hash);
    if (i >= 0) {
      this.place(bucket, i, hash, value);
      this.addEntries(1);
    }
    this.unlockBucket(bucket);
    if (i < 0) this.makeRoom(bucket, hash);
    return i >= 0;
  }

  #removeLocked(bucket: number, i: number, hash: number): void {
    Atomics.store(this.words, bucket + i, ~hash);
    this.addEntries(-1);
  }

  #incElement(hash: number, frame: number): number {
    const w = this.words;
    let fresh = 0;
    for (let spins = 0; ; spins++) {
      const element = this.#lookup(hash);
      let count = 0;
      if (element !== 0) count = this.#incCount(element + E_COUNT, spins);
      else {
        if (fresh === 0) fresh = this.alloc(CLASS_4);
        w[fresh + E_KEY] = frame;
        w[fresh + E_COUNT] = 2;
        if (this.#insertElement(hash, fresh)) return 2;
      }
      if (count === 0) continue;
      if (fresh !== 0) this.free(CLASS_4, fresh);
      return count;
    }
  }

  /** The new count; 0 for an element that is on its way out. */
  #incCount(at: number, spins: number): number {
    const w = this.words;
    let old = w[at];
    for (;;) {
      if (old < 2) {
        this.wait(at, old, spins);
        return 0;
      }
      const got = Atomics.compareExchange(w, at, old, old + 1);
      if (got === old) return old + 1;
      old = got;
    }
  }

  /** False where there is an element meanwhile, or there was no room. */
  #insertElement(hash: number, element: number): boolean {
    const bucket = this.lockForInsert(hash);
    if (this.findIn(bucket, hash) < 0) return this.#insertLocked(bucket, hash, element);
    this.unlockBucket(bucket);
    return false;
  }

  #decElement(hash: number): number {
    const w = this.words;
    const element = this.#lookup(hash);
    if (element === 0) return 0;
    const at = element + E_COUNT;
    let old = w[at];
    for (;;) {
      // On its way out already: the reference that is given back is the only one.
      if (old < 2) return 0;
      const got = Atomics.compareExchange(w, at, old, old - 1);
      if (got === old) break;
      old = got;
    }
    if (old === 2) {
      const bucket = this.lockBucketOf(hash);
      const i = this.findIn(bucket, hash);
      assert(i >= 0 && w[slotOf(bucket, i)] === element, 'rosebush: an element is in no bucket');
      this.#removeLocked(bucket, i, hash);
      this.unlockBucket(bucket);
      this.defer(DEFER_ELEMENT, element);
    }
    return old - 1;
  }

  incBatch(frames: Int32Array, from: number, n: number): void {
    for (let i = from; i < from + n; i++) this.inc(frames[i]);
  }

  decBatch(frames: Int32Array, from: number, n: number, gone: Int32Array): number {
    let goneCount = 0;
    for (let i = from; i < from + n; i++) {
      if (this.dec(frames[i]) === 0) gone[goneCount++] = frames[i];
    }
    return goneCount;
  }

  incRun(first: number, n: number): void {
    for (let i = 0; i < n; i++) this.inc((first + i) | 0);
  }

  decRun(first: number, n: number, gone: Int32Array): number {
    let goneCount = 0;
    for (let i = 0; i < n; i++) {
      if (this.dec((first + i) | 0) === 0) gone[goneCount++] = (first + i) | 0;
    }
    return goneCount;
  }

  validate(): void {
    this.releaseAll();
    let entries = 0;
    let buckets = 0;
    const places = 2 ** this.depth();
    for (let index = 0; index < places; index++) {
      const bucket = this.bucketOf(index);
      // A bucket's places lie at equal distances: it is counted at the first.
      let stride = places;
      while (stride > 2 && this.bucketOf(index ^ (stride >> 1)) === bucket) stride >>= 1;
      if (index >= stride) continue;
      buckets += 1;
      for (let other = index; other < places; other += stride) {
        assert(this.bucketOf(other) === bucket, `rosebush: place ${other} of bucket ${index}`);
      }
      entries += this.#validateBucket(bucket, index, stride);
    }
    assert(entries === this.entries(), `rosebush: ${entries} entries, ${this.entries()} noted`);
    const elements = this.#isInline ? 0 : entries * ELEMENT_WORDS;
    const bytes = (buckets * BUCKET_WORDS + this.directoryWords() + elements) * 4;
    assert(bytes === this.bytesInUse(), `rosebush: ${bytes} bytes, ${this.bytesInUse()} noted`);
  }

  #validateBucket(bucket: number, index: number, stride: number): number {
    const w = this.words;
    let entries = 0;
    for (let i = 0; i < RB_ENTRIES; i++) {
      const hash = w[bucket + i];
      if (((hash ^ index) & 1) !== 0) continue;
      entries += 1;
      assert(((hash ^ index) & (stride - 1)) === 0, `rosebush: a hash in bucket ${index}`);
      assert(this.findIn(bucket, hash) === i, `rosebush: a hash twice in bucket ${index}`);
      const value = w[slotOf(bucket, i)];
      assert((this.#isInline ? value : w[value + E_COUNT]) > 1, 'rosebush: a count of 1');
      if (!this.#isInline)
        assert(w[value + E_KEY] === unmix32(hash), 'rosebush: a foreign element');
    }
    return entries;
  }
}
