import assert from 'node:assert/strict';
import { test } from 'node:test';
import { validateMachine } from '../../src/engine/index.ts';
import { heatRuleOf } from '../../src/engine/mechanisms/ingens/history.ts';
import { PUBLISHED } from '../../src/engine/mechanisms/ingens/variant.ts';
import { freeHugeBlocks } from '../../src/engine/migrate/compact.ts';
import {
  AT,
  benchOf,
  frameOf,
  giveBackHalf,
  halve,
  hugePages,
  NEVER,
  SLOT,
  spawn,
} from './ingens-bench.ts';

/** Compaction in the background: its bound, what it leaves alone, and who uses what it makes. */

/** Promotes nothing, compacts whatever memory looks like. */
const QUIET = { utilPercent: NEVER, fmfiPercent: 0 };

test('a period moves as many pages as it may, and makes the blocks that they leave', () => {
  const { system, machine, tick, counts } = benchOf({ options: { ...QUIET, compactPages: 512 } });
  const process = spawn(system, 1, 8);
  tick(0);
  halve(process, 0, 8);
  const before = freeHugeBlocks(machine);
  tick(4.9);
  assert.equal(counts()['pagesMoved'], 0);
  tick(5);
  // 256 pages a block: 512 of them empty two.
  assert.equal(counts()['pagesMoved'], 512);
  assert.equal(freeHugeBlocks(machine), before + 2);
  assert.equal(counts()['blocksMade'], 2);
  tick(10);
  assert.equal(counts()['pagesMoved'], 1024);
  // Eight half blocks are four full ones; they began within one.
  tick(60);
  const made = freeHugeBlocks(machine) - before;
  assert.ok(made === 4 || made === 5, `${made}`);
  validateMachine(machine);
});

test('without a period there is none', () => {
  const { system, tick, counts } = benchOf({ options: { ...QUIET, compactMs: 0 } });
  const process = spawn(system, 1, 8);
  tick(0);
  halve(process, 0, 8);
  tick(1000);
  assert.equal(counts()['pagesMoved'], 0);
});

test('where memory is in large pieces nothing is moved', () => {
  const { system, tick, counts } = benchOf({ options: { utilPercent: NEVER, fmfiPercent: 50 } });
  const process = spawn(system, 1, 8);
  tick(0);
  halve(process, 0, 8);
  // 8 MiB of holes, and more than 40 MiB never used.
  tick(100);
  assert.equal(counts()['pagesMoved'], 0);
});

test('a page is hot that was used in the last eight scans, and not after seven', () => {
  const { average, hotFrom } = heatRuleOf(PUBLISHED, 40);
  // F: 0.4, 1.04, 1.82, 2.69, 3.62, 4.57, 5.54, 6.53.
  let now = 0;
  for (let scans = 1; scans <= 8; scans++) {
    now = average(now, 2 ** scans - 1);
    assert.equal(now >= hotFrom, scans === 8, `${scans} scans: ${now}`);
  }
  assert.ok(Math.abs(now - 6.525) < 0.001);
});

test('a pageblock with a hot page stays as it is; when the page cools it is emptied', () => {
  const { system, machine, tick, counts } = benchOf({
    options: { ...QUIET, samplePercent: 100, compactMs: 100_000, compactPages: 100_000 },
  });
  const process = spawn(system, 1, 8);
  tick(0);
  halve(process, 0, 8);
  const hot = AT + SLOT + 4096;
  for (let scan = 1; scan <= 49; scan++) {
    process.touch(hot, true);
    tick(2 * scan);
  }
  const frames = [frameOf(machine, process, hot), frameOf(machine, process, AT + 4096)];
  assert.ok((frames[0] as number) >> 9 !== (frames[1] as number) >> 9);
  process.touch(hot, true);
  tick(100);
  assert.equal(counts()['hotPagesPassed'], 1);
  assert.equal(frameOf(machine, process, hot), frames[0]);
  assert.notEqual(frameOf(machine, process, AT + 4096), frames[1]);
  tick(200);
  assert.equal(counts()['hotPagesPassed'], 1);
  assert.notEqual(frameOf(machine, process, hot), frames[0]);
  validateMachine(machine);
});

test('a promotion waits for a block and does not make one; compaction does', () => {
  const { system, machine, tick, counts } = benchOf({
    options: { fmfiPercent: 0, sleepMs: 1_000_000 },
    memoryMiB: 32,
  });
  // 14 blocks are to be had; one of them holds page tables and the like.
  const filler = spawn(system, 1, 12);
  const process = spawn(system, 2, 1);
  tick(0);
  filler.touch(AT, true, 12 * 512);
  assert.ok(freeHugeBlocks(machine) <= 1);
  giveBackHalf(filler, 0, 12);
  process.touch(AT, true, 512);
  assert.equal(freeHugeBlocks(machine), 0);
  tick(1);
  assert.equal(hugePages(process), 0);
  assert.equal(counts()['failures'], 1);
  assert.equal(counts()['pagesMoved'], 0);
  tick(5);
  assert.ok((counts()['blocksMade'] as number) > 0);
  assert.equal(hugePages(process), 1);
  validateMachine(machine);
});
