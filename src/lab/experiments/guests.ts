import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
  Random,
} from '../../base/index.ts';
import {
  FAULT_NONE,
  guestCreate,
  guestFaults,
  guestTouch,
  OBJECT_SHMEM,
  type Process,
  runKswapd,
  System,
  secPageTablesKiB,
  type Vmstat,
} from '../../engine/index.ts';
import { attachMechanisms, type Kernel, parseKernel } from '../kernels.ts';

/**
 * Virtual machines whose second-level tables are full of valid entries, on a host that runs short of
 * memory: the case of "A Case for Page Table Reclaim" that counting references does not help. All
 * guests touch all of their memory, which is pinned; then a program of the host grows beyond what is
 * left, while some guests work and the others idle. The sizes are ours.
 */
export interface GuestSettings {
  readonly memoryMiB: number;
  readonly swapMiB: number;
  readonly guests: number;
  readonly guestMiB: number;
  /** Guests that go on working, the first ones. */
  readonly busy: number;
  /** What the host's program grows by in all, in so many steps. */
  readonly growMiB: number;
  readonly steps: number;
  /** Accesses of the busy guests in each step. */
  readonly accesses: number;
}

export const GUEST_DEFAULTS: GuestSettings = {
  memoryMiB: 1024,
  swapMiB: 1024,
  guests: 6,
  guestMiB: 128,
  busy: 2,
  growMiB: 512,
  steps: 64,
  accesses: 2000,
};

export interface GuestPoint {
  readonly step: number;
  /** Second-level tables of all guests, and the pool with those that are compressed. */
  readonly tablesKiB: number;
  readonly poolKiB: number;
  /** Tables that accesses of guests brought back, so far. */
  readonly refaults: number;
  readonly hostSwapKiB: number;
}

export interface GuestOutcome {
  readonly kernel: string;
  readonly seed: number;
  /** What the guests' tables take when all of their memory is mapped. */
  readonly fullKiB: number;
  readonly series: readonly GuestPoint[];
  /** Guests' pages, and how many of them were where they had been when all was over. */
  readonly pages: number;
  readonly pagesKept: number;
  /** Second answers to violations: pages that a guest had and lost. */
  readonly lost: number;
  readonly oomKills: number;
  readonly reclaim: Vmstat;
}

const MIB_PAGES = 256;
const PAGE = 4096;
const HOST_AT = 0x100000000000;
const HOST_PID = 1;

/** The experiment under a kernel; the seed decides in which order guests touch what. */
export function runGuests(
  kernelName: string,
  seed: number,
  settings: Partial<GuestSettings> = {},
): GuestOutcome {
  const all = { ...GUEST_DEFAULTS, ...settings };
  const host = new Host(parseKernel(kernelName), seed, all);
  host.fill();
  const fullKiB = secPageTablesKiB(host.system.machine);
  const series = [host.point(0)];
  for (let step = 1; step <= all.steps; step++) {
    host.grow(step);
    host.work();
    series.push(host.point(step));
  }
  const outcome = { kernel: kernelName, seed, fullKiB, series, ...host.survivors() };
  host.system.machine.release();
  return outcome;
}

class Host {
  readonly system: System;
  readonly #kernel: Kernel;
  readonly #settings: GuestSettings;
  readonly #random: Random;
  readonly #guests: readonly number[];
  readonly #pages: number;
  readonly #program: Process;

  constructor(kernel: Kernel, seed: number, settings: GuestSettings) {
    this.#kernel = kernel;
    this.#settings = settings;
    this.#random = new Random(seed);
    this.#pages = settings.guestMiB * MIB_PAGES;
    const { memoryMiB, swapMiB } = settings;
    this.system = new System({
      nodeBytes: [memoryMiB * 2 ** 20],
      swapBytes: swapMiB * 2 ** 20,
      rules: kernel.rules,
      bufferMiB: 512,
    });
    const { machine } = this.system;
    attachMechanisms(machine, kernel, seed);
    machine.kswapd.isAttached = true;
    this.#guests = Array.from({ length: settings.guests }, () =>
      guestCreate(machine, this.system.createObject(OBJECT_SHMEM, this.#pages * PAGE), 0),
    );
    this.#program = this.system.spawn(HOST_PID);
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    this.#program.mmap(HOST_AT, settings.growMiB * 2 ** 20, PROT_READ | PROT_WRITE, flags);
  }

  /** All guests touch all of their memory, a few pages each in turn. */
  fill(): void {
    const { machine } = this.system;
    const next = this.#guests.map(() => 0);
    let left = this.#guests.length * this.#pages;
    while (left > 0) {
      const at = this.#random.below(this.#guests.length);
      const from = next[at] as number;
      const to = Math.min(this.#pages, from + 1 + this.#random.below(64));
      for (let page = from; page < to; page++) {
        guestTouch(machine, this.#guests[at] as number, page, true);
      }
      next[at] = to;
      left -= to - from;
      runKswapd(machine);
    }
  }

  /** The host's program writes to its next part, page by page. */
  grow(step: number): void {
    const { growMiB, steps } = this.#settings;
    const total = growMiB * MIB_PAGES;
    const to = Math.floor((total * step) / steps);
    for (let page = Math.floor((total * (step - 1)) / steps); page < to; page++) {
      this.#program.touch(HOST_AT + page * PAGE, true);
      runKswapd(this.system.machine);
    }
  }

  /** The busy guests' accesses: low pages far more often than high ones, by the cube of a chance. */
  work(): void {
    const { busy, accesses } = this.#settings;
    for (let i = 0; i < accesses; i++) {
      const guest = this.#guests[this.#random.below(busy)] as number;
      const chance = this.#random.uint32() / 2 ** 32;
      const page = Math.floor(this.#pages * chance ** 3);
      guestTouch(this.system.machine, guest, page, this.#random.chance(0.3));
      runKswapd(this.system.machine);
    }
  }

  point(step: number): GuestPoint {
    const { machine } = this.system;
    const tables: Record<string, number> = {};
    for (const { counters } of this.#kernel.mechanisms) {
      if (counters !== undefined) Object.assign(tables, counters(machine));
    }
    const { poolKiB = 0, refaults = 0 } = tables;
    const hostSwapKiB = this.system.process(HOST_PID)?.counters().vmSwapKiB ?? 0;
    return { step, tablesKiB: secPageTablesKiB(machine), poolKiB, refaults, hostSwapKiB };
  }

  /** Every guest reads every page once more. */
  survivors(): Omit<GuestOutcome, 'kernel' | 'seed' | 'fullKiB' | 'series'> {
    const { machine, oomKilled } = this.system;
    const reclaim = { ...machine.vmstat };
    let pagesKept = 0;
    let answered = 0;
    for (const guest of this.#guests) {
      for (let page = 0; page < this.#pages; page++) {
        if (guestTouch(machine, guest, page, false) === FAULT_NONE) pagesKept++;
        runKswapd(machine);
      }
      answered += guestFaults(machine, guest);
    }
    const pages = this.#guests.length * this.#pages;
    return { pages, pagesKept, lost: answered - pages, oomKills: oomKilled.length, reclaim };
  }
}
