import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type GuestOutcome, runGuests } from '../../src/lab/index.ts';

/** Second-level tables on a host that is short: what goes, and that the guests do not notice. */
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const SETTINGS = {
  ...{ memoryMiB: 384, swapMiB: 256, guests: 4, guestMiB: 64, busy: 1 },
  ...{ growMiB: 192, steps: 16, accesses: 500 },
};

/** Of each guest 32 tables for 2 MiB each and one of each level above. */
const FULL_KIB = 4 * (32 + 3) * 4;

function run(kernel: string): GuestOutcome {
  return runGuests(kernel, seed, SETTINGS);
}

function checkGuests(outcome: GuestOutcome): void {
  assert.equal(outcome.fullKiB, FULL_KIB);
  assert.equal(outcome.pages, 4 * 64 * 256);
  assert.equal(outcome.pagesKept, outcome.pages);
  assert.equal(outcome.lost, 0);
  assert.equal(outcome.oomKills, 0);
  assert.equal(outcome.series.length, 17);
  assert.ok((outcome.series.at(-1)?.hostSwapKiB ?? 0) > 0, 'the host is short');
  assert.ok(outcome.reclaim.pgstealKswapd > 0);
}

test('without the mechanism all tables stay', (t) => {
  t.diagnostic(`PAGELAB_SEED=${seed}`);
  const outcome = run('linux-6.18');
  checkGuests(outcome);
  for (const point of outcome.series) {
    assert.equal(point.tablesKiB, FULL_KIB);
    assert.equal(point.refaults, 0);
  }
});

for (const id of ['table-reclaim', 'table-reclaim-aged']) {
  test(`with it they go, and no page of a guest does: ${id}`, (t) => {
    t.diagnostic(`PAGELAB_SEED=${seed}`);
    const outcome = run(`linux-6.18+${id}`);
    checkGuests(outcome);
    const end = outcome.series.at(-1);
    assert.ok(end !== undefined && end.tablesKiB + end.poolKiB < FULL_KIB, JSON.stringify(end));
    assert.ok(end.poolKiB > 0);
    // Tables of the levels above stay.
    for (const point of outcome.series) assert.ok(point.tablesKiB >= 4 * 3 * 4);
  });
}

test('the same seed gives the same run', () => {
  assert.deepEqual(run('linux-6.18+table-reclaim'), run('linux-6.18+table-reclaim'));
});
