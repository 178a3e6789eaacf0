import type { TestContext } from 'node:test';

/** The seed of a random test, printed; PAGELAB_SEED repeats one. */
export function seedOf(t: TestContext): number {
  const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`PAGELAB_SEED=${seed}`);
  return seed;
}
