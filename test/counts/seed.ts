import type { TestContext } from 'node:test';
import { Random } from '../../src/base/index.ts';

/** The random numbers of a test; prints its seed, PAGELAB_SEED repeats one. */
export function seeded(t: TestContext): Random {
  const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
  t.diagnostic(`PAGELAB_SEED=${seed}`);
  return new Random(seed);
}
