import { CapabilityError } from '../src/base/index.ts';
import type { MultiFaultMeasurement, MultiFaultRow, MultiFaultWay } from '../src/lab/index.ts';
import { EngineBuild } from './engine-build.ts';
import { KernelRange, whyNoKernel } from './kernel-range.ts';
import type { Bench } from './measure.ts';
import { Crew, checkCounts, koffiPath, type Side, type Turn } from './multi-fault-crew.ts';
import { DROPPED_PAGES } from './multi-fault-worker.ts';
import { ascending } from './orders.ts';
import { median, type Row, rowOf } from './row.ts';
import { spreadOf } from './spread.ts';

/**
 * `multi-fault` (KAMEZAWA Hiroyuki, 2010; used for pte-ref in 2021): threads that touch and drop a
 * range again and again, on a build of the engine without the count (engine-build.ts), and on the
 * engine with each way to keep references (engine/tables/table-refs.ts). All sides have the same
 * machine, and take turns of the same work, in changing order (`orderOf`). A crew of threads is
 * compiled for by itself, which alone can make some percent, so several crews are started one after
 * the other, and the interval is that of the crews' medians.
 */
export interface MultiFaultOptions {
  readonly threadCounts: readonly number[];
  /** Crews of the ways without a limit. */
  readonly otherCrews: number;
  /** Crews of the count under the lock: at least, and at most, where a limit is undecided. */
  readonly crews: number;
  readonly crewsMax: number;
  /** No crew beyond the least number is started after that time at one number of threads. */
  readonly secondsMax: number;
  /** Turns of a crew. */
  readonly turns: number;
  /** Faults of a turn, of all threads together. */
  readonly turnFaults: number;
  /** Faults of each thread before anything is measured. */
  readonly warmUpFaults: number;
  /** Tables of each thread. */
  readonly slots: number;
}

export const MULTI_FAULT_OPTIONS: MultiFaultOptions = {
  threadCounts: [1, 8, 16],
  otherCrews: 6,
  crews: 8,
  crewsMax: 24,
  secondsMax: 75,
  turns: 4,
  turnFaults: 1_000_000,
  warmUpFaults: 500_000,
  slots: 16,
};

/** Costs about which the interval must decide: ns a fault, and percent of the engine's fault. */
const LIMIT_NS = 2;
const LIMIT_PERCENT = 3;
const KERNEL_PAGES = 8192;

/** The ways by their mechanisms. The limits are for the first: the engine counts so in any case. */
const LOCK_WAY = 'pte-ref-lock';
const WAYS: readonly string[] = [LOCK_WAY, 'pte-ref', 'pte-ref-percpu'];

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
      rows.push(rowOfRounds(threads, await measureThreads(builds, threads, all, kernel)));
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
    otherCrews: 1,
    crews: 1,
    crewsMax: 1,
    turns: repeats,
    // About as many as a turn of that length has; all sides must do the same.
    turnFaults: Math.round(seconds * 1e7),
    warmUpFaults: warmUpFaults / 4,
    slots,
  };
  const builds = makeBuilds();
  try {
    for (const threads of options.threadCounts) {
      const rounds = await measureThreads(builds, threads, options, null);
      for (const way of WAYS) bench.onRow(benchRow(threads, way, rounds));
    }
  } finally {
    for (const build of builds) build.remove();
  }
}

function benchRow(threads: number, way: string, rounds: readonly Round[]): Row {
  const pairs = pairsOf(rounds, way);
  return rowOf(
    {
      name: `multi-fault/${threads}${way === LOCK_WAY ? '' : `-${way}`}`,
      what: `a first write by each of ${threads} threads under ${way}, and without any count`,
      peer: 'no count',
      unit: 'ns/page',
    },
    pairs.map(({ withRefs }) => withRefs.touchNs),
    pairs.map(({ without }) => without.touchNs),
  );
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

/** A turn of each side, one after the other. */
interface Round {
  readonly crew: number;
  readonly without: Turn;
  readonly ways: ReadonlyMap<string, Turn>;
}

async function measureThreads(
  builds: Builds,
  threads: number,
  options: MultiFaultOptions,
  kernel: KernelFault | null,
): Promise<Round[]> {
  const rounds: Round[] = [];
  const endMs = performance.now() + options.secondsMax * 1000;
  for (let crew = 0; crew < options.crewsMax; crew++) {
    kernel?.measure();
    const ways = crew < options.otherCrews ? WAYS : [LOCK_WAY];
    rounds.push(...(await crewRounds(builds, ways, threads, crew, options)));
    if (crew + 1 < options.crews) continue;
    if (isDecided(wayOfRounds(LOCK_WAY, rounds)) || performance.now() > endMs) break;
  }
  return rounds;
}

async function crewRounds(
  [counting, without]: Builds,
  ways: readonly string[],
  threads: number,
  crew: number,
  options: MultiFaultOptions,
): Promise<Round[]> {
  const sides: Side[] = ways.map((way) => ({ build: counting, way }));
  sides.splice(1, 0, { build: without, way: null });
  const crews: Crew[] = [];
  const roundFaults = options.slots * DROPPED_PAGES;
  const repeats = Math.max(1, Math.round(options.turnFaults / threads / roundFaults));
  const warmUp = Math.max(1, Math.ceil(options.warmUpFaults / roundFaults));
  const rounds: Round[] = [];
  try {
    // Who is started first is slower by some percent with many threads, so they take turns in that too.
    const startOrder = [...sides.keys()];
    if (crew % 2 === 1) startOrder.reverse();
    for (const at of startOrder) {
      const side = sides[at]!;
      const started = await Crew.start(side, threads, options.slots);
      crews[at] = started;
      const hasRefs = side.way !== null && side.way !== LOCK_WAY;
      checkCounts(await started.all(warmUp), side.way !== null, hasRefs);
    }
    for (let i = 0; i < options.turns; i++) {
      rounds.push(await oneRound(sides, crews, crew, repeats, orderOf(sides.length, i + crew)));
    }
  } finally {
    for (const started of crews) await started?.stop();
  }
  return rounds;
}

/**
 * The first two sides, about which the limits are, stand beside each other, and each as often before
 * as behind the other and the rest: 0 1 2 3, 3 2 0 1, 1 0 2 3, 3 2 1 0.
 */
export function orderOf(sides: number, round: number): number[] {
  const first = (round >> 1) % 2 === 0 ? [0, 1] : [1, 0];
  const rest = Array.from({ length: sides - 2 }, (_, i) => i + 2);
  return round % 2 === 0 ? [...first, ...rest] : [...rest.reverse(), ...first];
}

async function oneRound(
  sides: readonly Side[],
  crews: readonly Crew[],
  crew: number,
  repeats: number,
  order: readonly number[],
): Promise<Round> {
  const turns = new Map<string | null, Turn>();
  for (const at of order) turns.set(sides[at]!.way, await crews[at]!.run(repeats));
  const ways = new Map<string, Turn>();
  for (const [way, turn] of turns) if (way !== null) ways.set(way, turn);
  return { crew, without: turns.get(null)!, ways };
}

interface Pair {
  readonly crew: number;
  readonly withRefs: Turn;
  readonly without: Turn;
}

function pairsOf(rounds: readonly Round[], way: string): Pair[] {
  return rounds.flatMap(({ crew, without, ways }) => {
    const withRefs = ways.get(way);
    return withRefs === undefined ? [] : [{ crew, withRefs, without }];
  });
}

function rowOfRounds(threads: number, rounds: readonly Round[]): MultiFaultRow {
  return {
    threads,
    withoutNs: median(rounds.map(({ without }) => without.touchNs)),
    ways: WAYS.map((way) => wayOfRounds(way, rounds)),
  };
}

function wayOfRounds(mechanism: string, rounds: readonly Round[]): MultiFaultWay {
  const pairs = pairsOf(rounds, mechanism);
  const spread = (value: (pair: Pair) => number) =>
    spreadOf(pairs.map((pair) => ({ group: pair.crew, value: value(pair) })));
  return {
    mechanism,
    withNs: median(pairs.map(({ withRefs }) => withRefs.touchNs)),
    costNs: spread(({ withRefs, without }) => withRefs.touchNs - without.touchNs),
    costPercent: spread(({ withRefs, without }) => (withRefs.touchNs / without.touchNs - 1) * 100),
    ratePercent: spread(({ withRefs, without }) => (without.totalNs / withRefs.totalNs - 1) * 100),
    pairs: pairs.length,
  };
}

/** True if both intervals lie on one side of their limits. */
function isDecided({ costNs, costPercent }: MultiFaultWay): boolean {
  return [[costNs, LIMIT_NS] as const, [costPercent, LIMIT_PERCENT] as const].every(
    ([{ low, high }, limit]) => high <= limit || low > limit,
  );
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
