import { Random } from '../src/base/random.ts';

/** Entries of a table. */
export const TABLE_ENTRIES = 512;

/** Where the frames of page tables lie; each is there once. */
export type Pattern = 'dense' | 'clustered' | 'random';

/** Frames of the machine for each shared one, but for `dense`, where all are shared. */
export const FRAMES_A_SHARED = 64;

export function machineFrames(pattern: Pattern, shared: number): number {
  return pattern === 'dense' ? shared : shared * FRAMES_A_SHARED;
}

/** The frames of `shared / 512` tables, one table after the other. */
export function patternFrames(pattern: Pattern, shared: number, seed: number): Int32Array {
  const random = new Random(seed);
  if (pattern === 'random') return randomFrames(shared, machineFrames(pattern, shared), random);
  const frames = Int32Array.from({ length: shared }, (_, i) => i);
  if (pattern === 'dense') return frames;
  // Runs of 512 at places of any alignment, in a random order.
  const places = shuffledTo(shared / TABLE_ENTRIES, random);
  const spacing = FRAMES_A_SHARED * TABLE_ENTRIES;
  for (const [table, place] of places.entries()) {
    const first = place * spacing + random.below(spacing - TABLE_ENTRIES);
    for (let i = 0; i < TABLE_ENTRIES; i++) frames[table * TABLE_ENTRIES + i] = first + i;
  }
  return frames;
}

function randomFrames(count: number, below: number, random: Random): Int32Array {
  const seen = new Set<number>();
  while (seen.size < count) seen.add(random.below(below));
  return Int32Array.from(seen);
}

/** The numbers below n in random order. */
export function shuffledTo(n: number, random: Random): Int32Array {
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const kept = order[i]!;
    order[i] = order[j]!;
    order[j] = kept;
  }
  return order;
}
