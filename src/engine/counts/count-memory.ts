import { assert, InputError } from '../../base/index.ts';
import { BufferFullError } from '../arena.ts';
import { pause } from '../threads/pause.ts';

/**
 * The memory of a count table: a bump pointer and free lists by size class, with lists of each
 * thread's own for small classes, as the kernel's slabs have per-cpu lists. Bytes in use are counted
 * by each thread for itself; the sum is exact.
 *
 * Also its grace periods (docs/threads.md): a thread counts its operations as they end, and what was
 * unlinked is used again when each other thread that is online has ended two since.
 */

const MAGIC = 0x50474354; // "PGCT"
const C_MAGIC = 0;
const C_WORKERS = 2;
const C_NEXT = 3;
const C_END = 4;
const C_LOCK = 5;
const C_FREE = 16;
/** First of the words that belong to the kind of table. */
export const C_OWN = 96;
const C_THREADS = 128;

// One area a thread, in lines of its own.
const W_TICKS = 0;
const W_STATE = 1;
const W_WORDS = 2;
const W_ENTRIES = 3;
const W_DEFERRED_WORDS = 4;
/** Heads: unlinked since the grace period began, and waiting for the one that runs; a pair a kind. */
const W_DEFERRED = 6;
/** [head, length] of the thread's own free list of a small class. */
const W_FREE = 12;
const THREAD_WORDS = 32;
const THREADS_MAX = 64;

/** Size classes are powers of two of words, but for this one, which no power needs, … */
export const CLASS_6 = 1;
/** … and from here on bucket tables: a line, and 2^k buckets of two words. */
export const CLASS_BUCKETS = 32;
export const CLASS_4 = 2;
export const CLASS_16 = 4;
export const CLASS_64 = 6;
const SMALL_MAX = 6;
const REFILL = 64;

/** What can be deferred: where its link is, and its class. */
export const DEFER_ELEMENT = 0;
export const DEFER_BUCKET = 1;
export const DEFER_TABLE = 2;
const DEFER_KINDS = 3;
/** The unused upper halves of 64-bit pointers: of an element's `next`, and of a bucket's first slot. */
const LINK_WORDS: readonly number[] = [1, 21, 1];
/** Where a deferred table keeps its class: again an unused upper half. */
const TABLE_CLASS = 3;
const DEFER_BATCH = 64;

const SPINS = 100;

export function classWordsOf(sizeClass: number): number {
  if (sizeClass >= CLASS_BUCKETS) return 16 + 2 ** (sizeClass - CLASS_BUCKETS + 1);
  return sizeClass === CLASS_6 ? 6 : 2 ** sizeClass;
}

/** The class of the smallest power of two that holds `words`. */
export function classOf(words: number): number {
  return 32 - Math.clz32(words - 1);
}

/** Words before a table's own memory. */
export function headWords(workers: number): number {
  return C_THREADS + workers * THREAD_WORDS;
}

/** Bytes for `words` of a table's memory. Throws InputError where that is beyond 32-bit offsets. */
export function bufferBytes(words: number, workers: number): number {
  if (!(Number.isSafeInteger(workers) && workers >= 1 && workers <= THREADS_MAX)) {
    throw new InputError(`workers ${workers}: want 1 to ${THREADS_MAX}`);
  }
  const bytes = (headWords(workers) + Math.ceil(words)) * 4;
  if (bytes > 2 ** 31 - 64) throw new InputError('the counts would need more than 2 GiB');
  return Math.ceil(bytes / 64) * 64;
}

/** Makes the head of an empty table; returns its words. */
export function formatMemory(buffer: ArrayBufferLike, workers: number): Int32Array {
  const words = new Int32Array(buffer);
  assert(words[C_MAGIC] === 0, 'the buffer of a count table is in use');
  words[C_MAGIC] = MAGIC;
  words[C_WORKERS] = workers;
  words[C_NEXT] = headWords(workers);
  words[C_END] = words.length;
  return words;
}

/** Fixed memory at the end of what is used, by whoever formats: zero, on a line of its own. */
export function reserveWords(words: Int32Array, count: number): number {
  const at = (words[C_NEXT] + 15) & ~15;
  assert(at + count <= words[C_END], 'the buffer of a count table is too small');
  words[C_NEXT] = at + count;
  words[C_THREADS + W_WORDS] += count;
  return at;
}

export abstract class CountMemory {
  readonly words: Int32Array;
  /** This thread's area. */
  protected readonly self: number;
  readonly workers: number;
  /** Class of what DEFER_ELEMENT frees. */
  protected readonly elementClass: number;
  #isOnline = false;
  #deferredCount = 0;
  /** What each other thread had ended when the grace period began. */
  readonly #ticks: Int32Array;

  constructor(buffer: ArrayBufferLike, worker: number, elementClass: number) {
    this.words = new Int32Array(buffer);
    assert(this.words[C_MAGIC] === MAGIC, 'no count table in this buffer');
    this.workers = this.words[C_WORKERS];
    assert(worker >= 0 && worker < this.workers, `no worker ${worker}`);
    this.self = C_THREADS + worker * THREAD_WORDS;
    this.elementClass = elementClass;
    this.#ticks = new Int32Array(this.workers);
  }

  entries(): number {
    return this.#sum(W_ENTRIES);
  }

  bytesInUse(): number {
    return this.#sum(W_WORDS) * 4;
  }

  bytesDeferred(): number {
    return this.#sum(W_DEFERRED_WORDS) * 4;
  }

  #sum(field: number): number {
    let sum = 0;
    for (let i = 0; i < this.workers; i++) {
      sum = (sum + this.words[C_THREADS + i * THREAD_WORDS + field]) | 0;
    }
    return sum >>> 0;
  }

  /** `delta` more frames have a count above 1. */
  protected addEntries(delta: number): void {
    this.words[this.self + W_ENTRIES] += delta;
  }

  protected lock(at: number): void {
    const w = this.words;
    let spins = 0;
    for (;;) {
      if (Atomics.compareExchange(w, at, 0, 1) === 0) return;
      while (Atomics.load(w, at) !== 0) {
        if (++spins > SPINS) pause(w, at, 1);
      }
    }
  }

  protected unlock(at: number): void {
    Atomics.store(this.words, at, 0);
  }

  /** Lets others run while a word keeps its value: for loops that have spun for a while. */
  protected wait(at: number, value: number, spins: number): void {
    if (spins > SPINS) pause(this.words, at, value);
  }

  /** Memory of the class; word 0 is undefined, the others too unless the class's users leave zeros. */
  protected alloc(sizeClass: number): number {
    const w = this.words;
    w[this.self + W_WORDS] += classWordsOf(sizeClass);
    if (sizeClass > SMALL_MAX) return this.#allocLarge(sizeClass);
    const head = this.self + W_FREE + 2 * sizeClass;
    if (w[head] === 0) this.#refill(sizeClass, head);
    const at = w[head];
    w[head] = w[at];
    w[head + 1] -= 1;
    return at;
  }

  protected free(sizeClass: number, at: number): void {
    const w = this.words;
    w[this.self + W_WORDS] -= classWordsOf(sizeClass);
    if (sizeClass > SMALL_MAX) {
      this.lock(C_LOCK);
      w[at] = w[C_FREE + sizeClass];
      w[C_FREE + sizeClass] = at;
      this.unlock(C_LOCK);
      return;
    }
    const head = this.self + W_FREE + 2 * sizeClass;
    w[at] = w[head];
    w[head] = at;
    w[head + 1] += 1;
    if (w[head + 1] >= 2 * REFILL) this.#giveBack(sizeClass, head);
  }

  #allocLarge(sizeClass: number): number {
    const w = this.words;
    this.lock(C_LOCK);
    let at = w[C_FREE + sizeClass];
    if (at !== 0) w[C_FREE + sizeClass] = w[at];
    else at = this.#bump(classWordsOf(sizeClass), 16);
    this.unlock(C_LOCK);
    return at;
  }

  /** Takes up to REFILL objects from the list of all, or cuts new ones. */
  #refill(sizeClass: number, head: number): void {
    const w = this.words;
    const size = classWordsOf(sizeClass);
    this.lock(C_LOCK);
    let taken = 0;
    for (; taken < REFILL && w[C_FREE + sizeClass] !== 0; taken++) {
      const at = w[C_FREE + sizeClass];
      w[C_FREE + sizeClass] = w[at];
      w[at] = w[head];
      w[head] = at;
    }
    if (taken === 0) {
      // Fewer where the buffer ends.
      const room = Math.floor((w[C_END] - w[C_NEXT] - 16) / size);
      taken = Math.max(1, Math.min(REFILL, room));
      const first = this.#bump(taken * size, Math.min(16, size & -size));
      for (let i = taken - 1; i >= 0; i--) {
        w[first + i * size] = w[head];
        w[head] = first + i * size;
      }
    }
    w[head + 1] += taken;
    this.unlock(C_LOCK);
  }

  /** Half of a long list of this thread's becomes everybody's. */
  #giveBack(sizeClass: number, head: number): void {
    const w = this.words;
    const first = w[head];
    let last = first;
    for (let i = 1; i < REFILL; i++) last = w[last];
    w[head] = w[last];
    w[head + 1] -= REFILL;
    this.lock(C_LOCK);
    w[last] = w[C_FREE + sizeClass];
    w[C_FREE + sizeClass] = first;
    this.unlock(C_LOCK);
  }

  #bump(count: number, align: number): number {
    const w = this.words;
    const at = (w[C_NEXT] + align - 1) & -align;
    if (at + count > w[C_END]) {
      this.unlock(C_LOCK);
      throw new BufferFullError('the buffer of a count table is full; give more entries');
    }
    w[C_NEXT] = at + count;
    return at;
  }

  /** Begins an operation that reads without locks. */
  protected enter(): void {
    if (!this.#isOnline) this.#goOnline();
  }

  /** Ends it: this thread holds no reference any more. */
  protected leave(): void {
    this.words[this.self + W_TICKS] += 1;
    if (this.#deferredCount >= DEFER_BATCH) this.#advance();
  }

  #goOnline(): void {
    Atomics.store(this.words, this.self + W_STATE, 1);
    this.#isOnline = true;
  }

  idle(): void {
    if (!this.#isOnline) return;
    this.#isOnline = false;
    Atomics.store(this.words, this.self + W_STATE, 0);
    this.#advance();
  }

  /** As `defer` for memory of any class. */
  protected deferTable(sizeClass: number, at: number): void {
    this.words[at + TABLE_CLASS] = sizeClass;
    this.defer(DEFER_TABLE, at);
  }

  /** Frees `at` when no other thread can still hold it. */
  protected defer(kind: number, at: number): void {
    const w = this.words;
    const head = this.self + W_DEFERRED + 2 * kind;
    w[at + (LINK_WORDS[kind] as number)] = w[head];
    w[head] = at;
    w[this.self + W_DEFERRED_WORDS] += classWordsOf(this.#deferredClass(kind, at));
    this.#deferredCount += kind === DEFER_TABLE ? DEFER_BATCH : 1;
  }

  #deferredClass(kind: number, at: number): number {
    if (kind === DEFER_ELEMENT) return this.elementClass;
    return kind === DEFER_BUCKET ? CLASS_64 : this.words[at + TABLE_CLASS];
  }

  #advance(): void {
    const w = this.words;
    const first = this.self + W_DEFERRED;
    const isWaiting = (w[first + 1] | w[first + 3] | w[first + 5]) !== 0;
    if (isWaiting && !this.#hasGracePassed()) {
      this.#deferredCount = 0;
      return;
    }
    for (let kind = 0; kind < DEFER_KINDS; kind++) {
      this.#freeList(kind, first + 2 * kind + 1);
      w[first + 2 * kind + 1] = w[first + 2 * kind];
      w[first + 2 * kind] = 0;
    }
    this.#deferredCount = 0;
    for (let i = 0; i < this.workers; i++) {
      this.#ticks[i] = Atomics.load(w, C_THREADS + i * THREAD_WORDS + W_TICKS);
    }
  }

  #hasGracePassed(): boolean {
    const w = this.words;
    for (let i = 0; i < this.workers; i++) {
      const at = C_THREADS + i * THREAD_WORDS;
      if (at === this.self || Atomics.load(w, at + W_STATE) === 0) continue;
      if (((Atomics.load(w, at + W_TICKS) - (this.#ticks[i] as number)) | 0) < 2) return false;
    }
    return true;
  }

  #freeList(kind: number, head: number): void {
    const w = this.words;
    for (let at = w[head]; at !== 0; ) {
      const next = w[at + (LINK_WORDS[kind] as number)];
      const sizeClass = this.#deferredClass(kind, at);
      w[this.self + W_DEFERRED_WORDS] -= classWordsOf(sizeClass);
      this.free(sizeClass, at);
      at = next;
    }
    w[head] = 0;
  }

  /** Frees what all threads have deferred. No other thread may be inside. */
  protected releaseAll(): void {
    for (let i = 0; i < this.workers; i++) {
      const first = C_THREADS + i * THREAD_WORDS + W_DEFERRED;
      for (let kind = 0; kind < DEFER_KINDS; kind++) {
        this.#freeList(kind, first + 2 * kind);
        this.#freeList(kind, first + 2 * kind + 1);
      }
    }
    this.#deferredCount = 0;
  }
}
