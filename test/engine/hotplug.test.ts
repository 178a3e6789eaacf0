import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Errno,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
  Random,
} from '../../src/base/index.ts';
import { isMovableZone, zoneAt } from '../../src/engine/frames/zones.ts';
import {
  addMemory,
  findUnmovable,
  freeFrameCount,
  type MachineOptions,
  memoryBlock,
  memoryBlocks,
  movableIndexes,
  movableTables,
  OBJECT_KERNEL,
  OBJECT_SHMEM,
  offlineMemory,
  onlineMemory,
  removeMemory,
  System,
  validateMachine,
} from '../../src/engine/index.ts';
import * as L from '../../src/engine/layout.ts';
import { frameUse } from '../../src/engine/migrate/frame-use.ts';
import { seedOf } from '../seed.ts';
import { History } from './history.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const PAGE = 4096;
const AT = 0x100000000000;
const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
const DMA32 = 0;
/** Blocks so small that the kernel's image has the first for itself. */
const SMALL = 4 * MIB;
const BOTH = ['linux', 'movable'] as const;

function makeSystem(options: MachineOptions, hasMovableTables = false): System {
  const system = new System({ bufferMiB: 512, ...options });
  if (hasMovableTables) movableTables.attach(system.machine);
  return system;
}

/** Number of the memory block that a frame lies in. */
function blockWith(system: System, pfn: number): number {
  return Math.floor(pfn / (system.machine.words[L.H_MEMORY_BLOCK] as number));
}

/** Frames of a use, ascending. */
function framesOf(system: System, use: string): number[] {
  const m = system.machine;
  const all = Array.from({ length: m.blockCount * 512 }, (_, pfn) => pfn);
  return all.filter((pfn) => frameUse(m, pfn) === use);
}

test('memory is plugged in, put online and taken away again', () => {
  const system = makeSystem({ nodeBytes: [256 * MIB], maxNodeBytes: [GIB] });
  const m = system.machine;
  const atStart = freeFrameCount(m);
  assert.equal(atStart, 65536 - 1024);
  assert.deepEqual(
    memoryBlocks(m).map(({ state }) => state),
    ['online', 'online', 'absent', 'absent', 'absent', 'absent', 'absent', 'absent'],
  );
  assert.equal(onlineMemory(m, 2, 'online_kernel'), -Errno.EINVAL, 'nothing there');
  assert.equal(addMemory(m, 2), 0);
  assert.equal(addMemory(m, 2), -Errno.EEXIST);
  assert.equal(addMemory(m, 3), 0);
  assert.equal(freeFrameCount(m), atStart, 'offline memory is of no use');
  assert.equal(onlineMemory(m, 2, 'online_kernel'), 0);
  assert.equal(onlineMemory(m, 3, 'online_movable'), 0);
  assert.equal(onlineMemory(m, 3, 'online_movable'), -Errno.EINVAL, 'online already');
  assert.deepEqual(
    [2, 3].map((i) => memoryBlock(m, i).zoneName),
    ['DMA32', 'Movable'],
  );
  validateMachine(m);
  assert.equal(freeFrameCount(m), atStart + 2 * 32768);
  assert.equal(m.words[L.H_FRAMES], 65536 + 2 * 32768);
  assert.equal(removeMemory(m, 3), -Errno.EBUSY);
  for (const index of [2, 3]) {
    assert.equal(offlineMemory(m, index).errno, 0);
    assert.equal(removeMemory(m, index), 0);
    assert.equal(removeMemory(m, index), -Errno.EINVAL, 'nothing there');
  }
  validateMachine(m);
  assert.equal(freeFrameCount(m), atStart);
});

/**
 * By hand. 256 MiB less 4 reserved are 64,512 frames, 258,048 KiB: min is sqrt(16 * 258,048) =
 * 2,031 KiB = 507 frames, the gap 507 / 4 = 126. With 128 MiB more, 97,280 frames, 389,120 KiB:
 * 2,495 KiB = 623 frames, gap 155. A Movable zone of 32,768 frames has min 32,768 / 1,024 = 32 and a
 * gap of a quarter of its share of 623.75 frames, 32,768 / 97,280 * 623.75 = 210: 52.
 */
test('watermarks follow what is online', () => {
  const { machine: m } = makeSystem({ nodeBytes: [256 * MIB], maxNodeBytes: [512 * MIB] });
  const marks = (zone: number): number[] =>
    [L.Z_MIN, L.Z_LOW, L.Z_HIGH].map((mark) => m.words[zoneAt(m, zone) + mark] as number);
  assert.deepEqual(marks(DMA32), [507, 633, 759]);
  addMemory(m, 2);
  onlineMemory(m, 2, 'online_kernel');
  assert.deepEqual(marks(DMA32), [623, 778, 933]);
  addMemory(m, 3);
  onlineMemory(m, 3, 'online_movable');
  assert.deepEqual(marks(1), [32, 84, 136]);
  assert.equal(offlineMemory(m, 3).errno, 0);
  assert.equal(offlineMemory(m, 2).errno, 0);
  assert.deepEqual(marks(DMA32), [507, 633, 759]);
  assert.deepEqual(marks(1), [0, 0, 0]);
});

test("the kernel's own memory, and a block that is not whole, stay online", () => {
  const { machine: m } = makeSystem({ nodeBytes: [200 * MIB] });
  const { errno, blocker } = offlineMemory(m, 0);
  assert.deepEqual([errno, blocker], [-Errno.EBUSY, { pfn: 0, use: 'kernel', level: -1, pid: -1 }]);
  assert.equal(memoryBlock(m, 1).state, 'mixed');
  assert.equal(offlineMemory(m, 1).errno, -Errno.EINVAL);
  validateMachine(m);
});

for (const kernel of BOTH) {
  const isMovable = kernel === 'movable';
  test(`one touched page of one process: ${kernel}`, () => {
    const system = makeSystem({ nodeBytes: [GIB], memoryBlockBytes: SMALL }, isMovable);
    const m = system.machine;
    const process = system.spawn(7);
    process.mmap(AT, GIB, RW, ANON);
    assert.equal(process.touch(AT, true), 1);
    const [page] = framesOf(system, 'anon') as [number];
    const tables = framesOf(system, 'table');
    assert.equal(tables.length, 4, 'PGD, PUD, PMD, PTE');
    const before = process.counters();
    const results = new Map(
      [...new Set([page, ...tables].map((pfn) => blockWith(system, pfn)))].map((index) => {
        const result = offlineMemory(m, index);
        validateMachine(m);
        return [index, result] as const;
      }),
    );
    const [first = 0] = tables;
    const blocked = results.get(blockWith(system, first));
    if (isMovable) {
      const sum = (key: 'pagesMoved' | 'tablesMoved'): number =>
        [...results.values()].reduce((n, r) => n + r[key], 0);
      assert.ok([...results.values()].every(({ errno }) => errno === 0));
      assert.ok(sum('pagesMoved') >= 1 && sum('tablesMoved') >= 4);
    } else {
      assert.equal(blocked?.errno, -Errno.EBUSY);
      // A cpu's list is handed out from its top, so the table that was made last lies lowest.
      assert.deepEqual(blocked?.blocker, { pfn: first, use: 'table', level: 0, pid: 7 });
    }
    assert.deepEqual(process.counters(), before);
    assert.equal(process.touch(AT, true), 0, 'the page is still mapped');
    assert.equal(process.touch(AT + PAGE, true), 1);
    system.exit(process);
    validateMachine(m);
  });
}

test('index tables of shared memory and the vdso block as well', () => {
  for (const hasMovable of [false, true]) {
    const system = makeSystem({ nodeBytes: [GIB], memoryBlockBytes: SMALL }, true);
    const m = system.machine;
    if (hasMovable) movableIndexes.attach(m);
    const shmem = system.createObject(OBJECT_SHMEM, 64 * MIB);
    const process = system.spawn(1);
    process.mmap(AT, 64 * MIB, RW, MAP_SHARED | MAP_FIXED, shmem);
    assert.ok(process.touch(AT, true, 100) >= 0);
    const [index = 0] = framesOf(system, 'index');
    const result = offlineMemory(m, blockWith(system, index));
    if (hasMovable) assert.equal(result.errno, 0);
    else {
      assert.deepEqual([result.errno, result.blocker?.use], [-Errno.EBUSY, 'index']);
      assert.equal(result.blocker?.pfn, index);
    }
    validateMachine(m);
    const vdso = system.createObject(OBJECT_KERNEL, PAGE);
    process.mmap(AT + GIB, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, vdso);
    assert.equal(process.touch(AT + GIB, false), 1);
    const pfn = framesOf(system, 'kernel').find((frame) => frame >= 1024) as number;
    const refused = offlineMemory(m, blockWith(system, pfn));
    assert.equal(refused.errno, -Errno.EBUSY);
    validateMachine(m);
  }
});

test('where there is no room for what must move, the block stays as it was', () => {
  const system = makeSystem({ nodeBytes: [256 * MIB] }, true);
  const m = system.machine;
  const process = system.spawn(1);
  process.mmap(AT, GIB, RW, ANON);
  assert.equal(process.touch(AT, true, 50_000), 50_000);
  const before = process.counters();
  assert.equal(offlineMemory(m, 1).errno, -Errno.ENOMEM);
  validateMachine(m);
  assert.equal(memoryBlock(m, 1).state, 'online');
  assert.deepEqual(process.counters(), before);
  process.munmap(AT, 30_000 * PAGE);
  const { errno, pagesMoved } = offlineMemory(m, 1);
  assert.equal(errno, 0);
  assert.ok(pagesMoved > 0);
  validateMachine(m);
  assert.equal(process.counters().rssAnonKiB, 20_000 * 4);
});

test('with swap, what has no room is paged out instead', () => {
  const system = makeSystem({ nodeBytes: [256 * MIB], swapBytes: 256 * MIB }, true);
  const m = system.machine;
  const process = system.spawn(1);
  process.mmap(AT, GIB, RW, ANON);
  assert.equal(process.touch(AT, true, 50_000), 50_000);
  assert.equal(offlineMemory(m, 1).errno, 0);
  validateMachine(m);
  const { rssAnonKiB, swappedPages } = process.counters();
  assert.equal(rssAnonKiB / 4 + swappedPages, 50_000);
  assert.ok(swappedPages > 50_000 - 32_768);
});

test('512 tables of a uniform table move as one', () => {
  for (const kernel of BOTH) {
    const options = { nodeBytes: [4 * GIB], memoryBlockBytes: SMALL };
    const system = makeSystem(options, kernel === 'movable');
    const m = system.machine;
    const process = system.spawn(3);
    process.mmap(AT, GIB, RW, ANON);
    assert.ok(process.touch(AT, true, GIB / PAGE) >= 0);
    const tables = framesOf(system, 'table');
    assert.equal(tables.length, 512 + 3);
    const start = tables.find((pfn) => pfn % 512 === 0 && tables.includes(pfn + 511)) as number;
    const before = process.counters();
    const { errno, tablesMoved, blocker } = offlineMemory(m, blockWith(system, start));
    validateMachine(m);
    assert.deepEqual(process.counters(), before);
    if (kernel === 'linux') {
      assert.equal(errno, -Errno.EBUSY);
      assert.equal(blocker?.pid, 3);
    } else {
      assert.equal(errno, 0);
      assert.ok(tablesMoved >= 512);
      assert.ok(!framesOf(system, 'table').includes(start));
    }
    assert.equal(process.touch(AT, true, 512), 0);
    system.exit(process);
    validateMachine(m);
  }
});

test('a Movable zone holds nothing that cannot move, so all of it can go', (t) => {
  const options = {
    nodeBytes: [768 * MIB],
    movableBytes: [512 * MIB],
    memoryBlockBytes: 32 * MIB,
    bufferMiB: 512,
  };
  const history = new History(options, seedOf(t), () => {});
  const m = history.system.machine;
  for (let step = 0; step < 200; step++) {
    history.step();
    if (step % 10 !== 0) continue;
    for (const { zone, start, frames } of memoryBlocks(m)) {
      if (!isMovableZone(m, zone)) continue;
      assert.equal(findUnmovable(m, start, start + frames), undefined);
    }
    const block = history.random.between(8, 23);
    const { errno } = offlineMemory(m, block);
    assert.ok(errno === 0 || errno === -Errno.ENOMEM);
    validateMachine(m);
    if (errno === 0) assert.equal(onlineMemory(m, block, 'online_movable'), 0);
    validateMachine(m);
  }
});

for (const kernel of BOTH) {
  test(`memory comes and goes under a random history: ${kernel}`, (t) => {
    const seed = seedOf(t);
    const options = {
      nodeBytes: [768 * MIB, 256 * MIB],
      maxNodeBytes: [1024 * MIB, 512 * MIB],
      movableBytes: [128 * MIB, 0],
      memoryBlockBytes: 64 * MIB,
      swapBytes: 512 * MIB,
      bufferMiB: 512,
    };
    const attach = ({ machine }: System): void => {
      if (kernel === 'movable') movableTables.attach(machine);
    };
    const history = new History(options, seed, attach);
    const plain = new History({ ...options, nodeBytes: [GIB, 512 * MIB] }, seed, attach);
    const random = new Random(seed + 1);
    const m = history.system.machine;
    const outcomes: Record<string, number> = {};
    for (let step = 0; step < 120; step++) {
      assert.deepEqual(history.step(), plain.step(), `step ${step}`);
      for (let i = 0; i < 3; i++) {
        const outcome = change(history.system, random);
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      }
      if (step % 4 === 0) validateMachine(m);
      assert.deepEqual(history.state(), plain.state(), `after step ${step}`);
    }
    t.diagnostic(JSON.stringify(outcomes));
    assert.ok((outcomes['offline'] ?? 0) > 20 && (outcomes['online'] ?? 0) > 20);
    const refused = ['table', 'index', 'kernel'].map((use) => outcomes[use] ?? 0);
    assert.ok(refused.some((count) => count > 0));
    if (kernel === 'movable') assert.equal(refused[0], 0);
    for (const process of history.processes) history.system.exit(process);
    validateMachine(m);
  });
}

/** Changes one memory block at random; at least twelve of them stay online. */
function change({ machine: m }: System, random: Random): string {
  const blocks = memoryBlocks(m);
  const block = random.pick(blocks);
  if (block.state === 'absent') return addMemory(m, block.index) === 0 ? 'add' : 'bug';
  if (block.state === 'offline') {
    if (random.chance(0.2)) return removeMemory(m, block.index) === 0 ? 'remove' : 'bug';
    const type = random.pick(['online_kernel', 'online_movable'] as const);
    return onlineMemory(m, block.index, type) === 0 ? 'online' : 'bug';
  }
  if (blocks.filter(({ state }) => state === 'online').length <= 12) return 'kept';
  const { errno, blocker } = offlineMemory(m, block.index);
  return errno === 0 ? 'offline' : (blocker?.use ?? `errno ${errno}`);
}
