import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MADV_DONTNEED, Random } from '../../src/base/index.ts';
import { validateMachine } from '../../src/engine/index.ts';
import { Histories, heatRuleOf } from '../../src/engine/mechanisms/ingens/history.ts';
import { RELEASED } from '../../src/engine/mechanisms/ingens/variant.ts';
import {
  AT,
  benchOf,
  giveBackHalf,
  halve,
  hugePages,
  NEVER,
  PAGE,
  SLOT,
  spawn,
} from './ingens-bench.ts';

/** What the released kernel does other than the paper, one rule a test, by hand-computed cases. */

/** The thread serves requests only. */
const NO_WALKS = { sleepMs: 1_000_000 };

test('the moving average of the released code reaches -3, -2, -1 and 0 from 0, and nothing else', () => {
  const { average, hotFrom } = heatRuleOf(RELEASED, 30);
  const reached = new Set([0]);
  for (const before of reached) {
    for (let set = 0; set <= 8; set++) reached.add(average(before, 2 ** set - 1));
  }
  assert.deepEqual(
    [...reached].sort((a, b) => a - b),
    [-3, -2, -1, 0],
  );
  assert.equal(hotFrom, 0);
  // (70 * 0 + 30 * (2 - 6)) / 100 is -1.2, with three of eight -0.9.
  assert.equal(average(0, 0b11), -1);
  assert.equal(average(0, 0b111), 0);
});

test('a base page that is used in every scan has half of its history set, and counts as cold', () => {
  const rule = heatRuleOf(RELEASED, 30);
  const [base, huge] = [new Histories(1), new Histories(1)];
  for (let scan = 0; scan < 20; scan++) {
    base.note(rule, 0, true, 2);
    huge.note(rule, 0, true, 1);
  }
  assert.equal(base.bits[0], 0b01010101);
  // -1 with one of eight set, then (70 * -1 + 30 * (4 - 6)) / 100 is -1.3.
  assert.equal(base.averages[0], -1);
  assert.ok(!base.isHot(rule, 0));
  // (70 * -1 + 30 * (8 - 6)) / 100 is -0.1, and 0 stays 0.
  assert.equal(huge.averages[0], 0);
  assert.ok(huge.isHot(rule, 0));
});

for (const isReleased of [true, false]) {
  const which = isReleased ? 'second' : 'first';
  test(`without a threshold a region is asked for by its ${which} fault`, () => {
    const options = { ...NO_WALKS, utilPercent: 0, fmfiPercent: 0 };
    const { system, tick } = benchOf({ isReleased, options });
    const process = spawn(system, 1, 1);
    tick(0);
    process.touch(AT, true);
    tick(0.001);
    assert.equal(hugePages(process), isReleased ? 0 : 1);
    process.touch(AT + PAGE, true);
    tick(0.002);
    assert.equal(hugePages(process), 1);
  });
}

test('there is no switch by fragmentation: 460 pages also where memory is in large pieces', () => {
  const { system, tick } = benchOf({ isReleased: true, options: NO_WALKS });
  const process = spawn(system, 1, 2);
  tick(0);
  process.touch(AT, true, 459);
  tick(1);
  assert.equal(hugePages(process), 0);
  process.touch(AT + 459 * PAGE, true);
  tick(2);
  assert.equal(hugePages(process), 1);
});

test('regions are counted again before they are made huge', () => {
  const { system, tick } = benchOf({ isReleased: true, options: NO_WALKS });
  const process = spawn(system, 1, 2);
  tick(0);
  process.touch(AT, true, 512);
  process.madvise(AT, 53 * PAGE, MADV_DONTNEED);
  tick(1);
  assert.equal(hugePages(process), 0);
});

test('a part given back splits a huge page at once', () => {
  const { system, machine, tick } = benchOf({ isReleased: true, options: NO_WALKS });
  const process = spawn(system, 1, 1);
  tick(0);
  process.touch(AT, true, 512);
  tick(1);
  assert.equal(hugePages(process), 1);
  process.madvise(AT, PAGE, MADV_DONTNEED);
  assert.equal(hugePages(process), 0);
  validateMachine(machine);
});

test('requests are served in their order, whoever asked', () => {
  const { system, tick } = benchOf({ isReleased: true, options: NO_WALKS, memoryMiB: 256 });
  tick(0);
  const early = spawn(system, 1, 24);
  const late = spawn(system, 2, 24);
  tick(1);
  early.touch(AT, true, 24 * 512);
  late.touch(AT, true, 24 * 512);
  // 384.3 us each: time for 24.
  for (let i = 0; i < 24; i++) tick(1 + i * 0.0004);
  assert.deepEqual([hugePages(early), hugePages(late)], [24, 0]);
});

test('the metric counts where fairness is on, for processes that have a weight', () => {
  const bench = benchOf({
    isReleased: true,
    memoryMiB: 256,
    shares: { 2: 1, 3: 2 },
    options: { fairness: 1, utilPercent: NEVER },
  });
  const { system, machine } = bench;
  const processes = [1, 2, 3].map((pid) => spawn(system, pid, 12));
  for (const process of processes) process.touch(AT, true, 12 * 512);
  bench.tick(0);
  // Two scans have seen 12 wanted and none held: M is 0, 1200 and 2400.
  bench.tick(9);
  // The same machine, whose regions now pass: nothing was asked for.
  const again = benchOf({
    isReleased: true,
    memoryMiB: 256,
    shares: { 2: 1, 3: 2 },
    options: { fairness: 1 },
  });
  const made = [1, 2, 3].map((pid) => spawn(again.system, pid, 12));
  again.machine.events.pageAdded = null;
  for (const process of made) process.touch(AT, true, 12 * 512);
  again.tick(0);
  again.tick(9);
  again.tick(10);
  // 4096 pages are seven regions and the address space's own one for each stretch.
  const [none, one, two] = made.map(hugePages);
  assert.deepEqual([none, one], [0, 0]);
  assert.ok((two as number) >= 7);
  // Scanned again, process 3 has M = 2 * 12 * 100 / 8 = 300: now it is the other's turn.
  again.tick(19);
  again.tick(20);
  assert.equal(hugePages(made[0] as (typeof made)[0]), 0);
  assert.ok(hugePages(made[1] as (typeof made)[0]) >= 7);
  validateMachine(machine);
});

test('its compaction is off, and moves at most 20 rounds of 32 pages when it is on', () => {
  for (const compactMs of [0, 100]) {
    const options = { utilPercent: NEVER, compactMs };
    const { system, machine, tick, counts } = benchOf({ isReleased: true, options });
    const process = spawn(system, 1, 8);
    tick(0);
    halve(process, 0, 8);
    tick(0.1);
    assert.equal(counts()['pagesMoved'], compactMs === 0 ? 0 : 640);
    validateMachine(machine);
  }
});

test('where no block is free the request is lost, and the thread sleeps for a minute', () => {
  const { system, machine, tick, counts } = benchOf({ isReleased: true, memoryMiB: 32 });
  // The older one: a pass stays with the process that asked last until it comes to the youngest's end.
  const process = spawn(system, 1, 1);
  const filler = spawn(system, 2, 12);
  tick(0);
  machine.huge = { ...machine.huge, enabled: 'never' };
  filler.touch(AT, true, 12 * 512);
  giveBackHalf(filler, 0, 12);
  machine.huge = { ...machine.huge, enabled: 'always' };
  process.touch(AT, true, 512);
  tick(1);
  assert.deepEqual([hugePages(process), counts()['failures']], [0, 1]);
  filler.munmap(AT, 12 * SLOT);
  // Nobody asks again; a pass finds it, every ten seconds, but not before the minute is over.
  tick(51);
  assert.equal(hugePages(process), 0);
  tick(71);
  assert.equal(hugePages(process), 1);
  validateMachine(machine);
});

test('random operations under the released rules: every count stays true', (context) => {
  const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  context.diagnostic(`PAGELAB_SEED=${seed}`);
  const random = new Random(seed);
  for (let round = 0; round < 6; round++) {
    const options = {
      compactMs: random.chance(0.5) ? 300 : 0,
      samplePercent: 80,
      fairness: round % 2,
    };
    const { system, machine, tick } = benchOf({
      isReleased: true,
      memoryMiB: 32,
      options,
      shares: { 1: 1 },
    });
    const one = spawn(system, 1, 8);
    for (let i = 0; i < 300 && system.process(1) !== undefined; i++) {
      const addr = AT + random.below(8 * 512) * PAGE;
      const bytes = (1 + random.below(600)) * PAGE;
      const roll = random.below(10);
      if (roll < 6) one.touch(addr, random.chance(0.8), 1 + random.below(600));
      else if (roll < 9) one.madvise(addr, bytes, MADV_DONTNEED);
      else one.munmap(addr, Math.min(bytes, SLOT));
      tick(i);
      if (i % 20 === 0) validateMachine(machine);
    }
    validateMachine(machine);
  }
});
