import { assert, Errno, InputError } from '../../base/index.ts';
import { bufferBytes, CLASS_6, DEFER_ELEMENT, formatMemory } from './count-memory.ts';
import type { CountKind, CountTable } from './count-table.ts';
import {
  E_COUNT,
  E_KEY,
  E_NEXT,
  jhashFrame,
  nullsOf,
  RH_CONTIGUOUS,
  RH_INLINE,
  RH_MAX,
  RH_MIN,
  RH_NELEMS,
  RH_SEED,
  RH_SHRINKS,
  RH_TBL,
  T_FUTURE,
  T_RND,
  T_SIZE,
} from './rhashtable-buckets.ts';
import { RhashtableResize } from './rhashtable-resize.ts';

/**
 * Linux's resizable hash table with a counter in each element: what the prototype of seed 003 uses. A
 * count is found without a lock and changed by a compare-exchange; an entry comes and goes under its
 * bucket's lock. An element whose count has come to 1 is on its way out: who wants to count it up
 * waits until it has gone.
 */

const HASH_DEFAULT_SIZE = 64;
const HASH_MIN_SIZE = 4;
const ELASTICITY = 16;
const ELEMENT_WORDS = 6;

export interface RhashtableOptions {
  /** struct rhashtable_params. */
  readonly minSize?: number;
  /** Largest table, a power of two; at twice as many elements insertions get -E2BIG. */
  readonly maxSize?: number;
  readonly automaticShrinking?: boolean;
  /** Elements that the first table is sized for. */
  readonly nelemHint?: number;
  /** Bytes of a table that can be had in one piece where its maker may not sleep. */
  readonly contiguousBytes?: number;
  /** Resizes are done by who asks for them; else by a thread that calls `work`. */
  readonly isInline?: boolean;
  /** Seed of the tables' hash seeds. */
  readonly seed?: number;
}

/** A kind of rhashtable; the defaults are the kernel's, with shrinking. */
export function rhashtableWith(name: string, set: RhashtableOptions = {}): CountKind {
  const maxSize = set.maxSize ?? 0;
  if ((maxSize & (maxSize - 1)) !== 0)
    throw new InputError(`maxSize ${maxSize}: want a power of two`);
  return {
    name,
    bytesFor({ entries, workers }) {
      const most = Math.max(
        64,
        (entries * 4) / 3,
        set.minSize ?? 0,
        ((set.nelemHint ?? 0) * 4) / 3,
      );
      const buckets = 4 * 2 ** Math.ceil(Math.log2(most));
      const elements = 2 * (entries + 256 * workers);
      return bufferBytes(elements * ELEMENT_WORDS + 2 * buckets + 65_536, workers);
    },
    format(buffer, options) {
      const w = formatMemory(buffer, options.workers);
      w[RH_MIN] = Math.max(set.minSize ?? 0, HASH_MIN_SIZE);
      w[RH_MAX] = maxSize;
      w[RH_SHRINKS] = (set.automaticShrinking ?? true) ? 1 : 0;
      w[RH_CONTIGUOUS] = set.contiguousBytes ?? 4 * 2 ** 20;
      w[RH_INLINE] = (set.isInline ?? true) ? 1 : 0;
      w[RH_SEED] = set.seed ?? 1;
      const hint = Math.ceil(((set.nelemHint ?? 0) * 4) / 3);
      const size = hint === 0 ? HASH_DEFAULT_SIZE : 2 ** Math.ceil(Math.log2(hint));
      new Rhashtable(buffer, 0).makeFirst(Math.max(size, w[RH_MIN]));
    },
    attach: (buffer, worker) => new Rhashtable(buffer, worker),
  };
}

export const RHASHTABLE: CountKind = rhashtableWith('rhashtable');

export class Rhashtable extends RhashtableResize implements CountTable {
  /** The first table of a new rhashtable. */
  makeFirst(size: number): void {
    this.words[RH_TBL] = this.allocTable(size, false);
  }

  /** Buckets and hash seed of the table that look-ups begin with. */
  shape(): { readonly size: number; readonly seed: number; readonly isResizing: boolean } {
    const tbl = this.words[RH_TBL];
    const isResizing = this.words[tbl + T_FUTURE] !== 0;
    return { size: this.words[tbl + T_SIZE], seed: this.words[tbl + T_RND], isResizing };
  }

  /** The element of the frame, or 0. Without a lock. */
  #lookup(frame: number): number {
    const w = this.words;
    const key = frame | 0;
    let tbl = w[RH_TBL];
    do {
      const bucket = this.bucketOf(tbl, jhashFrame(key, w[tbl + T_RND]));
      let entry = bucket === 0 ? 1 : this.headOf(bucket);
      for (;;) {
        while ((entry & 1) === 0) {
          if (w[entry + E_KEY] === key) return entry;
          entry = w[entry + E_NEXT];
        }
        // Led to another chain by a move: once more.
        if (bucket === 0 || entry === nullsOf(bucket)) break;
        entry = this.headOf(bucket);
      }
      tbl = Atomics.load(w, tbl + T_FUTURE);
    } while (tbl !== 0);
    return 0;
  }

  get(frame: number): number {
    this.enter();
    const entry = this.#lookup(frame);
    const count = entry === 0 ? 1 : this.words[entry + E_COUNT];
    this.leave();
    return count;
  }

  inc(frame: number): number {
    this.enter();
    let count = 0;
    for (let spins = 0; count === 0; spins++) {
      const entry = this.#lookup(frame);
      count = entry === 0 ? this.#insert(frame) : this.#incEntry(entry, spins);
      if (count === -Errno.EBUSY) {
        count = 0;
        this.workIfScheduled();
      }
    }
    this.leave();
    this.workIfScheduled();
    return count;
  }

  /** The new count; 0 for an element that is going. */
  #incEntry(entry: number, spins: number): number {
    const w = this.words;
    const at = entry + E_COUNT;
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

  dec(frame: number): number {
    this.enter();
    const entry = this.#lookup(frame);
    const count = entry === 0 ? 0 : this.#decEntry(entry, frame);
    this.leave();
    if (count === 1) this.workIfScheduled();
    return count;
  }

  #decEntry(entry: number, frame: number): number {
    const w = this.words;
    const at = entry + E_COUNT;
    let old = w[at];
    for (;;) {
      // Going already: the reference that is given back is the only one.
      if (old < 2) return 0;
      const got = Atomics.compareExchange(w, at, old, old - 1);
      if (got === old) break;
      old = got;
    }
    if (old === 2) this.#remove(entry, frame);
    return old - 1;
  }

  /** A new element of count 2. The count; 0 if there is one meanwhile; or a negative errno. */
  #insert(frame: number): number {
    const w = this.words;
    const entry = this.alloc(CLASS_6);
    w[entry + E_KEY] = frame;
    w[entry + E_COUNT] = 2;
    const result = this.#insertFast(frame | 0, entry);
    if (result === 2) this.addEntries(1);
    else this.free(CLASS_6, entry);
    return result;
  }

  /** __rhashtable_insert_fast: into the only table there is. */
  #insertFast(key: number, entry: number): number {
    const w = this.words;
    const tbl = w[RH_TBL];
    const bucket = this.bucketForInsert(tbl, jhashFrame(key, w[tbl + T_RND]));
    const head = this.lockBucket(bucket);
    const found =
      Atomics.load(w, tbl + T_FUTURE) !== 0 ? -Errno.EAGAIN : this.#findOne(bucket, key);
    if (found > 0) {
      this.unlockBucket(bucket, head);
      return 0;
    }
    if (found === 0 && this.isAboveMax()) {
      this.unlockBucket(bucket, head);
      return -E2BIG;
    }
    if (found < 0 || this.growsAbove100(tbl)) {
      this.unlockBucket(bucket, head);
      return this.#insertSlow(key, entry);
    }
    this.#link(bucket, entry, tbl);
    return 2;
  }

  /** Links at the head of a locked chain, and unlocks it. */
  #link(bucket: number, entry: number, tbl: number): void {
    const w = this.words;
    w[entry + E_NEXT] = this.headOf(bucket);
    Atomics.add(w, RH_NELEMS, 1);
    this.unlockBucket(bucket, entry);
    if (this.growsAbove75(tbl)) this.scheduleWork();
  }

  /** The element of the key in a locked chain, 0, or -EAGAIN where the chain is too long. */
  #findOne(bucket: number, key: number): number {
    const w = this.words;
    let elasticity = ELASTICITY;
    for (let entry = this.headOf(bucket); (entry & 1) === 0; entry = w[entry + E_NEXT]) {
      elasticity -= 1;
      if (w[entry + E_KEY] === key) return entry;
    }
    return elasticity <= 0 ? -Errno.EAGAIN : 0;
  }

  /** rhashtable_insert_slow: looks for a duplicate in each table and inserts into the last. */
  #insertSlow(key: number, entry: number): number {
    const w = this.words;
    for (;;) {
      let tbl = w[RH_TBL];
      for (;;) {
        const result = this.#insertOne(tbl, key, entry);
        if (result === NEXT_TABLE) {
          tbl = Atomics.load(w, tbl + T_FUTURE);
          continue;
        }
        if (result !== -Errno.EAGAIN) return result;
        break;
      }
      const error = this.insertRehash(tbl);
      if (error !== 0) return error;
    }
  }

  /** 2: inserted, 0: there is one, NEXT_TABLE, or a negative errno. */
  #insertOne(tbl: number, key: number, entry: number): number {
    const w = this.words;
    const hash = jhashFrame(key, w[tbl + T_RND]);
    const isOld = Atomics.load(w, tbl + T_FUTURE) !== 0;
    const bucket = isOld ? this.bucketOf(tbl, hash) : this.bucketForInsert(tbl, hash);
    if (bucket === 0) return NEXT_TABLE;
    const head = this.lockBucket(bucket);
    let result = this.#findOne(bucket, key);
    if (result > 0) result = 0;
    else if (Atomics.load(w, tbl + T_FUTURE) !== 0) result = NEXT_TABLE;
    else if (result === 0 && this.isAboveMax()) result = -E2BIG;
    else if (result === 0 && this.growsAbove100(tbl)) result = -Errno.EAGAIN;
    else if (result === 0) {
      this.#link(bucket, entry, tbl);
      return 2;
    }
    this.unlockBucket(bucket, head);
    return result;
  }

  /** Takes the element out of whichever table it is in (rhashtable_remove_fast). */
  #remove(entry: number, frame: number): void {
    const w = this.words;
    let tbl = w[RH_TBL];
    while (!this.#removeOne(tbl, entry, frame)) {
      tbl = Atomics.load(w, tbl + T_FUTURE);
      assert(tbl !== 0, 'rhashtable: an element is in no table');
    }
    Atomics.sub(w, RH_NELEMS, 1);
    this.addEntries(-1);
    this.defer(DEFER_ELEMENT, entry);
    if (w[RH_SHRINKS] !== 0 && this.shrinksBelow30(tbl)) this.scheduleWork();
  }

  #removeOne(tbl: number, entry: number, frame: number): boolean {
    const w = this.words;
    const bucket = this.bucketOf(tbl, jhashFrame(frame | 0, w[tbl + T_RND]));
    if (bucket === 0) return false;
    const head = this.lockBucket(bucket);
    let previous = 0;
    let at = this.headOf(bucket);
    while ((at & 1) === 0 && at !== entry) {
      previous = at;
      at = w[at + E_NEXT];
    }
    const isHere = at === entry;
    if (isHere && previous !== 0) Atomics.store(w, previous + E_NEXT, w[entry + E_NEXT]);
    this.unlockBucket(bucket, isHere && previous === 0 ? w[entry + E_NEXT] : head);
    return isHere;
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
    const w = this.words;
    this.releaseAll();
    let elements = 0;
    let words = 0;
    for (let tbl = w[RH_TBL]; tbl !== 0; tbl = w[tbl + T_FUTURE]) {
      words += this.tableWords(tbl);
      for (let i = 0; i < w[tbl + T_SIZE]; i++) elements += this.#validateChain(tbl, i);
    }
    assert(elements === w[RH_NELEMS], `rhashtable: ${elements} elements, ${w[RH_NELEMS]} noted`);
    assert(elements === this.entries(), `rhashtable: ${this.entries()} entries noted`);
    const bytes = (words + elements * ELEMENT_WORDS) * 4;
    assert(bytes === this.bytesInUse(), `rhashtable: ${bytes} bytes, ${this.bytesInUse()} noted`);
  }

  #validateChain(tbl: number, index: number): number {
    const w = this.words;
    const bucket = this.bucketOf(tbl, index);
    if (bucket === 0) return 0;
    assert((w[bucket] & 1) === 0, `rhashtable: bucket ${index} is locked`);
    let elements = 0;
    let entry = this.headOf(bucket);
    for (; (entry & 1) === 0; entry = w[entry + E_NEXT]) {
      elements += 1;
      const hash = jhashFrame(w[entry + E_KEY], w[tbl + T_RND]);
      assert(this.bucketOf(tbl, hash) === bucket, `rhashtable: an element in bucket ${index}`);
      assert(w[entry + E_COUNT] > 1, `rhashtable: a count of ${w[entry + E_COUNT]}`);
    }
    assert(entry === nullsOf(bucket), `rhashtable: the end of bucket ${index}`);
    return elements;
  }
}

const NEXT_TABLE = 1;
/** Not in the engine's own calls, so not in base's list. */
const E2BIG = 7;
