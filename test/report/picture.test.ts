import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { System } from '../../src/engine/index.ts';
import { parseKernel, replay } from '../../src/lab/index.ts';
import { type SpacePicture, takePicture } from '../../src/lab/replay/picture.ts';
import { openTrace } from '../../src/trace/index.ts';

const MIB2 = 2 ** 21;
const GIB = 2 ** 30;
const BASE = 64 * GIB;
const RW = 3;
const ANON_FIXED = 0x2 | 0x20 | 0x10;
const DONTNEED = 4;

function tablesIn(picture: SpacePicture): { tables: number; empty: number; present: number } {
  const sum = { tables: 0, empty: 0, present: 0 };
  for (const { slots, present, isEmpty } of picture.runs) {
    sum.tables += slots;
    if (isEmpty) sum.empty += slots;
    sum.present += slots * present;
  }
  return sum;
}

test('each table is told with its place, kind and use', () => {
  const system = new System({ rules: parseKernel('linux-6.1').rules });
  const process = system.spawn(7);
  process.mmap(BASE, 8 * MIB2, RW, ANON_FIXED);
  process.touch(BASE, true, 512);
  process.touch(BASE + MIB2, true, 3);
  process.touch(BASE + 2 * MIB2, true, 5);
  process.madvise(BASE + 2 * MIB2, MIB2, DONTNEED);
  const file = system.createObject(1, GIB);
  process.mmap(BASE + 6 * MIB2 + MIB2 / 2, 4 * MIB2, 1, 0x1 | 0x10, file);
  process.touch(BASE + 6 * MIB2 + MIB2 / 2, false);
  process.touch(BASE + 8 * MIB2, false);
  const picture = takePicture(system, 7)!;
  const slot = BASE / MIB2;
  assert.deepEqual(
    picture.runs.map((run) => [run.first - slot, run.slots, run.kind, run.isEmpty]),
    [
      [0, 1, 'anon', false],
      [1, 1, 'anon', false],
      [2, 1, 'anon', true],
      // Half anonymous, half file: the first of equals.
      [6, 1, 'anon', false],
      [8, 1, 'file', false],
    ],
  );
  assert.deepEqual(
    picture.runs.slice(0, 3).map(({ present }) => present),
    [512, 3, 0],
  );
});

test('a gigabyte that is mapped evenly is one run, and looking at it changes nothing', () => {
  const system = new System({ rules: parseKernel('linux-6.1').rules, nodeBytes: [4 * GIB] });
  const process = system.spawn(1);
  process.mmap(BASE, 3 * GIB, RW, ANON_FIXED);
  process.touch(BASE, true, (2 * GIB) / 4096);
  const before = process.counters();
  const picture = takePicture(system, 1)!;
  assert.deepEqual(picture.runs, [
    { first: BASE / MIB2, slots: 1024, kind: 'anon', present: 512, isEmpty: false, isHuge: false },
  ]);
  assert.deepEqual(process.counters(), before);
});

test('no process, no picture', () => {
  assert.equal(takePicture(new System(), 1), undefined);
});

for (const name of ['redis-set-bgsave-flush', 'jemalloc-sparse', 'postgres-shared-buffers']) {
  test(`${name}: at each sample the picture has exactly the tables and pages of the counters`, () => {
    const reader = openTrace(name, [readFileSync(`recordings/${name}.pagelab`)]);
    let samples = 0;
    replay(reader, parseKernel('linux-6.1'), {
      onSample: (system, event) => {
        samples += 1;
        const counters = system.process(event.pid)!.counters();
        const { tables, empty, present } = tablesIn(takePicture(system, event.pid)!);
        assert.equal(tables, counters.pteTables);
        assert.equal(empty, counters.emptyTables);
        assert.equal(present, counters.presentPages);
      },
    });
    assert.ok(samples > 10);
  });
}
