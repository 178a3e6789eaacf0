import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AT, benchOf, hugePages, SLOT, spawn } from './ingens-bench.ts';

/** Shares of processes: M = S / (H alpha), by hand. */

test('two shares get two huge pages for each one of the other, whoever asked first', () => {
  for (const order of [
    [1, 2],
    [2, 1],
  ]) {
    const { system, tick } = benchOf({
      memoryMiB: 256,
      shares: { 2: 2 },
      options: { fmfiPercent: 0, sleepMs: 1_000_000, tauPercent: 100 },
    });
    tick(0);
    const [one, two] = [spawn(system, 1, 24), spawn(system, 2, 24)];
    tick(1);
    for (const pid of order) system.process(pid)?.touch(AT, true, 24 * 512);
    // 384.3 us each: time for 24.
    for (let i = 0; i < 24; i++) tick(1 + i * 0.0004);
    assert.deepEqual([hugePages(one), hugePages(two)], [8, 16]);
  }
});

test('a process without a share comes last', () => {
  const { system, tick } = benchOf({
    memoryMiB: 256,
    shares: { 1: 0 },
    options: { fmfiPercent: 0, sleepMs: 1_000_000 },
  });
  tick(0);
  const [none, one] = [spawn(system, 1, 12), spawn(system, 2, 12)];
  tick(1);
  none.touch(AT, true, 12 * 512);
  one.touch(AT, true, 12 * 512);
  for (let i = 0; i < 12; i++) tick(1 + i * 0.0004);
  assert.deepEqual([hugePages(none), hugePages(one)], [0, 12]);
  assert.equal(one.counters().rssAnonKiB, (12 * SLOT) / 1024);
});
