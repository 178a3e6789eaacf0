import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { type Machine, OBJECT_SHMEM, System, validateMachine } from '../../src/engine/index.ts';
import {
  CPU_TICKS,
  CPU_WORDS,
  H_CPUS,
  H_SWAP_NEXT,
  HEADER_WORDS,
} from '../../src/engine/layout.ts';
import { attachMechanisms, parseKernel } from '../../src/lab/kernels.ts';
import type { KswapdStart } from './kswapd.worker.ts';
import {
  COVERED_AT,
  COVERED_PAGES,
  MIXED_AT,
  MIXED_PAGES,
  OBJECT_AT,
  OBJECT_PAGES,
  PAGE,
  type StressAnswer,
  type StressPlan,
  type StressStart,
} from './plan.ts';

/** What went wrong, null if nothing did; and how much was done. */
export interface StressResult {
  readonly wrong: string | null;
  readonly ops: number;
  readonly checks: number;
  /** Swap slots that were ever used, and what the mechanisms counted. */
  readonly swapSlots: number;
  readonly counted: Readonly<Record<string, number>>;
}

/** Milliseconds without one finished operation after which threads are stuck. */
const STUCK_MS = 60_000;
/** What the background thread may take for its last round. */
const LAST_ROUND_MS = 10_000;

/** Runs a plan on real threads. `workerUrl`: the thread's program, of this build or of another. */
export async function runStress(plan: StressPlan, workerUrl: URL): Promise<StressResult> {
  const kernel = parseKernel(plan.kernel);
  const system = new System({
    rules: kernel.rules,
    isShared: true,
    hasContents: true,
    cpus: plan.threads + 2,
    nodeBytes: [plan.memoryMiB * 2 ** 20],
    swapBytes: plan.swapMiB * 2 ** 20,
    bufferMiB: 256,
  });
  const { machine } = system;
  attachMechanisms(machine, kernel);
  const object = system.createObject(OBJECT_SHMEM, OBJECT_PAGES * PAGE);
  const processes = Array.from({ length: plan.spaces }, (_, i) => system.spawn(i + 1));
  for (const process of processes) {
    process.mmap(MIXED_AT, MIXED_PAGES * PAGE, 3, 0x32);
    process.mmap(COVERED_AT, COVERED_PAGES * PAGE, 3, 0x32);
    process.mmap(OBJECT_AT, OBJECT_PAGES * PAGE, 3, 0x11, object);
  }
  const workers = Array.from({ length: plan.threads }, (_, thread) => {
    const start: StressStart = {
      ...plan,
      buffer: machine.buffer as SharedArrayBuffer,
      thread,
      spaceIds: processes.map(({ mm }) => mm),
      object,
    };
    return new Worker(workerUrl, { workerData: start });
  });
  const kswapd = plan.hasKswapd === true ? startKswapd(machine.buffer, plan, workerUrl) : null;
  const answers = await answersOf(machine, workers);
  await kswapd?.stop();
  const wrong = answers.find((answer) => answer.kind === 'wrong');
  let what = wrong?.kind === 'wrong' ? wrong.what : null;
  let ops = 0;
  let checks = 0;
  for (const answer of answers) {
    if (answer.kind !== 'done') continue;
    ops += answer.ops;
    checks += answer.checks;
  }
  const swapSlots = machine.words[H_SWAP_NEXT] - 1;
  const counted = Object.assign(
    {},
    ...kernel.mechanisms.map((one) => one.counters?.(machine) ?? {}),
  );
  if (what === null) what = whatIsInvalid(system);
  return { wrong: what, ops, checks, swapSlots, counted };
}

/** The thread that reclaims in the background, on the last cpu. */
function startKswapd(
  buffer: SharedArrayBuffer | ArrayBuffer,
  plan: StressPlan,
  workerUrl: URL,
): { stop: () => Promise<void> } {
  const start: KswapdStart = {
    buffer: buffer as SharedArrayBuffer,
    cpu: plan.threads + 1,
    kernel: plan.kernel,
    end: new Int32Array(new SharedArrayBuffer(4)),
  };
  const worker = new Worker(new URL('kswapd.worker.js', workerUrl), { workerData: start });
  const done = once(worker, 'message');
  return {
    async stop() {
      Atomics.store(start.end, 0, 1);
      // It waits for ever for threads that were ended in the midst of an operation.
      await Promise.race([done, delay(LAST_ROUND_MS, undefined, { ref: false })]);
      await worker.terminate();
    },
  };
}

async function answersOf(machine: Machine, workers: readonly Worker[]): Promise<StressAnswer[]> {
  let timer: NodeJS.Timeout | undefined;
  const stuck = new Promise<StressAnswer[]>((resolve) => {
    let seen = -1;
    timer = setInterval(() => {
      const ticks = operationsEnded(machine);
      if (ticks === seen) resolve([{ kind: 'wrong', what: 'threads are stuck' }]);
      seen = ticks;
    }, STUCK_MS);
  });
  // The first that finds something wrong ends the run: the others may wait for it for ever.
  const firstWrong = new Promise<StressAnswer[]>((resolve) => {
    for (const worker of workers) {
      worker.on('message', (answer: StressAnswer) => answer.kind === 'wrong' && resolve([answer]));
      worker.on('error', (error) => resolve([{ kind: 'wrong', what: String(error.stack) }]));
    }
  });
  const all = Promise.all(
    workers.map(async (worker) => (await once(worker, 'message'))[0] as StressAnswer),
  );
  const answers = await Promise.race([all, firstWrong, stuck]);
  clearInterval(timer);
  await Promise.all(workers.map((worker) => worker.terminate()));
  return answers;
}

/** Grows with each operation that a thread ends. */
function operationsEnded({ words }: Machine): number {
  let ticks = 0;
  for (let cpu = 0; cpu < words[H_CPUS]; cpu++) {
    ticks += words[HEADER_WORDS + cpu * CPU_WORDS + CPU_TICKS] >>> 0;
  }
  return ticks;
}

/** All that the machine counts, again from the start; then with nothing left in it. */
function whatIsInvalid(system: System): string | null {
  try {
    validateMachine(system.machine);
    for (const process of [...system.processes()]) system.exit(process);
    validateMachine(system.machine);
    return null;
  } catch (error) {
    return `after the run: ${(error as Error).message}`;
  }
}
