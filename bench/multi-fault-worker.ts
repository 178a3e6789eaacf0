import { parentPort, workerData } from 'node:worker_threads';
import { MADV_DONTNEED } from '../src/base/index.ts';
import {
  fault,
  goOffline,
  goOnline,
  LINUX_6_18,
  Machine,
  type Mechanism,
  Process,
  pteRef,
  pteRefLock,
  pteRefPercpu,
  System,
  X86_64_4LEVEL,
} from '../src/engine/index.ts';
import { T_COUNT, T_STATE } from '../src/engine/tables/table.ts';
import { sumRefs, T_COUNTED } from '../src/engine/tables/table-refs.ts';
import { findLeaf } from '../src/engine/tables/walk.ts';
import { type Clock, threadClock } from './thread-clock.ts';

/**
 * A thread of `multi-fault`: touches and drops a range of its own in the one address space again and
 * again. Of each table one page stays, so tables keep their entries in an array, with and without the
 * count. This file runs from a copy of the engine (engine-build.ts).
 */
export interface MultiFaultStart {
  readonly buffer: SharedArrayBuffer;
  readonly cpu: number;
  readonly mm: number;
  /** A multiple of 1 GiB; `slots` tables from there on. */
  readonly addr: number;
  readonly slots: number;
  /** Which way references are kept, by the mechanism's id; null: the engine attaches nothing. */
  readonly way: string | null;
  /** koffi's main module, for the thread's clock; null: wall time. */
  readonly koffiPath: string | null;
}

export interface MultiFaultAnswer {
  readonly faults: number;
  readonly touchNs: number;
  readonly dropNs: number;
  /** Count of the first table when all was touched: all entries, or what it was once. */
  readonly count: number;
  /** All references to that table then; null where none are kept beside the count. */
  readonly refs: number | null;
}

const WAYS: readonly Mechanism[] = [pteRefLock, pteRef, pteRefPercpu];

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
    if (start.way !== null) wayById(start.way).attach(this.#machine);
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
    let refs: number | null = null;
    goOnline(this.#machine);
    for (let round = 0; round < rounds; round++) {
      const startNs = clock();
      faults += touchAll(this.#machine, mm, this.#hi, slots);
      const touchedNs = clock();
      const table = findLeaf(this.#machine, mm, this.#hi, 0);
      count = this.#machine.words[table + T_COUNT]!;
      refs = this.#refsOf(table);
      const droppingNs = clock();
      this.#drop();
      dropNs += clock() - droppingNs;
      touchNs += touchedNs - startNs;
    }
    goOffline(this.#machine);
    if (faults !== rounds * slots * DROPPED_PAGES) throw new Error(`${faults} faults`);
    return { faults, touchNs, dropNs, count, refs };
  }

  #drop(): void {
    const { addr, slots } = this.#start;
    for (let slot = 0; slot < slots; slot++) {
      const at = addr + slot * TABLE_PAGES * PAGE_BYTES;
      this.#process.madvise(at, DROPPED_PAGES * PAGE_BYTES, MADV_DONTNEED);
    }
  }

  #refsOf(table: number): number | null {
    const isCounted = (this.#machine.words[table + T_STATE]! & T_COUNTED) !== 0;
    return isCounted ? sumRefs(this.#machine, table) : null;
  }
}

function wayById(id: string): Mechanism {
  const way = WAYS.find((mechanism) => mechanism.id === id);
  if (way === undefined) throw new Error(`no way '${id}' to keep references`);
  return way;
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
