import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import {
  MUTANT_FAST_PATH,
  MUTANT_LATE_COUNT,
  MUTANT_LATE_FLUSH,
  MUTANT_NO_GRACE,
  MUTANT_NO_RECHECK,
  MUTANT_UNDERFLOW,
} from '../../src/engine/threads/test-switches.ts';
import { buildVariant } from './build-variant.ts';
import type { StressPlan } from './plan.ts';
import type { StressResult } from './run-stress.ts';

/**
 * The known races of page-table freeing, put back one at a time: the stress run must notice each. And
 * the engine as it is, with the same pauses at the same places, must not be found wrong.
 */
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** A race needs its moment: so many runs may miss it before that is a failure. */
const ATTEMPTS = 12;

/** Few pages in few tables, which come and go all the time. */
const CHURN: Omit<StressPlan, 'seed' | 'kernel'> = {
  threads: 4,
  spaces: 1,
  memoryMiB: 256,
  swapMiB: 64,
  ops: 4000,
  pagesPerSlot: 12,
  tablesShare: 95,
};

const MUTANTS: readonly [name: string, mutant: number, kernel: string][] = [
  ['the fast path after the lock was dropped', MUTANT_FAST_PATH, 'linux-6.18'],
  ['freed without a grace period', MUTANT_NO_GRACE, 'linux-6.18+pte-ref-lock'],
  ['a walker that does not look again', MUTANT_NO_RECHECK, 'linux-6.18+pte-ref-lock'],
  ['the count taken after the entry', MUTANT_LATE_COUNT, 'linux-6.18+pte-ref'],
  ['given up before the flush', MUTANT_LATE_FLUSH, 'linux-6.18+pte-ref-lock'],
  ['alignment underflow', MUTANT_UNDERFLOW, 'linux-6.18'],
];

type RunStress = (plan: StressPlan, workerUrl: URL) => Promise<StressResult>;

/** Runs until something is wrong; null if nothing was in `attempts` runs. */
async function firstWrong(
  mutant: number,
  plan: Omit<StressPlan, 'seed'>,
  attempts: number,
): Promise<string | null> {
  const { folder, workerUrl } = buildVariant(mutant);
  try {
    const runner = new URL('run-stress.js', workerUrl).href;
    const { runStress } = (await import(runner)) as { runStress: RunStress };
    for (let i = 0; i < attempts; i++) {
      const { wrong } = await runStress({ ...plan, seed: seed + i }, workerUrl);
      if (wrong !== null) return wrong;
    }
    return null;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

for (const [name, mutant, kernel] of MUTANTS) {
  test(`caught: ${name}`, async (t) => {
    t.diagnostic(`PAGELAB_SEED=${seed}`);
    const wrong = await firstWrong(mutant, { ...CHURN, kernel }, ATTEMPTS);
    t.diagnostic(String(wrong).split('\n')[0] ?? '');
    assert.notEqual(wrong, null, 'no run noticed the bug');
  });
}

for (const kernel of ['linux-6.18', 'pte-ref', 'pte-ref-lock', 'pte-ref-percpu']) {
  const name = kernel === 'linux-6.18' ? kernel : `linux-6.18+${kernel}`;
  test(`with pauses at race points, nothing is wrong: ${name}`, async (t) => {
    t.diagnostic(`PAGELAB_SEED=${seed}`);
    assert.equal(await firstWrong(0, { ...CHURN, kernel: name }, 2), null);
    const tight = { ...CHURN, memoryMiB: 8, swapMiB: 256, pagesPerSlot: 512, tablesShare: 50 };
    assert.equal(await firstWrong(0, { ...tight, ops: 1500, kernel: name }, 1), null);
  });
}
