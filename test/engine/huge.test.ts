import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  Random,
  THP_DISABLE,
  THP_DISABLE_EXCEPT_ADVISED,
} from '../../src/base/index.ts';
import {
  freeFrameCount,
  HUGE_PAGE_DEFAULTS,
  type HugePageSettings,
  Khugepaged,
  LINUX_6_1,
  LINUX_6_18,
  type Process,
  System,
  validateMachine,
} from '../../src/engine/index.ts';
import { seedOf } from '../seed.ts';
import { ANON, AT, HUGE, PAGE } from './places.ts';
import { type RandomProgramOptions, RandomPrograms } from './random-programs.ts';

/** Huge pages by hand-computed cases; against the running kernel: test/kernel/engine.test.ts. */

interface Start {
  readonly system: System;
  readonly process: Process;
}

function start(huge: Partial<HugePageSettings>, memoryMiB = 64, options: object = {}): Start {
  const system = new System({
    huge,
    nodeBytes: [memoryMiB * 2 ** 20],
    swapBytes: 64 * 2 ** 20,
    bufferMiB: 64,
    ...options,
  });
  return { system, process: system.spawn(1) };
}

function map(process: Process, bytes: number, at = AT): void {
  assert.equal(process.mmap(at, bytes, 3, ANON), at);
}

function hugeKiB(process: Process): number | undefined {
  return process.counters().anonHugeKiB;
}

test('always: a write gives 2 MiB in one fault', () => {
  const { system, process } = start({ enabled: 'always' });
  map(process, 2 * HUGE);
  assert.equal(process.touch(AT + 7 * PAGE, true, 1), 1);
  assert.equal(process.touch(AT, true, 512), 0);
  const { rssAnonKiB, anonHugeKiB, hugeFaults, faults } = process.counters();
  assert.deepEqual(
    { rssAnonKiB, anonHugeKiB, hugeFaults, faults },
    {
      rssAnonKiB: 2048,
      anonHugeKiB: 2048,
      hugeFaults: 1,
      faults: 1,
    },
  );
  validateMachine(system.machine);
});

test('disabled: small pages, and MADV_COLLAPSE is refused; never: it works', () => {
  for (const [enabled, answer] of [
    ['disabled', -22],
    ['never', 0],
  ] as const) {
    const { system, process } = start({ enabled });
    map(process, HUGE);
    process.touch(AT, true, 1);
    assert.equal(process.counters().rssAnonKiB, 4);
    assert.equal(process.madvise(AT, HUGE, MADV_COLLAPSE), answer);
    assert.equal(process.counters().rssAnonKiB, answer === 0 ? 2048 : 4);
    validateMachine(system.machine);
  }
});

test('off for a process: no huge page by fault, COLLAPSE, khugepaged; children and exec inherit it', () => {
  const { system, process } = start({ enabled: 'always' });
  map(process, 3 * HUGE);
  process.touch(AT, true);
  assert.equal(process.setThpDisable(THP_DISABLE), 0);
  process.touch(AT + HUGE, true);
  assert.equal(hugeKiB(process), 2048);
  assert.equal(process.madvise(AT + HUGE, HUGE, MADV_COLLAPSE), -22);
  new Khugepaged(system.machine).pass();
  const child = system.fork(process, 2)!;
  child.touch(AT + 2 * HUGE, true);
  assert.equal(hugeKiB(child), 2048);
  system.exec(child);
  map(child, HUGE);
  child.touch(AT, true);
  assert.equal(hugeKiB(child), 0);
  assert.equal(child.setThpDisable(0), 0);
  new Khugepaged(system.machine).pass();
  assert.equal(hugeKiB(child), 2048);
  assert.equal(hugeKiB(process), 2048);
  validateMachine(system.machine);
});

test('off for a process, but for what is advised: not before Linux 6.18', () => {
  const flags = THP_DISABLE | THP_DISABLE_EXCEPT_ADVISED;
  for (const [rules, result, hugePages] of [
    [LINUX_6_1, -22, 2],
    [LINUX_6_18, 0, 1],
  ] as const) {
    const { process } = start({ enabled: 'always' }, 64, { rules });
    map(process, 2 * HUGE);
    assert.equal(process.setThpDisable(flags), result);
    process.madvise(AT, HUGE, MADV_HUGEPAGE);
    process.touch(AT, true, 2, HUGE);
    assert.equal(hugeKiB(process), hugePages * 2048);
  }
});

test('what is given back of a huge page stays in use until memory is short', () => {
  const { system, process } = start({ enabled: 'always' });
  const { machine } = system;
  map(process, HUGE);
  process.touch(AT, true, 1);
  const before = freeFrameCount(machine);
  process.madvise(AT, 256 * PAGE, MADV_DONTNEED);
  assert.equal(process.counters().rssAnonKiB, 1024);
  assert.equal(hugeKiB(process), 0);
  assert.equal(freeFrameCount(machine), before);
  validateMachine(machine);
  // The rest, and all of it is free: 512 frames of memory and the table.
  process.madvise(AT + 256 * PAGE, 256 * PAGE, MADV_DONTNEED);
  assert.equal(freeFrameCount(machine), before + 512);
  validateMachine(machine);
});

test('memory that is short splits them first', () => {
  const { system, process } = start({ enabled: 'always' }, 64, { swapBytes: 0 });
  const { machine } = system;
  map(process, 64 * HUGE);
  // Of 24 huge pages all but one page each is given back: 48 MiB of 64 hold 96 KiB.
  for (let i = 0; i < 24; i++) {
    process.touch(AT + i * HUGE, true, 1);
    process.madvise(AT + i * HUGE + PAGE, HUGE - PAGE, MADV_DONTNEED);
  }
  assert.equal(process.counters().rssAnonKiB, 24 * 4);
  process.madvise(AT + 24 * HUGE, 40 * HUGE, MADV_NOHUGEPAGE);
  process.touch(AT + 24 * HUGE, true, 40 * 256);
  assert.equal(process.counters().rssAnonKiB, (24 + 40 * 256) * 4);
  assert.ok(machine.deferredSplits > 0);
  validateMachine(machine);
});

test('a first write to the huge zero page: 2 MiB, or one page on kernels before 6.13', () => {
  for (const [rules, rssAnonKiB] of [
    [undefined, 2048],
    [LINUX_6_1, 4],
  ] as const) {
    const { system, process } = start(
      { enabled: 'always' },
      64,
      rules === undefined ? {} : { rules },
    );
    map(process, HUGE);
    process.touch(AT, false, 1);
    assert.equal(process.counters().presentPages, 512);
    assert.equal(process.counters().rssAnonKiB, 0);
    process.touch(AT + PAGE, true, 1);
    assert.equal(process.counters().rssAnonKiB, rssAnonKiB);
    assert.equal(process.counters().presentPages, 512);
    validateMachine(system.machine);
  }
});

test('no 2 MiB in one piece: the fault falls back to a small page, or compacts', () => {
  for (const [defrag, isHuge] of [
    ['never', false],
    ['always', true],
  ] as const) {
    const { system, process } = start({ enabled: 'always', defrag }, 64);
    const { machine } = system;
    // Every second page of all memory but some stays: no block of 2 MiB is free, half of memory is.
    map(process, 30 * HUGE);
    process.madvise(AT, 30 * HUGE, MADV_NOHUGEPAGE);
    process.touch(AT, true, 30 * 512);
    for (let i = 0; i < 30 * 512; i += 2) process.madvise(AT + i * PAGE, PAGE, MADV_DONTNEED);
    map(process, HUGE, AT + 64 * HUGE);
    process.touch(AT + 64 * HUGE, true, 1);
    assert.equal(hugeKiB(process), isHuge ? 2048 : 0, defrag);
    assert.equal(machine.compactionsInFault > 0, isHuge);
    assert.equal(machine.hugeFallbacks, isHuge ? 0 : 1);
    validateMachine(machine);
  }
});

/** 32 slots of madvised memory with one page each. */
function sparse(settings: Partial<HugePageSettings> = {}): Start & { khugepaged: Khugepaged } {
  const { system, process } = start({ enabled: 'madvise', ...settings }, 128);
  map(process, 32 * HUGE);
  process.touch(AT, true, 32, HUGE);
  process.madvise(AT, 32 * HUGE, MADV_HUGEPAGE);
  return { system, process, khugepaged: new Khugepaged(system.machine) };
}

const SECOND = 1e9;

test('khugepaged at its defaults: 8 huge pages each 10 seconds, as measured on Linux 6.18', () => {
  const { system, process, khugepaged } = sparse();
  khugepaged.run(0);
  for (const [seconds, huge] of [
    [9, 0],
    [10, 8],
    [19, 8],
    [20, 16],
    [40, 32],
    [50, 32],
  ] as const) {
    khugepaged.run(seconds * SECOND);
    assert.equal(hugeKiB(process), huge * 2048, `${seconds} s`);
  }
  assert.equal(process.counters().rssAnonKiB, 32 * 2048);
  assert.equal(khugepaged.counters.collapsed, 32);
  validateMachine(system.machine);
});

test('khugepaged leaves slots with more holes than max_ptes_none, and those not used lately', () => {
  const few = { ...HUGE_PAGE_DEFAULTS.khugepaged, maxPtesNone: 510 };
  const { process, khugepaged } = sparse({ khugepaged: few });
  process.touch(AT + 3 * HUGE, true, 2);
  khugepaged.pass();
  assert.equal(hugeKiB(process), 2048);
  assert.equal(process.counters().rssAnonKiB, 2048 + 31 * 4);
});

test('khugepaged takes slots that nobody may write: seen on Linux 6.18; not on older kernels', () => {
  for (const [rules, huge] of [
    [LINUX_6_18, 8],
    [LINUX_6_1, 0],
  ] as const) {
    const { system, process } = start({ enabled: 'madvise' }, 128, { rules });
    map(process, 8 * HUGE);
    process.touch(AT, true, 8, HUGE);
    process.mprotect(AT, 8 * HUGE, 1);
    process.madvise(AT, 8 * HUGE, MADV_HUGEPAGE);
    new Khugepaged(system.machine).pass();
    assert.equal(hugeKiB(process), huge * 2048, rules.name);
    validateMachine(system.machine);
  }
});

test('khugepaged goes from one process to the next, and comes to those that were there first', () => {
  const { system, process, khugepaged } = sparse();
  const second = system.spawn(2);
  map(second, 4 * HUGE);
  second.touch(AT, true, 4, HUGE);
  second.madvise(AT, 4 * HUGE, MADV_HUGEPAGE);
  for (let pass = 1; pass <= 4; pass++) khugepaged.pass();
  assert.equal(hugeKiB(process), 32 * 2048);
  assert.equal(hugeKiB(second), 0);
  khugepaged.pass();
  assert.equal(hugeKiB(second), 4 * 2048);
  system.exit(process);
  khugepaged.forget(process.mm);
  khugepaged.pass();
  validateMachine(system.machine);
});

const PROGRAMS: RandomProgramOptions = {
  mix: {
    ...{ mmap: 18, touch: 32, dontneed: 12, hugepage: 8, collapse: 8, pageout: 5 },
    ...{ munmap: 3, mprotect: 4, mremap: 4, fork: 3 },
  },
  ...{ at: AT, slots: 8, pagesMax: 700, wholeChance: 0.7, touchesMax: 600, strideMax: 1 },
};

test('random operations with huge pages on little memory: every count stays true', (t) => {
  const seed = seedOf(t);
  const random = new Random(seed);
  for (let round = 0; round < 12; round++) {
    const enabled = random.pick(['always', 'madvise'] as const);
    const { system, process: first } = start(
      { enabled, defrag: random.pick(['always', 'never'] as const) },
      32,
    );
    const programs = new RandomPrograms(system, first, random, PROGRAMS);
    const khugepaged = new Khugepaged(system.machine);
    system.machine.events.spaceGone = (_m, mm) => khugepaged.forget(mm);
    for (let i = 0; i < 400 && programs.step(); i++) {
      if (i % 50 === 0) khugepaged.pass();
      if (i % 20 === 0) validateMachine(system.machine);
    }
    validateMachine(system.machine);
    for (const one of [...system.processes()]) system.exit(one);
    validateMachine(system.machine);
  }
});
