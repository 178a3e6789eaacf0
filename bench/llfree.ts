import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Random } from '../src/base/index.ts';
import { LLFree, Machine, validateLLFree, validateMachine } from '../src/engine/index.ts';
import {
  type AllocatorRow,
  FRAG_DEFAULTS,
  type FragAllocator,
  frag,
  fragBuddy,
  fragLLFree,
} from '../src/lab/index.ts';
import type { Answer, Order, Start } from './llfree-worker.ts';
import { type Bench, DEFAULT_OPTIONS } from './measure.ts';
import { type Row, rowOf } from './row.ts';

/**
 * LLFree against the engine's buddy: half of memory taken and given back, frame by frame, by one
 * thread and by several; and how many huge frames are left free when single frames come and go.
 */
const WORKERS_MAX = 16;
const ORDERS = [0, 9] as const;

/**
 * The C port of LLFree, ns a call of one thread in the same pattern, measured with 8 GB of frames.
 * The goal is three times that.
 */
const NATIVE_NS = {
  0: { get: 37, put: 26, repeat: 59, rand: 28 },
  9: { get: 46, put: 20, repeat: 51, rand: 24 },
} as const;
const GOAL_FACTOR = 3;

const WHAT = {
  get: 'get, half of memory in a row',
  put: 'put, half of memory in reverse',
  repeat: 'get and put of one, half of memory in use',
  rand: 'put, half of memory at random, taken by any worker',
} as const;
const CALLS = ['get', 'repeat', 'put', 'rand'] as const;

export async function benchLLFree(bench: Bench): Promise<void> {
  for (const order of ORDERS) {
    for (const workers of workerCounts()) await workersRows(bench, order, workers);
    await exclusiveRows(bench, order);
  }
  fragRow(bench);
}

/** The rows of one thread and of several against the buddy, for a figure: three pairs each. */
export async function measureLLFree(): Promise<AllocatorRow[]> {
  const rows: AllocatorRow[] = [];
  const onRow = ({ what, peer, ours, theirs, ratio }: Row): void => {
    if (peer !== 'buddy' || theirs === null || ratio === null) return;
    rows.push({ what, oursNs: ours, theirsNs: theirs, ratio });
  };
  const bench: Bench = { options: { ...DEFAULT_OPTIONS, repeats: 3 }, onRow, onNote: () => {} };
  for (const order of ORDERS) {
    for (const workers of workerCounts()) await workersRows(bench, order, workers);
  }
  return rows;
}

/** 1, 2, 4 … up to the processors that there are. */
function workerCounts(): number[] {
  const counts: number[] = [];
  const most = Math.min(WORKERS_MAX, availableParallelism());
  for (let workers = 1; workers <= most; workers *= 2) counts.push(workers);
  return counts;
}

async function workersRows(bench: Bench, order: 0 | 9, workers: number): Promise<void> {
  const frames = bench.options.llfreeFrames;
  const options = { frames, cores: workers };
  const buffer = new SharedArrayBuffer(LLFree.bytesFor(options));
  const a = LLFree.format(buffer, options);
  const machine = Machine.create({
    nodeBytes: [frames * 4096],
    isShared: true,
    cpus: workers + 1,
  });
  const machineBuffer = machine.buffer as SharedArrayBuffer;
  const ours = startsOf('llfree', buffer, frames, workers, order);
  const theirs = startsOf('buddy', machineBuffer, frames, workers, order);
  await callRows(bench, order, workers === 1 ? '' : `-${workers}-workers`, ours, theirs);
  // Each round gives everything back: what is missing, or counted wrongly, would be a race.
  validateLLFree(a);
  if (a.freeFrames() !== frames) throw new Error(`llfree: ${a.freeFrames()} of ${frames} frames`);
  validateMachine(machine);
}

/** One thread that has the allocator for itself: no atomic writes, no lock. */
async function exclusiveRows(bench: Bench, order: 0 | 9): Promise<void> {
  const frames = bench.options.llfreeFrames;
  const ours = startsOf('llfree', null, frames, 1, order);
  await callRows(bench, order, '-exclusive', ours, startsOf('buddy', null, frames, 1, order));
}

function startsOf(
  kind: Start['kind'],
  buffer: SharedArrayBuffer | null,
  frames: number,
  workers: number,
  order: number,
): Start[] {
  const barrier = new SharedArrayBuffer(8);
  const pool = new SharedArrayBuffer((Math.floor(frames / 2 / workers) >> order) * workers * 4);
  const common = { kind, buffer, frames, workers, order, barrier, pool };
  return Array.from({ length: workers }, (_, core) => ({ ...common, core }));
}

/** The rows of the four patterns; all are measured in each turn of a side. */
async function callRows(
  bench: Bench,
  order: 0 | 9,
  suffix: string,
  ourStarts: readonly Start[],
  theirStarts: readonly Start[],
): Promise<void> {
  const { repeats, seconds, warmUpFaults } = bench.options;
  const ours = Crew.start(ourStarts);
  const theirs = Crew.start(theirStarts);
  const ourTurns: Answer[] = [];
  const theirTurns: Answer[] = [];
  try {
    const calls = bench.options.llfreeFrames / 2 / ourStarts.length / 2 ** order;
    const warmUp = { seconds: 0, rounds: Math.ceil(warmUpFaults / calls) };
    await ours.run(warmUp);
    await theirs.run(warmUp);
    for (let i = 0; i < repeats; i++) {
      ourTurns.push(await ours.run({ seconds, rounds: 1 }));
      theirTurns.push(await theirs.run({ seconds, rounds: 1 }));
    }
  } finally {
    await ours.stop();
    await theirs.stop();
  }
  const { length } = ourStarts;
  const size = order === 0 ? 'single frames' : 'huge frames';
  const how = suffix === '-exclusive' ? 'not shared' : `${length} worker${length > 1 ? 's' : ''}`;
  for (const call of CALLS) {
    const name = `llfree/${call}-${order}${suffix}`;
    const what = `${size}: ${WHAT[call]}, ${how}`;
    const values = ourTurns.map((turn) => turn[call]);
    const head = { name, what, peer: 'buddy', unit: 'ns/call' } as const;
    bench.onRow(
      rowOf(
        head,
        values,
        theirTurns.map((turn) => turn[call]),
      ),
    );
    if (suffix === '') goalRow(bench, { ...head, peer: 'goal' }, NATIVE_NS[order][call], values);
  }
}

function goalRow(
  bench: Bench,
  head: { name: string; what: string; peer: string; unit: 'ns/call' },
  nativeNs: number,
  values: readonly number[],
): void {
  const what = `the same; goal: ${GOAL_FACTOR} times the C port's ${nativeNs} ns`;
  const goals = values.map(() => GOAL_FACTOR * nativeNs);
  bench.onRow(rowOf({ ...head, name: `${head.name}-goal`, what }, values, goals));
}

/** A seed a pair. */
function fragRow(bench: Bench): void {
  const frames = bench.options.llfreeFrames / 4;
  const share = (a: FragAllocator, seed: number): number => {
    const { possible, free } = frag(a, new Random(seed), FRAG_DEFAULTS);
    return (free.at(-1)! / possible) * 100;
  };
  const seeds = Array.from({ length: bench.options.repeats }, (_, i) => i + 1);
  const ours = seeds.map((seed) => share(fragLLFree({ frames, cores: FRAG_DEFAULTS.cores }), seed));
  const theirs = seeds.map((seed) => share(fragBuddy(frames), seed));
  const what = `huge frames free of those possible, after ${FRAG_DEFAULTS.rounds} rounds of frag`;
  bench.onRow(rowOf({ name: 'llfree/frag', what, peer: 'buddy', unit: '%' }, ours, theirs));
}

/** Worker threads that all do the same at the same time. */
class Crew {
  readonly #workers: readonly Worker[];

  private constructor(workers: readonly Worker[]) {
    this.#workers = workers;
  }

  static start(starts: readonly Start[]): Crew {
    const url = new URL('./llfree-worker.js', import.meta.url);
    return new Crew(starts.map((workerData) => new Worker(url, { workerData })));
  }

  /** The mean of the threads. */
  async run(order: Order): Promise<Answer> {
    const answers = this.#workers.map((worker) => once(worker, 'message'));
    for (const worker of this.#workers) worker.postMessage(order);
    const done = (await Promise.all(answers)).map(([answer]) => answer as Answer);
    const mean = (call: keyof Answer): number =>
      done.reduce((sum, answer) => sum + answer[call], 0) / done.length;
    return { get: mean('get'), put: mean('put'), repeat: mean('repeat'), rand: mean('rand') };
  }

  async stop(): Promise<void> {
    const ends = this.#workers.map((worker) => once(worker, 'exit'));
    for (const worker of this.#workers) worker.postMessage(null);
    await Promise.all(ends);
  }
}
