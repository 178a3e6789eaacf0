import { addCounters, type Counters, type System, zeroCounters } from '../../engine/index.ts';
import type { Sample } from '../../trace/index.ts';
import type { SeriesPoint } from './result.ts';

/** Points kept at most; beyond it every second one is dropped and the step doubles. */
const POINTS_MAX = 800;

/** Totals of all processes. */
export function totalsOf(system: System): Counters {
  const totals = zeroCounters();
  const seen = new Set<number>();
  for (const process of system.processes()) {
    // Processes of a vfork share one address space: it counts once.
    if (seen.has(process.mm)) continue;
    seen.add(process.mm);
    addCounters(totals, process.counters());
  }
  return totals;
}

/** The curves of a replay: a point every so many events, fewer as it gets long. */
export class Series {
  readonly points: SeriesPoint[] = [];
  readonly #system: System;
  #mainPid: number;
  #step = 16;
  #next = 0;

  constructor(system: System, mainPid: number) {
    this.#system = system;
    this.#mainPid = mainPid;
  }

  /** The event number at which the next point is due. */
  get nextDue(): number {
    return this.#next;
  }

  add(t: number, event: number, recorded?: Sample): void {
    const totals = totalsOf(this.#system);
    const point: SeriesPoint = {
      t,
      event,
      vmPteKiB: totals.vmPteKiB,
      pteTables: totals.pteTables,
      emptyTables: totals.emptyTables,
      presentPages: totals.presentPages,
      rssAnonKiB: totals.rssAnonKiB,
      rssFileKiB: totals.rssFileKiB,
      rssShmemKiB: totals.rssShmemKiB,
    };
    const main = this.#system.process(this.#mainPid)?.counters();
    if (main !== undefined) {
      point.main = {
        vmPteKiB: main.vmPteKiB,
        emptyTables: main.emptyTables,
        rssAnonKiB: main.rssAnonKiB,
      };
    }
    if (recorded !== undefined) point.recorded = { ...recorded };
    this.points.push(point);
    this.#next = event + this.#step;
    if (this.points.length >= POINTS_MAX) this.#thin();
  }

  #thin(): void {
    const kept = this.points.filter((p, at) => at % 2 === 0 || p.recorded !== undefined);
    this.points.length = 0;
    this.points.push(...kept);
    this.#step *= 2;
  }
}
