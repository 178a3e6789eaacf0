import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import {
  MUTANT_KEEPS_WRITE,
  MUTANT_LAST_LEAVES,
  MUTANT_NO_MAPPING,
  MUTANT_NO_PASS_ON,
  MUTANT_NO_SHARE_COUNT,
  MUTANT_NO_UNSHARE,
} from '../../src/engine/threads/test-switches.ts';
import { buildVariant } from './build-variant.ts';
import type { ForkPrograms, ForkProgramsResult } from './fork-programs.ts';

/** Bugs that sharing tables invites, put back one at a time: the random programs must notice each. */
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

const MUTANTS: readonly [name: string, mutant: number][] = [
  ['the share count is not raised', MUTANT_NO_SHARE_COUNT],
  ['a write goes on in a shared table', MUTANT_NO_UNSHARE],
  ['a copied table does not count as a mapping', MUTANT_NO_MAPPING],
  ['a copied table leaves the others the right to write', MUTANT_KEEPS_WRITE],
  ['the last sharer leaves the table behind', MUTANT_LAST_LEAVES],
  ['the owner leaves and nobody follows', MUTANT_NO_PASS_ON],
];

type RunForkPrograms = (plan: ForkPrograms) => ForkProgramsResult;

async function wrongWith(mutant: number): Promise<string | null> {
  const { folder, workerUrl } = buildVariant(mutant);
  try {
    const runner = new URL('fork-programs.js', workerUrl).href;
    const { runForkPrograms } = (await import(runner)) as { runForkPrograms: RunForkPrograms };
    return runForkPrograms({ seed, steps: 1500, memoryMiB: 64 }).wrong;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

for (const [name, mutant] of MUTANTS) {
  test(`caught: ${name}`, async (t) => {
    t.diagnostic(`PAGELAB_SEED=${seed}`);
    const wrong = await wrongWith(mutant);
    t.diagnostic(String(wrong).split('\n')[0] ?? '');
    assert.notEqual(wrong, null, 'no program noticed the bug');
  });
}
