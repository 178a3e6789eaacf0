import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { Random } from '../../src/base/index.ts';
import { BATCH_MAX, type CountKind, type CountTable } from '../../src/engine/counts/count-table.ts';
import { COUNT_KINDS } from '../../src/engine/counts/kinds.ts';
import { seeded } from './seed.ts';

const FRAMES = 1 << 17;
const OPERATIONS = Number(process.env['PAGELAB_COUNTS_OPS'] ?? 1_000_000);

/** A table and the plain Map that it must agree with: counts above 1 only. */
class Compared {
  readonly table: CountTable;
  readonly model = new Map<number, number>();
  readonly gone = new Int32Array(BATCH_MAX);

  constructor(kind: CountKind) {
    const options = { frames: FRAMES, entries: FRAMES, workers: 1 };
    const buffer = new SharedArrayBuffer(kind.bytesFor(options));
    kind.format(buffer, options);
    this.table = kind.attach(buffer, 0);
  }

  inc(frame: number): number {
    const count = (this.model.get(frame) ?? 1) + 1;
    this.model.set(frame, count);
    return count;
  }

  dec(frame: number): number {
    const count = (this.model.get(frame) ?? 1) - 1;
    if (count > 1) this.model.set(frame, count);
    else this.model.delete(frame);
    return count;
  }

  decAll(frames: readonly number[]): number[] {
    return frames.filter((frame) => this.dec(frame) === 0);
  }

  checkGone(count: number, expected: number[]): void {
    assert.deepEqual([...this.gone.subarray(0, count)].sort(less), expected.sort(less));
  }

  checkAll(): void {
    const { table, model } = this;
    table.validate();
    assert.equal(table.entries(), model.size);
    for (let frame = 0; frame < FRAMES; frame++) {
      const count = table.get(frame);
      if (count !== (model.get(frame) ?? 1)) assert.equal(count, model.get(frame) ?? 1, `${frame}`);
    }
  }
}

const less = (a: number, b: number): number => a - b;

/** Frames of a batch: consecutive, of few rows, or of anywhere; now and then one twice. */
function someFrames(random: Random): Int32Array {
  const n = random.between(1, random.chance(0.2) ? BATCH_MAX : 24);
  const spread = random.pick([n, 4 * n, FRAMES]);
  const first = random.below(FRAMES - Math.min(spread, FRAMES - 1));
  const isRun = random.chance(0.4);
  return Int32Array.from({ length: n }, (_, i) =>
    isRun
      ? Math.min(first + i, FRAMES - 1)
      : first + random.below(Math.min(spread, FRAMES - first)),
  );
}

function oneStep(c: Compared, random: Random, frames: number): number {
  const { table, gone } = c;
  const what = random.below(16);
  if (what < 12) {
    const frame = random.chance(0.1) ? random.below(16) : random.below(frames);
    if (what < 4) assert.equal(table.inc(frame), c.inc(frame));
    else if (what < 8) assert.equal(table.dec(frame), c.dec(frame));
    else assert.equal(table.get(frame), c.model.get(frame) ?? 1);
    return 1;
  }
  const batch = someFrames(random);
  const n = batch.length;
  if (what === 12) {
    table.incBatch(batch, 0, n);
    for (const frame of batch) c.inc(frame);
  } else if (what === 13) {
    c.checkGone(table.decBatch(batch, 0, n, gone), c.decAll([...batch]));
  } else {
    const first = Math.min(batch[0]!, FRAMES - n);
    const run = Array.from({ length: n }, (_, i) => first + i);
    if (what === 14) {
      table.incRun(first, n);
      for (const frame of run) c.inc(frame);
    } else c.checkGone(table.decRun(first, n, gone), c.decAll(run));
  }
  return n;
}

/** Phases that fill and empty the table, so that it grows and shrinks. */
function compare(t: TestContext, kind: CountKind): void {
  const random = seeded(t);
  const c = new Compared(kind);
  for (let done = 0; done < OPERATIONS; ) {
    const frames = random.pick([64, 4096, FRAMES]);
    const bias = random.below(3);
    for (let i = 0; i < OPERATIONS / 40; ) {
      i += oneStep(c, random, frames);
      if (bias === 0) continue;
      const batch = someFrames(random);
      i += batch.length;
      if (bias === 1) {
        c.table.incBatch(batch, 0, batch.length);
        for (const frame of batch) c.inc(frame);
      } else c.checkGone(c.table.decBatch(batch, 0, batch.length, c.gone), c.decAll([...batch]));
    }
    done += OPERATIONS / 40;
    c.checkAll();
  }
  const left = [...c.model];
  for (const [frame, count] of left) {
    for (let i = count; i > 1; i--) assert.equal(c.table.dec(frame), c.dec(frame));
  }
  c.table.idle();
  c.checkAll();
  assert.equal(c.table.entries(), 0);
}

describe('counts agree with a Map', () => {
  for (const kind of COUNT_KINDS) {
    it(`${kind.name}: random operations and batches`, (t) => compare(t, kind));
  }
});

describe('counts, by hand', () => {
  for (const kind of COUNT_KINDS) {
    it(`${kind.name}: no entry means one`, () => {
      const { table } = new Compared(kind);
      const empty = table.bytesInUse();
      assert.deepEqual([table.get(7), table.dec(7), table.get(7)], [1, 0, 1]);
      assert.deepEqual([table.inc(7), table.inc(7), table.get(7)], [2, 3, 3]);
      assert.deepEqual([table.get(6), table.get(8), table.entries()], [1, 1, 1]);
      assert.deepEqual([table.dec(7), table.dec(7), table.dec(7)], [2, 1, 0]);
      table.idle();
      table.validate();
      // A hash may have shrunk below its first size.
      assert.ok(table.entries() === 0 && table.bytesInUse() <= empty);
    });

    it(`${kind.name}: a count of thousands, and its neighbours`, () => {
      const { table } = new Compared(kind);
      for (let i = 2; i <= 5000; i++) assert.equal(table.inc(1001), i);
      table.incRun(1000, 3);
      assert.deepEqual(
        [1000, 1001, 1002].map((frame) => table.get(frame)),
        [2, 5001, 2],
      );
      table.validate();
      for (let i = 5000; i >= 0; i--) assert.equal(table.dec(1001), i);
      assert.deepEqual(
        [1000, 1001, 1002].map((frame) => table.get(frame)),
        [2, 1, 2],
      );
      table.validate();
    });
  }
});
