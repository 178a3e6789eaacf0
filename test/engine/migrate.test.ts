import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Random } from '../../src/base/index.ts';
import { drainAllPcp } from '../../src/engine/frames/pcp.ts';
import {
  compactMemory,
  type Mechanism,
  movableIndexes,
  movableTables,
  pteRef,
  type System,
  tableReclaimAged,
  validateMachine,
} from '../../src/engine/index.ts';
import { frameUse } from '../../src/engine/migrate/frame-use.ts';
import {
  MIGRATE_MOVED,
  migrateFrame,
  migrateTablesExtent,
} from '../../src/engine/migrate/migrate.ts';
import { History } from './history.ts';

const MIB = 2 ** 20;
const OPTIONS = { nodeBytes: [1024 * MIB], swapBytes: 256 * MIB, bufferMiB: 512 };

function seedOf(t: TestContext): number {
  const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
  t.diagnostic(`PAGELAB_SEED=${seed}`);
  return seed;
}

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
    for (let step = 0; step < 400; step++) {
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
  for (let step = 0; step < 300; step++) {
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
