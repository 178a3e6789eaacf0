import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MADV_DONTNEED,
  MADV_PAGEOUT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/base/index.ts';
import { COUNT_KINDS } from '../../src/engine/counts/kinds.ts';
import { loadPage, storePage } from '../../src/engine/fault/access.ts';
import {
  type MachineOptions,
  onDemandFork,
  onDemandForkWith,
  type Process,
  pteRef,
  System,
  validateMachine,
} from '../../src/engine/index.ts';
import { OWNER_EMPTY_TABLES } from '../../src/engine/tables/owner.ts';
import type { SharingWork } from '../../src/engine/tables/sharing.ts';

const PAGE = 4096;
const SLOT = 512 * PAGE;
const GIB = 2 ** 30;
const BASE = 0x7f0000000000;
const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

function make(options: MachineOptions = {}, mechanism = onDemandFork): System {
  const system = new System({ nodeBytes: [64 * 2 ** 20], bufferMiB: 64, ...options });
  mechanism.attach(system.machine);
  return system;
}

function work({ machine }: System): SharingWork {
  assert.ok(machine.sharing);
  return { ...machine.sharing.work };
}

function fork(system: System, parent: Process, pid: number): Process {
  const child = system.fork(parent, pid);
  assert.ok(child);
  return child;
}

/** A process with `slots` slots of written pages. */
function written(system: System, slots: number): Process {
  const process = system.spawn(1);
  assert.equal(process.mmap(BASE, slots * SLOT, RW, ANON), BASE);
  assert.equal(process.touch(BASE, true, slots * 512), slots * 512);
  return process;
}

const page = (slot: number, at = 0): number => BASE / PAGE + slot * 512 + at;

for (const way of ['run', 'page by page']) {
  test(`fork of 1 GiB, written ${way}: 512 entries and 512 counts, no page, one table and those above`, () => {
    const system = make({ nodeBytes: [3 * GIB], bufferMiB: 512 });
    const parent = system.spawn(1);
    parent.mmap(BASE, GIB, RW, ANON);
    if (way === 'run') parent.touch(BASE, true, 2 ** 18);
    else for (let i = 0; i < 2 ** 18; i += 2) parent.touch(BASE + i * PAGE, true, 1);
    const pages = way === 'run' ? 2 ** 18 : 2 ** 17;
    const before = parent.counters();
    const child = fork(system, parent, 2);
    const { forkWork } = system.machine;
    assert.deepEqual(forkWork, { forks: 1, entriesCopied: 0, tablesCopied: 0, tablesShared: 512 });
    assert.deepEqual(work(system), {
      sharedTables: 512,
      sharedTablesPeak: 512,
      shares: 512,
      unshared: 0,
      entriesCopied: 0,
      takenOver: 0,
      dropped: 0,
      countChanges: 512,
    });
    assert.equal(system.machine.sharing?.counts.entries(), 512);
    // The child pays for the tables above only: one PMD and one PUD table.
    assert.equal(child.counters().vmPteKiB, 8);
    assert.equal(child.counters().rssAnonKiB, 0);
    assert.deepEqual(parent.counters(), before);
    assert.equal(before.rssAnonKiB, pages * 4);
    validateMachine(system.machine);
  });
}

test('plain fork of the same copies 262,144 entries to 512 tables', () => {
  const system = new System({ nodeBytes: [3 * GIB] });
  const parent = system.spawn(1);
  parent.mmap(BASE, GIB, RW, ANON);
  parent.touch(BASE, true, 2 ** 18);
  fork(system, parent, 2);
  const copied = { entriesCopied: 2 ** 18, tablesCopied: 512, tablesShared: 0 };
  assert.deepEqual(system.machine.forkWork, { forks: 1, ...copied });
});

test('reads copy nothing; a write copies its table of 512 entries, then its page', () => {
  const system = make({ hasContents: true });
  const parent = written(system, 2);
  for (let i = 0; i < 1024; i++) storePage(system.machine, parent.mm, page(0, i), 100 + i);
  const child = fork(system, parent, 2);
  for (let i = 0; i < 1024; i++) {
    assert.equal(loadPage(system.machine, child.mm, page(0, i)), 100 + i);
  }
  assert.equal(child.touch(BASE, false, 1024), 0, 'no fault');
  assert.equal(work(system).unshared, 0);
  assert.equal(storePage(system.machine, child.mm, page(1, 7), 5), 100 + 512 + 7);
  const after = work(system);
  assert.equal(after.unshared, 1);
  assert.equal(after.entriesCopied, 512);
  assert.equal(after.sharedTables, 1);
  assert.equal(child.counters().rssAnonKiB, 512 * 4);
  assert.equal(child.counters().cowFaults, 1);
  assert.equal(loadPage(system.machine, parent.mm, page(1, 7)), 100 + 512 + 7);
  // The parent is the last sharer of that table: it takes it over, and copies the pages that both map.
  storePage(system.machine, parent.mm, page(1, 8), 6);
  assert.equal(work(system).takenOver, 1);
  assert.equal(parent.counters().cowFaults, 1);
  // The page that the child copied is the parent's alone.
  storePage(system.machine, parent.mm, page(1, 7), 7);
  assert.equal(parent.counters().cowFaults, 1);
  assert.equal(loadPage(system.machine, child.mm, page(1, 8)), 100 + 512 + 8);
  assert.equal(loadPage(system.machine, child.mm, page(1, 7)), 5);
  validateMachine(system.machine);
});

test('the owner writes first: table and pages are counted for the child from then on', () => {
  const system = make();
  const parent = written(system, 1);
  const child = fork(system, parent, 2);
  parent.touch(BASE, true);
  assert.equal(work(system).entriesCopied, 512);
  assert.equal(parent.counters().rssAnonKiB, 2048);
  assert.equal(child.counters().rssAnonKiB, 2048);
  assert.equal(child.counters().pteTables, 1);
  validateMachine(system.machine);
  // Alone now, with the right to write gone from what both map; the parent's copy is not among it.
  child.touch(BASE, true, 512);
  assert.equal(work(system).takenOver, 1);
  assert.equal(child.counters().cowFaults, 511);
  validateMachine(system.machine);
});

test('a child that exits without a write leaves the parent every right: no fault at the next write', () => {
  const system = make();
  const parent = written(system, 1);
  const child = fork(system, parent, 2);
  system.exit(child);
  assert.equal(work(system).dropped, 1);
  assert.equal(work(system).sharedTables, 0);
  const { faults } = parent.counters();
  parent.touch(BASE, true, 512);
  assert.equal(parent.counters().faults, faults);
  assert.equal(work(system).takenOver, 1);
  validateMachine(system.machine);
});

test('the parent exits first, and the grandchild has what it had', () => {
  const system = make({ hasContents: true });
  const parent = written(system, 3);
  for (let i = 0; i < 3; i++) storePage(system.machine, parent.mm, page(i), 10 + i);
  const child = fork(system, parent, 2);
  const grandchild = fork(system, child, 3);
  assert.equal(system.machine.sharing?.counts.get(0), 1);
  assert.equal(work(system).countChanges, 6);
  storePage(system.machine, child.mm, page(1), 99);
  assert.equal(work(system).sharedTables, 3);
  system.exit(parent);
  // Of each slot the child or the grandchild pays.
  const rss = [child, grandchild].map((p) => p.counters().rssAnonKiB);
  assert.equal((rss[0] as number) + (rss[1] as number), 4 * 2048);
  validateMachine(system.machine);
  system.exit(child);
  assert.equal(grandchild.counters().rssAnonKiB, 3 * 2048);
  for (let i = 0; i < 3; i++) {
    assert.equal(loadPage(system.machine, grandchild.mm, page(i)), 10 + i);
  }
  validateMachine(system.machine);
  system.exit(grandchild);
  assert.equal(system.machine.sharing?.counts.entries(), 0);
  validateMachine(system.machine);
});

test('munmap of a part copies the table, of the whole slot only leaves it', () => {
  const system = make();
  const parent = written(system, 3);
  const child = fork(system, parent, 2);
  assert.equal(child.munmap(BASE + SLOT, SLOT), 0);
  assert.deepEqual([work(system).dropped, work(system).unshared], [1, 0]);
  assert.equal(child.munmap(BASE, 10 * PAGE), 0);
  // Its neighbour above is gone, so the table need not stay, but the rest of its own slot must.
  assert.deepEqual([work(system).dropped, work(system).unshared], [1, 1]);
  assert.equal(child.counters().rssAnonKiB, 502 * 4);
  assert.equal(parent.counters().rssAnonKiB, 3 * 2048);
  validateMachine(system.machine);
});

test('two areas in one slot: munmap of both at once leaves, of one copies', () => {
  const system = make();
  const parent = written(system, 1);
  parent.mprotect(BASE, 100 * PAGE, PROT_READ);
  const first = fork(system, parent, 2);
  const second = fork(system, parent, 3);
  assert.equal(work(system).sharedTables, 1);
  first.munmap(BASE, SLOT);
  assert.deepEqual([work(system).dropped, work(system).unshared], [1, 0]);
  second.munmap(BASE, 100 * PAGE);
  assert.deepEqual([work(system).dropped, work(system).unshared], [1, 1]);
  validateMachine(system.machine);
});

test('MADV_DONTNEED of a slot leaves it: zeros there, the old page for the other', () => {
  const system = make({ hasContents: true });
  const parent = written(system, 2);
  storePage(system.machine, parent.mm, page(0, 3), 42);
  const child = fork(system, parent, 2);
  assert.equal(child.madvise(BASE, SLOT, MADV_DONTNEED), 0);
  assert.deepEqual([work(system).dropped, work(system).unshared], [1, 0]);
  const read = (process: Process): number => {
    process.touch(BASE + 3 * PAGE, false);
    return loadPage(system.machine, process.mm, page(0, 3));
  };
  assert.equal(read(child), 0);
  assert.equal(read(parent), 42);
  assert.equal(parent.madvise(BASE + SLOT + PAGE, PAGE, MADV_DONTNEED), 0);
  assert.equal(work(system).unshared, 1);
  validateMachine(system.machine);
});

test('mprotect copies; mremap of a whole slot moves the share, of a part copies', () => {
  const system = make({ hasContents: true });
  const parent = written(system, 4);
  for (let i = 0; i < 4; i++) storePage(system.machine, parent.mm, page(i), 70 + i);
  const child = fork(system, parent, 2);
  assert.equal(child.mprotect(BASE, PAGE, PROT_READ), 0);
  assert.equal(work(system).unshared, 1);
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
  const target = BASE + 64 * SLOT;
  assert.equal(parent.mremap(BASE + SLOT, SLOT, SLOT, flags, target), target);
  assert.equal(work(system).unshared, 1);
  validateMachine(system.machine);
  assert.equal(loadPage(system.machine, parent.mm, page(64)), 71);
  assert.equal(loadPage(system.machine, child.mm, page(1)), 71);
  const other = BASE + 80 * SLOT + 5 * PAGE;
  assert.equal(child.mremap(BASE + 2 * SLOT, SLOT, SLOT, flags, other), other);
  assert.equal(work(system).unshared, 2);
  assert.equal(loadPage(system.machine, child.mm, page(80, 5)), 72);
  storePage(system.machine, parent.mm, page(64), 1);
  assert.equal(loadPage(system.machine, child.mm, page(1)), 71);
  validateMachine(system.machine);
});

test('pages of a shared table are swapped out once, and come back for each', () => {
  const system = make({ hasContents: true, swapBytes: 256 * 2 ** 20 });
  const parent = written(system, 12);
  for (let i = 0; i < 12 * 512; i++) storePage(system.machine, parent.mm, page(0, i), i);
  const child = fork(system, parent, 2);
  const other = system.spawn(3);
  other.mmap(BASE, 40 * SLOT, RW, ANON);
  other.touch(BASE, true, 40 * 512);
  assert.ok(parent.counters().swappedPages > 1000, 'memory was short');
  assert.equal(child.counters().swappedPages, 0);
  assert.equal(work(system).unshared, 0);
  validateMachine(system.machine);
  for (let i = 0; i < 12 * 512; i += 5) {
    assert.equal(loadPage(system.machine, child.mm, page(0, i)), i);
    assert.equal(loadPage(system.machine, parent.mm, page(0, i)), i);
  }
  validateMachine(system.machine);
});

test('MADV_PAGEOUT of what another has too takes tables of its own first, and stays', () => {
  const system = make({ swapBytes: 256 * 2 ** 20 });
  const parent = written(system, 1);
  const child = fork(system, parent, 2);
  assert.equal(child.madvise(BASE, SLOT, MADV_PAGEOUT), 0);
  // As plain fork has it: two mappings each, so nothing goes.
  assert.equal(child.counters().swappedPages, 0);
  assert.equal(work(system).unshared, 1);
  validateMachine(system.machine);
});

test('fork copies tables with shared mappings or without heirs as it always did', () => {
  const system = make();
  const parent = written(system, 2);
  // MADV_DONTFORK on a part of the second slot.
  assert.equal(parent.madvise(BASE + SLOT + 8 * PAGE, 8 * PAGE, 10), 0);
  const child = fork(system, parent, 2);
  const { entriesCopied, tablesShared } = system.machine.forkWork;
  assert.deepEqual([entriesCopied, tablesShared], [504, 1]);
  assert.equal(child.counters().rssAnonKiB, 504 * 4);
  validateMachine(system.machine);
});

test('with pte-ref the last sharer frees its table at once, others leave it', () => {
  const system = make();
  pteRef.attach(system.machine);
  const parent = written(system, 1);
  const child = fork(system, parent, 2);
  child.madvise(BASE, SLOT, MADV_DONTNEED);
  assert.equal(parent.counters().pteTables, 1);
  parent.madvise(BASE, SLOT, MADV_DONTNEED);
  assert.equal(parent.counters().pteTables, 0);
  assert.equal(system.machine.words[parent.mm + OWNER_EMPTY_TABLES], 0);
  validateMachine(system.machine);
});

for (const [at, { name }] of COUNT_KINDS.entries()) {
  test(`sharers counted in ${name}`, () => {
    const system = make({}, onDemandForkWith({ counts: at }));
    const parent = written(system, 8);
    const children = [2, 3, 4, 5, 6].map((pid) => fork(system, parent, pid));
    assert.equal(system.machine.sharing?.counts.entries(), 8);
    validateMachine(system.machine);
    for (const child of children) system.exit(child);
    assert.equal(system.machine.sharing?.counts.entries(), 0);
    validateMachine(system.machine);
  });
}
