import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  buildPatched,
  firstFailure,
  type Patch,
  removeBuild,
  type TestRun,
} from './patched-build.ts';

/** A known bug: what it is, how it comes back, and the test that must notice. */
export interface Mutant {
  readonly name: string;
  readonly patches: readonly Patch[];
  readonly run: TestRun;
}

/** A race needs its moment: so many seeds may miss it. */
const ATTEMPTS = 8;

/** One test a mutant, which passes if the mutant's test fails. */
export function expectCaught(mutants: readonly Mutant[]): void {
  const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  for (const { name, patches, run } of mutants) {
    test(`caught: ${name}`, (t) => {
      t.diagnostic(`PAGELAB_SEED=${seed}`);
      const folder = buildPatched(patches);
      try {
        let failure: string | null = null;
        for (let i = 0; i < ATTEMPTS && failure === null; i++) {
          failure = firstFailure(folder, run, seed + i);
        }
        t.diagnostic(String(failure));
        assert.notEqual(failure, null, `${run.file} did not notice`);
      } finally {
        removeBuild(folder);
      }
    });
  }
}

/** The same tests on the same copy without any change find nothing. */
export function expectClean(runs: readonly TestRun[]): void {
  test('without a change nothing is wrong', () => {
    const folder = buildPatched([]);
    try {
      for (const run of runs) assert.equal(firstFailure(folder, run, 1), null, run.file);
    } finally {
      removeBuild(folder);
    }
  });
}
