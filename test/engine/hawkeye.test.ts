import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MADV_COLLAPSE, MADV_DONTNEED, MADV_PAGEOUT, Random } from '../../src/base/index.ts';
import { loadPage, storePage } from '../../src/engine/fault/access.ts';
import {
  freeFrameCount,
  HAWKEYE_DEFAULTS,
  type HawkeyeOptions,
  hawkeyeWith,
  type Machine,
  type Process,
  System,
  validateMachine,
} from '../../src/engine/index.ts';
import { bucketOf } from '../../src/engine/mechanisms/hawkeye/access-map.ts';
import { seedOf } from '../seed.ts';
import { ANON, AT, HUGE, PAGE } from './places.ts';

/** HawkEye by hand-computed cases, and what a program reads against what it wrote. */

const MIB = 2 ** 20;
const SECOND = 1e9;

interface Start {
  readonly system: System;
  readonly machine: Machine;
  readonly tick: (seconds: number) => void;
  readonly counts: () => Record<string, number>;
}

function start(
  options: Partial<HawkeyeOptions> = {},
  memoryMiB = 128,
  machineOptions: object = {},
  overhead = new Map<number, number>(),
): Start {
  const system = new System({
    nodeBytes: [memoryMiB * MIB],
    bufferMiB: 64,
    ...machineOptions,
  });
  const { machine } = system;
  const mechanism = hawkeyeWith({ ...HAWKEYE_DEFAULTS, ...options }, overhead);
  mechanism.attach(machine);
  return {
    system,
    machine,
    tick: (seconds) => machine.events.returnToUser?.(machine, 0, seconds * SECOND),
    counts: () => mechanism.counters?.(machine) ?? {},
  };
}

function spawn(system: System, pid: number, slots: number): Process {
  const process = system.spawn(pid);
  assert.equal(process.mmap(AT, slots * HUGE, 3, ANON), AT);
  return process;
}

/** Small pages in whole regions, as if no 2 MiB had been free. */
function touchSmall(machine: Machine, process: Process, slots: number, pages = 512): void {
  machine.hasHugeFaults = false;
  for (let slot = 0; slot < slots; slot++) process.touch(AT + slot * HUGE, true, pages);
  machine.hasHugeFaults = true;
}

function hugePages(process: Process): number {
  return (process.counters().anonHugeKiB ?? 0) / 2048;
}

/** Takes it apart to see. */
function wasHugeAt(process: Process, slot: number): boolean {
  const before = process.counters().demotions ?? 0;
  process.madvise(AT + slot * HUGE, PAGE, MADV_DONTNEED);
  return (process.counters().demotions ?? 0) > before;
}

test('ten blocks of 4 MiB are zeroed each second, and a fault that gets one need not', () => {
  const { system, tick, counts } = start();
  const process = spawn(system, 1, 16);
  tick(0);
  process.touch(AT, true);
  assert.deepEqual([counts()['hugeFaultsZeroed'], counts()['hugeFaultsPreZeroed']], [1, 0]);
  tick(1);
  assert.equal(counts()['preZeroedKiB'], 10 * 4096);
  tick(1.9);
  assert.equal(counts()['preZeroedKiB'], 10 * 4096);
  // Half of the 4 MiB that the first fault began is left, and not zeroed; then come zeroed ones.
  for (let slot = 1; slot < 12; slot++) process.touch(AT + slot * HUGE, true);
  assert.deepEqual([counts()['hugeFaultsZeroed'], counts()['hugeFaultsPreZeroed']], [2, 10]);
  assert.equal(counts()['zeroedInFaultsKiB'], 2 * 2048);
  validateMachine(system.machine);
});

test('memory that was used is not zero when it comes back', () => {
  const { system, tick, counts } = start({ zeroBlocks: 1000 });
  const process = spawn(system, 1, 40);
  tick(0);
  tick(1);
  const zeroed = counts()['preZeroedKiB'] as number;
  // All that is in blocks of 4 MiB: 128 MiB less 4 reserved and what lies on lists or in tables.
  assert.ok(zeroed >= 112 * 1024 && zeroed <= 124 * 1024, `${zeroed}`);
  tick(2);
  assert.equal(counts()['preZeroedKiB'], zeroed);
  process.touch(AT, true, 20 * 512);
  const { hugeFaultsPreZeroed } = counts();
  process.madvise(AT, 20 * HUGE, MADV_DONTNEED);
  process.touch(AT, true, 20 * 512);
  // The last freed is the first given out: none of it is zero, nor anything else that is left.
  assert.ok((hugeFaultsPreZeroed as number) >= 19);
  assert.ok((counts()['hugeFaultsZeroed'] as number) >= 18, JSON.stringify(counts()));
  validateMachine(system.machine);
});

test('a small page of zeros is counted, a copy is not', () => {
  const { system, machine, tick, counts } = start({ zeroBlocks: 0 });
  const process = spawn(system, 1, 2);
  tick(0);
  machine.hasHugeFaults = false;
  process.touch(AT, false, 5);
  process.touch(AT, true, 7);
  assert.equal(counts()['faultsZeroed'], 7);
  const child = system.fork(process, 2);
  child?.touch(AT, true, 7);
  assert.equal(counts()['faultsZeroed'], 7);
});

test('buckets: 50 pages each, or a power of two each', () => {
  assert.deepEqual(
    [0, 49, 50, 449, 450, 512].map((weight) => bucketOf(weight, 0)),
    [0, 0, 1, 8, 9, 9],
  );
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 256, 257, 512].map((weight) => bucketOf(weight, 1)),
    [0, 0, 1, 2, 2, 3, 8, 9, 9],
  );
});

test('the most used regions first, eight in ten seconds; what nobody uses stays as it is', () => {
  const { system, machine, tick } = start({ zeroBlocks: 0 });
  const process = spawn(system, 1, 16);
  tick(0);
  touchSmall(machine, process, 16);
  // Bits are cleared at 30 s and read at 31: slots 8 to 15 have 10 to 80 pages used, slot 3 all.
  tick(30);
  for (let slot = 8; slot < 16; slot++) process.touch(AT + slot * HUGE, true, 10 * (slot - 7));
  process.touch(AT + 3 * HUGE, true, 512);
  tick(31);
  tick(39.9);
  assert.equal(hugePages(process), 0);
  tick(40);
  assert.equal(hugePages(process), 8);
  // 0.4 x 512 is 204: bucket 4. 0.4 x 80 is 32: bucket 0, in the order in which they came.
  assert.ok(wasHugeAt(process, 3));
  assert.ok(wasHugeAt(process, 8));
  assert.ok(!wasHugeAt(process, 15));
  tick(50);
  // Slot 15 followed; nine regions were used in all.
  assert.equal(hugePages(process), 9 - 2);
  validateMachine(machine);
});

test('HawkEye-G: processes take turns within the hottest bucket', () => {
  const { system, machine, tick } = start({ zeroBlocks: 0 });
  const [one, two] = [spawn(system, 1, 8), spawn(system, 2, 8)];
  tick(0);
  for (const process of [one, two]) touchSmall(machine, process, 8);
  tick(30);
  for (const process of [one, two]) process.touch(AT, true, 8 * 512);
  tick(31);
  tick(40);
  assert.deepEqual([hugePages(one), hugePages(two)], [4, 4]);
});

for (const [metric, percents, expected] of [
  [0, [10, 30], [0, 8]],
  [0, [30, 10], [8, 0]],
  [0, [1, 1], [0, 0]],
  // Overhead for each region that waits: 30 / 12 against 24 / 8.
  [1, [30, 24], [0, 8]],
] as const) {
  test(`HawkEye-PMU, metric ${metric}: overheads of ${percents.join(' and ')} %`, () => {
    const overhead = new Map(percents.map((percent, i) => [i + 1, percent]));
    const { system, machine, tick } = start({ zeroBlocks: 0, metric }, 128, {}, overhead);
    const [one, two] = [spawn(system, 1, 12), spawn(system, 2, 8)];
    tick(0);
    touchSmall(machine, one, 12);
    touchSmall(machine, two, 8);
    tick(30);
    one.touch(AT, true, 12 * 512);
    two.touch(AT, true, 8 * 512);
    tick(31);
    tick(40);
    assert.deepEqual([hugePages(one), hugePages(two)], expected);
  });
}

test('bloat is recovered where less than 15 % is free, up to 30 %, and nothing that was written', () => {
  const { system, machine, tick, counts } = start({ zeroBlocks: 0 });
  const process = spawn(system, 1, 64);
  tick(0);
  // 100 pages in each of 55 huge pages: 110 of 124 MiB, and 88 MiB of them are zeros.
  for (let slot = 0; slot < 55; slot++) process.touch(AT + slot * HUGE, true, 100);
  assert.equal(hugePages(process), 55);
  const managed = (128 - 4) * 256;
  assert.ok(freeFrameCount(machine) < 0.15 * managed);
  tick(119);
  assert.equal(counts()['recoveredKiB'], 0);
  tick(120);
  const free = freeFrameCount(machine);
  assert.ok(free >= 0.3 * managed && free < 0.3 * managed + 412, `${free} of ${managed}`);
  // From the lowest address on, 412 pages each; all that was written is there.
  assert.equal((counts()['recoveredKiB'] as number) % (412 * 4), 0);
  for (let slot = 0; slot < 55; slot++) {
    assert.equal(process.touch(AT + slot * HUGE, false, 100), 0);
  }
  tick(240);
  assert.ok(freeFrameCount(machine) <= free);
  validateMachine(machine);
});

for (const hasContents of [true, false]) {
  const what = hasContents ? 'reads what it wrote' : 'keeps what it wrote';
  test(`a program ${what}, whatever is promoted, recovered, forked or swapped`, (t) => {
    randomHistory(t, hasContents);
  });
}

/** Without contents there is no swap, so a page that was written is there. */
function randomHistory(t: TestContext, hasContents: boolean): void {
  const seed = seedOf(t);
  const random = new Random(seed);
  let recovered = 0;
  for (let round = 0; round < 10; round++) {
    const swapBytes = hasContents ? random.pick([0, 64]) * MIB : 0;
    const { system, machine, tick, counts } = start(
      {
        recoverMs: 1000,
        scanMs: 2000,
        logBins: random.below(2),
        recoverBelowPercent: 60,
        recoverToPercent: 90,
      },
      32,
      { hasContents, swapBytes },
    );
    const live = [{ process: spawn(system, 1, 8), words: new Map<number, number>() }];
    for (let i = 0; i < 300 && live.length > 0; i++) {
      operate(random, system, live, round * 1000 + i);
      tick(i * 0.5);
      for (let k = live.length - 1; k >= 0; k--) {
        if (system.process(live[k]?.process.pid as number) === undefined) live.splice(k, 1);
      }
      if (i % 30 === 0) check(machine, live);
    }
    check(machine, live);
    recovered += counts()['recoveredKiB'] as number;
  }
  assert.ok(recovered > 0);
}

interface Live {
  readonly process: Process;
  /** What each page should hold; 0 where it was never written. */
  readonly words: Map<number, number>;
}

const FIRST = AT / PAGE;

function write(machine: Machine, process: Process, page: number, word: number): boolean {
  if (machine.contentsAt !== 0) return storePage(machine, process.mm, page, word) >= 0;
  return process.touch(page * PAGE, true) >= 0;
}

function operate(random: Random, system: System, live: Live[], id: number): void {
  const one = random.pick(live);
  const { machine } = system;
  const page = FIRST + random.below(8 * 512);
  const pages = Math.min(FIRST + 8 * 512 - page, 1 + random.below(300));
  const roll = random.below(100);
  if (roll < 50) {
    for (let p = page; p < page + Math.min(40, pages); p++) {
      if (!write(machine, one.process, p, id + 1)) return;
      one.words.set(p, id + 1);
    }
  } else if (roll < 70) one.process.touch(page * PAGE, false, pages);
  else if (roll < 80) {
    one.process.madvise(page * PAGE, pages * PAGE, MADV_DONTNEED);
    for (let p = page; p < page + pages; p++) one.words.delete(p);
  } else if (roll < 85) one.process.madvise(page * PAGE, pages * PAGE, MADV_PAGEOUT);
  else if (roll < 90) one.process.madvise(page * PAGE, pages * PAGE, MADV_COLLAPSE);
  else if (roll < 96 && live.length < 3) {
    const process = system.fork(one.process, 100 + id);
    if (process !== undefined) live.push({ process, words: new Map(one.words) });
  } else if (live.length > 1) {
    const [gone] = live.splice(random.below(live.length), 1);
    if (gone !== undefined) system.exit(gone.process);
  }
}

function check(machine: Machine, live: readonly Live[]): void {
  validateMachine(machine);
  for (const { process, words } of live) {
    for (const [page, word] of words) {
      if (machine.contentsAt === 0) {
        assert.equal(process.touch(page * PAGE, false), 0, `page ${page}`);
        continue;
      }
      const read = loadPage(machine, process.mm, page);
      if (read === -3) return; // no memory for it
      assert.equal(read, word, `page ${page}`);
    }
  }
}
