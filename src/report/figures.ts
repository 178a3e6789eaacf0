import type { RunDocument, RunResult, SeriesPoint } from '../lab/index.ts';

/** What is told of one kernel. Totals over all processes, KiB, tables, events. */
export interface KernelFigures {
  kernel: string;
  vmPte: Levels;
  emptyTables: Levels;
  /** Anonymous, file and shared pages together. */
  rss: Levels;
  peakRssAnonKiB: number;
  peakRssFileKiB: number;
  peakRssShmemKiB: number;
  /** PTE tables given back while their area stayed. */
  tablesFreed: number;
  faults: number;
  cowFaults: number;
  oomKills: number;
  elapsedMs: number;
  eventsPerSecond: number;
}

/** A curve in three numbers. */
export interface Levels {
  /** Over the time in which a process lived. */
  mean: number;
  peak: number;
  /** At the moment that `lastMoment` chooses: programs end, and then nothing is left. */
  last: number;
}

export function figuresOf(run: RunResult): KernelFigures {
  const { series, peak, final } = run;
  return {
    kernel: run.kernel,
    vmPte: levels(series, (p) => p.vmPteKiB, peak.vmPteKiB),
    emptyTables: levels(series, (p) => p.emptyTables, peak.emptyTables),
    rss: levels(series, rssKiB, 0),
    peakRssAnonKiB: peak.rssAnonKiB,
    peakRssFileKiB: peak.rssFileKiB,
    peakRssShmemKiB: peak.rssShmemKiB,
    tablesFreed: final.tablesFreed,
    faults: final.faults,
    cowFaults: final.cowFaults,
    oomKills: final.oomKills,
    elapsedMs: run.elapsedMs,
    eventsPerSecond: run.eventsPerSecond,
  };
}

export function rssKiB(point: SeriesPoint): number {
  return point.rssAnonKiB + point.rssFileKiB + point.rssShmemKiB;
}

/**
 * True if the points stand at recorded times; else `t` is the number of the event. The last point
 * does not count: it stands after the last event, at the time of the one before.
 */
export function isTimed(run: RunResult): boolean {
  return run.series.slice(0, -1).some((point) => point.t !== point.event);
}

/** The last sample that found a process, else the last point at which one lived. */
export function lastMoment(series: readonly SeriesPoint[]): SeriesPoint | undefined {
  return series.findLast((p) => p.recorded !== undefined && isAlive(p)) ?? series.findLast(isAlive);
}

/**
 * The run to measure the others by: the named one, else the one that agrees best with the
 * recorded VmPTE. Among equals one without mechanisms, and of those the last.
 */
export function referenceRun(document: RunDocument, kernel?: string): RunResult | undefined {
  const named = document.runs.find((run) => run.kernel === kernel);
  if (named !== undefined) return named;
  let best: RunResult | undefined;
  for (const run of document.runs) if (best === undefined || !isBehind(run, best)) best = run;
  return best;
}

/** By VmPTE, then by all fields of the samples, then a base by itself is before one with more to it. */
function isBehind(run: RunResult, other: RunResult): boolean {
  const isPlain = ({ kernel }: RunResult): number => (/[+[]/.test(kernel) ? 0 : 1);
  const order =
    vmPteExact(run) - vmPteExact(other) ||
    allExact(run) - allExact(other) ||
    isPlain(run) - isPlain(other);
  return order < 0;
}

function allExact({ truth }: RunResult): number {
  return Object.values(truth.fields).reduce((sum, { exact }) => sum + exact, 0);
}

/** Runs that agree with the recording as well as the reference does, itself included. */
export function equallyGood(document: RunDocument, reference: RunResult): RunResult[] {
  return document.runs.filter((run) => vmPteExact(run) === vmPteExact(reference));
}

function vmPteExact(run: RunResult): number {
  return run.truth.fields.vmPteKiB?.exact ?? 0;
}

function levels(
  series: readonly SeriesPoint[],
  value: (point: SeriesPoint) => number,
  peak: number,
): Levels {
  const last = lastMoment(series);
  return {
    mean: mean(series, value),
    peak: series.reduce((max, point) => Math.max(max, value(point)), peak),
    last: last === undefined ? 0 : value(last),
  };
}

/** A value holds from its point to the next; time without any process does not count. */
function mean(series: readonly SeriesPoint[], value: (point: SeriesPoint) => number): number {
  let sum = 0;
  let span = 0;
  for (const [at, point] of series.entries()) {
    const next = series[at + 1];
    if (next === undefined || !isAlive(point)) continue;
    sum += value(point) * (next.t - point.t);
    span += next.t - point.t;
  }
  if (span > 0) return sum / span;
  const alive = series.filter(isAlive);
  return alive.reduce((total, p) => total + value(p), 0) / Math.max(1, alive.length);
}

function isAlive(point: SeriesPoint): boolean {
  return point.pteTables > 0;
}
