import { errnoName, InputError } from '../../base/index.ts';
import {
  type Counters,
  type MachineOptions,
  runKswapd,
  System,
  usedFrameCount,
} from '../../engine/index.ts';
import {
  OP_NAMES,
  Op,
  Outcome,
  type TraceEvent,
  type TraceHeader,
  type TraceReader,
} from '../../trace/index.ts';
import { tune } from '../kernel-name.ts';
import { attachMechanisms, type Kernel } from '../kernels.ts';
import { Timekeeper, type TimeOptions } from '../time/timekeeper.ts';
import { Executor, isAsRecorded, SIGNALLED, SKIPPED } from './executor.ts';
import { FreedTablesLog } from './freed-tables.ts';
import { KernelThreads } from './kernel-threads.ts';
import { machineCounters, mechanismGauges, mechanismPeaks } from './machine-counters.ts';
import { ModelledClock } from './modelled-clock.ts';
import { PeakTracker } from './peak.ts';
import type { RegionHistory } from './region-history.ts';
import type { MarkPoint, OutcomeDifference, ProcessCounters, RunResult } from './result.ts';
import { Series, totalsOf } from './series.ts';
import { TruthCheck } from './truth.ts';

export interface ReplayOptions {
  machine?: MachineOptions;
  seed?: number;
  /** A clock in milliseconds; the pure layers have none. Default: elapsed times are 0. */
  nowMs?: () => number;
  /** Called now and then with the number of events done. */
  onProgress?: (events: number) => void;
  /** Called at each sample, with the system as it then is. */
  onSample?: (system: System, event: TraceEvent) => void;
  /** Called at each mark, with the system as it then is. */
  onMark?: (system: System, name: string) => void;
  /** Watches how full the regions of a process are. */
  regions?: RegionHistory;
  /** Gets the system when the trace has ended; it must not be used afterwards. */
  onEnd?: (system: System) => void;
  /** Model times; without it they are where the trace says who serves its requests. */
  time?: TimeOptions;
  /** Process whose own curve is kept; default: 1. */
  mainPid?: number;
}

/** Differences of outcomes that a result lists; all are counted. */
const DIFFERENCES_MAX = 20;
/** Marks whose totals a result lists. */
const MARKS_MAX = 1000;
const PROGRESS_EVENTS = 65536;
/** What one last-level table spans. */
const SLOT_BYTES = 2 ** 21;

/** Runs a trace under a kernel. Throws InputError where the trace is malformed. */
export function replay(
  reader: TraceReader,
  kernel: Kernel,
  options: ReplayOptions = {},
): RunResult {
  return new Replay(kernel, options, reader.header).run(reader);
}

/** The machine as the kernel's name says, else the user, else as it was where the trace was recorded. */
function machineOf(
  { thp, contents }: TraceHeader,
  { machine }: ReplayOptions,
  { name, rules, tunings }: Kernel,
): MachineOptions {
  const hasContents = contents === true || machine?.hasContents === true;
  const huge = { ...(thp === undefined ? {} : { enabled: thp }), ...machine?.huge };
  return { ...machine, ...tune(name, { ...machine, huge }, tunings), hasContents, rules };
}

class Replay {
  readonly #options: ReplayOptions;
  readonly #kernel: Kernel;
  readonly #system: System;
  readonly #executor: Executor;
  readonly #truth = new TruthCheck();
  readonly #peak: PeakTracker;
  readonly #freed: FreedTablesLog;
  readonly #clock = new ModelledClock();
  readonly #threads: KernelThreads;
  readonly #time: Timekeeper | null;
  /** A mechanism or khugepaged wants to know the time. */
  readonly #isTimed: boolean;
  /** Counters of processes that ended, as they were before. */
  readonly #ended = new Map<number, Counters>();
  readonly #series: Series;
  readonly #differences: OutcomeDifference[] = [];
  readonly #marks: MarkPoint[] = [];
  #compared = 0;
  #equal = 0;
  #events = 0;
  #startNs = -1;
  #lastT = 0;
  /** The last event was advice about less than a table, after which nothing was looked at. */
  #isPieceSeen = false;

  constructor(kernel: Kernel, options: ReplayOptions, header: TraceHeader) {
    this.#options = options;
    this.#kernel = kernel;
    const machineOptions = machineOf(header, options, kernel);
    this.#system = new System(machineOptions);
    attachMechanisms(this.#system.machine, kernel, options.seed ?? 1);
    this.#system.machine.kswapd.isAttached = true;
    this.#freed = new FreedTablesLog(this.#system.machine);
    this.#threads = new KernelThreads(this.#system.machine, machineOptions);
    const { events, ksm } = this.#system.machine;
    this.#isTimed = this.#threads.areAny || events.returnToUser !== null;
    if (ksm !== null && events.tablesShort !== null) {
      throw new InputError(
        `ksm: merging pages and storing page tables (${kernel.name}) are not brought together`,
      );
    }
    if (ksm?.settings.hugePages === 'frequency' && events.isHugeHot === null) {
      throw new InputError(
        `ksmHuge=frequency: ${kernel.name} does not watch how much huge pages are used; want a kernel with ingens`,
      );
    }
    this.#executor = new Executor(this.#system);
    this.#time = timekeeperOf(this.#system, options, header);
    this.#executor.toucher = this.#time === null ? null : this.#time.touch.bind(this.#time);
    this.#peak = new PeakTracker(this.#system);
    this.#series = new Series(this.#system, this.#peak, options.mainPid ?? 1, () =>
      mechanismGauges(this.#system.machine, kernel),
    );
  }

  run(reader: TraceReader): RunResult {
    const now = this.#options.nowMs ?? (() => 0);
    const startedMs = now();
    for (let event = reader.next(); event !== null; event = reader.next()) this.#step(event);
    this.#truth.close();
    this.#point();
    this.#options.regions?.look(this.#system, this.#t, this.#events);
    const elapsedMs = now() - startedMs;
    const result = this.#result(elapsedMs);
    this.#options.onEnd?.(this.#system);
    this.#system.machine.release();
    return result;
  }

  #step(event: TraceEvent): void {
    this.#events += 1;
    if (this.#truth.openPid >= 0) this.#followSample(event);
    if (event.op === Op.touch) {
      if (this.#isPieceSeen) this.#look(event.pid);
      const result = this.#executor.apply(event);
      if (event.outcome !== Outcome.unknown) this.#compare(event, result);
    } else {
      this.#stepCall(event);
    }
    this.#freed.after(event);
    this.#runBackground(event);
    if (this.#events >= this.#series.nextDue) {
      this.#note(event);
      this.#point();
    }
    if (this.#options.regions !== undefined) this.#watch(event, this.#options.regions);
    if (this.#events % PROGRESS_EVENTS === 0) this.#options.onProgress?.(this.#events);
  }

  /** The kernel's threads, and what mechanisms do when a process goes on. */
  #runBackground(event: TraceEvent): void {
    const { machine } = this.#system;
    if (!machine.kswapd.isWoken && !this.#isTimed) return;
    this.#time?.beginBackground();
    if (machine.kswapd.isWoken) runKswapd(machine);
    if (this.#isTimed) this.#returnToUser(event);
    this.#time?.endBackground();
  }

  #watch(event: TraceEvent, regions: RegionHistory): void {
    if (this.#events < regions.nextDue) return;
    this.#note(event);
    regions.look(this.#system, this.#t, this.#events);
  }

  #look(pid: number): void {
    this.#isPieceSeen = false;
    const process = this.#system.process(pid);
    if (process !== undefined) this.#peak.look(process);
  }

  /** The process goes on running, if it still does: mechanisms that wait for that may act. */
  #returnToUser(event: TraceEvent): void {
    const nowNs = this.#time?.nowNs(event) ?? this.#clock.after(event);
    this.#threads.run(nowNs);
    if (event.op === Op.mark || event.op === Op.sample || event.op === Op.request) return;
    const process = this.#system.process(event.pid);
    if (process === undefined) return;
    const { machine } = this.#system;
    machine.events.returnToUser?.(machine, process.mm, nowNs);
    this.#freed.by('scan');
  }

  /** A sample's interval goes on, or is over before this event. */
  #followSample(event: TraceEvent): void {
    const truth = this.#truth;
    const process = this.#system.process(truth.openPid);
    if (process !== undefined) truth.look(process.counters());
    const isOver = event.timeNs < 0 || event.timeNs > truth.openUntilNs;
    const isItsEnd = (event.op === Op.exit || event.op === Op.exec) && event.pid === truth.openPid;
    if (isOver || isItsEnd || process === undefined) truth.close();
  }

  #stepCall(event: TraceEvent): void {
    if (event.op === Op.sample) {
      this.#sample(event);
      return;
    }
    if (event.op === Op.request) {
      this.#time?.request(event);
      return;
    }
    if (event.op === Op.mark && this.#marks.length < MARKS_MAX) {
      this.#marks.push({
        name: event.name,
        event: this.#events,
        usedKiB: usedFrameCount(this.#system.machine) * 4,
        ...totalsOf(this.#system),
      });
    }
    if (event.op === Op.mark) this.#options.onMark?.(this.#system, event.name);
    // A piece smaller than a table only empties tables: a run of them is looked at when it ends.
    const isPiece = event.op === Op.madvise && event.len < SLOT_BYTES;
    if (!isPiece || !this.#isPieceSeen) this.#look(event.pid);
    this.#isPieceSeen = isPiece;
    const isEnd = event.op === Op.exit || event.op === Op.exec;
    if (isEnd) this.#remember(event.pid);
    const result = this.#apply(event);
    if (isEnd) this.#peak.lookAtAll();
    if (event.outcome !== Outcome.unknown) this.#compare(event, result);
  }

  #apply(event: TraceEvent): number {
    const time = this.#time;
    if (time === null || event.op === Op.mark) return this.#executor.apply(event);
    const mm = this.#system.process(event.pid)?.mm;
    if (mm === undefined) return this.#executor.apply(event);
    time.beginCall(mm);
    const result = this.#executor.apply(event);
    if (event.op === Op.exit || event.op === Op.exec) time.exited(event.pid);
    else time.endCall(event);
    return result;
  }

  #sample(event: TraceEvent): void {
    const process = this.#system.process(event.pid);
    if (process === undefined || event.sample === null) return;
    this.#note(event);
    this.#series.add(this.#t, this.#events, event.sample);
    this.#truth.begin(event, process.counters());
    this.#options.onSample?.(this.#system, event);
  }

  /** Points stand at recorded times; a trace without any counts events. */
  #note(event: TraceEvent): void {
    if (event.timeNs >= 0) {
      if (this.#startNs < 0) this.#startNs = event.timeNs;
      this.#lastT = event.timeNs - this.#startNs;
    }
  }

  get #t(): number {
    return this.#startNs < 0 ? this.#events : this.#lastT;
  }

  #point(): void {
    this.#series.add(this.#t, this.#events);
  }

  /** A process ends or loses its image: its counts of events are kept. */
  #remember(pid: number): void {
    const process = this.#system.process(pid);
    if (process === undefined) return;
    const counters = process.counters();
    const before = this.#ended.get(pid);
    if (before !== undefined) addEvents(counters, before);
    this.#ended.set(pid, counters);
  }

  #compare(event: TraceEvent, result: number): void {
    if (result === SKIPPED) return;
    this.#compared += 1;
    if (isAsRecorded(event, result)) {
      this.#equal += 1;
      return;
    }
    if (this.#differences.length >= DIFFERENCES_MAX) return;
    this.#differences.push({
      line: event.line,
      op: OP_NAMES[event.op] ?? '',
      expected: recordedText(event),
      got: resultText(result),
    });
  }

  #result(elapsedMs: number): RunResult {
    const { final, processes } = this.#finalCounters();
    const peak = { ...final };
    this.#peak.raise(peak);
    const oomKills = this.#system.oomKilled.length;
    const { tablesMade } = this.#system.machine;
    return {
      kernel: this.#kernel.name,
      seed: this.#options.seed ?? 0,
      elapsedMs,
      events: this.#events,
      eventsPerSecond: elapsedMs > 0 ? Math.round((this.#events / elapsedMs) * 1000) : 0,
      outcomes: { compared: this.#compared, equal: this.#equal, first: this.#differences },
      truth: this.#truth.truth,
      final: {
        ...final,
        oomKills,
        tablesMade,
        processes,
        ...machineCounters(this.#system.machine, this.#kernel, this.#threads),
      },
      peak: {
        ...{ ...peak, oomKills, tablesMade },
        ...mechanismPeaks(this.#system.machine, this.#kernel),
      },
      series: this.#series.points,
      marks: this.#marks,
      ...(this.#time === null ? {} : { time: this.#time.result() }),
      oom: this.#system.oomKills,
      tablesFreedBy: this.#freed.result(),
    };
  }

  #finalCounters(): { final: Counters; processes: Record<string, ProcessCounters> } {
    const final = totalsOf(this.#system);
    const processes: Record<string, ProcessCounters> = {};
    for (const [pid, counters] of this.#ended) {
      processes[pid] = { ...counters, isAlive: false };
      addEvents(final, counters);
    }
    for (const process of this.#system.processes()) {
      const counters = process.counters();
      const before = this.#ended.get(process.pid);
      if (before !== undefined) addEvents(counters, before);
      processes[process.pid] = { ...counters, isAlive: true };
    }
    return { final, processes };
  }
}

/** Counters that only grow: those of ended processes belong to the totals. */
const EVENT_COUNTERS = ['faults', 'cowFaults', 'swapIns', 'tablesFreed'] as const;
const HUGE_EVENT_COUNTERS = ['hugeFaults', 'promotions', 'demotions'] as const;

/** Adds what an ended process, or an earlier image of this one, had counted. */
function addEvents(sum: Counters, more: Counters): void {
  for (const name of EVENT_COUNTERS) sum[name] += more[name];
  for (const name of HUGE_EVENT_COUNTERS) {
    const value = more[name];
    if (value !== undefined) sum[name] = (sum[name] ?? 0) + value;
  }
}

/** Times are modelled where asked for, and where the trace says who serves its requests. */
function timekeeperOf(
  system: System,
  { time, seed = 1 }: ReplayOptions,
  { server }: TraceHeader,
): Timekeeper | null {
  if (time === undefined && server === undefined) return null;
  return new Timekeeper(system, time ?? {}, server, seed);
}

function recordedText(event: TraceEvent): string {
  if (event.outcome === Outcome.ok) return 'ok';
  return event.errno === 0 ? 'failed' : errnoName(event.errno);
}

function resultText(result: number): string {
  if (result >= 0) return 'ok';
  return result === SIGNALLED ? 'signal' : errnoName(-result);
}
