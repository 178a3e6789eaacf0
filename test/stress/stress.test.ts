import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StressPlan } from './plan.ts';
import { runStress } from './run-stress.ts';

/**
 * Random operations on real threads (plan.ts). PAGELAB_SEED repeats a run's choices, though not its
 * timing; PAGELAB_STRESS_OPS makes it longer.
 */
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const ops = Number(process.env['PAGELAB_STRESS_OPS'] ?? 3000);
const WORKER = new URL('./stress.worker.js', import.meta.url);

const ROOMY = { memoryMiB: 256, swapMiB: 64, spaces: 2, pagesPerSlot: 512, tablesShare: 50 };
/** Tables come and go all the time. */
const CHURN = { ...ROOMY, pagesPerSlot: 16, tablesShare: 90 };
/** Less memory than the threads write: reclaim and swap all the time. */
const TIGHT = { ...ROOMY, memoryMiB: 8, swapMiB: 256 };

const CASES: readonly Omit<StressPlan, 'seed' | 'ops'>[] = [
  { ...ROOMY, threads: 2, kernel: 'linux-6.18' },
  { ...ROOMY, threads: 4, kernel: 'linux-6.18+pte-ref' },
  { ...ROOMY, threads: 8, kernel: 'linux-6.18', spaces: 1 },
  { ...ROOMY, threads: 16, kernel: 'linux-6.18+pte-ref' },
  { ...CHURN, threads: 2, kernel: 'linux-6.18+pte-ref' },
  { ...CHURN, threads: 4, kernel: 'linux-6.18+pte-ref-percpu' },
  { ...CHURN, threads: 3, kernel: 'linux-6.18+pte-ref-lock' },
  { ...CHURN, threads: 8, kernel: 'linux-6.18' },
  { ...TIGHT, threads: 3, kernel: 'linux-6.18' },
  { ...TIGHT, threads: 6, kernel: 'linux-6.18+pte-ref' },
  { ...TIGHT, threads: 4, kernel: 'linux-6.18+pte-ref-percpu' },
  { ...TIGHT, threads: 4, kernel: 'linux-6.18+table-reclaim', hasKswapd: true },
  { ...TIGHT, threads: 3, kernel: 'linux-6.18+pte-ref-lock+table-reclaim-aged', hasKswapd: true },
  { ...TIGHT, threads: 2, kernel: 'linux-6.18+table-reclaim' },
];

for (const plan of CASES) {
  const memory = plan.memoryMiB === TIGHT.memoryMiB ? 'tight memory' : 'memory enough';
  const name = `${plan.threads} threads, ${plan.spaces} spaces, ${plan.kernel}, ${memory}`;
  test(`nothing is lost and all is accounted for: ${name}`, async (t) => {
    t.diagnostic(`PAGELAB_SEED=${seed}`);
    const result = await runStress(
      { ...plan, seed, ops: Math.ceil((ops * 4) / plan.threads) },
      WORKER,
    );
    assert.equal(result.wrong, null);
    assert.ok(result.checks > 0);
    if (plan.memoryMiB === TIGHT.memoryMiB) assert.ok(result.swapSlots > 100, 'memory was short');
    t.diagnostic(JSON.stringify({ swapSlots: result.swapSlots, ...result.counted }));
    t.diagnostic(`${result.ops} operations, ${result.checks} pages checked`);
  });
}
