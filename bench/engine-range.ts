import {
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from '../src/base/index.ts';
import { fault, type Machine, type Process } from '../src/engine/index.ts';
import type { Plan } from './orders.ts';

const PAGE_BYTES = 4096;
/** A multiple of 1 GiB, far from everything else. */
export const RANGE_ADDR = 0x100000000000;

/** Private anonymous memory of a modelled process, and the touches of a plan. */
export class EngineRange {
  readonly #process: Process;
  readonly #plan: Plan;
  readonly #addr: number;

  /** The areas must have been mapped (`mapAreas`); another thread may have done that. */
  constructor(process: Process, plan: Plan, addr: number = RANGE_ADDR) {
    this.#process = process;
    this.#plan = plan;
    this.#addr = addr;
  }

  static mapAreas(process: Process, plan: Plan, addr: number = RANGE_ADDR): void {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    for (const [first, pages] of plan.areas) {
      const at = addr + first * PAGE_BYTES;
      const result = process.mmap(at, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, flags);
      if (result !== at) throw new Error(`engine: mmap gave ${result}`);
    }
  }

  /** Touches every page, which must be absent, by one call of the fault handler each; ms. */
  touch(isWrite: boolean): number {
    const { machine, mm } = this.#process;
    const { order } = this.#plan;
    const hi = Math.floor(this.#addr / PAGE_BYTES / machine.loPages);
    const startMs = performance.now();
    const faults = faultEach(machine, mm, hi, order, isWrite);
    const elapsedMs = performance.now() - startMs;
    if (faults !== order.length) {
      throw new Error(`engine: ${faults} faults for ${order.length} touches`);
    }
    return elapsedMs;
  }

  /** MADV_DONTNEED of the whole range, in calls of so many pages; ms. */
  zap(callPages: number = this.#plan.spanPages): number {
    const { spanPages } = this.#plan;
    const process = this.#process;
    const addr = this.#addr;
    const startMs = performance.now();
    for (let page = 0; page < spanPages; page += callPages) {
      process.madvise(addr + page * PAGE_BYTES, callPages * PAGE_BYTES, MADV_DONTNEED);
    }
    return performance.now() - startMs;
  }

  close(): void {
    this.zap();
  }
}

/**
 * One call a page, as hardware would make them: `touchRange` would take whole tables at a time.
 * Results add up to the number of faults only if each was one (FAULT_DONE).
 */
function faultEach(
  m: Machine,
  mm: number,
  hi: number,
  order: Int32Array,
  isWrite: boolean,
): number {
  const loBits = 2 * m.bits;
  const loMask = m.loPages - 1;
  let faults = 0;
  for (let i = 0; i < order.length; i++) {
    const page = order[i]!;
    faults += fault(m, mm, hi + (page >> loBits), page & loMask, isWrite);
  }
  return faults;
}
