import { Errno } from '../../base/index.ts';
import {
  E_KEY,
  E_NEXT,
  jhashFrame,
  RH_INLINE,
  RH_MAX,
  RH_MIN,
  RH_MUTEX,
  RH_NELEMS,
  RH_SHRINKS,
  RH_TBL,
  RH_WORK,
  RhashtableBuckets,
  T_FUTURE,
  T_NEST,
  T_REHASHED,
  T_RND,
  T_SIZE,
} from './rhashtable-buckets.ts';

/**
 * How the rhashtable is resized while in use: a new table is hung behind the old one
 * (`future_tbl`), elements are moved one by one, the last of a chain first, and a reader sees each
 * in at least one table. The kernel does it in a worker (rht_deferred_worker); here whoever asks
 * for it does, or a thread that calls `work`.
 */
export abstract class RhashtableResize extends RhashtableBuckets {
  protected growsAbove75(tbl: number): boolean {
    const w = this.words;
    const size = w[tbl + T_SIZE];
    return w[RH_NELEMS] > (size >>> 2) * 3 && (w[RH_MAX] === 0 || size < w[RH_MAX]);
  }

  protected growsAbove100(tbl: number): boolean {
    const w = this.words;
    const size = w[tbl + T_SIZE];
    return w[RH_NELEMS] > size && (w[RH_MAX] === 0 || size < w[RH_MAX]);
  }

  /** ht->max_elems: twice the largest table. */
  protected isAboveMax(): boolean {
    const w = this.words;
    return w[RH_MAX] !== 0 && w[RH_NELEMS] >= 2 * w[RH_MAX];
  }

  protected shrinksBelow30(tbl: number): boolean {
    const w = this.words;
    const size = w[tbl + T_SIZE];
    return w[RH_NELEMS] < Math.floor((size * 3) / 10) && size > w[RH_MIN];
  }

  /** schedule_work: somebody shall look at the size. */
  protected scheduleWork(): void {
    if (this.words[RH_WORK] === 0) Atomics.store(this.words, RH_WORK, 1);
  }

  /** Where this thread does it itself: after an operation, with no lock held. */
  protected workIfScheduled(): void {
    const w = this.words;
    if (w[RH_WORK] === 0 || w[RH_INLINE] === 0) return;
    while (Atomics.load(w, RH_WORK) !== 0 && this.work(2 ** 30));
  }

  /** A table behind `tbl`; false where somebody else was first. */
  #rehashAlloc(tbl: number, size: number): boolean {
    return this.#attach(tbl, this.allocTable(size, false));
  }

  #attach(tbl: number, future: number): boolean {
    if (Atomics.compareExchange(this.words, tbl + T_FUTURE, 0, future) === 0) return true;
    this.freeTable(future);
    return false;
  }

  /**
   * rhashtable_insert_rehash: an insertion met a full table or a long chain. A larger table, or one
   * with another seed; 0 when the insertion should be tried again, else a negative errno.
   */
  protected insertRehash(tbl: number): number {
    const w = this.words;
    let size = w[tbl + T_SIZE];
    if (this.growsAbove75(tbl)) size *= 2;
    else if (Atomics.load(w, RH_TBL) !== tbl) {
      // Not more than one rehash for a long chain at a time.
      return Atomics.load(w, tbl + T_FUTURE) !== 0 ? 0 : -Errno.EBUSY;
    }
    if (this.#attach(tbl, this.allocTable(size, true))) this.scheduleWork();
    return 0;
  }

  /**
   * The worker: decides on a new size and moves up to `buckets` buckets. False when there is nothing
   * left to do, or another thread is at it.
   */
  work(buckets: number): boolean {
    const w = this.words;
    if (Atomics.compareExchange(w, RH_MUTEX, 0, 1) !== 0) return false;
    this.enter();
    Atomics.store(w, RH_WORK, 0);
    if (w[w[RH_TBL] + T_REHASHED] === 0) this.#decide(this.lastTable(w[RH_TBL]));
    const isMore = this.#rehash(buckets);
    if (isMore) Atomics.store(w, RH_WORK, 1);
    this.leave();
    Atomics.store(w, RH_MUTEX, 0);
    return isMore;
  }

  #decide(tbl: number): void {
    const w = this.words;
    const size = w[tbl + T_SIZE];
    if (this.growsAbove75(tbl)) this.#rehashAlloc(tbl, size * 2);
    else if (w[RH_SHRINKS] !== 0 && this.shrinksBelow30(tbl)) {
      // rhashtable_shrink: not while another resize is under way.
      if (tbl !== w[RH_TBL]) return;
      const nelems = w[RH_NELEMS];
      const wanted = nelems === 0 ? 0 : roundUpPowerOfTwo((nelems * 3) >>> 1);
      const smaller = Math.max(w[RH_MIN], wanted);
      if (smaller < size) this.#rehashAlloc(tbl, smaller);
    } else if (w[tbl + T_NEST] !== 0) this.#rehashAlloc(tbl, size);
  }

  /** rhashtable_rehash_table; true if there is more to do. */
  #rehash(buckets: number): boolean {
    const w = this.words;
    const old = w[RH_TBL];
    const next = Atomics.load(w, old + T_FUTURE);
    if (next === 0) return false;
    const end = Math.min(w[old + T_SIZE], w[old + T_REHASHED] + buckets);
    for (let i = w[old + T_REHASHED]; i < end; i++) {
      const bucket = this.bucketOf(old, i);
      // The newest table is nested: the next look at the size hangs a flat one behind it.
      if (bucket !== 0 && !this.#rehashChain(old, bucket)) {
        this.#decide(this.lastTable(old));
        i -= 1;
      }
    }
    w[old + T_REHASHED] = end;
    if (end < w[old + T_SIZE]) return true;
    Atomics.store(w, RH_TBL, next);
    this.deferBucketTable(old);
    return Atomics.load(w, next + T_FUTURE) !== 0 || w[next + T_NEST] !== 0;
  }

  /** Moves all elements of a bucket; false where the newest table is nested. */
  #rehashChain(old: number, bucket: number): boolean {
    let head = this.lockBucket(bucket);
    let isDone = true;
    while (head !== 0) {
      const target = this.lastTable(old);
      if (this.words[target + T_NEST] !== 0) {
        isDone = false;
        break;
      }
      head = this.#moveLast(bucket, head, target);
    }
    this.unlockBucket(bucket, head);
    return isDone;
  }

  /** Moves the last element of a chain to the head of its new one; what the bucket then holds. */
  #moveLast(bucket: number, head: number, target: number): number {
    const w = this.words;
    let previous = 0;
    let entry = head;
    while ((w[entry + E_NEXT] & 1) === 0) {
      previous = entry;
      entry = w[entry + E_NEXT];
    }
    const end = w[entry + E_NEXT];
    const to = this.bucketOf(target, jhashFrame(w[entry + E_KEY], w[target + T_RND]));
    this.lockBucket(to);
    Atomics.store(w, entry + E_NEXT, this.headOf(to));
    this.unlockBucket(to, entry);
    if (previous !== 0) {
      Atomics.store(w, previous + E_NEXT, end);
      return head;
    }
    Atomics.store(w, bucket, 1);
    return 0;
  }
}

function roundUpPowerOfTwo(value: number): number {
  return value <= 1 ? 1 : 2 ** (32 - Math.clz32(value - 1));
}
