import assert from 'node:assert/strict';
import { test } from 'node:test';
import { System } from '../../src/engine/index.ts';
import {
  deferCompaction,
  isCompactionDeferred,
  resetDeferral,
} from '../../src/engine/migrate/defer.ts';

/** How many attempts are skipped before each of the next ones that run, if all of them fail. */
function skippedBeforeEach(runs: number, order: number): number[] {
  const { machine: m } = new System({ nodeBytes: [2 ** 26], bufferMiB: 16 });
  // Order 9 has worked once: from then on the zone knows which orders fail.
  resetDeferral(m, 0, 9, true);
  const skipped: number[] = [];
  for (let run = 0; run < runs; run++) {
    let count = 0;
    while (isCompactionDeferred(m, 0, order)) count++;
    skipped.push(count);
    deferCompaction(m, 0, 9);
  }
  return skipped;
}

test('after each failure twice as many attempts are skipped, up to 64 less one', () => {
  assert.deepEqual(skippedBeforeEach(9, 9), [0, 1, 3, 7, 15, 31, 63, 63, 63]);
});

test('orders below the one that failed are not put off', () => {
  assert.deepEqual(skippedBeforeEach(4, 8), [0, 0, 0, 0]);
});

test('an allocation that succeeds ends it', () => {
  const { machine: m } = new System({ nodeBytes: [2 ** 26], bufferMiB: 16 });
  for (let i = 0; i < 4; i++) deferCompaction(m, 0, 9);
  assert.ok(isCompactionDeferred(m, 0, 9));
  resetDeferral(m, 0, 9, true);
  assert.ok(!isCompactionDeferred(m, 0, 9));
});
