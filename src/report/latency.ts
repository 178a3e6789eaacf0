import type { LatencySummary, RequestTimes, RunDocument, TimeResult } from '../lab/index.ts';
import { formatCount, formatDecimal, listInWords } from './units.ts';

/** One kernel's modelled times, as cells of a table. */
export interface LatencyRow {
  readonly kernel: string;
  readonly cells: readonly string[];
}

export interface LatencyTable {
  readonly heads: readonly string[];
  readonly rows: readonly LatencyRow[];
}

/** Modelled time of page faults, of requests if the trace has any; undefined where none was modelled. */
export function latencyTables({ runs }: RunDocument):
  | {
      faults: LatencyTable;
      requests: LatencyTable | undefined;
    }
  | undefined {
  const timed = runs.flatMap(({ kernel, time }) => (time === undefined ? [] : [{ kernel, time }]));
  if (timed.length === 0) return undefined;
  const faults: LatencyTable = {
    heads: ['faults', 'mean', 'median', '99 %', '99.9 %', 'worst', 'compacted'],
    rows: timed.map(({ kernel, time }) => {
      const compacted = time.requests === undefined ? '' : formatCount(time.requests.compactions);
      return { kernel, cells: [...faultCells(faultsOf(time)), compacted] };
    }),
  };
  const served = timed.flatMap(({ kernel, time: { requests } }) =>
    requests === undefined ? [] : [{ kernel, requests }],
  );
  if (served.length === 0) return { faults, requests: undefined };
  const heads = ['requests', 'a second', 'mean', '90 %', '99 %', 'worst', 'in faults', 'in walks'];
  const rows = served.map(({ kernel, requests }) => ({ kernel, cells: requestCells(requests) }));
  return { faults, requests: { heads, rows } };
}

/** Faults of requests where there are any: they are what somebody waits for. */
export function faultsOf({ faults, requests }: TimeResult): LatencySummary {
  return requests === undefined ? faults : requests.faults;
}

function faultCells(summary: LatencySummary): string[] {
  const { count, meanNs, p50Ns, p99Ns, p999Ns, maxNs } = summary;
  return [formatCount(count), ...[meanNs, p50Ns, p99Ns, p999Ns, maxNs].map(formatLatency)];
}

function requestCells({ throughputPerSecond, all }: RequestTimes): string[] {
  const { meanNs, p90Ns, p99Ns, maxNs, count } = all.response;
  return [
    formatCount(count),
    formatDecimal(throughputPerSecond),
    ...[meanNs, p90Ns, p99Ns, maxNs, all.faultNs, all.walkNs].map(formatLatency),
  ];
}

/** What the time of handlers went into, in a sentence for each kernel that was timed. */
export function causeSentences({ runs }: RunDocument): string[] {
  return runs.flatMap(({ kernel, time }) => {
    if (time === undefined) return [];
    const { entry, zeroing, copying, swapIn, reclaim, compaction } = time.causes;
    const total = entry + zeroing + copying + swapIn + reclaim + compaction;
    const parts = (
      [
        ['entering and filling in', entry],
        ['zeroing', zeroing],
        ['copying', copying],
        ['reading from swap', swapIn],
        ['reclaim', reclaim],
        ['compaction', compaction],
      ] as const
    )
      .filter(([, ns]) => ns > 0)
      .map(([name, ns]) => `${((100 * ns) / total).toFixed(1)} % ${name}`);
    const background =
      time.backgroundNs > 0
        ? ` The kernel’s threads worked ${formatLatency(time.backgroundNs)}.`
        : '';
    const { calls } = time;
    const worst =
      calls.count === 0
        ? ''
        : ` ${formatCount(calls.count)} system calls on memory took ${formatLatency(calls.meanNs)} on average, the longest ${formatLatency(calls.maxNs)}.`;
    const text = `${kernel}, time in fault handlers: ${listInWords(parts)}.`;
    return total === 0 ? [] : [`${text}${worst}${forkSentence(time)}${background}`];
  });
}

function forkSentence({ forks }: TimeResult): string {
  if (forks === undefined) return '';
  if (forks.count === 1) return ` The fork took ${formatLatency(forks.maxNs)}.`;
  const mean = formatLatency(forks.meanNs);
  return ` ${formatCount(forks.count)} forks took ${mean} on average, the longest ${formatLatency(forks.maxNs)}.`;
}

/** What the figures are, so that nobody takes them for measured ones. */
export const LATENCY_NOTE =
  'Times are modelled: counts of the engine times constants with sources (docs/time.md).';

/** `713 ns`, `3.58 µs`, `378 µs`, `5.3 ms`, `1.2 s`. */
export function formatLatency(ns: number): string {
  if (ns < 1e3) return `${formatCount(ns)} ns`;
  if (ns < 1e6) return `${formatDecimal(ns / 1e3)} µs`;
  return ns < 1e9 ? `${formatDecimal(ns / 1e6)} ms` : `${formatDecimal(ns / 1e9)} s`;
}
