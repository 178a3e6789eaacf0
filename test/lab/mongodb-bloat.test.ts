import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../src/base/index.ts';
import {
  findWorkload,
  openWorkload,
  parseKernel,
  replay,
  workloadValues,
} from '../../src/lab/index.ts';
import { YcsbZipf } from '../../src/lab/workloads/ycsb-zipf.ts';
import { Op } from '../../src/trace/index.ts';

const SEED = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const workload = findWorkload('mongodb-bloat') as NonNullable<ReturnType<typeof findWorkload>>;

function open(): ReturnType<typeof openWorkload> {
  const settings = new Map([
    ['records', '20000'],
    ['gets', '40000'],
  ]);
  return openWorkload(workload, workloadValues(workload, settings), SEED);
}

test('base pages: what images reach; huge pages: what is mapped', () => {
  const touched = new Set<number>();
  let mappedMiB = 0;
  const reader = open();
  for (let event = reader.next(); event !== null; event = reader.next()) {
    const isCache = event.addr >= 0x100000000000 && event.addr < 0x200000000000;
    if (!isCache) continue;
    if (event.op === Op.mmap) mappedMiB += event.len / 2 ** 20;
    // Every get stays inside what was read in: reads touch nothing new.
    for (let i = 0; event.op === Op.touch && i < event.count; i++) {
      const page = event.addr / 4096 + i;
      if (event.isWrite) touched.add(page);
      else assert.ok(touched.has(page), `PAGELAB_SEED=${SEED}`);
    }
  }
  const rssMiB = (enabled: 'never' | 'always'): number => {
    const machine = { nodeBytes: [2 ** 30], huge: { enabled } };
    const { final } = replay(open(), parseKernel('linux-6.18'), { machine });
    // 11 pages of the program itself.
    return (final.rssAnonKiB - 44) / 1024;
  };
  assert.equal(rssMiB('never'), touched.size / 256, `PAGELAB_SEED=${SEED}`);
  assert.ok(Math.abs(rssMiB('always') - mappedMiB) <= 2, `PAGELAB_SEED=${SEED}`);
});

test('the Zipf law of YCSB: the first two ranks exactly, the rest nearly', () => {
  const n = 100_000;
  const draws = 200_000;
  const zipf = new YcsbZipf(n, 0.99, new Random(SEED));
  const counts = new Float64Array(n);
  for (let i = 0; i < draws; i++) {
    const rank = zipf.rank();
    assert.ok(rank >= 0 && rank < n);
    counts[rank] = (counts[rank] as number) + 1;
  }
  const weights = Array.from({ length: n }, (_, rank) => 1 / (rank + 1) ** 0.99);
  const zeta = weights.reduce((sum, weight) => sum + weight, 0);
  for (const rank of [0, 1]) {
    const expected = (draws * (weights[rank] as number)) / zeta;
    const off = Math.abs((counts[rank] as number) - expected);
    assert.ok(off < 5 * Math.sqrt(expected), `rank ${rank}: ${counts[rank]} PAGELAB_SEED=${SEED}`);
  }
  // Gray's approximation is a smooth curve through the law: sums agree within some percent.
  for (const end of [100, 1000, 10_000]) {
    const expected = weights.slice(0, end).reduce((sum, weight) => sum + weight, 0) / zeta;
    const got = counts.slice(0, end).reduce((sum, count) => sum + count, 0) / draws;
    assert.ok(
      Math.abs(got / expected - 1) < 0.05,
      `${end}: ${got} ${expected} PAGELAB_SEED=${SEED}`,
    );
  }
});
