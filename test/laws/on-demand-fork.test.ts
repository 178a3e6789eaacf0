import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ForkPrograms, runForkPrograms } from '../stress/fork-programs.ts';

/** Programs that fork have in memory what a fork that copies everything would give them. */
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const steps = Number(process.env['PAGELAB_FORK_STEPS'] ?? 3000);

const PLANS: readonly [name: string, plan: Omit<ForkPrograms, 'seed' | 'steps'>][] = [
  ['much memory', { memoryMiB: 256 }],
  ['memory is short', { memoryMiB: 20 }],
  ['tables freed with their last entry', { memoryMiB: 64, hasPteRef: true, counts: 3 }],
  ['huge pages', { memoryMiB: 128, huge: { enabled: 'always' } }],
  ['tables and pages move', { memoryMiB: 64, movesTables: true, counts: 6 }],
];

for (const [name, plan] of PLANS) {
  test(`on-demand fork changes nothing that can be seen: ${name}`, (t) => {
    t.diagnostic(`PAGELAB_SEED=${seed}`);
    const result = runForkPrograms({ ...plan, seed, steps });
    assert.equal(result.wrong, null);
    t.diagnostic(JSON.stringify(result));
    assert.ok(result.shares > 100 && result.unshared > 20 && result.takenOver > 10);
  });
}
