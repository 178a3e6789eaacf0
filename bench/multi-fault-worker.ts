import { parentPort, workerData } from 'node:worker_threads';
import { MADV_DONTNEED } from '../src/base/index.ts';
import {
  fault,
  goOffline,
  goOnline,
  LINUX_6_18,
  Machine,
  Process,
  System,
  X86_64_4LEVEL,
} from '../src/engine/index.ts';
import { T_COUNT } from '../src/engine/tables/table.ts';
import { findLeaf } from '../src/engine/tables/walk.ts';
import { type Clock, threadClock } from './thread-clock.ts';

/**
 * A thread of `multi-fault`: touches and drops a range of its own in the one address space again and
 * again. Of each table one
 * page stays, so tables keep their entries in an array, with and without the count. This file runs
 * from a copy of the engine (engine-build.ts).
 */
export interface MultiFaultStart {
  readonly buffer: SharedArrayBuffer;
  readonly cpu: number;
  readonly mm: number;
  /** A multiple of 1 GiB; `slots` tables from there on. */
  readonly addr: number;
  readonly slots: number;
  /** koffi's main module, for the thread's clock; null: wall time. */
  readonly koffiPath: string | null;
}

export interface MultiFaultAnswer {
  readonly faults: number;
  readonly touchNs: number;
  readonly dropNs: number;
  /** Count of the first table when all was touched: all entries, or what it was once. */
  readonly count: number;
}

const TABLE_PAGES = 512;
/** Pages of a table that come and go. */
export const DROPPED_PAGES: number = TABLE_PAGES - 1;
const PAGE_BYTES = 4096;

class Range {
  readonly #process: Process;
  readonly #machine: Machine;
  readonly #hi: number;
  readonly #start: MultiFaultStart;
  readonly #clock: Clock;

  constructor(start: MultiFaultStart) {
    this.#start = start;
    this.#machine = Machine.attach(start.buffer, start.cpu, X86_64_4LEVEL, LINUX_6_18);
    this.#process = new Process(new System(this.#machine), 1, start.mm);
    this.#hi = start.addr / PAGE_BYTES / this.#machine.loPages;
    this.#clock = threadClock(start.koffiPath);
    for (let slot = 0; slot < start.slots; slot++) {
      fault(this.#machine, start.mm, this.#hi, slot * TABLE_PAGES + DROPPED_PAGES, true);
    }
  }

  run(rounds: number): MultiFaultAnswer {
    const { mm, slots } = this.#start;
    const clock = this.#clock;
    let faults = 0;
    let touchNs = 0;
    let dropNs = 0;
    let count = 0;
    goOnline(this.#machine);
    for (let round = 0; round < rounds; round++) {
      const startNs = clock();
      faults += touchAll(this.#machine, mm, this.#hi, slots);
      const touchedNs = clock();
      count = this.#firstCount();
      const droppingNs = clock();
      this.#drop();
      dropNs += clock() - droppingNs;
      touchNs += touchedNs - startNs;
    }
    goOffline(this.#machine);
    if (faults !== rounds * slots * DROPPED_PAGES) throw new Error(`${faults} faults`);
    return { faults, touchNs, dropNs, count };
  }

  #drop(): void {
    const { addr, slots } = this.#start;
    for (let slot = 0; slot < slots; slot++) {
      const at = addr + slot * TABLE_PAGES * PAGE_BYTES;
      this.#process.madvise(at, DROPPED_PAGES * PAGE_BYTES, MADV_DONTNEED);
    }
  }

  #firstCount(): number {
    const m = this.#machine;
    return m.words[findLeaf(m, this.#start.mm, this.#hi, 0) + T_COUNT]!;
  }
}

/** Results add up to the number of faults only if each touch was one. */
function touchAll(m: Machine, mm: number, hi: number, slots: number): number {
  let faults = 0;
  for (let slot = 0; slot < slots; slot++) {
    const from = slot * TABLE_PAGES;
    for (let lo = from; lo < from + DROPPED_PAGES; lo++) faults += fault(m, mm, hi, lo, true);
  }
  return faults;
}

const port = parentPort;
if (port !== null) {
  const range = new Range(workerData as MultiFaultStart);
  port.on('message', (rounds: number | null) => {
    if (rounds === null) port.close();
    else port.postMessage(range.run(rounds));
  });
}
