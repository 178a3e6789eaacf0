import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_PAGEOUT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
  Random,
} from '../../src/base/index.ts';
import {
  FAULT_OOM,
  OBJECT_FILE,
  OBJECT_SHMEM,
  occupancyOf,
  type Process,
  System,
  validateMachine,
} from '../../src/engine/index.ts';
import { attachMechanisms, parseKernel } from '../../src/lab/index.ts';
import { seedOf } from '../seed.ts';

/**
 * Processes that want more memory than there is, held against a plain model: which pages of
 * anonymous memory a process has written, and so must have, in memory or in swap.
 */
const MIB = 2 ** 20;
const PAGE = 4096;
const MEMORY_BYTES = 256 * MIB;
const ANON_BYTES = 2 ** 30;
/** Pages of anonymous memory that a process uses: three need 469 MiB. */
const ANON_PAGES = 40_000;
const FILE_PAGES = 2 ** 28 / PAGE;
const SHMEM_PAGES = 6_000;
const ANON_AT = 0x100000000000;
const FILE_AT = ANON_AT + 2 * ANON_BYTES;
const SHMEM_AT = ANON_AT + 3 * ANON_BYTES;
const LOCKED_AT = ANON_AT + 4 * ANON_BYTES;
const LOCKED_PAGES = 500;
const STEPS = 60_000;
const CHECK_EVERY = 10_000;
const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;

/** A process and what it must have. */
interface Modelled {
  readonly process: Process;
  /** Pages of the anonymous area that were written. */
  readonly written: Set<number>;
  /** Those given up by MADV_FREE since: they may be there or not. */
  readonly given: Set<number>;
  /** Pages of shared memory that are mapped, at most. */
  readonly shared: Set<number>;
}

class Pressure {
  readonly system: System;
  readonly modelled: Modelled[] = [];
  readonly #random: Random;
  readonly #hasMadvFree: boolean;
  swapIns = 0;
  #kills = 0;

  constructor(kernelName: string, swapBytes: number, seed: number, hasMadvFree: boolean) {
    const kernel = parseKernel(kernelName);
    this.system = new System({
      rules: kernel.rules,
      nodeBytes: [MEMORY_BYTES],
      swapBytes,
      bufferMiB: 256,
    });
    attachMechanisms(this.system.machine, kernel);
    this.#random = new Random(seed);
    this.#hasMadvFree = hasMadvFree;
    const file = this.system.createObject(OBJECT_FILE, 2 ** 40);
    const shmem = this.system.createObject(OBJECT_SHMEM, SHMEM_PAGES * PAGE);
    for (const pid of [1, 2, 3]) {
      const process = this.system.spawn(pid);
      const fixed = MAP_FIXED | MAP_PRIVATE;
      process.mmap(ANON_AT, ANON_BYTES, RW, ANON);
      process.mmap(FILE_AT, FILE_PAGES * PAGE, PROT_READ, fixed, file);
      process.mmap(SHMEM_AT, SHMEM_PAGES * PAGE, RW, MAP_FIXED | MAP_SHARED, shmem);
      process.mmap(LOCKED_AT, LOCKED_PAGES * PAGE, RW, ANON);
      assert.equal(process.mlock(LOCKED_AT, LOCKED_PAGES * PAGE), 0);
      this.modelled.push({ process, written: new Set(), given: new Set(), shared: new Set() });
    }
    this.system.closeObject(file);
    this.system.closeObject(shmem);
  }

  get alive(): Modelled[] {
    return this.modelled.filter(({ process }) => process.isAlive);
  }

  run(): void {
    for (let i = 1; i <= STEPS && this.alive.length > 0; i++) {
      this.#step();
      if (i % CHECK_EVERY === 0) this.check(false);
    }
    this.check(true);
  }

  #step(): void {
    const random = this.#random;
    const who = random.pick(this.alive);
    const roll = random.below(1000);
    if (roll < 500) this.#write(who, random.below(ANON_PAGES - 16), 1 + random.below(16));
    else if (roll < 650) this.#read(who);
    else if (roll < 800) this.#touch(who, FILE_AT + random.below(FILE_PAGES) * PAGE, false);
    else if (roll < 960) this.#touch(who, SHMEM_AT + random.below(SHMEM_PAGES) * PAGE, roll < 880);
    else if (roll < 975) this.#touch(who, LOCKED_AT + random.below(LOCKED_PAGES) * PAGE, true);
    else if (roll < 978) this.#giveBack(who);
    else if (roll < 984) this.#advise(who, MADV_PAGEOUT);
    else if (this.#hasMadvFree && roll < 985) this.#advise(who, MADV_FREE);
  }

  #range(): [first: number, count: number] {
    const first = this.#random.below(ANON_PAGES);
    return [first, 1 + this.#random.below(Math.min(600, ANON_PAGES - first))];
  }

  #write(who: Modelled, first: number, count: number): void {
    if (!this.#touch(who, ANON_AT + first * PAGE, true, count)) return;
    for (let page = first; page < first + count; page++) {
      who.written.add(page);
      who.given.delete(page);
    }
  }

  /** Only of written pages: a read elsewhere maps the zero page, which counts as present. */
  #read(who: Modelled): void {
    const page = this.#random.below(ANON_PAGES);
    if (!who.written.has(page) || who.given.has(page)) return;
    this.#touch(who, ANON_AT + page * PAGE, false);
  }

  #giveBack(who: Modelled): void {
    const [first, count] = this.#range();
    assert.equal(who.process.madvise(ANON_AT + first * PAGE, count * PAGE, MADV_DONTNEED), 0);
    for (let page = first; page < first + count; page++) {
      who.written.delete(page);
      who.given.delete(page);
    }
  }

  #advise(who: Modelled, advice: number): void {
    const [first, count] = this.#range();
    assert.equal(who.process.madvise(ANON_AT + first * PAGE, count * PAGE, advice), 0);
    if (advice !== MADV_FREE) return;
    for (let page = first; page < first + count; page++) {
      if (who.written.has(page)) who.given.add(page);
    }
  }

  /** False if the touch was the process's last. A kill must take the largest process. */
  #touch(who: Modelled, addr: number, isWrite: boolean, count = 1): boolean {
    const { oomKilled } = this.system;
    const result = who.process.touch(addr, isWrite, count);
    const kills = oomKilled.length - this.#kills;
    this.#kills = oomKilled.length;
    assert.ok(kills <= 1, 'one kill gives enough for a touch');
    if (result === FAULT_OOM) {
      assert.equal(oomKilled.at(-1), who.process.pid);
      return false;
    }
    assert.ok(result >= 0, `a touch of what is mapped gave ${result}`);
    return true;
  }

  check(isEachPage: boolean): void {
    const { machine } = this.system;
    validateMachine(machine);
    for (const { process, written, given } of this.alive) {
      const page = (at: number): number => at / PAGE;
      const { present, swapped } = occupancyOf(
        machine,
        process.mm,
        page(ANON_AT),
        page(ANON_AT) + ANON_PAGES,
      );
      assert.ok(present + swapped <= written.size, `${present} + ${swapped} of ${written.size}`);
      assert.ok(
        present + swapped >= written.size - given.size,
        `${present} + ${swapped} of ${written.size}, ${given.size} given up`,
      );
      for (const kept of written) {
        if (!isEachPage || given.has(kept)) continue;
        const at = page(ANON_AT) + kept;
        const one = occupancyOf(machine, process.mm, at, at + 1);
        assert.equal(one.present + one.swapped, 1, `page ${kept} of process ${process.pid}`);
      }
      const locked = occupancyOf(
        machine,
        process.mm,
        page(LOCKED_AT),
        page(LOCKED_AT) + LOCKED_PAGES,
      );
      assert.equal(locked.present, LOCKED_PAGES, 'locked pages are in memory');
      const counters = process.counters();
      assert.equal(counters.swappedPages, swapped, 'only anonymous pages have swap entries');
      assert.equal(counters.rssAnonKiB, (present + LOCKED_PAGES) * 4);
      this.swapIns = Math.max(this.swapIns, counters.swapIns);
    }
  }
}

const KERNELS = [
  'linux-6.18',
  'linux-6.18+pte-ref',
  'linux-6.18+table-reclaim',
  'linux-6.18+pte-ref+table-reclaim-aged',
];

for (const kernel of KERNELS) {
  for (const [swapMiB, mayKill] of [
    [0, true],
    [64, true],
    [2048, false],
  ] as const) {
    for (const hasMadvFree of [false, true]) {
      const name = `${kernel}, ${swapMiB} MiB of swap, ${hasMadvFree ? 'with' : 'without'} MADV_FREE`;
      test(`no page is lost where memory is short: ${name}`, (t) => {
        const pressure = new Pressure(kernel, swapMiB * MIB, seedOf(t), hasMadvFree);
        pressure.run();
        const { oomKilled } = pressure.system;
        const state = `killed ${oomKilled}, up to ${pressure.swapIns} pages came back`;
        t.diagnostic(state);
        assert.ok(mayKill ? oomKilled.length > 0 : oomKilled.length === 0, state);
        assert.ok(swapMiB === 0 ? pressure.swapIns === 0 : pressure.swapIns > 0, state);
        for (const { process } of pressure.alive) pressure.system.exit(process);
        validateMachine(pressure.system.machine);
      });
    }
  }
}

/** oom_badness as `counters()` shows it: resident and swapped pages, and all tables but the top one. */
function badness(process: Process): number {
  const c = process.counters();
  const rss = (c.rssAnonKiB + c.rssFileKiB + c.rssShmemKiB) / 4;
  return rss + c.swappedPages + c.pteTables + c.pmdTables + c.pudTables;
}

test('the OOM killer takes the process whose end frees most', (t) => {
  const random = new Random(seedOf(t));
  let others = 0;
  for (let round = 0; round < 12; round++) {
    const swapBytes = random.pick([0, 8 * MIB]);
    const system = new System({ nodeBytes: [64 * MIB], swapBytes, bufferMiB: 64 });
    const shmem = system.createObject(OBJECT_SHMEM, 1000 * PAGE);
    for (let pid = 1; pid <= 5; pid++) {
      const process = system.spawn(pid);
      process.mmap(ANON_AT, ANON_BYTES, RW, ANON);
      process.mmap(SHMEM_AT, 1000 * PAGE, RW, MAP_FIXED | MAP_SHARED, shmem);
      // Dense or sparse: tables count as pages do.
      const stride = random.pick([1, 512]) * PAGE;
      assert.ok(process.touch(ANON_AT, true, random.between(1, 500), stride) >= 0);
      // Shared pages leave all tables when they are swapped out, so only where they stay.
      if (swapBytes > 0) continue;
      assert.ok(process.touch(SHMEM_AT, true, random.between(1, 1000)) >= 0);
    }
    const early = system.process(random.between(1, 5)) as Process;
    assert.ok(early.touch(ANON_AT + ANON_BYTES / 2, true, random.between(1, 8000)) >= 0);
    // One page at a time, so that the moment before the kill is known.
    const seeker = random.between(1, 5);
    const process = system.process(seeker) as Process;
    for (let page = 1000; system.oomKilled.length === 0; page++) {
      const points = new Map([...system.processes()].map((p) => [p.pid, badness(p)]));
      process.touch(ANON_AT + page * PAGE, true);
      const [victim] = system.oomKilled;
      if (victim === undefined) continue;
      // The touch itself may have made tables before the kill.
      const most = Math.max(...points.values());
      assert.ok((points.get(victim) as number) >= most - 4, `${victim} of ${[...points]}`);
      assert.equal(process.isAlive, victim !== seeker);
      if (victim !== seeker) others++;
    }
    validateMachine(system.machine);
  }
  t.diagnostic(`${others} of 12 were not the process that ran out`);
});

test('the OOM killer weighs tables: sparse memory of few pages goes before dense memory', () => {
  const system = new System({ nodeBytes: [64 * MIB], bufferMiB: 64 });
  const sparse = system.spawn(1);
  sparse.mmap(ANON_AT, 16 * ANON_BYTES, RW, ANON);
  assert.equal(sparse.touch(ANON_AT, true, 4000, 2 * MIB), 4000);
  const dense = system.spawn(2);
  dense.mmap(ANON_AT, ANON_BYTES, RW, ANON);
  // 4000 pages and 4000 PTE tables against 6000 and a dozen; what is free does not suffice.
  for (let page = 0; page < 7500 && system.oomKilled.length === 0; page++) {
    assert.ok(dense.touch(ANON_AT + page * PAGE, true) >= 0);
  }
  assert.deepEqual(system.oomKilled, [1]);
  assert.ok(dense.isAlive);
  validateMachine(system.machine);
});

test('pages that fork shares are swapped once and come back for both', () => {
  const system = new System({ nodeBytes: [64 * MIB], swapBytes: 256 * MIB, bufferMiB: 64 });
  const parent = system.spawn(1);
  const pages = 10_000;
  parent.mmap(ANON_AT, pages * PAGE, RW, ANON);
  assert.equal(parent.touch(ANON_AT, true, pages), pages);
  const child = system.fork(parent, 2) as Process;
  const hog = system.spawn(3);
  hog.mmap(ANON_AT, ANON_BYTES, RW, ANON);
  // Mapped twice they are in active use, so it takes a while.
  for (let round = 0; round < 3; round++) assert.ok(hog.touch(ANON_AT, true, 20_000) >= 0);
  validateMachine(system.machine);
  const swapped = parent.counters().swappedPages;
  assert.ok(swapped > 1000, `${swapped} swapped`);
  for (const process of [parent, child]) {
    const c = process.counters();
    assert.equal(c.rssAnonKiB / 4 + c.swappedPages, pages);
  }
  assert.ok(child.touch(ANON_AT, true, pages) >= 0);
  assert.ok(parent.touch(ANON_AT, false, pages) >= 0);
  validateMachine(system.machine);
  for (const process of [parent, child]) {
    const c = process.counters();
    assert.equal(c.rssAnonKiB / 4 + c.swappedPages, pages);
    assert.ok(c.swapIns > 0);
  }
  assert.deepEqual(system.oomKilled, []);
});

test('memory that never was written needs no swap: shared memory read only is dropped', () => {
  const system = new System({ nodeBytes: [64 * MIB], bufferMiB: 64, swapBytes: 4 * MIB });
  const shmem = system.createObject(OBJECT_SHMEM, 64 * MIB);
  const process = system.spawn(1);
  process.mmap(SHMEM_AT, 64 * MIB, PROT_READ, MAP_FIXED | MAP_SHARED, shmem);
  // 64 MiB of zeros do not fit into what is left of 64 MiB, and swap takes 4.
  assert.ok(process.touch(SHMEM_AT, false, 16384) >= 0);
  validateMachine(system.machine);
  assert.deepEqual(system.oomKilled, []);
});
