import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { describe, it } from 'node:test';
import { BENCHMARK_NAMES, type Row, runBenchmarks } from '../../bench/index.ts';
import { acrossAreas, shuffled } from '../../bench/orders.ts';
import { rowOf } from '../../bench/row.ts';
import { CapabilityError, InputError } from '../../src/base/index.ts';

const TINY = {
  repeats: 3,
  seconds: 0,
  pages: 1024,
  forkPages: 2048,
  tables: 200,
  areas: 10,
  tlbAccesses: 2000,
  countFrames: 1024,
  countThreads: [1, 3],
  llfreeFrames: 262144,
  warmUpFaults: 1,
};

/** Each question with its peers, and two goals for each size of leaf. */
function countRows(): string[] {
  const few = ['static', 'line-hash', 'rosebush', 'rhashtable'];
  const all = ['row-leaf', 'static', 'line-hash', 'rosebush-inline', 'rosebush', 'rhashtable'];
  const goals = ['goal-row-leaf-4', 'goal-row-leaf'];
  const of = (name: string, peers: readonly string[]): string[] =>
    peers.map((peer) => `${name}/${peer}`);
  const single = ['clustered', 'random'].flatMap((pattern) =>
    ['insert', 'hit', 'miss', 'change', 'remove'].flatMap((what) =>
      of(`${pattern}/${what}`, what === 'change' ? all : few),
    ),
  );
  const batches = ['dense', 'clustered', 'random'].flatMap((pattern) => [
    ...['batch', 'split', 'bytes'].flatMap((what) => of(`${pattern}/${what}`, all)),
    ...(pattern === 'clustered' ? of('clustered/batch', goals) : []),
    ...(pattern === 'dense' ? of('dense/bytes', goals) : []),
  ]);
  const threads = ['threads-1', 'threads-3', 'resizing'];
  const parameters = ['insert', 'remove', 'change', 'bytes'].flatMap((what) =>
    of(`parameters/${what}`, ['presized', 'sparse', 'no-shrinking']),
  );
  return [...single, ...batches, ...threads.flatMap((name) => of(name, few)), ...parameters];
}

const ROWS: Readonly<Record<string, readonly string[]>> = {
  fault: ['write', 'random', 'read', 'areas', 'shared-1', 'shared-2', 'shared-2-one-space'],
  zap: ['whole', '2MiB', '4KiB'],
  fork: ['exit', 'on-demand-fork', 'on-demand-write', 'on-demand-turn'],
  'table-reclaim': ['random', 'aged', 'swap', 'dense', 'restore', 'write', 'fault-random'],
  llfree: [
    ...['0', '9'].flatMap((order) => {
      const calls = ['get', 'repeat', 'put', 'rand'].map((call) => `${call}-${order}`);
      const counts = [2, 4, 8, 16].filter((workers) => workers <= availableParallelism());
      return [
        ...calls.flatMap((call) => [call, `${call}-goal`]),
        ...counts.flatMap((workers) => calls.map((call) => `${call}-${workers}-workers`)),
        ...calls.map((call) => `${call}-exclusive`),
      ];
    }),
    'frag',
  ],
  counts: countRows(),
  tlb: ['uniform', 'lackey', 'cachegrind'],
  'multi-fault': ['1', '8', '16'].flatMap((threads) => [
    threads,
    `${threads}-pte-ref`,
    `${threads}-pte-ref-percpu`,
  ]),
};

function assertWellFormed(row: Row): void {
  assert.ok(row.what.length > 0, row.name);
  assert.ok(Number.isFinite(row.ours) && row.ours > 0, `${row.name}: ours ${row.ours}`);
  assert.equal(row.repeats, TINY.repeats);
  if (row.peer === 'none') {
    const { theirs, ratio, ratioLow, ratioHigh } = row;
    assert.deepEqual([theirs, ratio, ratioLow, ratioHigh], [null, null, null, null]);
    return;
  }
  assert.ok(row.theirs! > 0 && row.ratio! > 0, `${row.name}: ${row.theirs}, ratio ${row.ratio}`);
  assert.ok(row.ratioLow! <= row.ratio! && row.ratio! <= row.ratioHigh!, row.name);
}

describe('benchmarks', () => {
  for (const [name, variants] of Object.entries(ROWS)) {
    it(`${name} gives a row for each of its variants`, async (t) => {
      const result = await runBenchmarks(name, TINY).catch((error: unknown) => {
        if (error instanceof CapabilityError) return error.message;
        throw error;
      });
      if (typeof result === 'string') {
        t.skip(result);
        return;
      }
      for (const row of result.rows) assertWellFormed(row);
      const expected = variants.map((variant) => `${name}/${variant}`);
      const got = result.rows.map((row) => row.name);
      assert.deepEqual(got, result.notes.length === 0 ? expected : got);
    });
  }

  it('replay gives a row for each recording, for all, and for reading alone', async () => {
    const { rows, notes } = await runBenchmarks('replay', TINY);
    for (const row of rows) assertWellFormed(row);
    assert.deepEqual(notes, []);
    assert.ok(rows.length >= 3);
    const last = rows.slice(-2).map(({ name, peer }) => [name, peer]);
    assert.deepEqual(last, [
      ['replay/all', 'goal'],
      ['replay/decode', 'none'],
    ]);
  });

  it('an unknown name is refused with the names that there are', async () => {
    await assert.rejects(runBenchmarks('nothing', TINY), (error: unknown) => {
      assert.ok(error instanceof InputError);
      for (const name of BENCHMARK_NAMES) assert.ok(error.message.includes(name));
      return true;
    });
  });
});

describe('rows', () => {
  const head = { name: 'a/b', what: 'x', peer: 'kernel' };

  it('a ratio above 1 is better: less time, or a higher rate', () => {
    const time = rowOf({ ...head, unit: 'ns/page' }, [10, 20, 10], [100, 100, 400]);
    assert.deepEqual([time.ours, time.theirs], [10, 100]);
    assert.deepEqual([time.ratioLow, time.ratio, time.ratioHigh], [5, 10, 40]);
    const rate = rowOf({ ...head, unit: 'faults/s' }, [10, 20], [5, 5]);
    assert.deepEqual([rate.ratioLow, rate.ratio, rate.ratioHigh], [2, 3, 4]);
  });

  it('without a peer there is no ratio', () => {
    const row = rowOf({ ...head, unit: 'events/s' }, [10], null);
    assert.deepEqual([row.ours, row.theirs, row.ratio], [10, null, null]);
  });
});

describe('orders of touches', () => {
  const isEachOnce = (order: Int32Array): boolean => new Set(order).size === order.length;

  it('shuffled pages are each touched once, the same ones for the same seed', () => {
    const { order } = shuffled(1000, 7);
    assert.ok(isEachOnce(order));
    assert.equal(Math.max(...order), 999);
    assert.deepEqual(order, shuffled(1000, 7).order);
    assert.notDeepEqual(order, shuffled(1000, 8).order);
  });

  it('across areas, every touch is in an area, and in another one than the touch before', () => {
    const { order, areas, spanPages } = acrossAreas(1000, 10);
    assert.ok(isEachOnce(order));
    assert.equal(spanPages, 1010);
    const areaOf = (page: number): number =>
      areas.findIndex(([first, pages]) => page >= first && page < first + pages);
    const visited = Array.from(order, areaOf);
    assert.ok(visited.every((area) => area >= 0));
    assert.ok(visited.every((area, i) => i === 0 || area !== visited[i - 1]));
  });
});
