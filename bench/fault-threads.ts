import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type Machine, System, validateMachine } from '../src/engine/index.ts';
import { whyNoPuppet } from '../src/host/index.ts';
import { EngineRange, RANGE_ADDR } from './engine-range.ts';
import type { Answer, Order, Start } from './fault-worker.ts';
import { type Bench, measurePair } from './measure.ts';
import { ascending } from './orders.ts';

/** Ranges of threads lie that far apart in one address space: no last-level table is shared. */
const DISTANCE_BYTES = 2 ** 30;

interface Variant {
  readonly name: string;
  readonly what: string;
  readonly threads: number;
  readonly hasOneSpace: boolean;
}

const VARIANTS: readonly Variant[] = [
  { name: 'shared-1', what: 'one thread, with locks', threads: 1, hasOneSpace: true },
  { name: 'shared-2', what: 'two threads, an address space each', threads: 2, hasOneSpace: false },
  { name: 'shared-2-one-space', what: 'two threads of one process', threads: 2, hasOneSpace: true },
];

/**
 * `fault/write` on a shared machine: worker threads that attach to one buffer and take its locks.
 * On the kernel's side as many threads of this process, or a process each.
 */
export async function faultThreads(bench: Bench): Promise<void> {
  for (const variant of VARIANTS) {
    const reason = variant.hasOneSpace ? null : whyNoPuppet();
    if (reason === null) await threadsRow(bench, variant);
    else bench.onNote(`fault/${variant.name} is left out: ${reason}`);
  }
}

async function threadsRow(bench: Bench, variant: Variant): Promise<void> {
  const { pages, warmUpFaults } = bench.options;
  const { system, starts } = engineStarts(pages, variant);
  const kind = variant.hasOneSpace ? 'thread' : 'process';
  const engine = await Crew.start(starts);
  const kernel = await Crew.start(starts.map(() => ({ kind, pages })));
  const what = `first writes, ${variant.what}: faults of all together`;
  try {
    await measurePair(
      bench,
      { name: `fault/${variant.name}`, what, peer: 'kernel', unit: 'faults/s' },
      { run: (s) => engine.run(s), warmUp: () => engine.warmUp(warmUpFaults / pages) },
      { run: (s) => kernel.run(s), warmUp: () => kernel.warmUp(1) },
    );
  } finally {
    await engine.stop();
    await kernel.stop();
  }
  // Each round ends with everything absent: what is left, or counted wrongly, would be a race.
  for (const process of system.processes()) {
    const { presentPages } = process.counters();
    if (presentPages !== 0) throw new Error(`engine: ${presentPages} pages left after the rounds`);
  }
  validateMachine(system.machine);
}

/** The machine, its processes and mappings; what each thread needs to know of them. */
function engineStarts(
  pages: number,
  { threads, hasOneSpace }: Variant,
): { system: System; starts: Start[] } {
  // The creator is cpu 0.
  const system = new System({ isShared: true, cpus: threads + 1 });
  const { buffer } = system.machine as Machine & { buffer: SharedArrayBuffer };
  const plan = ascending(pages);
  const starts: Start[] = [];
  for (let thread = 0; thread < threads; thread++) {
    const pid = hasOneSpace ? 1 : 1 + thread;
    const process = system.process(pid) ?? system.spawn(pid);
    const addr = hasOneSpace ? RANGE_ADDR + thread * DISTANCE_BYTES : RANGE_ADDR;
    EngineRange.mapAreas(process, plan, addr);
    starts.push({ kind: 'engine', pages, buffer, cpu: thread + 1, mm: process.mm, addr });
  }
  return { system, starts };
}

/** Worker threads that all do the same at the same time. */
class Crew {
  readonly #workers: readonly Worker[];

  private constructor(workers: readonly Worker[]) {
    this.#workers = workers;
  }

  static async start(starts: readonly Start[]): Promise<Crew> {
    const url = new URL('./fault-worker.js', import.meta.url);
    // Descriptors of memfds are closed without Node having opened them: nothing to warn of.
    const options = { trackUnmanagedFds: false };
    const workers = starts.map((workerData) => new Worker(url, { workerData, ...options }));
    const crew = new Crew(workers);
    await crew.warmUp(0);
    return crew;
  }

  async warmUp(rounds: number): Promise<void> {
    await this.#all({ seconds: 0, rounds: Math.ceil(rounds) });
  }

  /** Faults a second of all threads. */
  async run(seconds: number): Promise<number> {
    const answers = await this.#all({ seconds, rounds: 1 });
    return answers.reduce((sum, { faults, ms }) => sum + (faults / ms) * 1000, 0);
  }

  async stop(): Promise<void> {
    const ends = this.#workers.map((worker) => once(worker, 'exit'));
    for (const worker of this.#workers) worker.postMessage(null);
    await Promise.all(ends);
  }

  #all(order: Order): Promise<Answer[]> {
    const answers = this.#workers.map((worker) => once(worker, 'message'));
    for (const worker of this.#workers) worker.postMessage(order);
    return Promise.all(answers.map(async (answer) => (await answer)[0] as Answer));
  }
}
