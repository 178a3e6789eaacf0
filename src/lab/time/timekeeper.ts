import { Random } from '../../base/index.ts';
import { type Process, runKswapd, type SourcedNumber, type System } from '../../engine/index.ts';
import { Op, type ServerShape, type TraceEvent } from '../../trace/index.ts';
import type { HardwareWishes } from '../hardware/hardware.ts';
import { type KernelCosts, kernelCostsWith } from './kernel-costs.ts';
import { LatencyHistogram, type LatencySummary } from './latency.ts';
import { RequestLoop } from './request-loop.ts';
import { WalkMeter } from './walk-meter.ts';
import { type Causes, WorkMeter } from './work-meter.ts';

/** How time is modelled. */
export interface TimeOptions {
  /** Constants of kernel-costs.ts by name, set by the user. */
  readonly settings?: ReadonlyMap<string, string>;
  /** The translation hardware of each core; its preset, and host pages for nested walks. */
  readonly hardware?: HardwareWishes;
}

/** Modelled times of a run. */
export interface TimeResult {
  /** Time in the handler of each fault outside requests; what all faults' time went into, ns. */
  faults: LatencySummary;
  causes: Causes;
  /** Time of system calls on memory. */
  calls: LatencySummary;
  /** Time of those that were forks; absent where there was none. */
  forks?: LatencySummary;
  /** What the kernel's threads worked. */
  backgroundNs: number;
  requests?: RequestTimes;
  constants: readonly SourcedNumber[];
}

export interface RequestTimes {
  server: ServerShape;
  throughputPerSecond: number;
  spanNs: number;
  /** Time in the handler of each of their faults, and faults of theirs that compacted memory. */
  faults: LatencySummary;
  compactions: number;
  all: ClassTimes;
  classes: Record<string, ClassTimes>;
}

export interface ClassTimes {
  /** Time that requests occupied a processor; from sending to the answer. */
  service: LatencySummary;
  response: LatencySummary;
  /** Means, ns: own work, in fault handlers, in system calls, in page walks and second-level TLBs. */
  workNs: number;
  faultNs: number;
  callNs: number;
  walkNs: number;
  /** The longest that one request spent in fault handlers. */
  worstFaultNs: number;
}

const DEFAULT_PRESET = 'haswell';
const ALONE: ServerShape = { workers: 1, clients: 1, thinkNs: 0 };

/** A request that a process serves. */
interface OpenRequest {
  name: string;
  sentNs: number;
  beganNs: number;
  workNs: number;
  faultNs: number;
  callNs: number;
  /** Processes that worked for it. */
  readonly helpers: Set<number>;
}

/** Sums of a class of requests. */
class ClassSums {
  readonly service = new LatencyHistogram();
  readonly response = new LatencyHistogram();
  workNs = 0;
  faultNs = 0;
  callNs = 0;
  walkNs = 0;
  worstFaultNs = 0;

  add(request: OpenRequest, walkNs: number, serviceNs: number, responseNs: number): void {
    this.service.add(serviceNs);
    this.response.add(responseNs);
    this.workNs += request.workNs;
    this.faultNs += request.faultNs;
    this.callNs += request.callNs;
    this.walkNs += walkNs;
    this.worstFaultNs = Math.max(this.worstFaultNs, request.faultNs);
  }

  result(): ClassTimes {
    const count = Math.max(1, this.service.count);
    return {
      service: this.service.summary(),
      response: this.response.summary(),
      workNs: this.workNs / count,
      faultNs: this.faultNs / count,
      callNs: this.callNs / count,
      walkNs: this.walkNs / count,
      worstFaultNs: this.worstFaultNs,
    };
  }
}

/**
 * Keeps the modelled time of a replay: of each fault and call, of the kernel's threads, and of
 * requests. The time of page walks counts in requests only; it is that of their touches.
 */
export class Timekeeper {
  readonly #system: System;
  readonly #costs: KernelCosts;
  readonly #constants: readonly SourcedNumber[];
  readonly #hardware: HardwareWishes;
  readonly #server: ServerShape;
  readonly #meter: WorkMeter;
  readonly #background: WorkMeter;
  readonly #faults = new LatencyHistogram();
  readonly #requestFaults = new LatencyHistogram();
  readonly #calls = new LatencyHistogram();
  readonly #forks = new LatencyHistogram();
  readonly #random: Random;
  readonly #walks = new Map<number, WalkMeter>();
  readonly #open = new Map<number, OpenRequest>();
  readonly #all = new ClassSums();
  readonly #classes = new Map<string, ClassSums>();
  #loop: RequestLoop | null = null;
  #backgroundNs = 0;
  #compactions = 0;
  /** Entries that forks have copied or handed on so far. */
  #forkCopied = 0;
  /** Modelled time of what ran outside requests, and of the last event. */
  #nowNs = 0;

  constructor(system: System, options: TimeOptions, server: ServerShape | undefined, seed: number) {
    const { costs, constants } = kernelCostsWith(options.settings ?? new Map());
    this.#system = system;
    this.#costs = costs;
    this.#constants = constants;
    this.#hardware = { preset: DEFAULT_PRESET, ...options.hardware };
    this.#server = server ?? ALONE;
    this.#meter = new WorkMeter(system.machine, costs);
    this.#background = new WorkMeter(system.machine, costs);
    this.#random = new Random(seed);
  }

  /** The modelled time, ns. A recorded time is waited for. */
  nowNs(event: TraceEvent): number {
    if (event.timeNs > this.#nowNs) this.#nowNs = event.timeNs;
    return this.#nowNs;
  }

  /** Touches page by page, since each may be a fault. Result as Process.touch gives it. */
  touch(process: Process, event: TraceEvent): number {
    // Somebody else may work for the process whose request it is.
    const pid = event.extra === null ? process.pid : Number(event.extra.for ?? process.pid);
    const request = this.#open.get(pid);
    const walks = request === undefined ? undefined : this.#walksOf(process);
    if (walks !== undefined && pid !== process.pid) request?.helpers.add(process.pid);
    const isFilled = event.isWrite && this.#system.machine.contentsAt !== 0;
    let result = 0;
    for (let i = 0; i < event.count; i++) {
      const addr = event.addr + i * event.strideBytes;
      this.#meter.begin(process.mm);
      const compactions = this.#system.machine.compactionsInFault;
      result = isFilled
        ? process.fill(addr, event.content)
        : process.touch(addr, event.isWrite, 1, event.strideBytes);
      if (result < 0) return result;
      if (this.#meter.faults > 0) this.#fault(request, this.#meter.faultNs());
      if (request !== undefined) {
        this.#compactions += this.#system.machine.compactionsInFault - compactions;
      }
      walks?.touch(Math.floor(addr / 4096));
      // It runs beside the program, on another processor.
      if (this.#system.machine.kswapd.isWoken) this.#runKswapd();
    }
    return result;
  }

  #runKswapd(): void {
    this.beginBackground();
    runKswapd(this.#system.machine);
    this.endBackground();
  }

  #fault(request: OpenRequest | undefined, ns: number): void {
    if (request !== undefined) request.faultNs += ns;
    else if (this.#loop === null) this.#nowNs += ns;
    (request === undefined ? this.#faults : this.#requestFaults).add(ns);
  }

  /** Before a system call of a process. */
  beginCall(mm: number): void {
    this.#meter.begin(mm);
  }

  endCall(event: TraceEvent): void {
    const forkNs = event.op === Op.fork ? this.#forkNs() : 0;
    const ns = this.#meter.callNs() + forkNs;
    if (event.op === Op.fork) this.#forks.add(ns);
    this.#calls.add(ns);
    const request = this.#open.get(event.pid);
    if (request !== undefined) request.callNs += ns;
    else if (this.#loop === null) this.#nowNs += ns;
  }

  /** What fork copied: entries of pages, and entries of the tables that it only handed on. */
  #forkNs(): number {
    const { entriesCopied, tablesShared } = this.#system.machine.forkWork;
    const copied = entriesCopied + tablesShared;
    const ns = (copied - this.#forkCopied) * this.#costs.forkPageNs;
    this.#forkCopied = copied;
    return ns;
  }

  /** A process ended; what it served is answered. */
  exited(pid: number): void {
    this.#end(pid);
    this.#walks.delete(pid);
  }

  request(event: TraceEvent): void {
    this.#end(event.pid);
    if (event.name === '') return;
    this.#loop ??= new RequestLoop(this.#server, this.#random, this.#nowNs);
    const { sentNs, beganNs } = this.#loop.begin();
    this.#nowNs = Math.max(this.#nowNs, beganNs);
    const { name, workNs } = event;
    this.#open.set(event.pid, {
      name,
      sentNs,
      beganNs,
      workNs,
      faultNs: 0,
      callNs: 0,
      helpers: new Set(),
    });
  }

  #end(pid: number): void {
    const request = this.#open.get(pid);
    if (request === undefined || this.#loop === null) return;
    this.#open.delete(pid);
    let cycles = this.#walks.get(pid)?.takeCycles() ?? 0;
    for (const helper of request.helpers) cycles += this.#walks.get(helper)?.takeCycles() ?? 0;
    const walkNs = (cycles * 1000) / this.#costs.coreMHz;
    const serviceNs = request.workNs + request.faultNs + request.callNs + walkNs;
    const responseNs = this.#loop.end(request, serviceNs);
    this.#all.add(request, walkNs, serviceNs, responseNs);
    let sums = this.#classes.get(request.name);
    if (sums === undefined) this.#classes.set(request.name, (sums = new ClassSums()));
    sums.add(request, walkNs, serviceNs, responseNs);
  }

  /** Before the kernel's threads run. */
  beginBackground(): void {
    this.#background.beginBackground();
  }

  /** They have run: counts what they worked. */
  endBackground(): void {
    const ns = this.#background.backgroundNs();
    if (ns === 0) return;
    this.#backgroundNs += ns;
    this.#loop?.occupy(this.#nowNs, ns);
  }

  #walksOf(process: Process): WalkMeter {
    let walks = this.#walks.get(process.pid);
    if (walks === undefined) {
      walks = new WalkMeter(this.#hardware, (page) => process.isHugeAt(page));
      this.#walks.set(process.pid, walks);
    }
    return walks;
  }

  result(): TimeResult {
    for (const pid of [...this.#open.keys()]) this.#end(pid);
    return {
      faults: this.#faults.summary(),
      causes: this.#meter.causes,
      calls: this.#calls.summary(),
      ...(this.#forks.count === 0 ? {} : { forks: this.#forks.summary() }),
      backgroundNs: this.#backgroundNs,
      ...(this.#loop === null ? {} : { requests: this.#requests(this.#loop) }),
      constants: this.#constants,
    };
  }

  #requests(loop: RequestLoop): RequestTimes {
    const { spanNs } = loop;
    const classes = [...this.#classes].map(([name, sums]) => [name, sums.result()]);
    const all = this.#all.result();
    return {
      server: this.#server,
      throughputPerSecond: spanNs === 0 ? 0 : (all.service.count * 1e9) / spanNs,
      spanNs,
      faults: this.#requestFaults.summary(),
      compactions: this.#compactions,
      all,
      classes: Object.fromEntries(classes),
    };
  }
}
