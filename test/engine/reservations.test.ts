import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MADV_DONTNEED, MADV_NOHUGEPAGE, Random } from '../../src/base/index.ts';
import { blockOf } from '../../src/engine/frames/frame-record.ts';
import { isReserved } from '../../src/engine/frames/reservation.ts';
import {
  compactMemory,
  freeFrameCount,
  type Machine,
  type Process,
  reservationsWith,
  System,
  validateMachine,
} from '../../src/engine/index.ts';
import { B_INDEX, B_NEXT, H_RESERVED_FIRST } from '../../src/engine/layout.ts';
import { ENTRY_PAGE, KIND_MASK } from '../../src/engine/tables/entry.ts';
import { entryFlags, entryWord } from '../../src/engine/tables/leaf.ts';
import { findTable } from '../../src/engine/tables/walk.ts';
import { seedOf } from '../seed.ts';
import { ANON, AT, HUGE, PAGE } from './places.ts';
import { type RandomProgramOptions, RandomPrograms } from './random-programs.ts';
import { ReservationModel } from './reservation-model.ts';

/** Reservations by hand-computed cases, and against a model written for clarity. */

const MS = 1e6;

interface Start {
  readonly system: System;
  readonly machine: Machine;
  readonly process: Process;
  readonly counts: () => Record<string, number>;
}

function start(memoryMiB = 64, slots = 8, swapMiB = 0): Start {
  const system = new System({
    nodeBytes: [memoryMiB * 2 ** 20],
    swapBytes: swapMiB * 2 ** 20,
    bufferMiB: 64,
  });
  const { machine } = system;
  const mechanism = reservationsWith({ tickUs: 1000 });
  mechanism.attach(machine);
  const process = system.spawn(1);
  assert.equal(process.mmap(AT, slots * HUGE, 3, ANON), AT);
  return { system, machine, process, counts: () => mechanism.counters?.(machine) ?? {} };
}

function frameAt({ mm, machine }: Process, addr: number): number {
  const page = addr / PAGE;
  const hi = Math.floor(page / machine.loPages);
  const lo = page - hi * machine.loPages;
  const table = findTable(machine, mm, 0, hi, lo);
  const isPage = table !== 0 && (entryFlags(machine, table, lo & 511) & KIND_MASK) === ENTRY_PAGE;
  return isPage ? entryWord(machine, table, lo & 511) : 0;
}

function hugePages(process: Process): number {
  return (process.counters().anonHugeKiB ?? 0) / 2048;
}

test('the first page takes 2 MiB of frames, and each page gets its own of them', () => {
  const { machine, process, counts } = start();
  const free = freeFrameCount(machine);
  process.touch(AT + 7 * PAGE, true);
  const base = frameAt(process, AT + 7 * PAGE) - 7;
  assert.equal(base % 512, 0);
  assert.equal(process.counters().rssAnonKiB, 4);
  // 512 frames, and the tables of the first fault.
  assert.ok(free - freeFrameCount(machine) >= 512 && free - freeFrameCount(machine) < 520);
  process.touch(AT + 500 * PAGE, true);
  process.touch(AT, true);
  assert.deepEqual([frameAt(process, AT + 500 * PAGE), frameAt(process, AT)], [base + 500, base]);
  assert.equal(counts()['heldKiB'], (512 - 3) * 4);
  validateMachine(machine);
});

test('a huge page with the 512th page, without a copy, and no fault gives more than its page', () => {
  const { machine, process, counts } = start();
  assert.equal(process.touch(AT + PAGE, true, 511), 511);
  const base = frameAt(process, AT + PAGE) - 1;
  assert.equal(hugePages(process), 0);
  assert.equal(process.touch(AT, true), 1);
  assert.equal(hugePages(process), 1);
  assert.equal(frameAt(process, AT + 511 * PAGE), base + 511);
  const { promotions, hugeFaults } = process.counters();
  assert.deepEqual({ promotions, hugeFaults }, { promotions: 1, hugeFaults: 0 });
  assert.deepEqual(counts(), {
    made: 1,
    promotions: 1,
    broken: 0,
    emptied: 0,
    standing: 1,
    heldKiB: 0,
    heldPeakKiB: 2048,
  });
  validateMachine(machine);
});

test('a page given back takes the huge page apart and is held; it comes back to its place', () => {
  const { machine, process, counts } = start();
  process.touch(AT, true, 512);
  const base = frameAt(process, AT);
  process.madvise(AT + 9 * PAGE, PAGE, MADV_DONTNEED);
  assert.equal(hugePages(process), 0);
  assert.equal(counts()['heldKiB'], 4);
  assert.equal(process.touch(AT + 9 * PAGE, true), 1);
  assert.equal(frameAt(process, AT + 9 * PAGE), base + 9);
  assert.equal(hugePages(process), 1);
  const free = freeFrameCount(machine);
  process.madvise(AT, HUGE, MADV_DONTNEED);
  // Its table goes too, as on any kernel with PT_RECLAIM.
  assert.equal(freeFrameCount(machine), free + 512 + 1);
  assert.equal(counts()['emptied'], 1);
  validateMachine(machine);
});

test('no reservation: a region that the area does not hold whole, or where the user wants none', () => {
  const { machine, process, counts } = start();
  assert.equal(process.munmap(AT + 511 * PAGE, PAGE), 0);
  process.touch(AT, true, 100);
  process.madvise(AT + HUGE, HUGE, MADV_NOHUGEPAGE);
  process.touch(AT + HUGE, true, 512);
  assert.equal(counts()['made'], 0);
  assert.equal(hugePages(process), 0);
  validateMachine(machine);
});

test('broken when memory is short: the least recently changed first, pages stay', () => {
  const { machine, process, counts } = start();
  const tick = (ms: number): void => machine.events.returnToUser?.(machine, process.mm, ms * MS);
  for (let slot = 0; slot < 4; slot++) {
    tick(slot);
    process.touch(AT + slot * HUGE, true, 10);
  }
  tick(4);
  process.touch(AT + 10 * PAGE, true);
  // Slot 0 was changed last, so slot 1 is the head.
  assert.equal(machine.events.memoryShort?.(machine, 1), 502);
  const reserved = [0, 1, 2, 3].map((slot) =>
    isReserved(machine, blockOf(machine, frameAt(process, AT + slot * HUGE))),
  );
  assert.deepEqual(reserved, [true, false, true, true]);
  assert.equal(process.counters().rssAnonKiB, 41 * 4);
  assert.equal(counts()['broken'], 1);
  // It has pages elsewhere now: the rest of it come from anywhere, and it never becomes huge.
  process.touch(AT + HUGE, true, 512);
  assert.equal(hugePages(process), 0);
  assert.equal(counts()['made'], 4);
  validateMachine(machine);
});

test('all of memory can be used, however little of each region is', () => {
  // 20 regions of 2 MiB in 32 MiB: no more fit, each with 100 pages.
  const { system, machine, process, counts } = start(32, 20);
  for (let slot = 0; slot < 20; slot++) process.touch(AT + slot * HUGE, true, 100);
  assert.equal(process.counters().rssAnonKiB, 20 * 400);
  assert.ok((counts()['broken'] ?? 0) > 0);
  for (let slot = 0; slot < 20; slot++) process.touch(AT + slot * HUGE, true, 300);
  assert.equal(process.counters().rssAnonKiB, 20 * 1200);
  assert.deepEqual(system.oomKilled, []);
  validateMachine(machine);
});

test('fork: the child’s copies have a reservation of their own', () => {
  const { system, machine, process } = start();
  process.touch(AT, true, 512);
  const child = system.fork(process, 2);
  assert.ok(child !== undefined);
  child.touch(AT, true, 512);
  const base = frameAt(child, AT);
  assert.equal(frameAt(child, AT + 511 * PAGE), base + 511);
  assert.notEqual(base, frameAt(process, AT));
  assert.equal(hugePages(child), 1);
  system.exit(process);
  validateMachine(machine);
});

test('compaction breaks what it has to move', () => {
  const { machine, process } = start();
  for (let slot = 0; slot < 8; slot++) process.touch(AT + slot * HUGE, true, 20);
  compactMemory(machine);
  validateMachine(machine);
  process.touch(AT, true, 8 * 512);
  validateMachine(machine);
});

/** The partially populated reservations by region, in the queue's order. */
function queueOf(machine: Machine): number[] {
  const w = machine.words;
  const regions: number[] = [];
  for (
    let block = w[H_RESERVED_FIRST] as number;
    block !== 0;
    block = w[block + B_NEXT] as number
  ) {
    regions.push(((w[block + B_INDEX] as number) >>> 0) / 512);
  }
  return regions;
}

test('as the model: which pages stand together, the queue, what was made, broken and promoted', (t) => {
  const seed = seedOf(t);
  const random = new Random(seed);
  const slots = 6;
  const first = (AT / PAGE) % 2 ** 32;
  for (let round = 0; round < 12; round++) {
    const { machine, process: one, counts } = start(128, slots);
    const model = new ReservationModel();
    for (let i = 0; i < 150; i++) {
      model.tick += random.below(2);
      machine.events.returnToUser?.(machine, one.mm, model.tick * MS);
      const page = random.below(slots * 512);
      const pages = Math.min(slots * 512 - page, random.chance(0.3) ? 512 : 1 + random.below(80));
      const roll = random.below(10);
      if (roll < 6) {
        const isWrite = random.chance(0.85);
        one.touch(AT + page * PAGE, isWrite, pages);
        for (let p = page; p < page + pages; p++) model.touch(p, isWrite);
      } else if (roll < 9) {
        one.madvise(AT + page * PAGE, pages * PAGE, MADV_DONTNEED);
        for (let p = page; p < page + pages; p++) model.giveBack(p);
      } else {
        const want = 1 + random.below(600);
        machine.events.memoryShort?.(machine, want);
        model.breakSome(want);
      }
      compare(machine, one, model, first, counts());
    }
    validateMachine(machine);
  }
});

function compare(
  machine: Machine,
  one: Process,
  model: ReservationModel,
  first: number,
  counts: Record<string, number>,
): void {
  const { made, broken, emptied, standing, heldKiB, promotions } = counts as Record<string, number>;
  const held = (heldKiB as number) / 4;
  assert.deepEqual({ made, broken, emptied, standing, held, promotions }, model.counts);
  assert.equal(hugePages(one), model.huge.size);
  assert.deepEqual(
    queueOf(machine),
    model.queue.map(({ region }) => region + first / 512),
  );
  for (const [page, kind] of model.pages) {
    const pfn = frameAt(one, AT + page * PAGE);
    if (kind === 'zero') assert.equal(pfn, 0);
    if (typeof kind !== 'object') continue;
    const [other] = kind.pages;
    assert.ok(pfn !== 0 && pfn % 512 === page % 512, `page ${page} at its place`);
    assert.equal(frameAt(one, AT + (other as number) * PAGE) >> 9, pfn >> 9);
  }
}

const PROGRAMS: RandomProgramOptions = {
  mix: {
    ...{ mmap: 15, touch: 40, dontneed: 12, hugepage: 0, collapse: 4, pageout: 6 },
    ...{ munmap: 4, mprotect: 5, mremap: 6, fork: 5 },
  },
  ...{ at: AT, slots: 8, pagesMax: 700, wholeChance: 0.4, touchesMax: 600, strideMax: 1 },
};

test('random operations under reservations on little memory: every count stays true', (t) => {
  const seed = seedOf(t);
  const random = new Random(seed);
  for (let round = 0; round < 12; round++) {
    const { system, machine, process: one } = start(32, 8, random.pick([0, 64]));
    const programs = new RandomPrograms(system, one, random, PROGRAMS);
    for (let i = 0; i < 400 && programs.step(); i++) {
      machine.events.returnToUser?.(machine, one.mm, i * MS);
      if (i % 20 === 0) validateMachine(machine);
    }
    validateMachine(machine);
    for (const last of [...system.processes()]) system.exit(last);
    validateMachine(machine);
    assert.equal(machine.reservations.heldFrames, 0);
  }
});
