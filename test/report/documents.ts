import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseKernel, type RunDocument, type RunResult, replay } from '../../src/lab/index.ts';
import type { SeriesPoint } from '../../src/lab/replay/result.ts';
import { openTrace, type TraceReader } from '../../src/trace/index.ts';

const RECORDINGS = fileURLToPath(new URL('../../../recordings/', import.meta.url));

export function openRecording(name: string): TraceReader {
  return openTrace(name, [readFileSync(`${RECORDINGS}${name}.pagelab`)]);
}

/** A bundled recording under some kernels, with the main process's own curve. */
export function recordedDocument(name: string, kernels: readonly string[]): RunDocument {
  const mainPid = Number(openRecording(name).header['mainPid']);
  const runs = kernels.map((kernel) => {
    return replay(openRecording(name), parseKernel(kernel), { mainPid });
  });
  const processes = Object.keys(runs[0]!.final.processes).length;
  const events = runs[0]!.events;
  return { pagelab: 1, trace: { name, source: 'tracefs recording', events, processes }, runs };
}

/**
 * Two kernels by hand: one process of 4 s, sampled at 1 s and 3 s. `linux-6.18` is what was
 * recorded, `linux-6.1` keeps 10 tables more from 2 s on.
 */
export function smallDocument(name = 'small'): RunDocument {
  const trace = { name, source: 'by hand', events: 1200, processes: 1 };
  return { pagelab: 1, trace, runs: [smallRun('linux-6.1', 10), smallRun('linux-6.18', 0)] };
}

export function smallRun(kernel: string, kept: number): RunResult {
  const series = [
    point(0, 0, 0),
    point(1, 50, 0, 208),
    point(2, 20 + kept, kept),
    point(3, 20 + kept, kept, 88),
    point(4, 0, 0),
  ];
  const isExact = kept === 0;
  const peak = { ...COUNTERS, vmPteKiB: 208, pteTables: 50, rssAnonKiB: 100_000 };
  return {
    kernel,
    seed: 0,
    elapsedMs: 10,
    events: 1200,
    eventsPerSecond: 120_000,
    outcomes: { compared: 1000, equal: 1000, first: [] },
    truth: {
      samples: 2,
      exact: isExact ? 2 : 1,
      exactAtStamp: isExact ? 2 : 1,
      fields: {
        vmPteKiB: {
          compared: 2,
          exact: isExact ? 2 : 1,
          worst: kept * 4,
          worstLine: isExact ? 0 : 900,
        },
        rssAnonKiB: { compared: 2, exact: 2, worst: 0, worstLine: 0 },
      },
    },
    final: {
      ...COUNTERS,
      faults: 12_345,
      tablesFreed: 30 - kept,
      oomKills: 0,
      tablesMade: 60,
      processes: {},
    },
    peak: { ...peak, emptyTables: kept, oomKills: 0, tablesMade: 60 },
    series,
    marks: [],
    oom: [],
    tablesFreedBy: { causes: [], calls: [], places: [] },
  };
}

const COUNTERS = {
  vmPteKiB: 0,
  pteTables: 0,
  pmdTables: 0,
  pudTables: 0,
  emptyTables: 0,
  presentPages: 0,
  swappedPages: 0,
  vmSwapKiB: 0,
  rssAnonKiB: 0,
  rssFileKiB: 0,
  rssShmemKiB: 0,
  vmSizeKiB: 0,
  faults: 0,
  cowFaults: 0,
  swapIns: 0,
  tablesFreed: 0,
};

function point(seconds: number, tables: number, empty: number, recorded?: number): SeriesPoint {
  const vmPteKiB = tables === 0 ? 0 : tables * 4 + 8;
  const made: SeriesPoint = {
    t: seconds * 1e9,
    event: seconds * 300,
    vmPteKiB,
    pteTables: tables,
    emptyTables: empty,
    presentPages: (tables - empty) * 500,
    rssAnonKiB: (tables - empty) * 2000,
    rssFileKiB: 0,
    rssShmemKiB: 0,
  };
  if (tables > 0) made.main = { vmPteKiB, emptyTables: empty, rssAnonKiB: made.rssAnonKiB };
  if (recorded !== undefined) {
    made.recorded = { vmPteKiB: recorded, rssAnonKiB: made.rssAnonKiB };
  }
  return made;
}
