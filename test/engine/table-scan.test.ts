import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
  Random,
} from '../../src/base/index.ts';
import {
  areasOf,
  LINUX_6_1,
  type Machine,
  type Occupancy,
  occupancyOf,
  type Process,
  System,
  TABLE_SCAN_DEFAULTS,
  tableScan,
  tableScanWith,
  validateMachine,
} from '../../src/engine/index.ts';

const MIB = 2 ** 20;
const SLOT = 2 * MIB;
const BASE = 0x100000000000;
const MS = 1e6;
const RW = PROT_READ | PROT_WRITE;
const FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

/** A process on a machine with the scan, and how it returns to user space. */
function scanned(mechanism = tableScan) {
  const system = new System({ rules: LINUX_6_1, bufferMiB: 128 });
  const m = system.machine;
  mechanism.attach(m);
  const process = system.spawn(1);
  const counters = () => mechanism.counters?.(m) ?? {};
  return { system, m, process, counters, returns: (ms: number) => returnAt(m, process, ms) };
}

function returnAt(m: Machine, process: Process, ms: number): void {
  m.events.returnToUser?.(m, process.mm, ms * MS);
}

function map(process: Process, addr: number, len: number): void {
  assert.equal(process.mmap(addr, len, RW, FLAGS), addr);
}

/** Touches the first page of slots and gives it back: empty tables. */
function leaveEmpty(process: Process, addr: number, slots: number): void {
  process.touch(addr, true, slots, SLOT);
  for (let slot = 0; slot < slots; slot++) {
    assert.equal(process.madvise(addr + slot * SLOT, 4096, MADV_DONTNEED), 0);
  }
}

test('a scan comes a delay after the last one, and frees tables without entries alone', () => {
  const { process, counters, returns, m } = scanned();
  map(process, BASE, 8 * SLOT);
  returns(10);
  leaveEmpty(process, BASE, 5);
  process.touch(BASE + 5 * SLOT, true);
  process.touch(BASE + 6 * SLOT, false); // the zero page is an entry
  returns(109);
  assert.equal(process.counters().pteTables, 7);
  assert.equal(counters()['scans'], 0);
  returns(110);
  assert.equal(process.counters().pteTables, 2);
  assert.equal(process.counters().emptyTables, 0);
  assert.equal(process.counters().tablesFreed, 5);
  assert.deepEqual(counters(), { scans: 1, tablesScanned: 7, tablesFreed: 5 });
  leaveEmpty(process, BASE, 1);
  returns(209);
  assert.equal(counters()['scans'], 1);
  returns(300);
  returns(399);
  assert.equal(counters()['scans'], 2);
  validateMachine(m);
});

test('tables that areas share, and areas for huge pages, are passed over', () => {
  const { process, returns, m } = scanned();
  // Half a slot at each end, one whole slot between.
  map(process, BASE + SLOT / 2, 2 * SLOT);
  leaveEmpty(process, BASE + SLOT / 2, 2);
  process.touch(BASE + 2 * SLOT, true);
  process.madvise(BASE + 2 * SLOT, 4096, MADV_DONTNEED);
  map(process, BASE + 8 * SLOT, 2 * SLOT);
  process.madvise(BASE + 8 * SLOT, 2 * SLOT, MADV_HUGEPAGE);
  leaveEmpty(process, BASE + 8 * SLOT, 2);
  // Within one slot: its end lies before its start, once both are aligned.
  map(process, BASE + 12 * SLOT + 4096, 3 * 4096);
  process.touch(BASE + 12 * SLOT + 4096, true);
  process.madvise(BASE + 12 * SLOT + 4096, 4096, MADV_DONTNEED);
  assert.equal(process.counters().emptyTables, 6);
  returns(0);
  returns(100);
  assert.equal(process.counters().emptyTables, 5);
  validateMachine(m);
});

test('a scan ends with the area in which it has seen its size, the next goes on behind', () => {
  const { process, returns, counters } = scanned();
  const slots = 150; // 300 MiB, above the RFC's 256
  const far = BASE + 2 ** 32;
  map(process, BASE, slots * SLOT);
  map(process, far, slots * SLOT);
  leaveEmpty(process, BASE, slots);
  leaveEmpty(process, far, slots);
  returns(0);
  returns(100);
  assert.equal(process.counters().emptyTables, slots);
  returns(200);
  assert.equal(process.counters().emptyTables, 0);
  leaveEmpty(process, BASE, 3);
  // Behind the last area: around to the first.
  returns(300);
  assert.equal(process.counters().emptyTables, 0);
  assert.equal(counters()['tablesFreed'], 2 * slots + 3);
});

test('an address space that is gone takes its turn along', () => {
  const { system, m, process, counters, returns } = scanned();
  returns(0);
  system.exit(process);
  const next = system.spawn(2);
  assert.equal(next.mm, process.mm);
  returnAt(m, next, 100);
  assert.equal(counters()['scans'], 0);
  returnAt(m, next, 200);
  assert.equal(counters()['scans'], 1);
});

test('whole GiB of empty tables at once, as one record', () => {
  const { process, counters, returns, m } = scanned();
  const gib = 2 ** 30;
  map(process, BASE, gib);
  process.touch(BASE, true, gib / 4096);
  process.madvise(BASE, gib, MADV_DONTNEED);
  assert.equal(process.counters().emptyTables, 512);
  returns(0);
  returns(100);
  assert.deepEqual(counters(), { scans: 1, tablesScanned: 512, tablesFreed: 512 });
  assert.equal(process.counters().pteTables, 0);
  validateMachine(m);
});

test('after each scan: no empty table within an area, no entry lost, the others as they were', () => {
  const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
  console.log(`# PAGELAB_SEED=${seed}`);
  const random = new Random(seed);
  const options = { ...TABLE_SCAN_DEFAULTS, delayNs: 0, sizeBytes: 2 ** 47 };
  const { process: one, returns, m } = scanned(tableScanWith(options));
  const slots = 24;
  const pages = slots * 512;
  /** The plain model: which pages are mapped, and which have an entry. */
  const isMapped = new Uint8Array(pages);
  const hasEntry = new Uint8Array(pages);
  returns(0);
  for (let step = 1; step <= 400; step++) {
    const first = random.below(pages);
    const count = Math.min(pages - first, 1 + random.below(random.below(4) === 0 ? 2048 : 40));
    const addr = BASE + first * 4096;
    const kind = random.below(4);
    if (kind === 0) map(one, addr, count * 4096);
    else if (kind === 1) one.munmap(addr, count * 4096);
    else if (kind === 2) one.madvise(addr, count * 4096, MADV_DONTNEED);
    else if (isMapped[first] === 1) one.touch(addr, true);
    if (kind < 2) isMapped.fill(1 - kind, first, first + count);
    if (kind < 3) hasEntry.fill(0, first, first + count);
    else if (isMapped[first] === 1) hasEntry[first] = 1;

    const before = look(m, one, slots);
    returns(step);
    for (const [slot, { tables, emptyTables, present }] of look(m, one, slots).entries()) {
      const entries = hasEntry.subarray(slot * 512, slot * 512 + 512).reduce((a, b) => a + b, 0);
      const where = `step ${step}, slot ${slot}`;
      assert.equal(present, entries, where);
      if (isWithinArea(m, one, slot)) assert.equal(emptyTables, 0, where);
      else assert.equal(tables, before[slot]?.tables, where);
    }
  }
  validateMachine(m);
});

function look(m: Machine, process: Process, slots: number): Occupancy[] {
  const first = BASE / 4096;
  return Array.from({ length: slots }, (_, slot) =>
    occupancyOf(m, process.mm, first + slot * 512, first + slot * 512 + 512),
  );
}

function isWithinArea(m: Machine, process: Process, slot: number): boolean {
  const from = BASE + slot * SLOT;
  return areasOf(m, process.mm).some(({ start, end }) => start <= from && end >= from + SLOT);
}
