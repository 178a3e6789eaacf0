import { once } from 'node:events';
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import {
  CapabilityError,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from '../src/base/index.ts';
import { System } from '../src/engine/index.ts';
import type { MultiFaultMeasurement, MultiFaultRow } from '../src/lab/index.ts';
import { EngineBuild } from './engine-build.ts';
import { RANGE_ADDR } from './engine-range.ts';
import { KernelRange, whyNoKernel } from './kernel-range.ts';
import type { Bench } from './measure.ts';
import {
  DROPPED_PAGES,
  type MultiFaultAnswer,
  type MultiFaultStart,
} from './multi-fault-worker.ts';
import { ascending } from './orders.ts';
import { median, rowOf } from './row.ts';
import { spreadOf } from './spread.ts';

/**
 * `multi-fault` (KAMEZAWA Hiroyuki, 2010; used for pte-ref in 2021): threads that touch and drop a
 * range again and again, on the engine with its count and on a build without (engine-build.ts).
 * Both have the same machine, and take turns of the same work, in changing order: with, without,
 * without, with, … A crew of threads is compiled for by itself, which alone can make some percent, so
 * several crews are started one after the other, and the interval is that of the crews' medians.
 */
export interface MultiFaultOptions {
  readonly threadCounts: readonly number[];
  /** Crews of each side: at least, and at most, where the interval leaves a limit undecided. */
  readonly crews: number;
  readonly crewsMax: number;
  /** No crew beyond the least number is started after that time at one number of threads. */
  readonly secondsMax: number;
  /** Pairs of turns of a crew. */
  readonly pairs: number;
  /** Faults of a turn, of all threads together. */
  readonly turnFaults: number;
  /** Faults of each thread before anything is measured. */
  readonly warmUpFaults: number;
  /** Tables of each thread. */
  readonly slots: number;
}

export const MULTI_FAULT_OPTIONS: MultiFaultOptions = {
  threadCounts: [1, 8, 16],
  crews: 8,
  crewsMax: 24,
  secondsMax: 60,
  pairs: 5,
  turnFaults: 2_000_000,
  warmUpFaults: 1_000_000,
  slots: 16,
};

/** Costs about which the interval must decide: ns a fault, and percent of the engine's fault. */
const LIMIT_NS = 2;
const LIMIT_PERCENT = 3;
/** Each thread has an area of its own, as mmap in each thread would give it: no two are one VMA. */
const AREA_BYTES = 2 ** 29;
const DISTANCE_BYTES = 2 ** 30;
const KERNEL_PAGES = 8192;

/** Throws CapabilityError where the compiled engine cannot be copied. */
export async function measureMultiFault(
  options: Partial<MultiFaultOptions> = {},
): Promise<MultiFaultMeasurement> {
  const all = { ...MULTI_FAULT_OPTIONS, ...options };
  const builds = makeBuilds();
  const kernel = whyNoKernel() === null ? new KernelFault() : null;
  try {
    const rows: MultiFaultRow[] = [];
    for (const threads of all.threadCounts) {
      const { row } = await measureThreads(builds, threads, all, kernel);
      rows.push(row);
    }
    const clock = koffiPath() === null ? 'wall' : 'thread';
    return { kernelFaultNs: kernel?.medianNs() ?? null, clock, rows };
  } finally {
    kernel?.close();
    for (const build of builds) build.remove();
  }
}

/** The same as rows of `pagelab bench`. */
export async function benchMultiFault(bench: Bench): Promise<void> {
  const { repeats, seconds, warmUpFaults, pages } = bench.options;
  const slots = Math.max(1, Math.min(MULTI_FAULT_OPTIONS.slots, Math.floor(pages / 512)));
  const options: MultiFaultOptions = {
    ...MULTI_FAULT_OPTIONS,
    crews: 1,
    crewsMax: 1,
    pairs: repeats,
    // About as many as a turn of that length has; both sides must do the same.
    turnFaults: Math.round(seconds * 2e7),
    warmUpFaults: warmUpFaults / 2,
    slots,
  };
  const builds = makeBuilds();
  try {
    for (const threads of options.threadCounts) {
      const { pairs } = await measureThreads(builds, threads, options, null);
      const what = `a first write by each of ${threads} threads, with the count and without it`;
      const head = { name: `multi-fault/${threads}`, what, peer: 'no count', unit: 'ns/page' };
      const ours = pairs.map(({ withCount }) => withCount.touchNs);
      const theirs = pairs.map(({ without }) => without.touchNs);
      bench.onRow(rowOf({ ...head, unit: 'ns/page' }, ours, theirs));
    }
  } finally {
    for (const build of builds) build.remove();
  }
}

/** With the count, and without. */
type Builds = readonly [EngineBuild, EngineBuild];

function makeBuilds(): Builds {
  try {
    return [new EngineBuild(true), new EngineBuild(false)];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CapabilityError(`multi-fault: the engine cannot be copied (${reason})`);
  }
}

/** ns a fault. */
interface Turn {
  readonly touchNs: number;
  readonly totalNs: number;
}

interface Pair {
  readonly crew: number;
  readonly withCount: Turn;
  readonly without: Turn;
}

async function measureThreads(
  builds: Builds,
  threads: number,
  options: MultiFaultOptions,
  kernel: KernelFault | null,
): Promise<{ row: MultiFaultRow; pairs: Pair[] }> {
  const pairs: Pair[] = [];
  let row: MultiFaultRow | null = null;
  const endMs = performance.now() + options.secondsMax * 1000;
  for (let crew = 0; crew < options.crewsMax; crew++) {
    kernel?.measure();
    pairs.push(...(await crewPairs(builds, threads, crew, options)));
    row = rowOfPairs(threads, pairs);
    if (crew + 1 < options.crews) continue;
    if (isDecided(row) || performance.now() > endMs) break;
  }
  if (row === null) throw new Error('multi-fault without crews');
  return { row, pairs };
}

async function crewPairs(
  builds: Builds,
  threads: number,
  crew: number,
  options: MultiFaultOptions,
): Promise<Pair[]> {
  const sides = await Promise.all(builds.map((build) => Crew.start(build, threads, options.slots)));
  const [withCount, without] = sides as [Crew, Crew];
  const roundFaults = options.slots * DROPPED_PAGES;
  const rounds = Math.max(1, Math.round(options.turnFaults / threads / roundFaults));
  const warmUpRounds = Math.max(1, Math.ceil(options.warmUpFaults / roundFaults));
  const pairs: Pair[] = [];
  try {
    checkCounts(await withCount.all(warmUpRounds), await without.all(warmUpRounds));
    for (let i = 0; i < options.pairs; i++) {
      const isWithFirst = (i + crew) % 2 === 0;
      const first = await (isWithFirst ? withCount : without).run(rounds);
      const second = await (isWithFirst ? without : withCount).run(rounds);
      pairs.push(
        isWithFirst
          ? { crew, withCount: first, without: second }
          : { crew, withCount: second, without: first },
      );
    }
  } finally {
    for (const side of sides) await side.stop();
  }
  return pairs;
}

/** The comparison is one only if one side counts and the other does not. */
function checkCounts(
  counting: readonly MultiFaultAnswer[],
  others: readonly MultiFaultAnswer[],
): void {
  const full = DROPPED_PAGES + 1;
  for (const { count } of counting) if (count !== full) throw new Error(`count ${count}`);
  for (const { count } of others) if (count >= full) throw new Error(`counted ${count}`);
}

function rowOfPairs(threads: number, pairs: readonly Pair[]): MultiFaultRow {
  const spread = (value: (pair: Pair) => number) =>
    spreadOf(pairs.map((pair) => ({ group: pair.crew, value: value(pair) })));
  return {
    threads,
    withNs: median(pairs.map((pair) => pair.withCount.touchNs)),
    withoutNs: median(pairs.map((pair) => pair.without.touchNs)),
    costNs: spread(({ withCount, without }) => withCount.touchNs - without.touchNs),
    costPercent: spread(
      ({ withCount, without }) => (withCount.touchNs / without.touchNs - 1) * 100,
    ),
    ratePercent: spread(
      ({ withCount, without }) => (without.totalNs / withCount.totalNs - 1) * 100,
    ),
    pairs: pairs.length,
  };
}

/** True if both intervals lie on one side of their limits. */
function isDecided({ costNs, costPercent }: MultiFaultRow): boolean {
  return [[costNs, LIMIT_NS] as const, [costPercent, LIMIT_PERCENT] as const].every(
    ([{ low, high }, limit]) => high <= limit || low > limit,
  );
}

/** Threads of one process, on one machine of one build. */
class Crew {
  readonly #workers: readonly Worker[];

  private constructor(workers: readonly Worker[]) {
    this.#workers = workers;
  }

  static async start(build: EngineBuild, threads: number, slots: number): Promise<Crew> {
    // The creator, cpu 0, does nothing while the threads run: the first of them is cpu 0 too.
    const system = new System({ isShared: true, cpus: threads, bufferMiB: 512 });
    const buffer = system.machine.buffer as SharedArrayBuffer;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    const workers: Worker[] = [];
    const process = system.spawn(1);
    const { mm } = process;
    for (let cpu = 0; cpu < threads; cpu++) {
      const at = RANGE_ADDR + cpu * DISTANCE_BYTES;
      const addr = process.mmap(at, AREA_BYTES, PROT_READ | PROT_WRITE, flags);
      if (addr !== at) throw new Error(`engine: mmap gave ${addr}`);
      const workerData: MultiFaultStart = { buffer, cpu, mm, addr, slots, koffiPath: koffiPath() };
      workers.push(new Worker(build.workerUrl, { workerData }));
    }
    const crew = new Crew(workers);
    await crew.all(1);
    return crew;
  }

  async run(rounds: number): Promise<Turn> {
    const answers = await this.all(rounds);
    const sum = (value: (answer: MultiFaultAnswer) => number): number =>
      answers.reduce((total, answer) => total + value(answer), 0);
    const faults = sum((answer) => answer.faults);
    const touchNs = sum((answer) => answer.touchNs);
    return { touchNs: touchNs / faults, totalNs: (touchNs + sum((a) => a.dropNs)) / faults };
  }

  async all(rounds: number): Promise<MultiFaultAnswer[]> {
    const answers = this.#workers.map((worker) => once(worker, 'message'));
    for (const worker of this.#workers) worker.postMessage(rounds);
    return Promise.all(answers.map(async (answer) => (await answer)[0] as MultiFaultAnswer));
  }

  async stop(): Promise<void> {
    const ends = this.#workers.map((worker) => once(worker, 'exit'));
    for (const worker of this.#workers) worker.postMessage(null);
    await Promise.all(ends);
  }
}

/** First touches on the running kernel, in the same stretch of the machine's weather. */
class KernelFault {
  readonly #range = new KernelRange(ascending(KERNEL_PAGES));
  readonly #times: number[] = [];

  measure(): void {
    const ms = this.#range.touch(true);
    this.#range.zap();
    this.#times.push((ms * 1e6) / KERNEL_PAGES);
  }

  /** The first round warms up. */
  medianNs(): number | null {
    const times = this.#times.slice(1);
    return times.length === 0 ? null : median(times);
  }

  close(): void {
    this.#range.close();
  }
}

/** koffi's main module; null where it is not installed. */
function koffiPath(): string | null {
  try {
    return createRequire(import.meta.url).resolve('koffi');
  } catch {
    return null;
  }
}
