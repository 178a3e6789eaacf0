import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InputError, utf8Bytes } from '../../src/base/index.ts';
import type { System } from '../../src/engine/index.ts';
import { parseKernel, type ReplayOptions, type RunResult, replay } from '../../src/lab/index.ts';
import { openTrace } from '../../src/trace/index.ts';

const HEADER = '{"pagelab":1,"source":"by hand"}';

/** Replays lines; the first of them is line 2 of the trace. */
function run(lines: readonly object[], kernel = 'linux-6.18', options?: ReplayOptions): RunResult {
  const text = [HEADER, ...lines.map((line) => JSON.stringify(line))].join('\n');
  return replay(openTrace('hand.ndjson', [utf8Bytes(text)]), parseKernel(kernel), options);
}

const A = '0x100000000000';
const MIB = 2 ** 20;
const mmap = (len: number, more: object = {}) => ({
  op: 'mmap',
  pid: 1,
  addr: A,
  len,
  prot: 'rw',
  flags: 'private,anon,fixed,noreserve',
  ...more,
});
const write = (addr = A, more: object = {}) => ({
  op: 'touch',
  pid: 1,
  addr,
  write: true,
  ...more,
});
const dontneed = (len: number) => ({
  op: 'madvise',
  pid: 1,
  addr: A,
  len,
  advice: 'dontneed',
});

test('outcomes: each recorded answer is compared, a wrong one reported with its line', () => {
  const { outcomes } = run([
    mmap(8192, { ok: true }),
    write(A, { ok: true }),
    write('0x100000002000', { ok: true }), // line 4: beyond the area
    write('0x100000002000', { ok: false }),
    write('0x100000001000', { ok: false }), // line 6: fine here
    { op: 'munmap', pid: 1, addr: A, len: 0, ok: false, errno: 'EINVAL' },
    { op: 'munmap', pid: 1, addr: A, len: 0, ok: false, errno: 'ENOMEM' }, // line 8
    { op: 'munmap', pid: 1, addr: A, len: 0, ok: false },
    { op: 'munmap', pid: 1, addr: A, len: 0, ok: true }, // line 10
    { op: 'munmap', pid: 1, addr: A, len: 0 },
    { op: 'munmap', pid: 1, addr: A, len: 8192, ok: false }, // line 12: fine here
  ]);
  assert.deepEqual(outcomes, {
    compared: 10,
    equal: 5,
    first: [
      { line: 4, op: 'touch', expected: 'ok', got: 'signal' },
      { line: 6, op: 'touch', expected: 'failed', got: 'ok' },
      { line: 8, op: 'munmap', expected: 'ENOMEM', got: 'EINVAL' },
      { line: 10, op: 'munmap', expected: 'ok', got: 'EINVAL' },
      { line: 12, op: 'munmap', expected: 'failed', got: 'ok' },
    ],
  });
});

test('outcomes: all differences are counted, the first 20 listed', () => {
  const wrong = Array.from({ length: 30 }, () => write(A, { ok: true }));
  const { outcomes } = run([...wrong, write(A, { ok: false })]);
  assert.equal(outcomes.compared, 31);
  assert.equal(outcomes.equal, 1);
  assert.deepEqual(
    outcomes.first.map(({ line }) => line),
    Array.from({ length: 20 }, (_, i) => i + 2),
  );
});

/** Two pages: 4 kB each of PTE, PMD and PUD tables; 8 kB of memory. */
const TWO_PAGES = [mmap(8192), write(A, { count: 2 })];

test('truth: a sample is exact when every field of it is', () => {
  const { truth } = run([
    ...TWO_PAGES,
    { op: 'sample', pid: 1, vmPteKiB: 12, presentPages: 2, rssAnonKiB: 8, vmSizeKiB: 8 },
    { op: 'sample', pid: 1, vmPteKiB: 12, rssFileKiB: 0, rssShmemKiB: 0, swappedPages: 0 },
    { op: 'sample', pid: 1, vmSwapKiB: 0 },
  ]);
  assert.equal(truth.samples, 3);
  assert.equal(truth.exact, 3);
  assert.equal(truth.exactAtStamp, 3);
  assert.deepEqual(truth.fields.vmPteKiB, { compared: 2, exact: 2, worst: 0, worstLine: 0 });
  assert.deepEqual(truth.fields.vmSwapKiB, { compared: 1, exact: 1, worst: 0, worstLine: 0 });
});

test('truth: a wrong value is reported with its line, the worst of a field by its size', () => {
  const { truth } = run([
    ...TWO_PAGES,
    { op: 'sample', pid: 1, vmPteKiB: 12, rssAnonKiB: 4 }, // line 4: 4 too many here
    { op: 'sample', pid: 1, vmPteKiB: 16, rssAnonKiB: 40 }, // line 5: 4 and 32 too few
    { op: 'sample', pid: 1, vmPteKiB: 12, rssAnonKiB: 8 },
    { op: 'sample', pid: 1, rssAnonKiB: 12 },
  ]);
  assert.equal(truth.samples, 4);
  assert.equal(truth.exact, 1);
  assert.deepEqual(truth.fields, {
    vmPteKiB: { compared: 3, exact: 2, worst: -4, worstLine: 5 },
    rssAnonKiB: { compared: 4, exact: 1, worst: -32, worstLine: 5 },
  });
});

test('truth: what the kernel does not count is not compared', () => {
  const { truth } = run([...TWO_PAGES, { op: 'sample', pid: 1, anonHugeKiB: 2048, vmPteKiB: 12 }]);
  assert.equal(truth.exact, 1);
  assert.equal(truth.fields.anonHugeKiB, undefined);
});

/** A sample stamped at t=100 that was read within 50 ns, with a touch of one page each 20 ns. */
function samplesWithin(sample: object, within = 50): RunResult['truth'] {
  const touches = [1, 2, 3, 4].map((i) =>
    write(`0x10000000${i}000`, { t: 100 + 20 * i, count: 1 }),
  );
  return run([
    mmap(MIB, { t: 10 }),
    write(A, { t: 90 }),
    { op: 'sample', pid: 1, t: 100, within, ...sample },
    ...touches,
  ]).truth;
}

test('truth: a sample with `within` may agree at any one moment of its interval', () => {
  // At 100, 120 and 140 there are 1, 2 and 3 pages; the touches at 160 and 180 come too late.
  for (const [rssAnonKiB, exact, worst] of [
    [4, 1, 0],
    [8, 1, 0],
    [12, 1, 0],
    [16, 0, -12],
    [0, 0, 4],
  ] as const) {
    const truth = samplesWithin({ rssAnonKiB });
    assert.equal(truth.samples, 1);
    assert.equal(truth.exact, exact, `${rssAnonKiB} kB`);
    assert.equal(truth.fields.rssAnonKiB?.worst, worst, `${rssAnonKiB} kB`);
    assert.equal(truth.exactAtStamp, rssAnonKiB === 12 ? 1 : 0, `${rssAnonKiB} kB at the end`);
  }
});

test('truth: without `within` only the moment of the sample counts', () => {
  const truth = run([
    mmap(MIB, { t: 10 }),
    { op: 'sample', pid: 1, t: 100, rssAnonKiB: 4 },
    write(A, { t: 101 }),
  ]).truth;
  assert.equal(truth.exact, 0);
});

test('truth: the fields of a sample must agree at one and the same moment', () => {
  // One page at first, two after 120 ns: no moment has the memory of one and the pages of the other.
  assert.equal(samplesWithin({ rssAnonKiB: 8, presentPages: 2 }).exact, 1);
  const mixed = samplesWithin({ rssAnonKiB: 8, presentPages: 1 });
  assert.equal(mixed.exact, 0);
});

/** A slot written, its pages given back one by one or as a whole; what each kernel keeps of it. */
test('kernels differ where their rules do', () => {
  const slot = [mmap(2 * MIB), write(A, { count: 512 })];
  const pieces = [dontneed(MIB), { ...dontneed(MIB), addr: '0x100000100000' }];
  const expected: readonly [kernel: string, whole: number, inPieces: number][] = [
    ['linux-6.1', 1, 1],
    ['linux-6.18', 0, 1],
    ['linux-6.1+pte-ref', 0, 0],
    ['linux-6.18+pte-ref', 0, 0],
  ];
  for (const [kernel, whole, inPieces] of expected) {
    for (const [calls, tables] of [
      [[dontneed(2 * MIB)], whole],
      [pieces, inPieces],
    ] as const) {
      const { final, peak } = run([...slot, ...calls], kernel);
      assert.equal(final.pteTables, tables, kernel);
      assert.equal(final.emptyTables, tables, kernel);
      assert.equal(final.tablesFreed, 1 - tables, kernel);
      assert.equal(final.vmPteKiB, 8 + 4 * tables, kernel);
      assert.equal(final.rssAnonKiB, 0, kernel);
      assert.equal(peak.rssAnonKiB, 2048, kernel);
      assert.equal(peak.vmPteKiB, 12, kernel);
    }
  }
});

test('totals cover all processes; counts of ended ones stay, their memory goes', () => {
  const { final, events } = run([
    ...TWO_PAGES,
    { op: 'fork', pid: 1, child: 2 },
    write(A, { pid: 2 }),
    { op: 'exit', pid: 2 },
    { op: 'mark', name: 'end' },
  ]);
  assert.equal(events, 6);
  assert.equal(final.faults, 3);
  assert.equal(final.cowFaults, 1);
  assert.equal(final.rssAnonKiB, 8);
  assert.equal(final.processes['2']?.isAlive, false);
  assert.equal(final.processes['2']?.rssAnonKiB, 8);
  assert.equal(final.processes['1']?.isAlive, true);
});

/** 32 MiB of memory; process 1 fits, process 2 is far too large for it. */
const SMALL: ReplayOptions = { machine: { nodeBytes: [32 * MIB], bufferMiB: 64 } };
const killed = () => {
  let system: System | undefined;
  const large = { ...mmap(64 * MIB), pid: 2 };
  const result = run(
    [
      mmap(4 * MIB),
      write(A, { count: 256, ok: true }),
      large,
      write(A, { pid: 2, count: 16384 }), // line 5: kills 2
      { ...write(A), pid: 2, ok: true },
      { op: 'munmap', pid: 2, addr: '0x1000', len: 0, ok: true },
      { op: 'sample', pid: 2, rssAnonKiB: 4 },
      { op: 'fork', pid: 2, child: 3 },
      { ...write(A), pid: 3, ok: true }, // line 10: of a process that never came to be
      write('0x100000100000', { count: 256, ok: true }),
      { op: 'sample', pid: 1, rssAnonKiB: 2048 },
    ],
    'linux-6.18',
    {
      ...SMALL,
      onEnd: (s) => {
        system = s;
      },
    },
  );
  return { result, system: system! };
};

test('after an OOM kill the events of the process are skipped, and the kill is counted', () => {
  const { result, system } = killed();
  assert.deepEqual(system.oomKilled, [2]);
  assert.equal(result.final.oomKills, 1);
  assert.equal(result.events, 11);
  assert.equal(system.process(2), undefined);
  // Process 1 goes on as recorded.
  assert.equal(result.truth.fields.rssAnonKiB?.exact, 1);
  assert.equal(result.truth.samples, 1);
  assert.equal(result.final.processes['1']?.rssAnonKiB, 2048);
});

test('events of the killed process are not compared', () => {
  const { result } = killed();
  assert.deepEqual(
    result.outcomes.first.filter(({ line }) => line < 10),
    [],
  );
});

test('a child that a killed process would have forked is skipped too', () => {
  const { result, system } = killed();
  assert.equal(system.process(3), undefined);
  assert.deepEqual(result.outcomes, { compared: 2, equal: 2, first: [] });
});

/** 2 is the larger one when 1 runs out of memory: it goes, 1 lives. */
const otherKilled = () => {
  let system: System | undefined;
  const result = run(
    [
      { ...mmap(64 * MIB), pid: 2 },
      write(A, { pid: 2, count: 5000 }),
      mmap(64 * MIB),
      write(A, { count: 4000, ok: true }), // line 5: kills 2
      write(A, { pid: 2, ok: true }),
      { op: 'sample', pid: 2, rssAnonKiB: 20000 },
      write(A, { ok: true }),
    ],
    'linux-6.18',
    {
      ...SMALL,
      onEnd: (s) => {
        system = s;
      },
    },
  );
  return { result, system: system! };
};

test('the OOM killer takes the largest process, whoever ran out of memory', () => {
  const { result, system } = otherKilled();
  assert.deepEqual(system.oomKilled, [2]);
  assert.equal(result.final.processes['1']?.rssAnonKiB, 16000);
  assert.equal(result.final.rssAnonKiB, 16000);
});

test('events of a process that fell to the needs of another are skipped', () => {
  const { result, system } = otherKilled();
  assert.equal(system.process(2), undefined);
  assert.deepEqual(result.outcomes, { compared: 2, equal: 2, first: [] });
  assert.equal(result.truth.samples, 0);
});

test('a killed number that another process forks again lives again', () => {
  const { final, outcomes } = run(
    [
      mmap(4 * MIB),
      write(A, { count: 2 }),
      { ...mmap(64 * MIB), pid: 2 },
      write(A, { pid: 2, count: 16384 }),
      { op: 'exit', pid: 2 },
      { op: 'fork', pid: 1, child: 2 },
      write(A, { pid: 2, ok: true }),
    ],
    'linux-6.18',
    SMALL,
  );
  assert.equal(final.oomKills, 1);
  assert.equal(outcomes.equal, 1);
  assert.equal(final.processes['2']?.rssAnonKiB, 8);
  assert.equal(final.processes['2']?.isAlive, true);
});

test('a malformed line stops the replay with an InputError that names it', () => {
  assert.throws(
    () => run([mmap(4096), { op: 'touch', pid: 1, addr: '0x1', write: 3 }]),
    (error: Error) => error instanceof InputError && error.message.startsWith('hand.ndjson:3: '),
  );
});

test('the same trace gives the same result, run after run', () => {
  const once = killed().result;
  assert.deepEqual(killed().result, once);
});

test('mremap that may not move grows in place, whatever new address it was given', () => {
  const mremap = { op: 'mremap', pid: 1, addr: A, len: 8192, newLen: 16384 };
  const { outcomes, final } = run([
    mmap(8192, { ok: true }),
    { ...mremap, newAddr: '0x200000000000', ok: true },
  ]);
  assert.deepEqual(outcomes.first, []);
  assert.equal(final.vmSizeKiB, 16);
});
