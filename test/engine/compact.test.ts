import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
  Random,
} from '../../src/base/index.ts';
import { drainAllPcp } from '../../src/engine/frames/pcp.ts';
import { zoneAt } from '../../src/engine/frames/zones.ts';
import {
  compactMemory,
  externalFragmentation,
  fragmentationIndex,
  frameUse,
  freeBlocksOf,
  freeHugeBlocks,
  isMovableUse,
  type Machine,
  movableIndexes,
  movableTables,
  type Process,
  System,
  tryToCompact,
  unusableIndex,
  validateMachine,
} from '../../src/engine/index.ts';
import * as L from '../../src/engine/layout.ts';
import { compactionSuitable } from '../../src/engine/migrate/compact.ts';
import { entryWord } from '../../src/engine/tables/leaf.ts';
import { findLeaf } from '../../src/engine/tables/walk.ts';
import { seedOf } from '../seed.ts';
import { History } from './history.ts';

const MIB = 2 ** 20;
const PAGE = 4096;
const AT = 0x100000000000;
const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;

/** A machine whose only zone has that many free blocks of each order, as far as counts go. */
function zoneWith(counts: readonly number[]): Machine {
  const m = new System({ nodeBytes: [16 * MIB], bufferMiB: 64 }).machine;
  m.words.set(counts, zoneAt(m, 0) + L.Z_COUNTS);
  return m;
}

/** Each measure worked out by hand from the definitions in mm/vmstat.c. */
test('measures of fragmentation by hand', () => {
  const orders = (...pairs: [order: number, blocks: number][]): number[] => {
    const counts = new Array<number>(11).fill(0);
    for (const [order, blocks] of pairs) counts[order] = blocks;
    return counts;
  };
  // 1,000 single frames, order 9: 1000 - (1000 + 1000 * 1000 / 512 = 1953) / 1000 = 1000 - 2.
  const singles = zoneWith(orders([0, 1000]));
  assert.equal(fragmentationIndex(singles, 0, 9), 998);
  assert.equal(unusableIndex(singles, 0, 9), 1000);
  assert.equal(externalFragmentation(singles, 0, 9), 100);
  // Single frames are all that order 0 wants.
  assert.equal(fragmentationIndex(singles, 0, 0), -1000);
  assert.equal(unusableIndex(singles, 0, 0), 0);
  // One block of 256: 256 * 1000 / 512 = 500, 1000 - 1500 / 1 = -500: memory is what lacks.
  assert.equal(fragmentationIndex(zoneWith(orders([8, 1])), 0, 9), -500);
  // 100 frames and one block of order 10 (two of order 9): 100 of 1,124 frames are unusable.
  const mixed = zoneWith(orders([0, 100], [10, 1]));
  assert.equal(freeBlocksOf(mixed, 0, 9), 2);
  assert.equal(fragmentationIndex(mixed, 0, 9), -1000);
  assert.equal(unusableIndex(mixed, 0, 9), 88);
  assert.equal(externalFragmentation(mixed, 0, 9), 8);
  const full = zoneWith(orders());
  assert.equal(fragmentationIndex(full, 0, 9), 0);
  assert.equal(unusableIndex(full, 0, 9), 1000);
  assert.equal(externalFragmentation(full, 0, 9), 0);
});

function frameOf(process: Process, addr: number): number {
  const m = process.machine;
  const page = addr / PAGE;
  const hi = Math.floor(page / m.loPages);
  const lo = page - hi * m.loPages;
  return entryWord(m, findLeaf(m, process.mm, hi, lo), lo & m.mask);
}

/** 1,512 pages (24 batches of a cpu's list) touched one by one; those in odd frames are given back. */
function everySecondFrame(hasMovableTables: boolean): System {
  const system = new System({ nodeBytes: [16 * MIB], bufferMiB: 64 });
  if (hasMovableTables) movableTables.attach(system.machine);
  const process = system.spawn(1);
  process.mmap(AT, 1512 * PAGE, RW, ANON);
  for (let i = 0; i < 1512; i++) assert.equal(process.touch(AT + i * PAGE, true), 1);
  for (let i = 0; i < 1512; i++) {
    if (frameOf(process, AT + i * PAGE) % 2 === 0) continue;
    assert.equal(process.madvise(AT + i * PAGE, PAGE, MADV_DONTNEED), 0);
  }
  drainAllPcp(system.machine);
  return system;
}

/**
 * By hand. 16 MiB are eight pageblocks: two of the kernel, two that the tables claimed as 4 MiB, three
 * with 256, 256 and 244 pages in their even frames, and one free. The migration scanner passes the
 * six tables and takes the 256 pages of the fifth pageblock; the free scanner leaves the free one
 * alone and finds 268 free frames in the seventh. Both then stand at the sixth: they have met.
 */
test('every second frame: one pageblock moves into the holes of another', () => {
  const system = everySecondFrame(false);
  const m = system.machine;
  const [process] = [...system.processes()] as [Process];
  const before = process.counters();
  assert.equal(freeHugeBlocks(m), 2);
  const result = compactMemory(m);
  validateMachine(m);
  assert.deepEqual(
    { ...result, migrateScanned: 0, freeScanned: 0 },
    {
      ...{ pagesMoved: 256, tablesMoved: 0, tablesStuck: 6, otherStuck: 1024 },
      ...{ migrateScanned: 0, freeScanned: 0, hugeBefore: 2, hugeAfter: 3 },
    },
  );
  const used = (block: number): number =>
    Array.from({ length: 512 }, (_, i) => frameUse(m, block * 512 + i)).filter((u) => u !== 'free')
      .length;
  assert.deepEqual([2, 3, 4, 5, 6, 7].map(used), [6, 0, 0, 256, 500, 0]);
  assert.deepEqual(process.counters(), before);
  // Each page is still where the table says, and there is only one of it.
  assert.equal(process.touch(AT, false, 1512), 756);
});

test('tables in the way of a 2 MiB block go with movable tables', () => {
  const results = [false, true].map((hasMovableTables) => {
    const system = everySecondFrame(hasMovableTables);
    const result = compactMemory(system.machine);
    validateMachine(system.machine);
    return result;
  });
  assert.equal(results[0]?.tablesMoved, 0);
  assert.equal(results[1]?.tablesStuck, 0);
  assert.ok((results[1]?.tablesMoved as number) > 0);
});

test('compaction for one block stops when there is one, and says why it does not begin', () => {
  const system = everySecondFrame(false);
  const m = system.machine;
  const [process] = [...system.processes()] as [Process];
  const huge = AT + 2 ** 30;
  process.mmap(huge, 6 * MIB, RW, ANON);
  // Two 2 MiB blocks are free, the eighth pageblock and the fourth; three more tables are in the third.
  assert.equal(process.touch(huge, true, 1024), 1024);
  assert.equal(freeHugeBlocks(m), 0);
  // The low watermark is 137, and 1,024 frames more are wanted; 1,283 are free.
  assert.equal(m.words[zoneAt(m, 0) + L.Z_LOW], 137);
  assert.equal(compactionSuitable(m, 0, 9), 'continue');
  const { hasBlock, statuses, result } = tryToCompact(m, 9, 'sync');
  assert.ok(hasBlock);
  assert.deepEqual(statuses, ['success']);
  // The fourth pageblock is emptied again, into the holes of the seventh and sixth.
  assert.deepEqual([result.pagesMoved, result.tablesStuck], [512, 9]);
  assert.equal(freeHugeBlocks(m), 1);
  assert.equal(compactionSuitable(m, 0, 9), 'success');
  assert.equal(process.touch(huge + 4 * MIB, true, 512), 512);
  // Now 770 are free: too few to try.
  assert.equal(compactionSuitable(m, 0, 9), 'skipped');
  assert.deepEqual(tryToCompact(m, 9, 'sync').statuses, ['skipped']);
  validateMachine(m);
});

/** Pageblocks with free and used frames, and those of them where all used ones can move. */
function mixedBlocks(m: Machine): { mixed: number; movable: number } {
  let mixed = 0;
  let movable = 0;
  for (let first = 0; first < m.blockCount * 512; first += 512) {
    const uses = Array.from({ length: 512 }, (_, i) => frameUse(m, first + i));
    const inUse = uses.filter((use) => use !== 'free' && use !== 'absent');
    if (inUse.length === 0 || inUse.length === 512) continue;
    mixed++;
    if (inUse.every((use) => isMovableUse(m, use))) movable++;
  }
  return { mixed, movable };
}

for (const kernel of ['linux', 'movable'] as const) {
  test(`compaction between the steps of a random history: ${kernel}`, (t) => {
    const seed = seedOf(t);
    const options = { nodeBytes: [512 * MIB], swapBytes: 512 * MIB, bufferMiB: 512 };
    const attach = ({ machine }: System): void => {
      if (kernel === 'linux') return;
      movableTables.attach(machine);
      movableIndexes.attach(machine);
    };
    const compacted = new History(options, seed, attach);
    const plain = new History({ ...options, nodeBytes: [1024 * MIB] }, seed, attach);
    const random = new Random(seed + 1);
    const m = compacted.system.machine;
    let moved = 0;
    for (let step = 0; step < 150; step++) {
      assert.deepEqual(compacted.step(), plain.step(), `step ${step}`);
      if (random.chance(0.3)) {
        const mode = random.pick(['async', 'sync'] as const);
        const order = random.between(1, 9);
        const { hasBlock, result } = tryToCompact(m, order, mode);
        if (hasBlock) assert.ok(freeBlocksOf(m, 0, order) > 0);
        moved += result.pagesMoved + result.tablesMoved;
      }
      if (random.chance(0.1)) {
        const result = compactMemory(m);
        moved += result.pagesMoved + result.tablesMoved;
        assert.ok(result.hugeAfter >= result.hugeBefore, JSON.stringify(result));
        // All but the pageblock where the scanners met, and one of the vdso's type.
        if (kernel === 'movable')
          assert.ok(mixedBlocks(m).mixed <= 3, JSON.stringify(mixedBlocks(m)));
        validateMachine(m);
      }
      if (step % 10 === 0) validateMachine(m);
      assert.deepEqual(compacted.state(), plain.state(), `after step ${step}`);
    }
    assert.ok(moved > 0);
    validateMachine(m);
  });
}
