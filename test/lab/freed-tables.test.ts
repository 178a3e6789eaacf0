import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8Bytes } from '../../src/base/index.ts';
import { parseKernel, type RunResult, replay } from '../../src/lab/index.ts';
import { openTrace } from '../../src/trace/index.ts';
import { openRecording } from '../report/documents.ts';

const MIB = 2 ** 20;
const SLOT = 2 * MIB;
const BASE = 0x100000000000;
const hex = (addr: number): string => `0x${addr.toString(16)}`;

/** Lines of a trace; the first is line 2. */
function run(lines: readonly object[], kernel: string, memoryMiB = 64): RunResult {
  const text = ['{"pagelab":1}', ...lines.map((line) => JSON.stringify(line))].join('\n');
  const machine = { nodeBytes: [memoryMiB * MIB], swapBytes: 256 * MIB };
  return replay(openTrace('hand.ndjson', [utf8Bytes(text)]), parseKernel(kernel), { machine });
}

const at = (slot: number): string => hex(BASE + slot * SLOT);
const ANON = { op: 'mmap', pid: 1, prot: 'rw', flags: 'private,anon,fixed' };
const touch = (slot: number, count = 1) => ({
  op: 'touch',
  pid: 1,
  addr: at(slot),
  write: true,
  count,
});

test('each way to lose the last entry is put down to its call', () => {
  const { tablesFreedBy, final } = run(
    [
      { ...ANON, addr: at(0), len: 8 * SLOT },
      { ...ANON, addr: at(16), len: SLOT, flags: 'shared,fixed', file: 'memfd:a', off: 0 },
      { op: 'truncate', pid: 1, file: 'memfd:a', len: SLOT },
      ...[0, 1, 2, 3, 4, 16].map((slot) => touch(slot)),
      { op: 'madvise', pid: 1, addr: at(0), len: 4096, advice: 'dontneed' }, // line 11
      { op: 'madvise', pid: 1, addr: at(1), len: 2 * SLOT, advice: 'dontneed' },
      { op: 'munmap', pid: 1, addr: at(3), len: 4096 },
      {
        op: 'mremap',
        pid: 1,
        addr: at(4),
        len: 4096,
        newLen: 4096,
        newAddr: hex(BASE + 32 * SLOT + 8 * 4096),
        flags: 'maymove,fixed',
      },
      { op: 'truncate', pid: 1, file: 'memfd:a', len: 0 }, // line 15
    ],
    'linux-6.1+pte-ref',
  );
  assert.equal(final.tablesFreed, 6);
  assert.deepEqual(
    tablesFreedBy.calls.map(({ line, cause, tables }) => [line, cause, tables]),
    [
      [11, 'madvise dontneed', 1],
      [12, 'madvise dontneed', 2],
      [13, 'munmap', 1],
      [14, 'mremap', 1],
      [15, 'truncate', 1],
    ],
  );
  assert.deepEqual(tablesFreedBy.causes[0], {
    cause: 'madvise dontneed',
    tables: 3,
    calls: 2,
    byPieces: 1,
  });
  assert.deepEqual(tablesFreedBy.places[0], {
    addr: at(1),
    cause: 'madvise dontneed',
    tables: 2,
    firstLine: 12,
    lastLine: 12,
  });
});

test('the rule for whole tables leaves pieces alone, and nothing stands under linux-6.1', () => {
  const lines = [
    { ...ANON, addr: at(0), len: 4 * SLOT },
    ...[0, 1, 2].map((slot) => touch(slot)),
    { op: 'madvise', pid: 1, addr: at(0), len: 4096, advice: 'dontneed' },
    { op: 'madvise', pid: 1, addr: at(1), len: SLOT, advice: 'dontneed' },
    { op: 'madvise', pid: 1, addr: at(2), len: SLOT / 2, advice: 'dontneed' },
  ];
  const causes = (kernel: string) => run(lines, kernel).tablesFreedBy.causes;
  assert.deepEqual(causes('linux-6.1'), []);
  assert.deepEqual(causes('linux-6.18'), [
    { cause: 'madvise dontneed', tables: 1, calls: 1, byPieces: 0 },
  ]);
  assert.deepEqual(causes('linux-6.18+pte-ref'), [
    { cause: 'madvise dontneed', tables: 3, calls: 3, byPieces: 2 },
  ]);
});

test('pages given up by MADV_FREE take their tables along when memory is short', () => {
  const lines = [
    { ...ANON, addr: at(0), len: 64 * SLOT },
    touch(0, 16 * 512),
    { op: 'madvise', pid: 1, addr: at(0), len: 16 * SLOT, advice: 'free' },
    // 32 MiB are given up; these 44 do not fit beside them into 64.
    touch(24, 22 * 512),
  ];
  const { tablesFreedBy, final } = run(lines, 'linux-6.18+pte-ref');
  assert.deepEqual(
    tablesFreedBy.causes.map(({ cause }) => cause),
    ['reclaim'],
  );
  assert.ok(final.tablesFreed > 0);
  assert.equal(tablesFreedBy.causes[0]?.tables, final.tablesFreed);
  assert.deepEqual(tablesFreedBy.calls, []);
});

test('a table that comes back is made again, and counted as made', () => {
  const lines = [
    { ...ANON, addr: at(0), len: 4 * SLOT },
    ...[0, 1, 0].map((slot) => touch(slot)),
    { op: 'madvise', pid: 1, addr: at(0), len: 4096, advice: 'dontneed' },
    touch(0),
    { op: 'munmap', pid: 1, addr: at(1), len: SLOT },
  ];
  assert.equal(run(lines, 'linux-6.1').final.tablesMade, 2);
  assert.equal(run(lines, 'linux-6.18+pte-ref').final.tablesMade, 3);
});

test('jemalloc: every table that pte-ref frees has its call, and it frees those that 6.18 frees', () => {
  const [whole, counted] = ['linux-6.18', 'linux-6.18+pte-ref'].map((kernel) =>
    replay(openRecording('jemalloc-sparse'), parseKernel(kernel)),
  );
  assert.ok(whole !== undefined && counted !== undefined);
  for (const { final, tablesFreedBy } of [whole, counted]) {
    const { calls, causes } = tablesFreedBy;
    const sum = (items: readonly { tables: number }[]): number =>
      items.reduce((total, { tables }) => total + tables, 0);
    assert.equal(sum(calls), final.tablesFreed);
    assert.equal(sum(causes), final.tablesFreed);
    assert.deepEqual(
      causes.map(({ cause }) => cause),
      ['madvise dontneed'],
    );
  }
  assert.ok(counted.final.tablesFreed > whole.final.tablesFreed);
  // A call that covers a table whole finds it under 6.18, or pte-ref has freed it already.
  assert.equal(whole.tablesFreedBy.causes[0]?.byPieces, 0);
  assert.ok((counted.tablesFreedBy.causes[0]?.byPieces ?? 0) > 0);
});
