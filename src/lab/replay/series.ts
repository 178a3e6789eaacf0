import {
  addCounters,
  type Counters,
  GAUGE_NAMES,
  readGauges,
  type System,
  zeroCounters,
} from '../../engine/index.ts';
import type { Sample } from '../../trace/index.ts';
import type { PeakTracker } from './peak.ts';
import type { MechanismCounters, SeriesPoint } from './result.ts';

const VM_PTE_GAUGE: number = GAUGE_NAMES.indexOf('vmPteKiB');
const PTE_TABLES_GAUGE: number = GAUGE_NAMES.indexOf('pteTables');
const EMPTY_TABLES_GAUGE: number = GAUGE_NAMES.indexOf('emptyTables');
const PRESENT_PAGES_GAUGE: number = GAUGE_NAMES.indexOf('presentPages');
const RSS_ANON_GAUGE: number = GAUGE_NAMES.indexOf('rssAnonKiB');
const RSS_FILE_GAUGE: number = GAUGE_NAMES.indexOf('rssFileKiB');
const RSS_SHMEM_GAUGE: number = GAUGE_NAMES.indexOf('rssShmemKiB');

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
  readonly #mainPid: number;
  readonly #main = new Float64Array(GAUGE_NAMES.length);
  readonly totals: PeakTracker;
  readonly #gauges: () => MechanismCounters;
  #step = 16;
  #next = 0;

  /** `gauges`: what mechanisms measure at a point. */
  constructor(
    system: System,
    totals: PeakTracker,
    mainPid: number,
    gauges: () => MechanismCounters = () => ({}),
  ) {
    this.#system = system;
    this.totals = totals;
    this.#mainPid = mainPid;
    this.#gauges = gauges;
  }

  /** The event number at which the next point is due. */
  get nextDue(): number {
    return this.#next;
  }

  add(t: number, event: number, recorded?: Sample): void {
    const { totals } = this;
    totals.lookAtAll();
    const point: SeriesPoint = {
      t,
      event,
      vmPteKiB: totals.total(VM_PTE_GAUGE),
      pteTables: totals.total(PTE_TABLES_GAUGE),
      emptyTables: totals.total(EMPTY_TABLES_GAUGE),
      presentPages: totals.total(PRESENT_PAGES_GAUGE),
      rssAnonKiB: totals.total(RSS_ANON_GAUGE),
      rssFileKiB: totals.total(RSS_FILE_GAUGE),
      rssShmemKiB: totals.total(RSS_SHMEM_GAUGE),
      ...this.#gauges(),
    };
    const main = this.#system.process(this.#mainPid);
    if (main !== undefined) {
      readGauges(main.machine, main.mm, this.#main);
      point.main = {
        vmPteKiB: this.#main[VM_PTE_GAUGE] as number,
        emptyTables: this.#main[EMPTY_TABLES_GAUGE] as number,
        rssAnonKiB: this.#main[RSS_ANON_GAUGE] as number,
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
