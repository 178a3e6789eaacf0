import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  findWorkload,
  openWorkload,
  parseKernel,
  type RunResult,
  replay,
  type Workload,
  workloadValues,
} from '../../src/lab/index.ts';

/** The workloads of page-table reclaim, in small: who survives, and what comes back. */
const MIB = 2 ** 20;

function run(
  name: string,
  kernel: string,
  settings: Record<string, number>,
  memoryMiB: number,
): RunResult {
  const workload = findWorkload(name) as Workload;
  const texts = new Map(Object.entries(settings).map(([key, value]) => [key, String(value)]));
  const reader = openWorkload(workload, workloadValues(workload, texts), 1);
  const machine = { nodeBytes: [memoryMiB * MIB], swapBytes: 2 * memoryMiB * MIB, bufferMiB: 256 };
  return replay(reader, parseKernel(kernel), { machine, seed: 1 });
}

test('skewed: victims by use bring fewer tables back than random ones', (t) => {
  const settings = { slots: 25_000, accesses: 300_000 };
  const plain = run('skewed', 'linux-6.18', settings, 128).final;
  const random = run('skewed', 'linux-6.18+table-reclaim', settings, 128).final;
  const aged = run('skewed', 'linux-6.18+table-reclaim-aged', settings, 128).final;
  const refaults = [
    random['table-reclaim']?.['refaults'] ?? 0,
    aged['table-reclaim-aged']?.['refaults'] ?? 0,
  ] as const;
  const less = Math.round((1 - refaults[1] / refaults[0]) * 100);
  t.diagnostic(`refaults: random ${refaults[0]}, aged ${refaults[1]}: ${less} % less`);
  assert.ok(refaults[1] > 0 && refaults[1] < 0.9 * refaults[0], `${refaults}`);
  assert.ok(random.swapIns < plain.swapIns && aged.swapIns < plain.swapIns);
  for (const { oomKills } of [plain, random, aged]) assert.equal(oomKills, 0);
  for (const id of ['table-reclaim', 'table-reclaim-aged']) assert.ok(!(id in plain), id);
});

test('overcommit: with table reclaim nobody is killed', (t) => {
  const settings = { processes: 20, slots: 2500, turns: 5 };
  const kills = ['linux-6.18', 'linux-6.18+table-reclaim', 'linux-6.18+table-reclaim-aged'].map(
    (kernel) => run('overcommit', kernel, settings, 128).final.oomKills,
  );
  t.diagnostic(`OOM kills: ${kills}`);
  assert.ok((kills[0] as number) > 0);
  assert.deepEqual(kills.slice(1), [0, 0]);
});
