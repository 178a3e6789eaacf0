import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MADV_DONTNEED, Random } from '../../src/base/index.ts';
import { allocFrame, allocFrameUntold } from '../../src/engine/frames/alloc.ts';
import { FLOOR_LOW, FLOOR_NONE } from '../../src/engine/frames/floors.ts';
import { isFolio } from '../../src/engine/frames/folio.ts';
import {
  blockOf,
  F_STATE,
  frameRecord,
  TYPE_KERNEL,
  TYPE_METADATA,
  TYPE_MORSEL,
  TYPE_MORSEL_TABLE,
} from '../../src/engine/frames/frame-record.ts';
import {
  blockExtent,
  EXTENT_MORSEL,
  MIGRATE_MOVABLE,
  MIGRATE_UNMOVABLE,
} from '../../src/engine/frames/pageblock.ts';
import { drainAllPcp, freeToPcp } from '../../src/engine/frames/pcp.ts';
import { TAKEN_EACH } from '../../src/engine/frames/taken-as.ts';
import {
  DYNAMIC_METADATA_DEFAULTS,
  dynamicMetadata,
  dynamicMetadataWith,
  emptyTally,
  frameUse,
  freeFrameCount,
  type HugePageSettings,
  hvoSaves,
  Khugepaged,
  type Machine,
  Morsel,
  mappedFrame,
  memdescBytes,
  type Process,
  System,
  schemeBytes,
  splitDeferred,
  staticMetadata,
  tallyFrames,
  validateDynamicMetadata,
  validateMachine,
} from '../../src/engine/index.ts';
import { B_CHUNK } from '../../src/engine/layout.ts';
import { unitsOf } from '../../src/engine/metadata/need.ts';
import { attachMechanisms, parseKernel } from '../../src/lab/index.ts';
import { seedOf } from '../seed.ts';
import { ANON, AT, HUGE, PAGE } from './places.ts';
import { type RandomProgramOptions, RandomPrograms } from './random-programs.ts';

/** Struct pages on demand: bytes by hand, pages of vmemmap by hand and against a plain model. */
const MIB = 2 ** 20;
/** The kernel's own first 4 MiB: 1,024 frames, 16 pages of vmemmap. */
const RESERVED_UNITS = 16;

interface Start {
  readonly system: System;
  readonly m: Machine;
  readonly process: Process;
}

function start(
  memoryMiB: number,
  enabled: HugePageSettings['enabled'] = 'disabled',
  mechanism = dynamicMetadata,
): Start {
  const system = new System({
    nodeBytes: [memoryMiB * MIB],
    huge: { enabled },
    swapBytes: 0,
    bufferMiB: 64,
  });
  mechanism.attach(system.machine);
  const process = system.spawn(1);
  process.mmap(AT, 1024 * MIB, 3, ANON);
  return { system, m: system.machine, process };
}

function pagesOf(m: Machine): { units: number; groups: number; used: number } {
  const { units, groups, metadata } = tallyFrames(m);
  validateDynamicMetadata(m);
  validateMachine(m);
  return { units, groups, used: metadata };
}

/** Which pages of vmemmap frames in use need, frame by frame; of a huge page the first. */
function plainUnits(m: Machine): Set<number> {
  const needed = new Set<number>();
  const isTail = (pfn: number) => isFolio(m, blockOf(m, pfn)) && (pfn & 511) >= 64;
  for (let pfn = 0; pfn < m.blockCount * 512; pfn++) {
    const use = frameUse(m, pfn);
    if (use === 'free' || use === 'pcp' || use === 'absent' || isTail(pfn)) continue;
    if (!isBare(m, pfn)) needed.add(pfn >> 6);
  }
  return needed;
}

/** A frame that holds metadata, or one of a Morsel. */
function isBare(m: Machine, pfn: number): boolean {
  if (m.words[blockOf(m, pfn) + B_CHUNK]! === 0) {
    return blockExtent(m, blockOf(m, pfn)) === EXTENT_MORSEL;
  }
  const type = m.words[frameRecord(m, pfn) + F_STATE]! & 15;
  return [TYPE_METADATA, TYPE_MORSEL, TYPE_MORSEL_TABLE].includes(type);
}

/** Which pages of vmemmap a process's first pages need. */
function unitsOfPages(m: Machine, process: Process, pages: number): Set<number> {
  const units = new Set<number>();
  for (let i = 0; i < pages; i++) units.add(mappedFrame(m, process.mm, AT / PAGE + i) >> 6);
  return units;
}

test('bytes by scheme, computed by hand', () => {
  const GIB_FRAMES = 262_144;
  const free = { ...emptyTally(), frames: GIB_FRAMES, free: GIB_FRAMES, blocks: 512 };
  assert.deepEqual(schemeBytes(free), {
    structPage: 16 * MIB,
    hvo: 16 * MIB,
    hvoAll: 16 * MIB,
    memdesc: 2 * MIB,
    onDemand: 33 * 1024,
    engine: 512 * 32,
    counts: 33 * 1024 + 2048 * 4,
  });
  // 100 pages, 3 huge ones in one group, 2 page tables, 7 pages of a file, one of 16 KiB.
  const some = {
    ...free,
    ...{ single: 100, huge: 3, table: 2, object: 7, sized: 1, ksm: 1, zpool: 1 },
    ...{ units: 6, groups: 1, hugeGroups: 1, chunks: 1, spareChunks: 1, sharedRows: 5 },
  };
  const bytes = schemeBytes(some);
  assert.equal(bytes.hvo, 16 * MIB, 'Linux does it for hugetlb alone');
  assert.equal(bytes.hvoAll, 16 * MIB - 3 * 28 * 1024 + 4096);
  assert.equal(bytes.memdesc, 2 * MIB + (100 + 3 + 7 + 1) * 80 + 80 + 2 * 64 + 64);
  assert.equal(bytes.onDemand, 7 * 4096 + 33 * 1024);
  assert.equal(bytes.engine, 2 * 16_384 + 512 * 32);
  assert.equal(bytes.counts, 33 * 1024 + 2048 * 4 + 5 * 64);
  assert.equal(memdescBytes(some, { word: 32, folio: 0, ksm: 0, ptdesc: 0, zpdesc: 0 }), 8 * MIB);
});

test('what HVO gives back: 7 of 8 pages of vmemmap, 4,095 of 4,096', () => {
  assert.equal(hvoSaves(512), 7 * 4096);
  assert.equal(hvoSaves(512 * 512), 4095 * 4096);
  assert.equal(hvoSaves(64), 0);
  assert.equal(hvoSaves(1), 0);
});

test('a tally says what the machine counts', () => {
  const { m, process } = start(64);
  process.touch(AT, true, 1000);
  const tally = tallyFrames(m);
  const { presentPages, pteTables, pmdTables, pudTables } = process.counters();
  assert.equal(tally.frames, 16_384);
  assert.equal(tally.single, presentPages);
  assert.equal(tally.free, freeFrameCount(m));
  assert.equal(tally.table, pteTables + pmdTables + pudTables + 1, 'and the top one');
  assert.equal(tally.kernel, 1024);
  assert.equal(tally.shared, 0);
});

test('pages that are shared: rows of 128 frames', () => {
  const { m, system, process } = start(64);
  process.touch(AT, true, 1000);
  const child = system.fork(process, 2);
  assert.ok(child !== undefined);
  const { shared, sharedRows } = tallyFrames(m);
  assert.equal(shared, 1000);
  const rows = new Set<number>();
  for (let i = 0; i < 1000; i++) {
    rows.add(mappedFrame(m, process.mm, AT / PAGE + i) >> 7);
  }
  assert.equal(sharedRows, rows.size);
});

test('a page of vmemmap comes with the first of its 64 frames and goes with the last', () => {
  const { m, process } = start(64);
  drainAllPcp(m);
  const before = pagesOf(m);
  const free = freeFrameCount(m);
  // LLFree: 33 KiB a GiB are 2,112 bytes for 64 MiB; one page table maps the vmemmap of 128 MiB.
  assert.equal(before.used, before.units + before.groups + 1);
  assert.equal(before.groups, 1);
  assert.ok(before.units > RESERVED_UNITS && before.units <= RESERVED_UNITS + 2);
  process.touch(AT, true, 4096);
  assert.equal(plainUnits(m).size, pagesOf(m).units);
  const { pteTables, pmdTables, pudTables } = process.counters();
  const grown = pagesOf(m).units - before.units;
  // Those of the pages, and two at most for the tables, which share 80 frames or so with metadata.
  const own = unitsOfPages(m, process, 4096).size;
  assert.ok(own >= 64 && own <= 67, `${own}`);
  assert.ok(grown >= own && grown <= own + 2, `${grown}, ${own}`);
  assert.equal(free - freeFrameCount(m), 4096 + pteTables + pmdTables + pudTables + grown);
  process.munmap(AT, 1024 * MIB);
  drainAllPcp(m);
  assert.equal(pagesOf(m).units, before.units);
  const left = process.counters();
  assert.equal(freeFrameCount(m), free - left.pmdTables - left.pudTables);
});

test('one page of 64 keeps the vmemmap page, and no other', () => {
  const { m, process } = start(64);
  process.touch(AT, true, 4096);
  const full = pagesOf(m).units;
  const own = unitsOfPages(m, process, 4096).size;
  const kept = mappedFrame(m, process.mm, AT / PAGE + 2000);
  process.madvise(AT, 2000 * PAGE, MADV_DONTNEED);
  process.madvise(AT + 2001 * PAGE, 2095 * PAGE, MADV_DONTNEED);
  drainAllPcp(m);
  const { units } = pagesOf(m);
  assert.ok(plainUnits(m).has(kept >> 6));
  assert.equal(units, plainUnits(m).size);
  assert.ok(full - units === own - 1 || full - units === own, `${full - units}, ${own}`);
});

for (const hugeUnits of [0, 1]) {
  test(`a huge page keeps ${hugeUnits} of 8; its split needs those of its mapped frames`, () => {
    const mechanism = dynamicMetadataWith({ ...DYNAMIC_METADATA_DEFAULTS, hugeUnits });
    const { m, process } = start(128, 'always', mechanism);
    process.touch(AT, true, 1);
    process.touch(AT + HUGE, true, 1);
    const first = mappedFrame(m, process.mm, (AT + HUGE) / PAGE);
    const held = () => mechanism.counters?.(m)?.['taken'] ?? 0;
    const gone = () => mechanism.counters?.(m)?.['givenBack'] ?? 0;
    const before = held();
    process.touch(AT + 2 * HUGE, true, 1);
    assert.equal(held() - before, hugeUnits);
    // The second half of the second page stays: four pages of vmemmap.
    process.madvise(AT + HUGE, HUGE / 2, MADV_DONTNEED);
    assert.equal(held() - before, hugeUnits, 'nothing for as long as it is one page');
    assert.equal(gone(), 0);
    assert.equal(splitDeferred(m, 1), 256);
    assert.equal(held() - before, hugeUnits + 4);
    drainAllPcp(m);
    assert.equal(gone(), hugeUnits, 'the one of the half that came free');
    validateMachine(m);
    validateDynamicMetadata(m);
    const units = plainUnits(m);
    for (let i = 0; i < 8; i++) assert.equal(units.has((first >> 6) + i), i >= 4);
  });
}

test('no memory for the vmemmap page, no frame; a split takes the reserve', () => {
  const { m } = start(64);
  const { frameTaken } = m.events;
  assert.ok(frameTaken !== null);
  const count = (name: string) => dynamicMetadata.counters?.(m)?.[name];
  while (allocFrame(m, MIGRATE_MOVABLE) !== 0);
  assert.equal(count('overdrafts'), 0);
  drainAllPcp(m);
  const [taken, refusals] = [count('taken'), count('refusals') ?? 0];
  const far = [...Array(m.blockCount * 8).keys()].find((unit) => isFree(m, unit));
  assert.ok(far !== undefined, 'the reserve has 64 frames in one piece');
  assert.equal(frameTaken(m, far * 64, 64, FLOOR_LOW, TAKEN_EACH), false);
  assert.equal(count('refusals'), refusals + 1);
  assert.equal(count('taken'), taken);
  assert.equal(frameTaken(m, far * 64, 64, FLOOR_NONE, TAKEN_EACH), true);
  assert.equal(count('taken'), (taken ?? 0) + 1);
  assert.equal(count('overdrafts'), 0);
});

/** Takes every free frame without anybody's being told; the numbers, for `giveBack`. */
function takeAll(m: Machine, floor: number): number[] {
  const frames: number[] = [];
  for (;;) {
    const pfn = allocFrameUntold(m, MIGRATE_UNMOVABLE, floor);
    if (pfn === 0) return frames;
    m.words[frameRecord(m, pfn) + F_STATE] = TYPE_KERNEL;
    frames.push(pfn);
  }
}

function giveBack(m: Machine, frames: readonly number[]): void {
  for (const pfn of frames) freeToPcp(m, pfn, frameRecord(m, pfn));
  drainAllPcp(m);
}

test('a split without any memory is counted, and paid as soon as there is some', () => {
  const { m, process } = start(64, 'always');
  const count = (name: string) => dynamicMetadata.counters?.(m)?.[name];
  process.touch(AT, true, 1);
  const frames = takeAll(m, FLOOR_NONE);
  process.madvise(AT, HUGE / 2, MADV_DONTNEED);
  assert.equal(count('overdrafts'), 0);
  assert.equal(splitDeferred(m, 1), 256);
  assert.equal(count('overdrafts'), 4);
  giveBack(m, frames);
  assert.equal(plainUnits(m).size, pagesOf(m).units);
  assert.equal(count('overdrafts'), 4, 'those, and no more');
});

test('2 MiB for which there is not all of the vmemmap: what came of it goes again', () => {
  const { m } = start(64);
  const { frameTaken } = m.events;
  const far = [...Array(m.blockCount).keys()].find((number) => unitsOf(m, number, 1) === 0xff00);
  assert.ok(frameTaken !== null && far !== undefined);
  const frames = takeAll(m, FLOOR_LOW);
  giveBack(m, frames.splice(0, 3));
  const before = dynamicMetadata.counters?.(m);
  assert.equal(frameTaken(m, far * 512, 512, FLOOR_LOW, TAKEN_EACH), false);
  const after = dynamicMetadata.counters?.(m);
  assert.equal(after?.['refusals'], 1);
  assert.equal((after?.['taken'] ?? 0) - (before?.['taken'] ?? 0), 3, 'three frames, three pages');
  assert.equal(after?.['givenBack'], 3);
  giveBack(m, frames);
  pagesOf(m);
});

test('128 MiB without a page of vmemmap need no page table for it', () => {
  const { m, process } = start(512);
  drainAllPcp(m);
  const before = pagesOf(m);
  process.touch(AT, true, (300 * MIB) / PAGE);
  assert.ok(pagesOf(m).groups >= before.groups + 2);
  process.munmap(AT, 1024 * MIB);
  drainAllPcp(m);
  const after = pagesOf(m);
  assert.ok(after.groups <= 2, `${after.groups}`);
  assert.equal(after.used, before.used + after.groups - before.groups + after.units - before.units);
});

/** All 64 frames of a unit are free in one piece. */
function isFree(m: Machine, unit: number): boolean {
  return (unitsOf(m, unit >> 3, 1) & (1 << ((unit & 7) + 8))) !== 0;
}

test('pages and tables of Morsels need none, however they come', () => {
  for (const page of ['4K', '2M'] as const) {
    const { m, system, process } = start(256);
    const count = (name: string) => dynamicMetadata.counters?.(m)?.[name] ?? 0;
    const morsel = Morsel.create(system, '1G', page);
    assert.ok(typeof morsel !== 'number');
    const at = morsel.map(process);
    // The way to the first of them is the address space's own.
    process.touch(at, true, 1);
    const before = count('taken');
    process.touch(at, true, 5000);
    const clone = morsel.clone();
    assert.ok(typeof clone !== 'number');
    const copies = clone.map(process);
    process.touch(copies, true, 2000);
    const held = tallyFrames(m);
    assert.ok(held.morsel >= 7000, `${held.morsel}`);
    assert.ok(count('taken') - before <= 2, `${count('taken') - before}`);
    const { units } = pagesOf(m);
    assert.equal(units, plainUnits(m).size);
    assert.ok(units <= RESERVED_UNITS + 6, `${units}`);
    morsel.close();
    clone.close();
    system.exit(process);
    drainAllPcp(m);
    assert.equal(tallyFrames(m).morsel, 0);
    pagesOf(m);
  }
});

test('static: 64 bytes of 4,096 are gone from the start, and not managed', () => {
  const system = new System({ nodeBytes: [1024 * MIB], bufferMiB: 64 });
  const m = system.machine;
  const free = freeFrameCount(m);
  staticMetadata.attach(m);
  assert.equal(free - freeFrameCount(m), 4096);
  validateMachine(m);
});

/** Pages that a process gets before it is killed for want of memory. */
function pagesUntilKilled(kernel: string, enabled: 'never' | 'always'): number {
  const system = new System({ nodeBytes: [512 * MIB], huge: { enabled }, bufferMiB: 64 });
  attachMechanisms(system.machine, parseKernel(kernel));
  const process = system.spawn(1);
  process.mmap(AT, 1024 * MIB, 3, ANON);
  let pages = 0;
  while (process.touch(AT + pages * PAGE, true) >= 0 && system.process(1) !== undefined) pages++;
  return pages;
}

test('memory that struct pages do not take is memory for programs', () => {
  const huge = ['linux+static-metadata', 'linux+dynamic-metadata', 'linux'].map((kernel) =>
    pagesUntilKilled(kernel, 'always'),
  );
  const [all = 0, some = 0, none = 0] = huge;
  // 512 MiB have 8 MiB of struct pages, 2,048 frames; huge pages need an eighth of them.
  const saved = some - all;
  assert.ok(saved > 1200 && saved < 2048, `${huge}`);
  assert.ok(none > some, `${huge}`);
});

const PROGRAMS: RandomProgramOptions = {
  mix: {
    ...{ mmap: 18, touch: 32, dontneed: 12, hugepage: 8, collapse: 8, pageout: 5 },
    ...{ munmap: 3, mprotect: 4, mremap: 4, fork: 3 },
  },
  ...{ at: AT, slots: 8, pagesMax: 700, wholeChance: 0.7, touchesMax: 600, strideMax: 1 },
};

const KERNELS = [
  'linux+dynamic-metadata',
  'linux+dynamic-metadata[hugeUnits=0]',
  'linux-6.1+pte-ref+dynamic-metadata[hasLLFree=0]',
  'linux+table-reclaim+dynamic-metadata',
  'linux+movable-tables+dynamic-metadata',
  'linux+reservations+dynamic-metadata',
  'linux+dynamic-metadata+hawkeye',
  'linux+ingens+dynamic-metadata',
  'linux+on-demand-fork+dynamic-metadata',
];

test('random programs on little memory: what is there is what a plain model says', (t) => {
  const seed = seedOf(t);
  const random = new Random(seed);
  for (const name of KERNELS) {
    for (let round = 0; round < 3; round++) {
      const kernel = parseKernel(name);
      const enabled = random.pick(['always', 'madvise'] as const);
      const system = new System({
        rules: kernel.rules,
        nodeBytes: [random.pick([32, 36, 64]) * MIB],
        huge: { enabled, defrag: random.pick(['always', 'never'] as const) },
        swapBytes: 64 * MIB,
        hasContents: random.chance(0.3),
        bufferMiB: 64,
      });
      const m = system.machine;
      attachMechanisms(m, kernel, random.below(1000));
      const programs = new RandomPrograms(system, system.spawn(1), random, PROGRAMS);
      const khugepaged = new Khugepaged(m);
      const { spaceGone } = m.events;
      m.events.spaceGone = (machine, mm) => {
        spaceGone?.(machine, mm);
        khugepaged.forget(mm);
      };
      for (let i = 0; i < 250 && programs.step(); i++) {
        if (i % 50 === 0) khugepaged.pass();
        if (i % 25 !== 0) continue;
        validateMachine(m);
        validateDynamicMetadata(m);
        assert.equal(tallyFrames(m).units, plainUnits(m).size, `${name}, step ${i}`);
      }
      for (const process of programs.live) system.exit(process);
      drainAllPcp(m);
      validateMachine(m);
      validateDynamicMetadata(m);
    }
  }
});
