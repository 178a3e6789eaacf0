import {
  type Counters,
  GAUGE_NAMES,
  type Process,
  readGauges,
  type System,
} from '../../engine/index.ts';

/** Gauges of an address space, and the look at all that saw it last. */
interface Seen {
  readonly gauges: Float64Array;
  round: number;
}

/**
 * The highest totals over all processes, field by field. Touches only add (unless memory is short),
 * so it is enough to look at a process before each of its events that may take away, and at all of
 * them now and then.
 */
export class PeakTracker {
  readonly #system: System;
  /** Gauges of each address space as last seen, and their sums and maxima. */
  readonly #seen = new Map<number, Seen>();
  readonly #sums = new Float64Array(GAUGE_NAMES.length);
  readonly #peaks = new Float64Array(GAUGE_NAMES.length);
  /** Number of the last look at all. */
  #round = 0;
  readonly #now = new Float64Array(GAUGE_NAMES.length);

  constructor(system: System) {
    this.#system = system;
  }

  /** Takes in what one process has grown by. */
  look(process: Process): void {
    let seen = this.#seen.get(process.mm);
    if (seen === undefined) {
      seen = { gauges: new Float64Array(GAUGE_NAMES.length), round: 0 };
      this.#seen.set(process.mm, seen);
    }
    seen.round = this.#round;
    const { gauges } = seen;
    readGauges(process.machine, process.mm, this.#now);
    for (let i = 0; i < gauges.length; i++) {
      const change = (this.#now[i] as number) - (gauges[i] as number);
      if (change === 0) continue;
      gauges[i] = this.#now[i] as number;
      const sum = (this.#sums[i] as number) + change;
      this.#sums[i] = sum;
      if (sum > (this.#peaks[i] as number)) this.#peaks[i] = sum;
    }
  }

  /** Looks at all processes anew: some may be gone. */
  lookAtAll(): void {
    this.#round += 1;
    let processes = 0;
    for (const process of this.#system.processes()) {
      this.look(process);
      processes++;
    }
    if (this.#seen.size !== processes) this.#forgetEnded();
  }

  #forgetEnded(): void {
    for (const [mm, seen] of this.#seen) {
      if (seen.round === this.#round) continue;
      for (let i = 0; i < seen.gauges.length; i++) {
        this.#sums[i] = (this.#sums[i] as number) - (seen.gauges[i] as number);
      }
      this.#seen.delete(mm);
    }
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
