import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MADV_COLD,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_PAGEOUT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
  Random,
} from '../../src/base/index.ts';
import { mapCount } from '../../src/engine/frames/map-count.ts';
import {
  type Machine,
  makeTableReclaim,
  movableTables,
  OBJECT_FILE,
  OBJECT_SHMEM,
  type Process,
  System,
  validateMachine,
} from '../../src/engine/index.ts';
import { migrateFrame } from '../../src/engine/migrate/migrate.ts';
import {
  ENTRY_ACCESSED,
  ENTRY_NONE,
  ENTRY_PAGE,
  ENTRY_ZERO,
  KIND_MASK,
} from '../../src/engine/tables/entry.ts';
import { entryFlags, entryWord } from '../../src/engine/tables/leaf.ts';
import {
  K_COMPRESSIONS,
  K_DROPS,
  K_EDITS,
  K_RESTORES,
  K_SWAP_OUTS,
  storedState,
} from '../../src/engine/tables/stored.ts';
import { closeLeaf, openLeaf } from '../../src/engine/tables/walk.ts';

/**
 * A machine that stores tables all the time, against one that never does: the same calls have the
 * same results, and each page is in the same state in both. Zero pages may be gone: a read brings
 * them back.
 */
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const PAGE = 4096;
const SLOT = 512 * PAGE;
const MIB = 2 ** 20;
const BASE = 0x7f0000000000;
const SLOTS = 24;
const STEPS = 4000;
const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;

interface Side {
  readonly system: System;
  readonly file: number;
  readonly shmem: number;
}

function makeSide(): Side {
  const system = new System({ nodeBytes: [512 * MIB], swapBytes: 256 * MIB, bufferMiB: 256 });
  const file = system.createObject(OBJECT_FILE, 2 ** 30);
  const shmem = system.createObject(OBJECT_SHMEM, 8 * SLOT);
  return { system, file, shmem };
}

/** One operation, done alike on both sides; its result. */
type Operation = (side: Side) => number;

function operation(random: Random, pids: readonly number[], newPid: number): Operation {
  const pid = random.pick(pids);
  const page = random.below(SLOTS * 512);
  const pages = random.chance(0.5) ? 1 + random.below(40) : 1 + random.below(1500);
  const at = BASE + page * PAGE;
  const len = Math.min(pages, SLOTS * 512 - page) * PAGE;
  const slotAt = BASE + random.below(SLOTS) * SLOT;
  const target = BASE + random.below(SLOTS) * SLOT;
  const isWrite = random.chance(0.6);
  const stride = random.pick([1, 1, 7, 512]);
  const count = Math.max(1, Math.min(random.below(60), Math.floor(len / PAGE / stride)));
  const slots = 1 + random.below(3);
  const advice = random.pick([
    MADV_DONTNEED,
    MADV_DONTNEED,
    MADV_FREE,
    MADV_COLD,
    MADV_PAGEOUT,
    MADV_GUARD_INSTALL,
    MADV_GUARD_REMOVE,
  ]);
  const of = ({ system }: Side): Process => system.process(pid) as Process;
  const roll = random.below(100);
  if (roll < 55) return (s) => of(s).touch(at, isWrite, count, stride * PAGE);
  if (roll < 63) return (s) => of(s).mmap(slotAt, slots * SLOT, RW, ANON);
  if (roll < 66) {
    return (s) => of(s).mmap(slotAt, slots * SLOT, RW, MAP_FIXED | MAP_SHARED, s.shmem, 0);
  }
  if (roll < 69) return (s) => of(s).mmap(at, len, PROT_READ, MAP_FIXED | MAP_PRIVATE, s.file, 0);
  if (roll < 84) return (s) => of(s).madvise(at, len, advice);
  if (roll < 87) return (s) => of(s).munmap(at, len);
  if (roll < 90) return (s) => of(s).mprotect(at, len, isWrite ? RW : PROT_READ);
  if (roll < 95) {
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    return (s) => of(s).mremap(slotAt, slots * SLOT, slots * SLOT, flags, target);
  }
  if (roll < 96) return (s) => of(s).mlock(at, Math.min(len, 64 * PAGE));
  if (roll < 97) return (s) => of(s).munlock(at, len);
  if (roll < 99 && pids.length < 4) {
    return (s) => (s.system.fork(of(s), newPid) === undefined ? -1 : 0);
  }
  if (pids.length > 1) {
    return (s) => {
      s.system.exit(of(s));
      return 0;
    };
  }
  return () => 0;
}

/** Tables change their ids, and pages in stored tables their frames. */
function migrateSome(m: Machine, random: Random): void {
  for (let i = 0; i < 200; i++) migrateFrame(m, 1024 + random.below(16384));
}

/** What can be seen of a page: its entry's flags and how often its frame is mapped. */
function pageState(m: Machine, mm: number, page: number): number {
  const hi = Math.floor(page / m.loPages);
  const lo = page - hi * m.loPages;
  const leaf = openLeaf(m, mm, hi, lo);
  if (leaf === 0) return 0;
  const flags = entryFlags(m, leaf, lo & m.mask);
  const word = flags === ENTRY_NONE ? 0 : entryWord(m, leaf, lo & m.mask);
  const kind = flags & KIND_MASK;
  const mapped = kind === ENTRY_PAGE ? mapCount(m, word) : 0;
  closeLeaf(m, mm, leaf);
  if (kind === ENTRY_ZERO) return 0;
  return (flags & ~ENTRY_ACCESSED) | (mapped << 8);
}

function compare(plain: Side, stored: Side, what: string): void {
  for (const process of plain.system.processes()) {
    const other = stored.system.process(process.pid) as Process;
    for (let page = BASE / PAGE; page < BASE / PAGE + SLOTS * 512; page++) {
      const want = pageState(plain.system.machine, process.mm, page);
      const got = pageState(stored.system.machine, other.mm, page);
      if (want !== got) assert.equal(got, want, `${what}: page ${page} of process ${process.pid}`);
    }
    const a = process.counters();
    const b = other.counters();
    for (const name of [
      'rssAnonKiB',
      'rssFileKiB',
      'rssShmemKiB',
      'swappedPages',
      'vmSizeKiB',
    ] as const) {
      assert.equal(b[name], a[name], `${what}: ${name}`);
    }
    assert.ok(b.pteTables <= a.pteTables || a.pteTables === 0, `${what}: tables`);
  }
}

for (const victims of ['random', 'aged'] as const) {
  for (const ways of [['compress'], ['swap'], ['compress', 'swap']] as const) {
    test(`stored tables change nothing that can be seen: ${victims}, ${ways.join(' or ')}`, (t) => {
      t.diagnostic(`PAGELAB_SEED=${seed}`);
      const random = new Random(seed);
      const plain = makeSide();
      const stored = makeSide();
      const m = stored.system.machine;
      makeTableReclaim('t', 't', { victims, ways }).attach(m, seed);
      movableTables.attach(m);
      const pids = [1];
      for (const { system } of [plain, stored]) {
        assert.ok(system.spawn(1).mmap(BASE, SLOTS * SLOT, RW, ANON) > 0);
      }
      for (let step = 1; step <= STEPS; step++) {
        const operate = operation(random, pids, step + 1);
        const want = operate(plain);
        const got = operate(stored);
        // A zero page that went makes a fault more: counts of faults may differ.
        if (want < 0 || got < 0) assert.equal(got, want, `step ${step}`);
        pids.length = 0;
        for (const { pid } of plain.system.processes()) pids.push(pid);
        if (victims === 'aged' && random.chance(0.1)) migrateSome(m, random);
        if (random.chance(0.3)) m.events.tablesShort?.(m, 1 + random.below(30), 0);
        if (step % 400 !== 0) continue;
        validateMachine(m);
        compare(plain, stored, `step ${step}`);
        validateMachine(m);
      }
      const events = [K_COMPRESSIONS, K_SWAP_OUTS, K_RESTORES, K_EDITS, K_DROPS].map((field) =>
        storedState(m, field),
      );
      t.diagnostic(`compressed, swapped, restored, edited, dropped: ${events}`);
      assert.ok((events[0] as number) + (events[1] as number) > 100 && (events[2] as number) > 50);
      for (const pid of pids) {
        for (const { system } of [plain, stored]) system.exit(system.process(pid) as Process);
      }
      validateMachine(m);
      assert.equal(storedState(m, 0) + storedState(m, 1), 0, 'nothing is stored any more');
    });
  }
}
