import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MADV_DONTNEED } from '../../src/base/index.ts';
import {
  freeFrameCount,
  HUGE_PAGE_DEFAULTS,
  type HugePageSettings,
  LINUX_6_1,
  LINUX_6_18,
  loadPage,
  type Process,
  type Rules,
  System,
  splitDeferred,
  validateMachine,
} from '../../src/engine/index.ts';

/** Huge pages that are mostly zeros, by hand: more than max_ptes_none pages of zeros. */
const PAGE = 4096;
const HUGE = 512 * PAGE;
const AT = 0x100000000000;
const ANON = 0x4032;

function start(
  maxPtesNone: number,
  more: { huge?: Partial<HugePageSettings>; rules?: Rules; hasContents?: boolean } = {},
): { system: System; process: Process } {
  const khugepaged = { ...HUGE_PAGE_DEFAULTS.khugepaged, maxPtesNone };
  const system = new System({
    hasContents: more.hasContents ?? true,
    rules: more.rules ?? LINUX_6_18,
    huge: { enabled: 'always', khugepaged, ...more.huge },
    nodeBytes: [64 * 2 ** 20],
    swapBytes: 2 ** 20,
    bufferMiB: 64,
  });
  return { system, process: system.spawn(1) };
}

/** Huge pages of which the first so many pages are filled. */
function fill(process: Process, filled: readonly number[]): void {
  process.mmap(AT, filled.length * HUGE, 3, ANON);
  filled.forEach((count, slot) => {
    process.fill(AT + slot * HUGE, 0);
    process.fill(AT + slot * HUGE, 7, count);
  });
}

/** Huge pages split, huge pages left, resident pages. */
function press({ system, process }: { system: System; process: Process }): number[] {
  splitDeferred(system.machine, Number.POSITIVE_INFINITY);
  validateMachine(system.machine);
  const { anonHugeKiB = 0, rssAnonKiB } = process.counters();
  return [system.machine.underusedSplits, anonHugeKiB / 2048, rssAnonKiB / 4];
}

test('with 409, 410 pages of zeros are too many; they become the zero page, and their frames are free', () => {
  const world = start(409);
  fill(world.process, [0, 102, 103, 512]);
  const before = freeFrameCount(world.system.machine);
  assert.deepEqual(press(world), [2, 2, 102 + 2 * 512]);
  assert.equal(freeFrameCount(world.system.machine), before + 512 + 410);
  assert.equal(world.process.counters().presentPages, 4 * 512);
  const { machine } = world.system;
  const load = (page: number): number => loadPage(machine, world.process.mm, AT / PAGE + page);
  assert.deepEqual([load(0), load(512), load(512 + 101), load(512 + 102)], [0, 7, 7, 0]);
});

test('with 511, the default, no huge page is split, be it all zeros', () => {
  const world = start(511);
  fill(world.process, [0, 1]);
  assert.deepEqual(press(world), [0, 2, 1024]);
});

test('what was found in use is not looked at again, until it loses a part', () => {
  const world = start(409);
  fill(world.process, [200]);
  assert.deepEqual(press(world), [0, 1, 512]);
  world.process.fill(AT, 0, 200);
  assert.deepEqual(press(world), [0, 1, 512]);
  world.process.madvise(AT, PAGE, MADV_DONTNEED);
  assert.deepEqual(press(world), [0, 0, 0]);
  assert.equal(world.system.machine.deferredSplits, 1);
});

test('not on older kernels, not where it is switched off, not without contents', () => {
  for (const more of [
    { rules: LINUX_6_1 },
    { huge: { shrinkUnderused: false } },
    { hasContents: false },
  ]) {
    const world = start(409, more);
    world.process.mmap(AT, HUGE, 3, ANON);
    world.process.touch(AT, true);
    assert.deepEqual(press(world), [0, 1, 512]);
  }
});

test('relatives get the zero page too; locked memory keeps its pages', () => {
  const world = start(409);
  fill(world.process, [100, 100]);
  world.process.mlock(AT + HUGE, HUGE);
  const child = world.system.fork(world.process, 2);
  assert.ok(child !== undefined);
  assert.deepEqual(press(world), [1, 1, 100 + 512]);
  assert.equal(child.counters().rssAnonKiB / 4, 100 + 512);
});

test('reclaim splits them before any page is swapped', () => {
  const { system, process } = start(409);
  fill(process, [1, 1, 1, 1]);
  system.machine.events.memoryShort?.(system.machine, 1000);
  assert.equal(system.machine.underusedSplits >= 2, true);
  assert.equal(process.counters().swappedPages, 0);
  validateMachine(system.machine);
});
