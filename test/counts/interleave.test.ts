import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Random } from '../../src/base/index.ts';
import { BATCH_MAX, type CountKind, type CountTable } from '../../src/engine/counts/count-table.ts';
import { COUNT_KINDS } from '../../src/engine/counts/kinds.ts';
import { LINE_HASH } from '../../src/engine/counts/line-hash.ts';
import { unmix32 } from '../../src/engine/counts/mix.ts';
import { ROSEBUSH, ROSEBUSH_INLINE } from '../../src/engine/counts/rosebush.ts';
import { seeded } from './seed.ts';
import { type Locks, withLocks, withSteps } from './steps.ts';

/**
 * Operations of several threads inside one another, at every access to memory. What an operation may
 * answer follows from what the frame's count was while it ran; who holds how many references is
 * kept in plain arrays.
 */

const THREADS = 4;
/** Accesses of an operation and all in it, after which nothing more begins inside … */
const ENOUGH = 20_000;
/** … and after which it is stuck. */
const STUCK = 300_000;
/** A reader inside a writer may wait for it; it is given up. */
const READER_STEPS = 4000;
const GIVEN_UP = new Error('a reader waits for a writer that waits for it');

/** Tables whose look-ups take no lock, so that they can run while another thread has one. */
const READS_UNLOCKED = new Set(['rosebush-inline', 'rosebush', 'rhashtable']);
/** Tables in which an addition waits for an element that is on its way out. */
const WAITS_FOR_LEAVERS = new Set(['rosebush', 'rhashtable']);

class Interleaved {
  readonly #random: Random;
  readonly #kind: CountKind;
  readonly #tables: CountTable[];
  readonly #frames: number;
  /** Their frame numbers, and the way back. */
  readonly #numbers: Int32Array;
  readonly #indexOf: ReadonlyMap<number, number>;
  /** References of each thread to each frame. */
  readonly #held: Int32Array[];
  readonly #total: Int32Array;
  /** Operations under way that count the frame up, or down. */
  readonly #rising: Int32Array;
  readonly #falling: Int32Array;
  /** How often somebody was told to free the frame. */
  readonly #freed: Int32Array;
  readonly #least: Int32Array;
  readonly #most: Int32Array;
  readonly #locks: Locks = { held: 0 };
  readonly #odds: number;
  readonly #burst: number;
  readonly #growth: number;
  #depth = 0;
  #changing = 0;
  #steps = 0;
  #readerSteps = -1;

  constructor(kind: CountKind, random: Random) {
    this.#kind = kind;
    this.#random = random;
    this.#frames = random.pick([3, 24, 200, 400]);
    const stride = random.pick([1, 1, 64, 129]);
    // In a hash also those whose hashes are consecutive: all in one segment, or next to each other.
    const isHash = kind === LINE_HASH || kind === ROSEBUSH || kind === ROSEBUSH_INLINE;
    const isMixed = !isHash || random.chance(0.3);
    const count = { length: this.#frames };
    this.#numbers = Int32Array.from(count, (_, i) => (isMixed ? i * stride : unmix32(i)));
    this.#indexOf = new Map([...this.#numbers].map((number, i) => [number, i]));
    this.#odds = random.pick([0.001, 0.01, 0.05]);
    this.#burst = random.pick([1, 3, 60]);
    this.#growth = random.pick([0.4, 0.5, 0.7]);
    const n = this.#frames;
    const frames = n * stride + 64;
    const options = { frames, entries: 4096, workers: THREADS };
    const buffer = new SharedArrayBuffer(kind.bytesFor(options));
    kind.format(buffer, options);
    this.#tables = Array.from({ length: THREADS }, (_, i) => kind.attach(buffer, i));
    this.#held = this.#tables.map(() => new Int32Array(n));
    this.#total = new Int32Array(n);
    this.#rising = new Int32Array(n);
    this.#falling = new Int32Array(n);
    this.#freed = new Int32Array(n);
    this.#least = new Int32Array(n);
    this.#most = new Int32Array(n);
  }

  run(operations: number): void {
    withLocks(this.#locks, this.#kind.name.startsWith('rosebush'), () =>
      withSteps(
        this.#tables,
        () => this.#step(),
        (old, next) => this.#swapped(old, next),
        () => {
          for (let i = 0; i < operations; i++) {
            this.#steps = 0;
            this.#operation(0);
          }
        },
      ),
    );
    for (const table of this.#tables) table.idle();
    const [table] = this.#tables as [CountTable];
    for (let frame = 0; frame < this.#frames; frame++) {
      assert.equal(
        table.get(this.#numbers[frame]!),
        Math.max(1, this.#total[frame]!),
        `frame ${frame}`,
      );
    }
    table.validate();
    assert.equal(table.entries(), this.#total.filter((count) => count > 1).length);
  }

  /** A Rosebush takes some of its locks without `lock`; nothing else of it goes from 0 to 1. */
  #swapped(old: number, next: number): void {
    if (this.#kind.name.startsWith('rosebush') && old === 0 && next === 1) this.#locks.held += 1;
  }

  #step(): void {
    if (++this.#steps > STUCK) throw new Error('an operation does not end');
    if (this.#readerSteps >= 0 && ++this.#readerSteps > READER_STEPS) throw GIVEN_UP;
    if (this.#readerSteps >= 0 || this.#depth + 1 >= THREADS) return;
    if (this.#steps > ENOUGH || !this.#random.chance(this.#odds)) return;
    this.#depth += 1;
    const times = this.#random.between(1, this.#burst);
    for (let i = 0; i < times; i++) {
      if (this.#isLocked()) this.#readInside();
      else this.#operation(this.#depth);
    }
    this.#depth -= 1;
  }

  /**
   * Somebody has a lock. Whoever changes a line-hash has one in a word of its own, and whoever looks
   * up a count that stands aside, from 255 on.
   */
  #isLocked(): boolean {
    if (this.#kind.name !== 'line-hash') return this.#locks.held > 0;
    return this.#changing > 0 || this.#total.some((count) => count > 250);
  }

  #readInside(): void {
    if (!READS_UNLOCKED.has(this.#kind.name)) return;
    this.#readerSteps = 0;
    try {
      this.#get(this.#depth, this.#random.below(this.#frames));
    } catch (error) {
      if (error !== GIVEN_UP) throw error;
    } finally {
      this.#readerSteps = -1;
    }
  }

  #operation(thread: number): void {
    const random = this.#random;
    const frame = random.below(this.#frames);
    const what = random.below(100);
    if (what < 25) this.#get(thread, frame);
    else if (what < 90) this.#change(thread, [frame], random.chance(this.#growth));
    else this.#change(thread, this.#someFrames(), random.chance(this.#growth));
  }

  #someFrames(): number[] {
    const n = this.#random.between(2, Math.min(40, this.#frames));
    const first = this.#random.below(this.#frames - n + 1);
    if (this.#random.chance(0.5)) return Array.from({ length: n }, (_, i) => first + i);
    const set = new Set(Array.from({ length: n }, () => this.#random.below(this.#frames)));
    return [...set];
  }

  /** From now on the frame's count is watched. The range so far of an outer operation is kept. */
  #begin(frame: number): [least: number, most: number] {
    const before: [number, number] = [this.#least[frame]!, this.#most[frame]!];
    this.#least[frame] = this.#most[frame] = this.#total[frame]!;
    return before;
  }

  #end(frame: number, [least, most]: [number, number]): void {
    this.#least[frame] = Math.min(this.#least[frame]!, least, this.#total[frame]!);
    this.#most[frame] = Math.max(this.#most[frame]!, most, this.#total[frame]!);
  }

  #add(thread: number, frame: number, delta: number): void {
    this.#held[thread]![frame] += delta;
    this.#total[frame] += delta;
    this.#least[frame] = Math.min(this.#least[frame]!, this.#total[frame]!);
    this.#most[frame] = Math.max(this.#most[frame]!, this.#total[frame]!);
  }

  /**
   * The count before this operation's own change is one that the frame had meanwhile; those of others
   * that are under way may have had their effect or not.
   */
  #check(what: string, frame: number, before: number, own: number): void {
    const least = this.#least[frame]! - this.#falling[frame]! + (own < 0 ? 1 : 0);
    const most = this.#most[frame]! + this.#rising[frame]! - (own > 0 ? 1 : 0);
    const isRight = before >= least && before <= Math.max(1, most);
    assert.ok(isRight, `${what} ${frame}: ${before}, not ${least} to ${most}`);
  }

  #get(thread: number, frame: number): void {
    if (this.#total[frame] === 0) return;
    const outer = this.#begin(frame);
    try {
      const count = this.#tables[thread]!.get(this.#numbers[frame]!);
      this.#check('get', frame, count, 0);
    } finally {
      this.#end(frame, outer);
    }
  }

  #change(thread: number, wanted: readonly number[], isUp: boolean): void {
    const frames = wanted.filter((frame) => this.#canChange(thread, frame, isUp));
    if (frames.length === 0) return;
    const outer = frames.map((frame) => this.#begin(frame));
    const pending = isUp ? this.#rising : this.#falling;
    // The reference that is given back counts until it is gone.
    for (const frame of frames) pending[frame]! += 1;
    this.#changing += 1;
    if (frames.length === 1) this.#changeOne(thread, frames[0]!, isUp);
    else this.#changeAll(thread, frames, isUp);
    this.#changing -= 1;
    frames.forEach((frame, i) => {
      pending[frame]! -= 1;
      // Who counts a frame up may do so for another, as fork does.
      this.#add(isUp ? this.#random.below(THREADS) : thread, frame, isUp ? 1 : -1);
      this.#end(frame, outer[i]!);
      if (this.#total[frame] === 0) this.#freeFrame(frame);
    });
  }

  /** A frame that nobody has is taken, which is no operation of the table. */
  #canChange(thread: number, frame: number, isUp: boolean): boolean {
    if (isUp && this.#total[frame] === 0) {
      this.#add(thread, frame, 1);
      return false;
    }
    const waits = WAITS_FOR_LEAVERS.has(this.#kind.name) && this.#falling[frame]! > 0;
    return this.#held[thread]![frame]! > 0 && !(isUp && waits);
  }

  #changeOne(thread: number, frame: number, isUp: boolean): void {
    const table = this.#tables[thread]!;
    const number = this.#numbers[frame]!;
    const count = isUp ? table.inc(number) : table.dec(number);
    const own = isUp ? 1 : -1;
    this.#check(isUp ? 'inc' : 'dec', frame, count - own, own);
    if (count === 0) this.#freed[frame]! += 1;
  }

  #changeAll(thread: number, frames: readonly number[], isUp: boolean): void {
    const table = this.#tables[thread]!;
    const batch = Int32Array.from(frames, (frame) => this.#numbers[frame]!);
    if (isUp) table.incBatch(batch, 0, batch.length);
    else {
      const gone = new Int32Array(BATCH_MAX);
      const count = table.decBatch(batch, 0, batch.length, gone);
      for (let i = 0; i < count; i++) {
        const frame = this.#indexOf.get(gone[i]!)!;
        this.#check('dec', frame, 1, -1);
        this.#freed[frame]! += 1;
      }
    }
  }

  #freeFrame(frame: number): void {
    assert.equal(this.#freed[frame], 1, `frame ${frame}: one holder frees it`);
    this.#freed[frame] = 0;
  }
}

describe('operations of other threads at every access', () => {
  for (const kind of COUNT_KINDS) {
    it(kind.name, (t) => {
      const random = seeded(t);
      for (let round = 0; round < 60; round++) new Interleaved(kind, random).run(150);
    });
  }
});
