import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { RHASHTABLE } from '../src/engine/counts/rhashtable.ts';
import { COUNT_KINDS, type CountKind } from '../src/engine/index.ts';
import { FRAMES_A_SHARED, machineFrames, type Pattern, TABLE_ENTRIES } from './counts-frames.ts';
import { RHASHTABLE_VARIANTS } from './counts-parameters.ts';
import type { CountsFigures, CountsJob, CountsStart } from './counts-worker.ts';
import type { Bench } from './measure.ts';
import { rowOf, type Unit } from './row.ts';

/** The table that the others are compared with. */
const OURS = 'row-leaf-4';
/** What row-leaf should reach: ns an entry in batches of clustered frames, bytes a frame when all are shared. */
const BATCH_GOAL_NS = 6;
const DENSE_GOAL_BYTES = 1.1;
/** Where not all tables say something new. */
const FEW_PEERS = ['static', 'line-hash', 'rosebush', 'rhashtable'];

/**
 * The questions of seed 003 about share counts: insertion and removal, size and utilisation, concurrent
 * access, resizing in progress, batches; and a shared table that is split, end to end.
 */
export async function benchCounts(bench: Bench): Promise<void> {
  const shared = Math.max(TABLE_ENTRIES, bench.options.countFrames & -TABLE_ENTRIES);
  for (const pattern of ['clustered', 'random'] as const) await single(bench, pattern, shared);
  for (const pattern of ['dense', 'clustered', 'random'] as const) {
    await batches(bench, pattern, shared);
  }
  for (const threads of bench.options.countThreads) await concurrent(bench, threads, shared);
  await resizing(bench, shared);
  await parameters(bench, shared);
}

/** Values of each repeat, by kind and figure. */
type Results = Map<string, Map<string, number[]>>;

function add(results: Results, kind: string, figures: CountsFigures): void {
  const of = results.get(kind) ?? new Map<string, number[]>();
  results.set(kind, of);
  for (const [name, value] of Object.entries(figures)) {
    of.set(name, [...(of.get(name) ?? []), value]);
  }
}

function rowsOf(
  bench: Bench,
  results: Results,
  figure: string,
  head: Head,
  peers: readonly string[] = [...results.keys()],
): void {
  const ours = results.get(OURS)!.get(figure)!;
  for (const [peer, figures] of results) {
    if (peer === OURS || !peers.includes(peer)) continue;
    bench.onRow(rowOf({ ...head, name: `${head.name}/${peer}`, peer }, ours, figures.get(figure)!));
  }
}

interface Head {
  readonly name: string;
  readonly what: string;
  readonly unit: Unit;
}

/** Threads with views of one table. */
class Crew {
  readonly #workers: Worker[];

  constructor(kind: CountKind, pattern: Pattern, shared: number, threads: number) {
    const other = shared * (FRAMES_A_SHARED * 2 + 8);
    const frames = pattern === 'dense' ? machineFrames(pattern, shared) : other;
    const options = { frames, entries: shared * 6, workers: threads };
    const buffer = new SharedArrayBuffer(kind.bytesFor(options));
    kind.format(buffer, options);
    this.#workers = Array.from({ length: threads }, (_, worker) => {
      const workerData: CountsStart = { kind: kind.name, buffer, worker, pattern, shared };
      return new Worker(new URL('./counts-worker.js', import.meta.url), { workerData });
    });
  }

  /** One job each, at the same time. */
  async run(jobs: readonly CountsJob[]): Promise<CountsFigures[]> {
    const answers = jobs.map(async (job, i) => {
      const worker = this.#workers[i]!;
      worker.postMessage(job);
      const [figures] = await once(worker, 'message');
      return figures as CountsFigures;
    });
    return await Promise.all(answers);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

/** Runs `turn` for each kind, again and again: the same stretch of the machine's weather for all. */
async function inTurns(
  bench: Bench,
  crewOf: (kind: CountKind) => Crew,
  turn: (crew: Crew) => Promise<CountsFigures>,
  kinds: readonly CountKind[] = COUNT_KINDS,
): Promise<Results> {
  const crews = kinds.map((kind) => ({ kind, crew: crewOf(kind) }));
  const results: Results = new Map();
  try {
    // The first rounds measure V8's compilers.
    for (let round = -WARM_UP; round < bench.options.repeats; round++) {
      for (const { kind, crew } of crews) {
        const figures = await turn(crew);
        if (round >= 0) add(results, kind.name, figures);
      }
    }
  } finally {
    await Promise.all(crews.map(({ crew }) => crew.stop()));
  }
  return results;
}

const WARM_UP = 3;

async function one(crew: Crew, name: CountsJob['name'], seconds = 0): Promise<CountsFigures> {
  return (await crew.run([{ name, seconds }]))[0]!;
}

async function single(bench: Bench, pattern: Pattern, shared: number): Promise<void> {
  const results = await inTurns(
    bench,
    (kind) => new Crew(kind, pattern, shared, 1),
    (crew) => one(crew, 'single'),
  );
  const unit: Unit = 'ns/entry';
  const what = `${shared} ${pattern} frames, one by one`;
  const row = (figure: string, text: string): void => {
    const head = { name: `counts/${pattern}/${figure}`, what: `${what}: ${text}`, unit };
    rowsOf(bench, results, figure, head, figure === 'change' ? undefined : FEW_PEERS);
  };
  row('insert', 'a second reference, in order');
  row('hit', 'look-up, in random order');
  row('miss', 'look-up of frames without an entry');
  row('change', 'up, look-up, down, in random order; ns an operation');
  row('remove', 'back to one reference, in order');
}

async function batches(bench: Bench, pattern: Pattern, shared: number): Promise<void> {
  const results = await inTurns(
    bench,
    (kind) => new Crew(kind, pattern, shared, 1),
    async (crew) => ({
      ...(await one(crew, 'batch')),
      ...(await one(crew, 'split')),
      ...(await one(crew, 'bytes')),
    }),
  );
  const head = {
    name: `counts/${pattern}/batch`,
    what: `tables of 512 ${pattern} frames: mean of up from 1, up, down, down to 1`,
    unit: 'ns/entry' as const,
  };
  rowsOf(bench, results, 'mean', head);
  rowsOf(bench, results, 'split', {
    name: `counts/${pattern}/split`,
    what: `a shared table of 512 ${pattern} frames is copied, write-protected and counted`,
    unit: 'ns/table',
  });
  const share = pattern === 'dense' ? 'all' : `one in ${FRAMES_A_SHARED * 2 + 8}`;
  const bytes: Head = {
    name: `counts/${pattern}/bytes`,
    what: `bytes a shared frame; of the machine's frames ${share} are shared`,
    unit: 'bytes/frame',
  };
  rowsOf(bench, results, 'bytes', bytes);
  if (pattern === 'clustered') goalRows(bench, results, 'mean', head, BATCH_GOAL_NS);
  if (pattern === 'dense') goalRows(bench, results, 'bytes', bytes, DENSE_GOAL_BYTES);
}

/** Both sizes of leaves against a number to reach. */
function goalRows(bench: Bench, results: Results, figure: string, head: Head, goal: number): void {
  for (const kind of [OURS, 'row-leaf']) {
    const ours = results.get(kind)!.get(figure)!;
    const name = `${head.name}/goal-${kind}`;
    bench.onRow(
      rowOf(
        { ...head, name, peer: 'goal' },
        ours,
        ours.map(() => goal),
      ),
    );
  }
}

/** Operations a second of all threads together on one table, all of the same frames. */
async function concurrent(bench: Bench, threads: number, shared: number): Promise<void> {
  const { seconds } = bench.options;
  const filled = new Set<Crew>();
  const results = await inTurns(
    bench,
    (kind) => new Crew(kind, 'random', shared, threads),
    async (crew) => {
      if (!filled.has(crew)) await one(crew, 'fill');
      filled.add(crew);
      const jobs = Array.from({ length: threads }, () => ({ name: 'mix' as const, seconds }));
      return { rate: rateOf(await crew.run(jobs)) };
    },
  );
  rowsOf(
    bench,
    results,
    'rate',
    {
      name: `counts/threads-${threads}`,
      what: `${threads} threads: up, look-up, down of random frames of the same ${shared}`,
      unit: 'operations/s',
    },
    FEW_PEERS,
  );
}

function rateOf(answers: readonly CountsFigures[]): number {
  return answers.reduce((sum, { operations, seconds }) => sum + operations! / seconds!, 0);
}

/** One thread's operations while another makes the table grow to five times its size and shrink again. */
async function resizing(bench: Bench, shared: number): Promise<void> {
  const { seconds } = bench.options;
  const filled = new Set<Crew>();
  const results = await inTurns(
    bench,
    (kind) => new Crew(kind, 'random', shared, 2),
    async (crew) => {
      if (!filled.has(crew)) await one(crew, 'fill');
      filled.add(crew);
      const [answer] = await crew.run([
        { name: 'mix', seconds },
        { name: 'churn', seconds },
      ]);
      return { rate: rateOf([answer!]) };
    },
  );
  rowsOf(
    bench,
    results,
    'rate',
    {
      name: 'counts/resizing',
      what: `one thread as in threads-1, while another fills and empties ${4 * shared} other entries`,
      unit: 'operations/s',
    },
    FEW_PEERS,
  );
}

/** The same operations on rhashtables with other parameters; the peer is the one with the kernel's. */
async function parameters(bench: Bench, shared: number): Promise<void> {
  const results = await inTurns(
    bench,
    (kind) => new Crew(kind, 'random', shared, 1),
    async (crew) => ({ ...(await one(crew, 'single')), ...(await one(crew, 'bytes')) }),
    [RHASHTABLE, ...RHASHTABLE_VARIANTS],
  );
  const peer = RHASHTABLE.name;
  const theirs = results.get(peer)!;
  for (const figure of ['insert', 'remove', 'change', 'bytes']) {
    const unit: Unit = figure === 'bytes' ? 'bytes/frame' : 'ns/entry';
    const what = `${peer} with other parameters, ${shared} random frames: ${figure}`;
    for (const { name } of RHASHTABLE_VARIANTS) {
      const head = { name: `counts/parameters/${figure}/${name}`, what, unit, peer };
      bench.onRow(rowOf(head, results.get(name)!.get(figure)!, theirs.get(figure)!));
    }
  }
}
