import type {
  Counters,
  KcompactdCounters,
  KhugepagedCounters,
  KsmCounters,
  OomKill,
  Vmstat,
} from '../../engine/index.ts';
import type { Sample } from '../../trace/index.ts';
import type { TimeResult } from '../time/timekeeper.ts';
import type { FreedTables } from './freed-tables.ts';

/** What one run says; the JSON of `pagelab run` (CONTRACT "JSON of run"). */
export interface RunResult {
  kernel: string;
  seed: number;
  /** Wall time of the replay, measured. */
  elapsedMs: number;
  events: number;
  eventsPerSecond: number;
  /** Recorded answers of system calls and touches against ours. */
  outcomes: {
    compared: number;
    equal: number;
    first: OutcomeDifference[];
  };
  /** The kernel's own counters in the recording against ours. */
  truth: {
    samples: number;
    /** Samples all of whose fields agree, at one moment of the interval in which they were read. */
    exact: number;
    /** Those that agree at the interval's end, when the recorder stamped them. */
    exactAtStamp: number;
    fields: Partial<Record<keyof Sample, FieldTruth>>;
  };
  final: RunCounters & {
    processes: Record<string, ProcessCounters>;
  } & MachineCounters &
    MechanismCounters;
  peak: RunCounters & MechanismCounters;
  series: SeriesPoint[];
  /** Totals at each mark of the trace, in order; the first 1,000. */
  marks: MarkPoint[];
  /** Modelled times, where they were asked for or the trace has a server (docs/time.md). */
  time?: TimeResult;
  /** Whom the OOM killer chose, and for whom: the first 16 of `final.oomKills`. */
  oom: readonly OomKill[];
  /** What freed the tables of `final.tablesFreed`. */
  tablesFreedBy: FreedTables;
}

/** What huge pages cost the whole machine. */
export interface HugePageCounters {
  /** Faults that found no 2 MiB in one piece, and those that compacted memory for it. */
  hugeFallbacks: number;
  compactionsInFault: number;
  /** Huge pages that were split because memory was short. */
  deferredSplits: number;
  /** Of huge pages with all their mappings: split for being mostly zeros; only where contents are known. */
  underusedSplits?: number;
  /** Memory in use that nothing maps: parts of huge pages that wait to be split. */
  unmappedKiB: number;
  khugepaged?: KhugepagedCounters;
  kcompactd?: KcompactdCounters;
  /** Pages of 16 KiB to 1 MiB that faults gave, and faults that found no such block; those that are on. */
  sizes?: Record<string, { faults: number; fallbacks: number }>;
}

/** Of the whole machine. */
export interface MachineCounters {
  /** What reclaim did, in the background and directly; absent where memory was never short. */
  reclaim?: Vmstat;
  hugePages?: HugePageCounters;
  /** Samepage merging; absent where there is none. */
  ksm?: KsmCounters;
}

/** What mechanisms count of the whole machine, under their ids; absent where they are not attached. */
export interface MechanismCounters {
  'table-reclaim'?: Record<string, number>;
  'table-reclaim-aged'?: Record<string, number>;
  'table-scan'?: Record<string, number>;
  reservations?: Record<string, number>;
  hawkeye?: Record<string, number>;
  mshare?: Record<string, number>;
  morsels?: Record<string, number>;
  'dynamic-metadata'?: Record<string, number>;
  'static-metadata'?: Record<string, number>;
}

/** Counters summed over processes, and what belongs to the machine. */
export type RunCounters = Counters & {
  oomKills: number;
  /** Last-level tables made in the whole run: more of them where tables that were freed come back. */
  tablesMade: number;
};

export type ProcessCounters = Counters & { isAlive: boolean };

export interface OutcomeDifference {
  line: number;
  op: string;
  expected: string;
  got: string;
}

export interface FieldTruth {
  compared: number;
  exact: number;
  /** Largest difference (ours minus recorded), and the line where it was. */
  worst: number;
  worstLine: number;
}

/** Totals where the trace has a mark. */
export type MarkPoint = Counters & {
  name: string;
  event: number;
  /** Memory of the machine that is not free: tables, what is held and what waits included. */
  usedKiB: number;
};

/** Totals at one moment; `t` is nanoseconds since the first event, or the event's number. */
export interface SeriesPoint extends MechanismCounters {
  t: number;
  event: number;
  vmPteKiB: number;
  pteTables: number;
  emptyTables: number;
  presentPages: number;
  rssAnonKiB: number;
  rssFileKiB: number;
  rssShmemKiB: number;
  /** The same of the process that the recording sampled most, where it lives. */
  main?: { vmPteKiB: number; emptyTables: number; rssAnonKiB: number };
  /** At a sample: what the kernel said of that process. */
  recorded?: Sample;
}

/** What a run is about. */
export interface TraceInfo {
  name: string;
  source: string;
  events: number;
  processes: number;
}

/** Several runs of one trace: the whole document of `pagelab run --json`. */
export interface RunDocument {
  pagelab: 1;
  trace: TraceInfo;
  runs: RunResult[];
}
