import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MADV_DONTNEED, Random } from '../../src/base/index.ts';
import {
  freeFrameCount,
  INGENS_DEFAULTS,
  type IngensOptions,
  ingensWith,
  type Process,
  System,
  validateMachine,
} from '../../src/engine/index.ts';
import { seedOf } from '../seed.ts';
import { ANON, AT, HUGE, PAGE } from './places.ts';

/** Ingens by hand-computed cases: 90 % of 512 pages are 460. */

const SECOND = 1e9;

/** `fmfiPercent` 0: by utilisation alone, however much memory is in large pieces. */
const BY_USE = { fmfiPercent: 0 };

function start(
  options: Partial<IngensOptions> = BY_USE,
  memoryMiB = 64,
): { system: System; tick: (seconds: number) => void; counts: () => Record<string, number> } {
  const system = new System({ nodeBytes: [memoryMiB * 2 ** 20], bufferMiB: 64 });
  const mechanism = ingensWith({ ...INGENS_DEFAULTS, ...options });
  const { machine } = system;
  mechanism.attach(machine, 1);
  const first = [...system.processes()][0];
  return {
    system,
    tick: (seconds) => machine.events.returnToUser?.(machine, first?.mm ?? 0, seconds * SECOND),
    counts: () => mechanism.counters?.(machine) ?? {},
  };
}

function spawn(system: System, pid: number, slots: number): Process {
  const process = system.spawn(pid);
  assert.equal(process.mmap(AT, slots * HUGE, 3, ANON), AT);
  return process;
}

function hugePages(process: Process): number {
  return (process.counters().anonHugeKiB ?? 0) / 2048;
}

test('a region becomes a huge page in the background with its 460th page, and no fault waits for it', () => {
  const { system, tick, counts } = start();
  const process = spawn(system, 1, 4);
  tick(0);
  assert.equal(process.touch(AT, true, 459), 459);
  tick(0.5);
  assert.equal(hugePages(process), 0);
  assert.equal(process.touch(AT + 459 * PAGE, true, 1), 1);
  assert.equal(hugePages(process), 0);
  tick(0.6);
  assert.equal(hugePages(process), 1);
  assert.deepEqual(process.counters().hugeFaults, 0);
  assert.equal(process.counters().rssAnonKiB, 2048);
  const { promotions, failures, demotions } = counts();
  assert.deepEqual([promotions, failures, demotions], [1, 0, 0]);
  validateMachine(system.machine);
});

test('where free memory is in large pieces, the first page is enough', () => {
  const { system, tick } = start({});
  const process = spawn(system, 1, 4);
  tick(0);
  process.touch(AT + 3 * PAGE, true, 1);
  tick(0.1);
  assert.equal(hugePages(process), 1);
});

test('a huge page stays while 460 of its pages are in use, then goes, and what was given back is free', () => {
  const { system, tick, counts } = start();
  const process = spawn(system, 1, 1);
  const { machine } = system;
  tick(0);
  process.touch(AT, true, 512);
  tick(0.1);
  const full = freeFrameCount(machine);
  process.madvise(AT, 52 * PAGE, MADV_DONTNEED);
  assert.equal(hugePages(process), 1);
  assert.equal(process.counters().rssAnonKiB, 2048);
  assert.equal(freeFrameCount(machine), full);
  process.madvise(AT + 511 * PAGE, PAGE, MADV_DONTNEED);
  assert.equal(hugePages(process), 0);
  assert.equal(process.counters().rssAnonKiB, 459 * 4);
  assert.equal(freeFrameCount(machine), full + 53);
  assert.equal(counts()['demotions'], 1);
  validateMachine(machine);
});

test('requests wait for each other: a promotion of a full region takes 512 pages of copying', () => {
  const { system, tick } = start({ ...BY_USE, sleepMs: 1_000_000 });
  const process = spawn(system, 1, 8);
  tick(0);
  process.touch(AT, true, 8 * 512);
  // 512 x 731 ns + 10 us = 384.3 us each; the first begins at once.
  for (const [us, huge] of [
    [0, 1],
    [384, 1],
    [385, 2],
    [769, 3],
    [1154, 4],
  ] as const) {
    tick(us / 1e6);
    assert.equal(hugePages(process), huge, `${us} us`);
  }
});

for (const order of ['first', 'last'] as const) {
  test(`equal shares: the process that started ${order} gets as many huge pages`, () => {
    const { system, tick } = start({ ...BY_USE, sleepMs: 1_000_000 }, 256);
    tick(0);
    const early = spawn(system, 1, 24);
    const late = spawn(system, 2, 24);
    // Both want 24; the thread has had time for 24 in all.
    const [one, two] = order === 'first' ? [early, late] : [late, early];
    tick(1);
    one.touch(AT, true, 24 * 512);
    two.touch(AT, true, 24 * 512);
    for (let i = 0; i < 24; i++) tick(1 + i * 0.0004);
    assert.equal(hugePages(early) + hugePages(late), 24);
    assert.equal(hugePages(early), 12);
  });
}

test('who has nothing to promote does not keep the thread from others', () => {
  // Nothing is asked for by faults: the regions were full before Ingens came.
  const system = new System({ nodeBytes: [128 * 2 ** 20], bufferMiB: 64 });
  const { machine } = system;
  machine.huge = { ...machine.huge, enabled: 'madvise' };
  const empty = spawn(system, 1, 2);
  empty.touch(AT, true, 3);
  const full = spawn(system, 2, 4);
  full.touch(AT, true, 4 * 512);
  machine.huge = { ...machine.huge, enabled: 'always' };
  ingensWith({ ...INGENS_DEFAULTS, ...BY_USE }).attach(machine, 1);
  for (let second = 0; second <= 4; second++) {
    machine.events.returnToUser?.(machine, empty.mm, second * SECOND);
  }
  assert.deepEqual([hugePages(empty), hugePages(full)], [0, 4]);
  validateMachine(machine);
});

test('idle huge pages count more: the active process is served until it has twice as many', () => {
  // tau 50 %: alpha is 1 for a process all of whose huge pages are idle, 0.5 for one with none.
  const { system, tick } = start({ ...BY_USE, sleepMs: 1_000_000, samplePercent: 100 }, 256);
  tick(0);
  const idle = spawn(system, 1, 30);
  const active = spawn(system, 2, 30);
  idle.touch(AT, true, 8 * 512);
  active.touch(AT, true, 8 * 512);
  for (let i = 1; i <= 16; i++) tick(i * 0.001);
  assert.deepEqual([hugePages(idle), hugePages(active)], [8, 8]);
  // Twelve scans, in each of which only one of them has used its memory.
  for (let scan = 1; scan <= 12; scan++) {
    for (let slot = 0; slot < 8; slot++) active.touch(AT + slot * HUGE, true, 1);
    tick(2 * scan + 0.5);
  }
  tick(25);
  idle.touch(AT + 8 * HUGE, true, 22 * 512);
  active.touch(AT + 8 * HUGE, true, 22 * 512);
  // M: 1 / (8 x 1) against 1 / (H x 0.5): the active one is first while it holds less than 16. New
  // pages were used, but count as idle until they were seen so: up to 16 and then in turns.
  for (let i = 0; i < 8; i++) tick(25 + i * 0.0004);
  assert.ok(hugePages(active) >= 8 + 6, `${hugePages(active)}`);
  assert.ok(hugePages(idle) <= 8 + 2, `${hugePages(idle)}`);
  validateMachine(system.machine);
});

test('random operations under Ingens: every count stays true', (t) => {
  const seed = seedOf(t);
  const random = new Random(seed);
  for (let round = 0; round < 10; round++) {
    const { system, tick } = start(random.chance(0.5) ? BY_USE : {}, 32);
    const one = spawn(system, 1, 8);
    for (let i = 0; i < 300 && system.process(1) !== undefined; i++) {
      const addr = AT + random.below(8 * 512) * PAGE;
      const bytes = (1 + random.below(600)) * PAGE;
      const roll = random.below(10);
      if (roll < 5) one.touch(addr, random.chance(0.8), 1 + random.below(600));
      else if (roll < 8) one.madvise(addr, bytes, MADV_DONTNEED);
      else if (roll < 9) one.munmap(addr, bytes);
      else one.mmap(addr, bytes, 3, ANON);
      tick(i * 0.1);
      if (i % 20 === 0) validateMachine(system.machine);
    }
    validateMachine(system.machine);
  }
});
