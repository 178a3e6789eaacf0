import { rhashtableWith } from '../src/engine/counts/rhashtable.ts';
import type { CountKind } from '../src/engine/index.ts';
import { COUNT_KINDS } from '../src/engine/index.ts';

/**
 * rhashtable with other parameters than the kernel's defaults (struct rhashtable_params): what can be won
 * without another table. Sizes are for the 131,072 frames that `counts` shares.
 */
export const RHASHTABLE_VARIANTS: readonly CountKind[] = [
  // Load 0.5: it is never resized.
  rhashtableWith('presized', { minSize: 2 ** 18 }),
  // Load 1/8: chains of one element.
  rhashtableWith('sparse', { minSize: 2 ** 20 }),
  rhashtableWith('no-shrinking', { automaticShrinking: false }),
];

/** Every table that a worker may be asked for. */
export function findCountKind(name: string): CountKind {
  const kind = [...COUNT_KINDS, ...RHASHTABLE_VARIANTS].find((one) => one.name === name);
  if (kind === undefined) throw new Error(`no table of counts '${name}'`);
  return kind;
}
