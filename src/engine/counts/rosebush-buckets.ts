import { C_OWN, CLASS_4, CLASS_64, CountMemory, DEFER_BUCKET } from './count-memory.ts';

/**
 * Buckets and directory of the Rosebush (M. Wilcox, "Rosebush, a new hash table", second posting,
 * 25 June 2024), in the posting's sizes: a bucket has 256 bytes, 20 hashes and then 20 slots of 64
 * bits, a back pointer, a lock and a count of contention.
 *
 * Extendible hashing: the low bits of a hash name a place of the directory, and several places share
 * a bucket until it splits. A hash of which bit 0 is not the bucket's marks a free place, so removal
 * inverts the hash and leaves the slot.
 */

export const RB_ENTRIES = 20;
const B_SLOTS = RB_ENTRIES;
const B_BACK = 60;
export const B_LOCK = 62;
const B_CONTENTION = 63;
const BUCKET_WORDS = 64;
/** Two buckets in one allocation, before there is a directory. */
const CLASS_FIRST = 7;

const CONTENDED = 10;
const CONTENTION_MAX = 5000;

/**
 * The directory's place, in lines, and log2 of its length, in one word that readers load at once; a
 * length of 2 means that the place is that of the first two buckets themselves.
 */
export const RB_TABLE: number = C_OWN;
const RB_RESIZE: number = C_OWN + 1;
/** 1: counts stand in the slots; 0: slots point to elements. */
export const RB_INLINE: number = C_OWN + 2;
const LOG_BITS = 5;

export function slotOf(bucket: number, i: number): number {
  return bucket + B_SLOTS + 2 * i;
}

export abstract class RosebushBuckets extends CountMemory {
  constructor(buffer: ArrayBufferLike, worker: number) {
    super(buffer, worker, CLASS_4);
  }

  makeFirst(): void {
    const first = this.alloc(CLASS_FIRST);
    this.#clear(first, 0);
    this.#clear(first + BUCKET_WORDS, 1);
    this.words[RB_TABLE] = ((first >>> 4) << LOG_BITS) | 1;
  }

  /** All places free: their hashes have the other bit 0. */
  #clear(bucket: number, bit: number): void {
    const w = this.words;
    w.fill(bit === 0 ? -1 : 0, bucket, bucket + RB_ENTRIES);
    w.fill(0, bucket + RB_ENTRIES, bucket + BUCKET_WORDS);
    w[bucket + B_BACK] = RB_TABLE;
  }

  /** log2 of the directory's places. */
  depth(): number {
    return this.words[RB_TABLE] & ((1 << LOG_BITS) - 1);
  }

  protected bucketOf(hash: number): number {
    return this.#bucketIn(this.words[RB_TABLE], hash);
  }

  #bucketIn(table: number, hash: number): number {
    const log = table & ((1 << LOG_BITS) - 1);
    const at = (table >>> LOG_BITS) << 4;
    const index = hash & ((1 << log) - 1);
    return log === 1 ? at + index * BUCKET_WORDS : this.words[at + 2 * index];
  }

  /** Locks the bucket of the hash, to take something out of it. */
  protected lockBucketOf(hash: number): number {
    for (;;) {
      const bucket = this.bucketOf(hash);
      this.lock(bucket + B_LOCK);
      if (this.#bucketIn(Atomics.load(this.words, RB_TABLE), hash) === bucket) return bucket;
      this.unlock(bucket + B_LOCK);
    }
  }

  /** The same to insert, which alone counts contention. */
  protected lockForInsert(hash: number): number {
    const w = this.words;
    for (;;) {
      const bucket = this.bucketOf(hash);
      const isContended = Atomics.compareExchange(w, bucket + B_LOCK, 0, 1) !== 0;
      if (isContended) this.lock(bucket + B_LOCK);
      if (this.#bucketIn(Atomics.load(w, RB_TABLE), hash) !== bucket) {
        this.unlock(bucket + B_LOCK);
        continue;
      }
      const contention = bucket + B_CONTENTION;
      if (isContended) w[contention] += CONTENDED;
      else if (w[contention] !== 0) w[contention] -= 1;
      if (w[contention] <= CONTENTION_MAX) return bucket;
      this.unlock(bucket + B_LOCK);
      this.#split(bucket, hash, true);
    }
  }

  protected unlockBucket(bucket: number): void {
    this.unlock(bucket + B_LOCK);
  }

  /** Number of the place with this hash, or -1. */
  protected findIn(bucket: number, hash: number): number {
    const w = this.words;
    for (let i = 0; i < RB_ENTRIES; i++) if (w[bucket + i] === hash) return i;
    return -1;
  }

  /** Number of a free place for this hash, or -1. */
  protected findFree(bucket: number, hash: number): number {
    const w = this.words;
    for (let i = 0; i < RB_ENTRIES; i++) if (((w[bucket + i] ^ hash) & 1) !== 0) return i;
    return -1;
  }

  /** Puts a value into a locked bucket with room; the hash last, as readers take no lock. */
  protected place(bucket: number, i: number, hash: number, value: number): void {
    const w = this.words;
    w[slotOf(bucket, i)] = value;
    Atomics.store(w, bucket + i, hash);
  }

  /** A full bucket: two of half its share of the directory in its place. */
  protected makeRoom(bucket: number, hash: number): void {
    this.#split(bucket, hash, false);
  }

  #split(bucket: number, hash: number, isForContention: boolean): void {
    this.lock(RB_RESIZE);
    if (this.bucketOf(hash) === bucket) {
      this.lock(bucket + B_LOCK);
      if (isForContention || this.findFree(bucket, hash) < 0) this.#splitLocked(bucket, hash);
      this.unlock(bucket + B_LOCK);
    }
    this.unlock(RB_RESIZE);
  }

  #splitLocked(bucket: number, hash: number): void {
    const w = this.words;
    const log = this.depth();
    const half = 1 << (log - 1);
    if (log === 1 || this.bucketOf(hash ^ half) !== bucket) this.#double();
    const share = this.#shareOf(bucket, hash);
    const low = this.alloc(CLASS_64);
    const high = this.alloc(CLASS_64);
    this.#clear(low, hash & 1);
    this.#clear(high, hash & 1);
    this.#deal(bucket, share, low, high);
    const table = w[RB_TABLE];
    const at = (table >>> LOG_BITS) << 4;
    const places = 1 << this.depth();
    for (let i = hash & ((1 << share) - 1); i < places; i += 1 << share) {
      Atomics.store(w, at + 2 * i, ((i >>> share) & 1) === 0 ? low : high);
    }
    this.defer(DEFER_BUCKET, bucket);
  }

  /** How many low bits of a hash decide that it is in this bucket. */
  #shareOf(bucket: number, hash: number): number {
    let share = this.depth();
    while (share > 1 && this.bucketOf(hash ^ (1 << (share - 1))) === bucket) share -= 1;
    return share;
  }

  /** Deals the values of a bucket to two, by one more bit of the hash. */
  #deal(bucket: number, bit: number, low: number, high: number): void {
    const w = this.words;
    // Bit 0 of the hashes of free places; the new bucket is empty.
    const free = w[low] & 1;
    let lows = 0;
    let highs = 0;
    for (let i = 0; i < RB_ENTRIES; i++) {
      const hash = w[bucket + i];
      if ((hash & 1) === free) continue;
      const isHigh = ((hash >>> bit) & 1) !== 0;
      const to = isHigh ? high : low;
      const place = isHigh ? highs++ : lows++;
      w[to + place] = hash;
      w[slotOf(to, place)] = w[slotOf(bucket, i)];
    }
  }

  /** Twice as many places, each bucket at two. */
  #double(): void {
    const w = this.words;
    const table = w[RB_TABLE];
    const log = this.depth();
    const oldAt = (table >>> LOG_BITS) << 4;
    const sizeClass = this.#directoryClass(log + 1);
    const at = this.alloc(sizeClass);
    for (let i = 0; i < 2 << log; i++) {
      w[at + 2 * i] = this.#bucketIn(table, i);
      w[at + 2 * i + 1] = 0;
    }
    Atomics.store(w, RB_TABLE, ((at >>> 4) << LOG_BITS) | (log + 1));
    if (log > 1) this.deferTable(this.#directoryClass(log), oldAt);
  }

  /** At least a line, as the place of the directory is counted in lines. */
  #directoryClass(log: number): number {
    return Math.max(4, log + 1);
  }

  /** Words of the directory. */
  protected directoryWords(): number {
    return this.depth() === 1 ? 0 : 2 ** this.#directoryClass(this.depth());
  }
}
