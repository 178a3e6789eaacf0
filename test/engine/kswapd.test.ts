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
  type Process,
  runKswapd,
  System,
  tableReclaim,
  tableReclaimAged,
  validateMachine,
} from '../../src/engine/index.ts';
import { Z_FREE, Z_HIGH, Z_LOW, Z_MIN } from '../../src/engine/layout.ts';
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

/** A machine that fills up page by page, with the thread at work between the touches. */
function filling(swapBytes: number): { system: System; at: number } {
  const system = new System({ nodeBytes: [256 * MIB], swapBytes, bufferMiB: 64 });
  system.machine.kswapd.isAttached = true;
  const process = system.spawn(1);
  process.mmap(AT, GIB, PROT_READ | PROT_WRITE, ANON);
  let page = 0;
  for (; page < 60_000; page++) {
    assert.equal(process.touch(AT + page * PAGE, true), 1);
    runKswapd(system.machine);
  }
  return { system, at: AT + page * PAGE };
}

test('between single touches the thread does all of the work; a large one reclaims itself', () => {
  const { system, at } = filling(256 * MIB);
  const m = system.machine;
  const process = system.process(1) as Process;
  for (let page = 0; page < 10_000; page++) {
    assert.equal(process.touch(at + page * PAGE, true), 1);
    runKswapd(m);
  }
  const { pgscanKswapd, pgscanDirect, pgstealKswapd, pgstealDirect } = m.vmstat;
  assert.equal(pgscanDirect, 0);
  assert.ok(pgscanKswapd >= pgstealKswapd);
  // 70,000 pages on fewer than 65,536 frames: what does not fit was taken.
  assert.ok(pgstealKswapd >= 70_000 - 65_536, `${pgstealKswapd}`);
  assert.equal(pgstealDirect, 0);
  // More at once than lies between the low and the min watermark.
  const z = zoneAt(m, 0);
  const reserve = (m.words[z + Z_LOW] as number) - (m.words[z + Z_MIN] as number);
  process.touch(at + 10_000 * PAGE, true, 8 * reserve + 5000);
  assert.ok(m.vmstat.pgstealDirect > 0);
  validateMachine(m);
});

test('nothing to reclaim: the thread gives up after sixteen steps', () => {
  const { system, at } = filling(0);
  const m = system.machine;
  const process = system.process(1) as Process;
  const z = zoneAt(m, 0);
  let page = 0;
  while (m.words[z + Z_FREE]! > m.words[z + Z_LOW]!) process.touch(at + page++ * PAGE, true);
  let calls = 0;
  m.events.memoryShort = () => {
    calls++;
    return 0;
  };
  m.kswapd.failures = 0;
  for (let i = 0; i < 20; i++) {
    m.kswapd.isWoken = true;
    runKswapd(m);
  }
  assert.equal(calls, 16);
  // An allocation that got something by itself starts it again.
  m.events.memoryShort = (machine, frames) => {
    calls++;
    machine.words[z + Z_MIN] = 0;
    return frames;
  };
  while (m.kswapd.failures > 0 && process.touch(at + page * PAGE, true) === 1) page++;
  assert.equal(m.kswapd.failures, 0);
  assert.ok(calls > 16);
});
