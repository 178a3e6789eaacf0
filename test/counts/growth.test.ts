import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { CountKind, CountTable } from '../../src/engine/counts/count-table.ts';
import { LINE_HASH } from '../../src/engine/counts/line-hash.ts';
import { mix32, unmix32 } from '../../src/engine/counts/mix.ts';
import {
  type Rhashtable,
  type RhashtableOptions,
  rhashtableWith,
} from '../../src/engine/counts/rhashtable.ts';
import { jhashFrame } from '../../src/engine/counts/rhashtable-buckets.ts';
import { ROSEBUSH, ROSEBUSH_INLINE, type Rosebush } from '../../src/engine/counts/rosebush.ts';
import { ROW_LEAF, ROW_LEAF_4 } from '../../src/engine/counts/row-leaf.ts';
import { STATIC_COUNTS } from '../../src/engine/counts/static-counts.ts';
import { seeded } from './seed.ts';

function make(kind: CountKind, entries = 8192, frames = 1 << 20): CountTable {
  const options = { frames, entries, workers: 1 };
  const buffer = new SharedArrayBuffer(kind.bytesFor(options));
  kind.format(buffer, options);
  return kind.attach(buffer, 0);
}

function rhashtable(set: RhashtableOptions = {}): Rhashtable {
  return make(rhashtableWith('rhashtable', set)) as Rhashtable;
}

/** Shares frames [from, to). */
function share(table: CountTable, from: number, to: number): void {
  for (let frame = from; frame < to; frame++) assert.equal(table.inc(frame), 2);
}

function unshare(table: CountTable, from: number, to: number): void {
  for (let frame = from; frame < to; frame++) assert.equal(table.dec(frame), 1);
}

describe('rhashtable: when it is resized', () => {
  it('grows above 75 %: with the 49th of 64, the 97th of 128', () => {
    const table = rhashtable();
    share(table, 0, 48);
    assert.equal(table.shape().size, 64);
    share(table, 48, 49);
    assert.equal(table.shape().size, 128);
    share(table, 49, 96);
    assert.equal(table.shape().size, 128);
    share(table, 96, 97);
    assert.equal(table.shape().size, 256);
    table.validate();
  });

  it('shrinks below 30 % to the next power of two of 1.5 times the elements, not below 4', () => {
    const table = rhashtable();
    share(table, 0, 97);
    // 256 * 3 / 10 = 76: 76 elements stay, 75 go to 128, the next power of two above 112.
    unshare(table, 76, 97);
    assert.equal(table.shape().size, 256);
    unshare(table, 75, 76);
    assert.equal(table.shape().size, 128);
    // 128 * 3 / 10 = 38: 37 elements, 55, so 64.
    unshare(table, 37, 75);
    assert.equal(table.shape().size, 64);
    unshare(table, 0, 37);
    assert.equal(table.shape().size, 4);
    table.validate();
  });

  it('does not shrink where it is not told to', () => {
    const table = rhashtable({ automaticShrinking: false });
    share(table, 0, 97);
    unshare(table, 0, 97);
    assert.equal(table.shape().size, 256);
  });

  it('without the worker an insertion above 100 % makes the next table, and goes there', () => {
    const table = rhashtable({ isInline: false });
    share(table, 0, 65);
    assert.deepEqual([table.shape().size, table.shape().isResizing], [64, false]);
    share(table, 65, 66);
    assert.deepEqual([table.shape().size, table.shape().isResizing], [64, true]);
    table.validate();
    while (table.work(1));
    assert.deepEqual([table.shape().size, table.shape().isResizing], [128, false]);
    assert.equal(table.entries(), 66);
    table.validate();
  });

  it('a chain of more than 16 is dealt anew: the same size, another seed', () => {
    // With shrinking the worker would halve the table as well: 17 elements are below 30 % of 64.
    const table = rhashtable({ automaticShrinking: false });
    const { seed } = table.shape();
    const colliding: number[] = [];
    for (let frame = 0; colliding.length < 17; frame++) {
      if ((jhashFrame(frame, seed) & 63) === 5) colliding.push(frame);
    }
    for (const frame of colliding.slice(0, 16)) table.inc(frame);
    assert.equal(table.shape().seed, seed);
    assert.equal(table.inc(colliding[16]!), 2);
    assert.equal(table.shape().size, 64);
    assert.notEqual(table.shape().seed, seed);
    assert.deepEqual(
      colliding.map((frame) => table.get(frame)),
      new Array(17).fill(2),
    );
    table.validate();
  });

  it('with a largest size: twice as many elements, then -E2BIG', () => {
    const table = rhashtable({ maxSize: 64 });
    share(table, 0, 128);
    assert.equal(table.shape().size, 64);
    assert.equal(table.inc(128), -7);
    assert.deepEqual([table.get(128), table.inc(7), table.entries()], [1, 3, 128]);
    table.validate();
  });

  it('tables that cannot be had in one piece are nested, and flat again afterwards', () => {
    const table = rhashtable({ isInline: false, contiguousBytes: 4096 });
    // Above 100 % of 64, 128, …: each table is made by an insertion; from 1,024 buckets on in pages.
    for (let frame = 0; frame < 5000; frame++) {
      assert.equal(table.inc(frame), 2);
      // The worker is behind: one bucket of every fourth insertion.
      if (frame % 4 === 0) table.work(1);
      if (frame % 1000 === 0) table.validate();
    }
    while (table.work(1000));
    table.validate();
    assert.deepEqual([table.entries(), table.shape().isResizing], [5000, false]);
    for (let frame = 0; frame < 5000; frame++) assert.equal(table.get(frame), 2);
  });
});

/** Operations between the steps of the worker agree with a Map. */
function interleaved(t: TestContext): void {
  const random = seeded(t);
  const table = rhashtable({ isInline: false, contiguousBytes: random.pick([4096, 2 ** 22]) });
  const model = new Map<number, number>();
  for (let i = 0; i < 200_000; i++) {
    const frame = random.below(i % 40_000 < 20_000 ? 4000 : 400);
    const count = model.get(frame) ?? 1;
    const isUp = random.chance(i % 40_000 < 20_000 ? 0.7 : 0.3);
    if (isUp) assert.equal(table.inc(frame), count + 1);
    else assert.equal(table.dec(frame), count - 1);
    const now = isUp ? count + 1 : count - 1;
    if (now > 1) model.set(frame, now);
    else model.delete(frame);
    if (random.chance(0.3)) table.work(random.between(1, 4));
    if (i % 10_000 === 0) table.validate();
  }
  for (let frame = 0; frame < 4000; frame++) {
    assert.equal(table.get(frame), model.get(frame) ?? 1);
  }
}

describe('resizing in progress', () => {
  it('rhashtable: every operation between every two steps', interleaved);
});

describe('rosebush: when buckets split', () => {
  for (const kind of [ROSEBUSH, ROSEBUSH_INLINE]) {
    it(`${kind.name}: the 21st hash of a bucket splits it, and doubles the directory`, () => {
      const table = make(kind) as Rosebush;
      const first = table.bytesInUse();
      assert.equal(first, 512);
      // Hashes 0, 2, 4, …: all in bucket 0.
      for (let i = 0; i < 20; i++) table.inc(unmix32(2 * i));
      assert.equal(table.depth(), 1);
      table.inc(unmix32(40));
      table.idle();
      assert.equal(table.depth(), 2);
      // Hashes that are multiples of 4 come to one of the two new buckets.
      for (let i = 0; i <= 20; i++) assert.equal(table.get(unmix32(2 * i)), 2);
      table.validate();
      // Three buckets, a directory of a line, and the elements.
      const elements = kind === ROSEBUSH ? 21 * 16 : 0;
      assert.equal(table.bytesInUse(), 3 * 256 + 64 + elements);
    });
  }

  it('the hash is a bijection', (t) => {
    const random = seeded(t);
    for (let i = 0; i < 100_000; i++) {
      const word = random.uint32() | 0;
      assert.equal(unmix32(mix32(word)), word);
    }
  });
});

describe('line-hash: when a segment is resized', () => {
  /** Frames of segment 0 of 256, with the tags that are asked for. */
  const frameOf = (tag: number): number => unmix32(tag);

  it('a line from the first entry, two above 12, four above 24; back below 6 and 3', () => {
    const table = make(LINE_HASH);
    const fixed = table.bytesInUse();
    const lines = (): number => (table.bytesInUse() - fixed) / 64;
    const steps = [
      [1, 1],
      [12, 1],
      [13, 2],
      [24, 2],
      [25, 4],
    ] as const;
    let tag = 0;
    for (const [entries, want] of steps) {
      while (tag < entries) table.inc(frameOf(tag++));
      assert.equal(lines(), want, `${entries} entries`);
      table.validate();
    }
    // 3/16 of 64 slots are 12: fewer halve them.
    for (const [entries, want] of [
      [12, 4],
      [11, 2],
      [6, 2],
      [5, 1],
      [1, 1],
      [0, 0],
    ] as const) {
      while (tag > entries) table.dec(frameOf(--tag));
      assert.equal(lines(), want, `${entries} entries`);
      table.validate();
    }
  });
});

describe('bytes when all frames of a machine are shared', () => {
  const shared = 1 << 16;
  const rows = [
    // A word of directory and a line for 64 frames, or for 128.
    [ROW_LEAF, (4 + 64) / 64],
    [ROW_LEAF_4, (4 + 64) / 128],
    [STATIC_COUNTS, 1],
  ] as const;
  for (const [kind, bytes] of rows) {
    it(`${kind.name}: ${bytes} a frame`, () => {
      const table = make(kind, shared, shared);
      for (let first = 0; first < shared; first += 512) table.incRun(first, 512);
      assert.equal(table.bytesInUse() / shared, bytes);
    });
  }
});
