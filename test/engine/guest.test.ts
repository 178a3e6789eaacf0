import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAP_FIXED, MAP_SHARED, PROT_READ, PROT_WRITE, Random } from '../../src/base/index.ts';
import {
  FAULT_DONE,
  FAULT_NONE,
  FAULT_SIGBUS,
  freeFrameCount,
  guestCreate,
  guestDestroy,
  guestFaults,
  guestTables,
  guestTouch,
  OBJECT_SHMEM,
  System,
  secPageTablesKiB,
  tableReclaim,
  tableReclaimAged,
  validateMachine,
} from '../../src/engine/index.ts';
import { K_RESTORES, storedState } from '../../src/engine/tables/stored.ts';
import { seedOf } from '../seed.ts';

/** Virtual machines: second-level tables, always full of valid entries, reclaimed as the guest runs. */
const MIB = 2 ** 20;
const PAGE = 4096;
const AT = 0x7f0000000000;
const PAGES = 20 * 512;

test('by hand: a guest of three tables', () => {
  const system = new System({ nodeBytes: [256 * MIB], bufferMiB: 64 });
  const m = system.machine;
  const object = system.createObject(OBJECT_SHMEM, 4 * MIB);
  const before = freeFrameCount(m);
  const guest = guestCreate(m, object, 0);
  assert.equal(guestTouch(m, guest, 0, true), FAULT_DONE);
  assert.equal(guestTouch(m, guest, 0, false), FAULT_NONE);
  assert.equal(guestTouch(m, guest, 600, false), FAULT_DONE);
  assert.equal(guestTouch(m, guest, 1024, false), FAULT_SIGBUS, 'beyond the memslot');
  // Two PTE tables, PMD, PUD, PGD.
  assert.equal(guestTables(m, guest), 5);
  assert.equal(secPageTablesKiB(m), 20);
  validateMachine(m);
  guestDestroy(m, guest);
  system.closeObject(object);
  validateMachine(m);
  assert.equal(freeFrameCount(m), before);
});

for (const mechanism of [tableReclaim, tableReclaimAged]) {
  test(`tables of guests go under pressure, and the guests do not notice: ${mechanism.id}`, (t) => {
    const seed = seedOf(t);
    const random = new Random(seed);
    const system = new System({ nodeBytes: [256 * MIB], swapBytes: 64 * MIB, bufferMiB: 128 });
    const m = system.machine;
    mechanism.attach(m, seed);
    const objects = [1, 2].map(() => system.createObject(OBJECT_SHMEM, PAGES * PAGE));
    const guests = objects.map((object) => guestCreate(m, object, 0));
    // The host sees the first guest's memory too, in tables of its own.
    const host = system.spawn(1);
    const shared = MAP_FIXED | MAP_SHARED;
    host.mmap(AT, PAGES * PAGE, PROT_READ | PROT_WRITE, shared, objects[0] as number);
    for (const guest of guests) {
      for (let page = 0; page < PAGES; page++) assert.equal(guestTouch(m, guest, page, true), 1);
    }
    assert.equal(host.touch(AT, false, PAGES) > 0, true);
    validateMachine(m);
    const full = secPageTablesKiB(m);
    assert.equal(full, 2 * (20 + 3) * 4);
    const vmPte = host.counters().vmPteKiB;
    let least = full;
    for (let step = 0; step < 3000; step++) {
      const guest = random.pick(guests);
      assert.equal(guestTouch(m, guest, random.below(PAGES), random.chance(0.5)), FAULT_NONE);
      if (random.chance(0.02)) m.events.tablesShort?.(m, 20, 0);
      least = Math.min(least, secPageTablesKiB(m));
    }
    validateMachine(m);
    assert.ok(least < full / 2, `${least} of ${full} KiB`);
    assert.ok(storedState(m, K_RESTORES) > 100);
    assert.ok(host.counters().vmPteKiB <= vmPte, 'the host counts its own tables only');
    for (const guest of guests) assert.equal(guestFaults(m, guest), PAGES, 'no page was lost');
    // More than is left: pages of others go to swap, those of guests stay.
    const hog = system.spawn(2);
    hog.mmap(AT, 200 * MIB, PROT_READ | PROT_WRITE, MAP_FIXED | 0x22);
    assert.ok(hog.touch(AT, true, 42_000) >= 0);
    for (const guest of guests) {
      for (let page = 0; page < PAGES; page += 64) {
        assert.equal(guestTouch(m, guest, page, false), FAULT_NONE);
      }
    }
    validateMachine(m);
    system.exit(hog);
    system.exit(host);
    for (const guest of guests) guestDestroy(m, guest);
    for (const object of objects) system.closeObject(object);
    validateMachine(m);
    assert.equal(secPageTablesKiB(m), 0);
  });
}
