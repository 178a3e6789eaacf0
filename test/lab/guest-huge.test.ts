import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type GuestHugeOutcome, runGuestHuge } from '../../src/lab/index.ts';

/** Huge pages of a guest and of its host: whose they are is told apart page by page. */

const NONE = 'linux-6.18';
const INGENS = 'linux-6.18+ingens';
const PROGRAM_MIB = 48;
const SMALL = { guestMiB: 128, hostMiB: 256, programMiB: PROGRAM_MIB, seconds: 10, accesses: 500 };

function mib({ both, guestOnly, hostOnly, neither }: GuestHugeOutcome): number[] {
  return [both, guestOnly, hostOnly, neither];
}

for (const [guest, host, expected, loads] of [
  [NONE, NONE, [0, 0, 0, PROGRAM_MIB], 24],
  [INGENS, NONE, [0, PROGRAM_MIB, 0, 0], 19],
  [NONE, INGENS, [0, 0, PROGRAM_MIB, 0], 19],
  [INGENS, INGENS, [PROGRAM_MIB, 0, 0, 0], 15],
  ['linux-6.18[thp=always]', NONE, [0, PROGRAM_MIB, 0, 0], 19],
] as const) {
  test(`guest ${guest}, host ${host}: on fresh memory all of the program is so`, () => {
    const outcome = runGuestHuge(guest, host, 1, SMALL);
    assert.deepEqual(mib(outcome), expected);
    assert.equal(outcome.loads, loads);
    // 512 entries for 2 MiB unless both are huge.
    assert.equal(outcome.entries, expected[0] > 0 ? PROGRAM_MIB / 2 : PROGRAM_MIB * 256);
  });
}

test('on fragmented machines the parts add up, and loads are their mean', () => {
  const settings = { ...SMALL, guestFragmentMiB: 100, hostFragmentMiB: 220, seconds: 4 };
  const outcome = runGuestHuge(INGENS, INGENS, 1, settings);
  const [both = 0, guestOnly = 0, hostOnly = 0, neither = 0] = mib(outcome);
  assert.equal(both + guestOnly + hostOnly + neither, PROGRAM_MIB);
  const loads = (15 * both + 19 * (guestOnly + hostOnly) + 24 * neither) / PROGRAM_MIB;
  assert.ok(Math.abs(outcome.loads - loads) < 0.01);
  assert.deepEqual(runGuestHuge(INGENS, INGENS, 1, settings), outcome);
});
