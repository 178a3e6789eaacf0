import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/base/index.ts';
import { zoneAt } from '../../src/engine/frames/zones.ts';
import {
  kswapdStep,
  System,
  tableReclaim,
  tableReclaimAged,
  validateMachine,
} from '../../src/engine/index.ts';
import { Z_FREE, Z_HIGH, Z_LOW } from '../../src/engine/layout.ts';
import { K_COMPRESSIONS, K_MIGRATIONS, storedState } from '../../src/engine/tables/stored.ts';

/** Reclaim in the background: from below the low watermark up to the high one. */
const PAGE = 4096;
const GIB = 2 ** 30;
const MIB = 2 ** 20;
const SLOT = 2 * MIB;
const AT = 0x7f0000000000;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;

test('nothing happens while there is enough', () => {
  const system = new System({ nodeBytes: [64 * MIB], bufferMiB: 64 });
  assert.equal(kswapdStep(system.machine), 0);
});

for (const mechanism of [tableReclaim, tableReclaimAged]) {
  test(`one node: tables are stored until the high watermark is free, ${mechanism.id}`, () => {
    const system = new System({ nodeBytes: [128 * MIB], bufferMiB: 64 });
    mechanism.attach(system.machine, 1);
    const m = system.machine;
    const w = m.words;
    const z = zoneAt(m, 0);
    const process = system.spawn(1);
    process.mmap(AT, 64 * GIB, PROT_READ | PROT_WRITE, ANON);
    let slot = 0;
    while (w[z + Z_FREE]! > w[z + Z_LOW]!) {
      assert.equal(process.touch(AT + slot++ * SLOT, true), 1);
    }
    const tables = process.counters().pteTables;
    assert.ok(kswapdStep(m) > 0);
    assert.ok(w[z + Z_FREE]! >= w[z + Z_HIGH]!);
    validateMachine(m);
    const stored = storedState(m, K_COMPRESSIONS);
    assert.ok(stored > 0);
    assert.equal(process.counters().pteTables, tables - stored);
    assert.equal(process.touch(AT, false, slot, SLOT), 0, 'every page is where it was');
    validateMachine(m);
  });

  test(`two nodes: tables go to the one that has room, ${mechanism.id}`, () => {
    // The second node is the first to be used, and has all tables by then.
    const system = new System({ nodeBytes: [4 * GIB, 128 * MIB], bufferMiB: 128 });
    mechanism.attach(system.machine, 1);
    const m = system.machine;
    const w = m.words;
    const zone = m.zoneCount - 1;
    const z = zoneAt(m, zone);
    const process = system.spawn(1);
    process.mmap(AT, 64 * GIB, PROT_READ | PROT_WRITE, ANON);
    let slot = 0;
    while (w[z + Z_FREE]! > w[z + Z_LOW]!) process.touch(AT + slot++ * SLOT, true);
    // The watermarks of so small a zone are near each other.
    w[z + Z_HIGH] = w[z + Z_LOW]! + 1000;
    const tables = process.counters().pteTables;
    kswapdStep(m);
    const migrated = storedState(m, K_MIGRATIONS);
    assert.ok(w[z + Z_FREE]! >= w[z + Z_HIGH]!, `${migrated} migrated, ${w[z + Z_FREE]} free`);
    assert.ok(migrated >= 500, `${migrated} migrated`);
    assert.equal(storedState(m, K_COMPRESSIONS), 0, 'nothing had to be stored');
    assert.equal(process.counters().pteTables, tables);
    assert.equal(process.counters().rssAnonKiB, slot * (PAGE / 1024));
    validateMachine(m);
    assert.equal(process.touch(AT, true, slot, SLOT), 0, 'every page is where it was');
  });
}
