import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  MADV_DONTNEED,
  MADV_PAGEOUT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
  Random,
} from '../../src/base/index.ts';
import { F_SWAP_SLOT, frameRecord } from '../../src/engine/frames/frame-record.ts';
import { drainAllPcp } from '../../src/engine/frames/pcp.ts';
import {
  compactMemory,
  type Mechanism,
  movableIndexes,
  movableTables,
  type Process,
  pteRef,
  System,
  tableReclaimAged,
  validateMachine,
} from '../../src/engine/index.ts';
import { frameUse } from '../../src/engine/migrate/frame-use.ts';
import {
  MIGRATE_MOVED,
  migrateFrame,
  migrateTablesExtent,
} from '../../src/engine/migrate/migrate.ts';
import { seedOf } from '../seed.ts';
import { History } from './history.ts';

const MIB = 2 ** 20;
const OPTIONS = { nodeBytes: [1024 * MIB], swapBytes: 256 * MIB, bufferMiB: 512 };

/** Moves frames in use, chosen at random; how many pages, tables and index tables moved. */
function migrateSome(system: System, random: Random, tries: number): Record<string, number> {
  const m = system.machine;
  const moved: Record<string, number> = {};
  const frames = m.blockCount * 512;
  for (let i = 0; i < tries; i++) {
    const pfn = random.below(frames);
    const use = frameUse(m, pfn);
    if (random.chance(0.2) && migrateTablesExtent(m, pfn))
      moved['extent'] = (moved['extent'] ?? 0) + 1;
    else if (migrateFrame(m, pfn) === MIGRATE_MOVED) moved[use] = (moved[use] ?? 0) + 1;
  }
  if (random.chance(0.2)) drainAllPcp(m);
  return moved;
}

for (const hasPteRef of [false, true]) {
  test(`nothing that can be seen tells a history with migrations from one without${hasPteRef ? ', pte-ref' : ''}`, (t) => {
    const seed = seedOf(t);
    const attach = (system: System): void => {
      if (hasPteRef) pteRef.attach(system.machine);
    };
    const plain = new History(OPTIONS, seed, attach);
    const moving = new History(OPTIONS, seed, (system) => {
      attach(system);
      movableTables.attach(system.machine);
      movableIndexes.attach(system.machine);
    });
    const random = new Random(seed + 1);
    const moved: Record<string, number> = {};
    for (let step = 0; step < 200; step++) {
      const [a, b] = [plain.step(), moving.step()];
      assert.deepEqual(a, b, `step ${step}`);
      for (const [use, count] of Object.entries(migrateSome(moving.system, random, 1500))) {
        moved[use] = (moved[use] ?? 0) + count;
      }
      if (step % 20 === 0) validateMachine(moving.system.machine);
      assert.deepEqual(plain.state(), moving.state(), `after step ${step}`);
    }
    validateMachine(moving.system.machine);
    for (const use of ['anon', 'object', 'table', 'index']) {
      assert.ok((moved[use] ?? 0) > 0, `no ${use} was moved: ${JSON.stringify(moved)}`);
    }
    t.diagnostic(JSON.stringify(moved));
    for (const process of moving.processes) moving.system.exit(process);
    validateMachine(moving.system.machine);
  });
}

const UNDER_PRESSURE: readonly (readonly Mechanism[])[] = [
  [movableTables],
  [movableTables, movableIndexes, pteRef],
  [movableTables, tableReclaimAged],
];

for (const mechanisms of UNDER_PRESSURE) {
  const name = mechanisms.map(({ id }) => id).join('+');
  test(`frames move where memory is short: ${name}`, (t) => underPressure(t, mechanisms));
}

function underPressure(t: TestContext, mechanisms: readonly Mechanism[]): void {
  const seed = seedOf(t);
  const options = { nodeBytes: [64 * MIB], swapBytes: 256 * MIB, bufferMiB: 256 };
  const history = new History(options, seed, (system) => {
    for (const mechanism of mechanisms) mechanism.attach(system.machine);
  });
  const { machine } = history.system;
  const random = new Random(seed + 1);
  let tables = 0;
  for (let step = 0; step < 120; step++) {
    history.step();
    tables += migrateSome(history.system, random, 500)['table'] ?? 0;
    if (step % 20 === 0) compactMemory(machine);
    if (step % 10 === 0) validateMachine(machine);
  }
  validateMachine(machine);
  assert.ok(tables > 0);
  for (const process of history.processes) history.system.exit(process);
  validateMachine(machine);
}

const AT = 0x100000000000;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;

test('a touch next to the last one goes through the table where it is now', () => {
  const system = new System({ nodeBytes: [64 * MIB], bufferMiB: 64 });
  const m = system.machine;
  movableTables.attach(m);
  const process = system.spawn(1);
  process.mmap(AT, 2 * MIB, PROT_READ | PROT_WRITE, ANON);
  for (let page = 0; page < 20; page++) {
    assert.equal(process.touch(AT + page * 4096, true), 1);
    for (let pfn = 0; pfn < m.blockCount * 512; pfn++) {
      if (frameUse(m, pfn) !== 'table') continue;
      assert.equal(migrateFrame(m, pfn), MIGRATE_MOVED);
      break;
    }
    validateMachine(m);
  }
  assert.equal(process.counters().rssAnonKiB, 80);
});

test('a page in the swap cache takes its slot along', () => {
  const options = { nodeBytes: [64 * MIB], swapBytes: 16 * MIB, bufferMiB: 64 };
  const system = new System(options);
  const m = system.machine;
  const parent = system.spawn(1);
  parent.mmap(AT, 2 * MIB, PROT_READ | PROT_WRITE, ANON);
  parent.touch(AT, true, 8);
  const child = system.fork(parent, 2) as Process;
  // Mapped twice, so each side gives up its own mapping only when the other has.
  assert.equal(child.madvise(AT, 4096, MADV_DONTNEED), 0);
  assert.equal(parent.madvise(AT, 4096, MADV_PAGEOUT), 0);
  const other = system.fork(parent, 3) as Process;
  assert.equal(parent.counters().swappedPages, 1);
  assert.equal(other.touch(AT, false), 1);
  const cached = Array.from({ length: m.blockCount * 512 }, (_, pfn) => pfn).filter(
    (pfn) => frameUse(m, pfn) === 'anon' && m.words[frameRecord(m, pfn) + F_SWAP_SLOT] !== 0,
  );
  assert.equal(cached.length, 1);
  const [old = 0] = cached;
  assert.equal(migrateFrame(m, old), MIGRATE_MOVED);
  assert.equal(m.words[frameRecord(m, old) + F_SWAP_SLOT], 0);
  validateMachine(m);
  // The parent gets the same page from the cache: no new frame, and both map it.
  assert.equal(parent.touch(AT, false), 1);
  validateMachine(m);
  for (const process of [parent, child, other]) system.exit(process);
  validateMachine(m);
});
