import {
  type Counters,
  GAUGE_NAMES,
  type Process,
  readGauges,
  type System,
} from '../../engine/index.ts';

/**
 * The highest totals over all processes, field by field. Touches only add (unless memory is short),
 * so it is enough to look at a process before each of its events that may take away, and at all of
 * them now and then.
 */
export class PeakTracker {
  readonly #system: System;
  /** Gauges of each address space as last seen, and their sums and maxima. */
  readonly #seen = new Map<number, Float64Array>();
  readonly #sums = new Float64Array(GAUGE_NAMES.length);
  readonly #peaks = new Float64Array(GAUGE_NAMES.length);
  readonly #stale = new Set<number>();
  readonly #now = new Float64Array(GAUGE_NAMES.length);

  constructor(system: System) {
    this.#system = system;
  }

  /** Takes in what one process has grown by. */
  look(process: Process): void {
    let seen = this.#seen.get(process.mm);
    if (seen === undefined) {
      seen = new Float64Array(GAUGE_NAMES.length);
      this.#seen.set(process.mm, seen);
    }
    readGauges(process.machine, process.mm, this.#now);
    for (let i = 0; i < seen.length; i++) {
      const value = this.#now[i] as number;
      const sum = (this.#sums[i] as number) + value - (seen[i] as number);
      seen[i] = value;
      this.#sums[i] = sum;
      if (sum > (this.#peaks[i] as number)) this.#peaks[i] = sum;
    }
  }

  /** Looks at all processes anew: some may be gone. */
  lookAtAll(): void {
    for (const mm of this.#seen.keys()) this.#stale.add(mm);
    for (const process of this.#system.processes()) {
      this.#stale.delete(process.mm);
      this.look(process);
    }
    for (const mm of this.#stale) this.#forget(mm);
    this.#stale.clear();
  }

  #forget(mm: number): void {
    const seen = this.#seen.get(mm) as Float64Array;
    for (let i = 0; i < seen.length; i++) {
      this.#sums[i] = (this.#sums[i] as number) - (seen[i] as number);
    }
    this.#seen.delete(mm);
  }

  /** Total of a gauge (its place in GAUGE_NAMES) as of the last looks. */
  total(gauge: number): number {
    return this.#sums[gauge] as number;
  }

  /** Writes the maxima into counters. */
  raise(counters: Counters): void {
    for (const [i, name] of GAUGE_NAMES.entries()) counters[name] = this.#peaks[i] as number;
  }
}
