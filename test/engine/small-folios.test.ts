import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MADV_DONTNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE, Random } from '../../src/base/index.ts';
import {
  compactMemory,
  freeFrameCount,
  HUGE_SIZE_ENABLED,
  HUGE_SIZES,
  type HugePageSettings,
  occupancyOf,
  type Process,
  System,
  validateMachine,
} from '../../src/engine/index.ts';
import { seedOf } from '../seed.ts';
import { ANON, AT, PAGE } from './places.ts';
import { type RandomProgramOptions, RandomPrograms } from './random-programs.ts';

/** Pages of 16 KiB to 1 MiB, by cases that were seen on Linux 6.18, and by hand. */

function start(
  huge: Partial<HugePageSettings>,
  memoryMiB = 64,
  swapMiB = 0,
): { system: System; process: Process } {
  const system = new System({
    nodeBytes: [memoryMiB * 2 ** 20],
    swapBytes: swapMiB * 2 ** 20,
    bufferMiB: 64,
    huge: { enabled: 'madvise', ...huge },
  });
  const process = system.spawn(1);
  assert.equal(process.mmap(AT, 2 ** 23, 3, ANON), AT);
  return { system, process };
}

/** The first pages, # for what is there. */
function picture(process: Process, pages: number): string {
  let text = '';
  for (let i = 0; i < pages; i++) {
    const page = AT / PAGE + i;
    const { present } = occupancyOf(process.machine, process.mm, page, page + 1);
    text += present > 0 ? '#' : '.';
  }
  return text;
}

test('16 and 64 kB always, as seen on Linux 6.18', () => {
  const { system, process } = start({ sizes: { '16kB': 'always', '64kB': 'always' } });
  const shows = (expected: string): void => assert.equal(picture(process, 64), expected);
  const full = '#'.repeat(16);
  const none = '.'.repeat(16);
  process.touch(AT + 20 * PAGE, true);
  shows(none + full + none + none);
  process.touch(AT + 3 * PAGE, true);
  process.touch(AT + 40 * PAGE, true);
  shows(full + full + full + none);
  assert.equal(process.touch(AT + 33 * PAGE, true), 0);
  // A page that is read keeps 64 kB away: 16 kB beside it.
  process.touch(AT + 50 * PAGE, false);
  process.touch(AT + 52 * PAGE, true);
  shows(`${full + full + full}..#.####........`);
  process.madvise(AT + 16 * PAGE, 4 * PAGE, MADV_DONTNEED);
  shows(`${full}....${'#'.repeat(12)}${full}..#.####........`);
  process.touch(AT + 17 * PAGE, true);
  shows(`${full + full + full}..#.####........`);
  assert.equal(process.counters().rssAnonKiB, 52 * 4);
  validateMachine(system.machine);
});

test('what is given back of one stays in use until memory is short, or all is given back', () => {
  const { system, process } = start({ sizes: { '64kB': 'always' } });
  const { machine } = system;
  process.touch(AT, true, 64);
  const free = freeFrameCount(machine);
  process.madvise(AT, 10 * PAGE, MADV_DONTNEED);
  process.madvise(AT + 20 * PAGE, 3 * PAGE, MADV_DONTNEED);
  assert.equal(freeFrameCount(machine), free);
  assert.equal(process.counters().rssAnonKiB, 51 * 4);
  validateMachine(machine);
  // The rest of the first: it is free as a whole.
  process.madvise(AT + 10 * PAGE, 6 * PAGE, MADV_DONTNEED);
  assert.equal(freeFrameCount(machine), free + 16);
  assert.equal(machine.events.memoryShort?.(machine, 1), 3);
  assert.equal(freeFrameCount(machine), free + 19);
  assert.equal(machine.deferredSplits, 1);
  validateMachine(machine);
});

for (const [enabled, isAdvised, size, pages] of [
  ['madvise', false, 'madvise', 1],
  ['madvise', true, 'madvise', 16],
  ['never', true, 'madvise', 16],
  ['madvise', false, 'inherit', 1],
  ['madvise', true, 'inherit', 16],
  ['never', true, 'inherit', 1],
  ['never', false, 'always', 16],
  ['disabled', false, 'always', 1],
] as const) {
  const where = isAdvised ? 'an advised area' : 'any area';
  test(`enabled ${enabled}, 64 kB ${size}: ${pages} pages in ${where}`, () => {
    const { process } = start({ enabled, sizes: { '64kB': size } });
    // Less than 2 MiB: no huge page fits.
    process.munmap(AT + 2 ** 20, 2 ** 23 - 2 ** 20);
    if (isAdvised) process.madvise(AT, 2 ** 20, MADV_HUGEPAGE);
    process.touch(AT + 5 * PAGE, true);
    assert.equal(process.counters().rssAnonKiB, pages * 4);
  });
}

test('NOHUGEPAGE, and the ends of an area: what does not fit is smaller', () => {
  const { process } = start({ sizes: { '64kB': 'always', '32kB': 'always' } });
  process.madvise(AT, 16 * PAGE, MADV_NOHUGEPAGE);
  process.touch(AT, true);
  assert.equal(process.counters().rssAnonKiB, 4);
  process.munmap(AT + 40 * PAGE, PAGE);
  // 32 to 39 is all that the area has of the third 64 kB; 41 to 47 is no aligned 32 kB.
  process.touch(AT + 33 * PAGE, true);
  assert.equal(process.counters().rssAnonKiB, (1 + 8) * 4);
  process.touch(AT + 42 * PAGE, true);
  assert.equal(process.counters().rssAnonKiB, (1 + 8 + 1) * 4);
});

test('no block of the size: the next smaller one', () => {
  const { system, process } = start(
    { sizes: { '1024kB': 'always', '16kB': 'always' }, defrag: 'never' },
    16,
  );
  const other = system.spawn(2);
  other.mmap(AT, 2 ** 24, 3, ANON);
  other.madvise(AT, 2 ** 24, MADV_NOHUGEPAGE);
  other.touch(AT, true, 2600);
  // Holes of 16 kB in what the other has, and no megabyte in one piece.
  for (let page = 0; page < 2600; page += 32)
    other.madvise(AT + page * PAGE, 8 * PAGE, MADV_DONTNEED);
  const { machine } = system;
  machine.events.memoryShort?.(machine, 1);
  process.touch(AT, true, 300);
  assert.ok((machine.sizeFallbacks[8] ?? 0) > 0);
  assert.ok((machine.sizeFaults[2] ?? 0) > 0);
  validateMachine(machine);
});

test('compaction takes one apart where it has to move its pages', () => {
  const { system, process } = start({ sizes: { '64kB': 'always' } });
  process.touch(AT, true, 1024);
  for (let page = 0; page < 1024; page += 3) process.madvise(AT + page * PAGE, PAGE, MADV_DONTNEED);
  compactMemory(system.machine);
  validateMachine(system.machine);
  assert.equal(process.touch(AT + PAGE, false), 0);
});

const PROGRAMS: RandomProgramOptions = {
  mix: {
    ...{ mmap: 10, touch: 35, dontneed: 15, hugepage: 6, collapse: 4, pageout: 6 },
    ...{ munmap: 4, mprotect: 4, mremap: 6, fork: 6 },
  },
  ...{ at: AT, slots: 4, pagesMax: 100, wholeChance: 0.3, touchesMax: 40, strideMax: 9 },
};

test('random operations with pages of all sizes on little memory: every count stays true', (t) => {
  const seed = seedOf(t);
  const random = new Random(seed);
  for (let round = 0; round < 12; round++) {
    const sizes = Object.fromEntries(
      HUGE_SIZES.map((size) => [size, random.pick(HUGE_SIZE_ENABLED)]),
    );
    const enabled = random.pick(['always', 'madvise', 'never'] as const);
    const defrag = random.pick(['always', 'never'] as const);
    const { system, process: one } = start({ enabled, defrag, sizes }, 32, random.pick([0, 64]));
    const programs = new RandomPrograms(system, one, random, PROGRAMS);
    for (let i = 0; i < 300 && programs.step(); i++) {
      if (i % 20 === 0) validateMachine(system.machine);
    }
    for (const last of [...system.processes()]) system.exit(last);
    validateMachine(system.machine);
  }
});
