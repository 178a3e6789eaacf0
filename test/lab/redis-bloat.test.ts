import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MADV_DONTNEED } from '../../src/base/index.ts';
import {
  findWorkload,
  openWorkload,
  parseKernel,
  replay,
  workloadValues,
} from '../../src/lab/index.ts';
import { sdsBytes } from '../../src/lab/workloads/redis-store.ts';
import { Op } from '../../src/trace/index.ts';

const SEED = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const workload = findWorkload('redis-bloat') as NonNullable<ReturnType<typeof findWorkload>>;

function open(settings: Record<string, number>): ReturnType<typeof openWorkload> {
  const texts = new Map(Object.entries(settings).map(([key, value]) => [key, String(value)]));
  return openWorkload(workload, workloadValues(workload, texts), SEED);
}

test('sizes of strings, from sds.h: header, text, zero', () => {
  assert.deepEqual(
    [16, 31, 32, 255, 256, 8192, 65_536].map(sdsBytes),
    [18, 33, 36, 259, 262, 8198, 65_546],
  );
});

for (const jemalloc of [403, 530]) {
  test(`jemalloc ${jemalloc}: RSS at each mark is the set of pages written and not given back`, () => {
    const settings = {
      objects: 20_000,
      gets: 5000,
      jemalloc,
      spreadPercent: 20,
      dirtyDecayMs: 500,
    };
    const pages = new Set<number>();
    const expected: number[] = [];
    const reader = open(settings);
    for (let event = reader.next(); event !== null; event = reader.next()) {
      const first = event.addr / 4096;
      if (event.op === Op.mark) expected.push(pages.size);
      if (event.op === Op.touch && event.isWrite) {
        for (let i = 0; i < event.count; i++) pages.add(Math.floor(first) + i);
      }
      if (event.op === Op.madvise) {
        assert.equal(event.advice, MADV_DONTNEED);
        for (let i = 0; i < event.len / 4096; i++) pages.delete(first + i);
      }
    }
    const { marks, outcomes } = replay(open(settings), parseKernel('linux-6.18'));
    const note = `PAGELAB_SEED=${SEED}`;
    assert.deepEqual(
      marks.map(({ name }) => name),
      ['populated', 'deleted', 'idle', 'read'],
      note,
    );
    assert.equal(outcomes.compared, outcomes.equal, note);
    // A new program has three pages of its own data that are read, not written: at most those differ.
    for (const [at, { rssAnonKiB }] of marks.entries()) {
      const pagesHere = rssAnonKiB / 4;
      assert.ok(
        Math.abs(pagesHere - (expected[at] as number)) <= 3,
        `${pagesHere} ${expected[at]} ${note}`,
      );
    }
  });
}

test('what stays of deleted values is the arithmetic of slabs of two', () => {
  const objects = 40_000;
  const settings = { objects, gets: 0, jemalloc: 530, dirtyDecayMs: 500 };
  const { marks } = replay(open(settings), parseKernel('linux-6.18'));
  const [populated = 0, , idle = 0] = marks.map(({ rssAnonKiB }) => rssAnonKiB / 4);
  // Both values of a slab are gone with a chance of 0.7^2; its five pages then go back.
  const slabs = objects / 2;
  const gone = 0.49 * slabs * 5;
  const fiveSigma = 5 * Math.sqrt(0.49 * 0.51 * slabs) * 5;
  assert.ok(
    Math.abs(populated - idle - gone) < fiveSigma,
    `${populated} ${idle} PAGELAB_SEED=${SEED}`,
  );
});
