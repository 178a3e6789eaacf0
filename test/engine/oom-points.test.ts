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
import { System, tableReclaim } from '../../src/engine/index.ts';
import { oomPoints } from '../../src/engine/reclaim/oom.ts';

/** What the OOM killer weighs, by hand. */
const MIB = 2 ** 20;
const SLOT = 2 * MIB;
const AT = 0x7f0000000000;
const SLOTS = 2000;

test('badness: pages, tables but the top one, and the pages of the pool that stored tables take', () => {
  const system = new System({ nodeBytes: [256 * MIB], bufferMiB: 64 });
  const m = system.machine;
  tableReclaim.attach(m, 1);
  const process = system.spawn(1);
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
  process.mmap(AT, SLOTS * SLOT, PROT_READ | PROT_WRITE, flags);
  const before = oomPoints(m, process.mm);
  process.touch(AT, true, SLOTS, SLOT);
  // 2,000 PTE tables in 4 GiB less a bit: 4 PMD tables, 1 PUD table.
  assert.equal(oomPoints(m, process.mm) - before, SLOTS + SLOTS + 4 + 1);
  while (process.counters().pteTables > 700) m.events.tablesShort?.(m, 1, 0);
  const stored = SLOTS - process.counters().pteTables;
  // A byte each for gap, flags and length, 2 or 3 for a frame below 65,536 (tables/table-codec.ts):
  // of 1,300 entries that is 2 pages either way.
  assert.equal(Math.ceil((stored * 5) / 4096), 2);
  assert.equal(Math.ceil((stored * 6) / 4096), 2);
  assert.equal(oomPoints(m, process.mm) - before, SLOTS + (SLOTS - stored) + 4 + 1 + 2);
});
