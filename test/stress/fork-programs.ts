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
import { loadPage, storePage } from '../../src/engine/fault/access.ts';
import {
  type MachineOptions,
  movableTables,
  OBJECT_SHMEM,
  onDemandForkWith,
  type Process,
  pteRef,
  System,
  validateMachine,
} from '../../src/engine/index.ts';
import { migrateFrame } from '../../src/engine/migrate/migrate.ts';
import { ForkModel } from './fork-model.ts';

/**
 * Random programs that fork, on a machine with on-demand fork, on one without and on a model that
 * copies all memory at fork: the results of all calls and every word in memory must be the same.
 */
const PAGE = 4096;
const SLOT_PAGES = 512;
const BASE = 0x7f0000000000;
const BASE_PAGE = BASE / PAGE;
const SLOTS = 10;
const PAGES: number = SLOTS * SLOT_PAGES;
const OBJECT_PAGES: number = 2 * SLOT_PAGES;
const MIB = 2 ** 20;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;

export interface ForkPrograms {
  readonly seed: number;
  readonly steps: number;
  readonly memoryMiB: number;
  readonly huge?: MachineOptions['huge'];
  /** The place of the share counts' table in COUNT_KINDS. */
  readonly counts?: number;
  readonly hasPteRef?: boolean;
  readonly movesTables?: boolean;
}

interface Side {
  readonly system: System;
  readonly object: number;
}

/** What happened in a run that was right: how much there was to be wrong. */
export interface ForkProgramsResult {
  wrong: string | null;
  shares: number;
  unshared: number;
  takenOver: number;
  dropped: number;
  swapped: number;
}

class Programs {
  readonly #random: Random;
  readonly #model = new ForkModel(OBJECT_PAGES);
  readonly #plain: Side;
  readonly #shared: Side;
  readonly #plan: ForkPrograms;
  readonly #pids = [1];
  #nextPid = 2;
  #value = 1;
  #swapped = 0;

  constructor(plan: ForkPrograms) {
    this.#plan = plan;
    this.#random = new Random(plan.seed);
    this.#plain = makeSide(plan);
    this.#shared = makeSide(plan);
    const m = this.#shared.system.machine;
    onDemandForkWith({ counts: plan.counts ?? 0 }).attach(m);
    for (const { system } of this.#sides()) {
      if (plan.hasPteRef === true) pteRef.attach(system.machine);
      if (plan.movesTables === true) movableTables.attach(system.machine);
      system.spawn(1);
    }
    this.#model.spawn(1);
    this.#map(1, 0, PAGES, -1, false);
  }

  #sides(): Side[] {
    return [this.#plain, this.#shared];
  }

  /** Does a call on both machines; its result, or throws where they differ. */
  #both(what: string, pid: number, call: (process: Process, side: Side) => number): number {
    const [want, got] = this.#sides().map((side) =>
      call(side.system.process(pid) as Process, side),
    ) as [number, number];
    if (want !== got)
      throw new Error(`${what} of ${pid}: ${got} with on-demand fork, plain ${want}`);
    return want;
  }

  #map(pid: number, from: number, pages: number, index: number, isShared: boolean): void {
    const flags = index < 0 ? ANON : MAP_FIXED | (isShared ? MAP_SHARED : MAP_PRIVATE);
    const rights = PROT_READ | PROT_WRITE;
    this.#both('mmap', pid, (process, side) =>
      process.mmap(
        BASE + from * PAGE,
        pages * PAGE,
        rights,
        flags,
        index < 0 ? 0 : side.object,
        Math.max(0, index) * PAGE,
      ),
    );
    this.#model.map(pid, BASE_PAGE + from, pages, index, isShared);
  }

  #agree(what: string, pid: number, got: number, want: number): void {
    if (got !== want) throw new Error(`${what} of ${pid}: ${got}, the model says ${want}`);
  }

  step(): void {
    const random = this.#random;
    const pid = random.pick(this.#pids);
    const from = random.below(PAGES);
    const isLong = random.chance(0.3);
    const pages = Math.min(PAGES - from, 1 + random.below(isLong ? 1500 : 40));
    const slot = random.below(SLOTS) * SLOT_PAGES;
    const roll = random.below(1000);
    if (roll < 60) this.#fill(pid, slot);
    else if (roll < 700) this.#touch(pid, from, pages);
    else if (roll < 730) this.#map(pid, from, pages, -1, false);
    else if (roll < 745) this.#map(pid, slot, SLOT_PAGES, -1, false);
    else if (roll < 765) this.#mapObject(pid, from, pages);
    else if (roll < 800)
      this.#unmap(pid, roll < 785 ? from : slot, roll < 785 ? pages : SLOT_PAGES);
    else if (roll < 830) this.#protect(pid, from, pages);
    else if (roll < 890) this.#advise(pid, from, pages, slot);
    else if (roll < 920) this.#move(pid, from, pages, slot);
    else if (roll < 935) this.#lock(pid, from, Math.min(pages, 30));
    else if (roll < 975) this.#fork(pid);
    else this.#exit(pid);
  }

  /** Loads and stores of a few pages. */
  #touch(pid: number, from: number, pages: number): void {
    const random = this.#random;
    const stride = random.pick([1, 1, 3, 64]);
    const count = Math.min(Math.ceil(pages / stride), 60);
    const isWrite = random.chance(0.5);
    for (let i = 0; i < count; i++) {
      const at = BASE_PAGE + from + i * stride;
      if (isWrite) this.#store(pid, at);
      else this.#load(pid, at);
    }
  }

  /** Stores to every page of a slot. */
  #fill(pid: number, slot: number): void {
    for (let i = 0; i < SLOT_PAGES; i++) this.#store(pid, BASE_PAGE + slot + i);
  }

  #store(pid: number, at: number): void {
    const value = this.#value++;
    for (const { system } of this.#sides()) {
      const name = system === this.#plain.system ? 'plain' : 'on-demand fork';
      const process = system.process(pid) as Process;
      const before = storePage(system.machine, process.mm, at, value);
      const isBad = before < 0 !== this.#model.load(pid, at) < 0;
      // A page that may be read may still not be written.
      if (before < 0) this.#agree(`store to ${at}`, pid, before, this.#refusal(pid, at));
      else if (isBad || !this.#model.isRight(pid, at, before)) {
        throw new Error(`store to ${at} of ${pid} found ${before}: ${name}`);
      }
    }
    this.#model.store(pid, at, value);
  }

  #refusal(pid: number, at: number): number {
    return this.#model.mayWrite(pid, at) ? 0 : -1;
  }

  #load(pid: number, at: number): void {
    const found = this.#sides().map(({ system }) =>
      loadPage(system.machine, (system.process(pid) as Process).mm, at),
    );
    for (const word of found) {
      if (this.#model.isRight(pid, at, word)) continue;
      throw new Error(`load of ${at} of ${pid} found ${found}, the model has another`);
    }
  }

  #mapObject(pid: number, from: number, pages: number): void {
    const count = Math.min(pages, OBJECT_PAGES);
    const index = this.#random.below(OBJECT_PAGES - count + 1);
    this.#map(pid, from, count, index, this.#random.chance(0.5));
  }

  #unmap(pid: number, from: number, pages: number): void {
    this.#both('munmap', pid, (process) => process.munmap(BASE + from * PAGE, pages * PAGE));
    this.#model.unmap(pid, BASE_PAGE + from, pages);
  }

  #protect(pid: number, from: number, pages: number): void {
    const prot = this.#random.pick([0, PROT_READ, 3, 3]);
    const got = this.#both('mprotect', pid, (process) =>
      process.mprotect(BASE + from * PAGE, pages * PAGE, prot),
    );
    this.#agree('mprotect', pid, got, this.#model.protect(pid, BASE_PAGE + from, pages, prot));
  }

  #advise(pid: number, from: number, pages: number, slot: number): void {
    const isSlot = this.#random.chance(0.3);
    const at = isSlot ? slot : from;
    const count = isSlot ? SLOT_PAGES : pages;
    const kinds = ['zap', 'zap', 'free', 'guard', 'open', 'cold', 'out'] as const;
    const kind = this.#random.pick(kinds);
    const advice = {
      zap: MADV_DONTNEED,
      free: MADV_FREE,
      guard: MADV_GUARD_INSTALL,
      open: MADV_GUARD_REMOVE,
      cold: MADV_COLD,
      out: MADV_PAGEOUT,
    }[kind];
    const isAnonymous = this.#model.isAnonymous(pid, BASE_PAGE + at, count);
    // What objects' pages and holes do to advice is another test's business.
    if (!isAnonymous) return;
    // Advice ends at the first locked area, with what came before it done.
    this.#both('munlock', pid, (process) => process.munlock(BASE + at * PAGE, count * PAGE));
    const got = this.#both(`madvise ${kind}`, pid, (process) =>
      process.madvise(BASE + at * PAGE, count * PAGE, advice),
    );
    if (kind === 'cold' || kind === 'out') return;
    this.#agree('madvise', pid, got, this.#model.advise(pid, BASE_PAGE + at, count, kind));
  }

  #move(pid: number, from: number, pages: number, slot: number): void {
    const isSlot = this.#random.chance(0.5);
    const at = isSlot ? slot : from;
    const count = isSlot ? SLOT_PAGES : pages;
    const to = isSlot
      ? this.#random.below(SLOTS) * SLOT_PAGES
      : this.#random.below(PAGES - count + 1);
    if (at + count > to && to + count > at) return;
    const got = this.#both('mremap', pid, (process) =>
      process.mremap(
        BASE + at * PAGE,
        count * PAGE,
        count * PAGE,
        MREMAP_MAYMOVE | MREMAP_FIXED,
        BASE + to * PAGE,
      ),
    );
    const want = this.#model.move(pid, BASE_PAGE + at, BASE_PAGE + to, count);
    if (got < 0 || want < 0) this.#agree('mremap', pid, Math.min(got, 0), Math.min(want, 0));
  }

  #lock(pid: number, from: number, pages: number): void {
    const isUnlock = this.#random.chance(0.6);
    // Locked memory is populated: a private mapping gets its own copies of an object's pages.
    if (!isUnlock && !this.#model.isAnonymous(pid, BASE_PAGE + from, pages)) return;
    this.#both('mlock', pid, (process) => {
      const [addr, len] = [BASE + from * PAGE, pages * PAGE];
      return isUnlock ? process.munlock(BASE, PAGES * PAGE) : process.mlock(addr, len);
    });
  }

  #fork(pid: number): void {
    if (this.#pids.length >= 5) {
      this.#exit(this.#pids[0] as number);
      return;
    }
    const child = this.#nextPid++;
    for (const { system } of this.#sides()) {
      const made = system.fork(system.process(pid) as Process, child);
      if (made === undefined) throw new Error('fork: out of memory');
    }
    this.#model.fork(pid, child);
    this.#pids.push(child);
  }

  #exit(pid: number): void {
    if (this.#pids.length === 1) return;
    for (const { system } of this.#sides()) system.exit(system.process(pid) as Process);
    this.#model.exit(pid);
    this.#pids.splice(this.#pids.indexOf(pid), 1);
  }

  /** Frames move to other places, tables among them where they can. */
  migrateSome(): void {
    const m = this.#shared.system.machine;
    const frames = (this.#plan.memoryMiB * MIB) / PAGE;
    for (let i = 0; i < 300; i++) migrateFrame(m, 1024 + this.#random.below(frames - 1024));
  }

  check(): void {
    for (const { system } of this.#sides()) {
      validateMachine(system.machine);
      for (const process of system.processes()) this.#swapped += process.counters().vmSwapKiB / 4;
    }
  }

  /** Every word of every process. */
  readAll(): void {
    for (const pid of this.#pids) for (const at of this.#model.mapped(pid)) this.#load(pid, at);
  }

  finish(): ForkProgramsResult {
    for (const pid of [...this.#pids]) {
      this.check();
      for (const { system } of this.#sides()) system.exit(system.process(pid) as Process);
    }
    const { sharing } = this.#shared.system.machine;
    for (const { system } of this.#sides()) validateMachine(system.machine);
    if (sharing === null) throw new Error('nothing was shared');
    if (sharing.counts.entries() !== 0) throw new Error('a table is still shared');
    const { shares, unshared, takenOver, dropped } = sharing.work;
    return { wrong: null, shares, unshared, takenOver, dropped, swapped: this.#swapped };
  }
}

function makeSide({ memoryMiB, huge }: ForkPrograms): Side {
  const system = new System({
    nodeBytes: [memoryMiB * MIB],
    swapBytes: 512 * MIB,
    bufferMiB: 64,
    hasContents: true,
    ...(huge === undefined ? {} : { huge }),
  });
  return { system, object: system.createObject(OBJECT_SHMEM, OBJECT_PAGES * PAGE) };
}

/** One run; `wrong` says what was, where anything was. */
export function runForkPrograms(plan: ForkPrograms): ForkProgramsResult {
  const nothing = { shares: 0, unshared: 0, takenOver: 0, dropped: 0, swapped: 0 };
  let step = 0;
  try {
    const programs = new Programs(plan);
    for (step = 1; step <= plan.steps; step++) {
      programs.step();
      if (plan.movesTables === true && step % 50 === 0) programs.migrateSome();
      if (step % 250 === 0) programs.check();
      if (step % 500 === 0) programs.readAll();
    }
    return programs.finish();
  } catch (error) {
    return { ...nothing, wrong: `step ${step}: ${(error as Error).stack}` };
  }
}
