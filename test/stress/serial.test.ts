import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Random } from '../../src/base/index.ts';
import { validateMachine } from '../../src/engine/index.ts';
import { attachMechanisms, type Kernel, parseKernel } from '../../src/lab/kernels.ts';
import {
  faultSmall,
  finalState,
  isAccess,
  OPS,
  runSmall,
  type SerialStart,
  SMALL_PAGES,
  type SmallOp,
  smallMachine,
} from './serial-plan.ts';

/**
 * What threads did at the same time must be what they could have done one after the other: for small
 * programs every order is tried on a machine of one thread, until one gives the same results and the
 * same end.
 */
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const CASES = 60;

function randomProgram(random: Random, threads: number, ops: number): SmallOp[][] {
  return Array.from({ length: threads }, (_, thread) =>
    Array.from({ length: ops }, (_, i) => ({
      op: random.pick(OPS),
      page: random.below(SMALL_PAGES),
      value: 1 + random.below(1000) + 1000 * (thread * 10 + i),
    })),
  );
}

interface Seen {
  readonly results: number[][];
  readonly end: string;
}

async function runOnThreads(
  kernel: Kernel,
  program: readonly SmallOp[][],
  workers: readonly Worker[],
): Promise<Seen> {
  const machine = smallMachine(kernel.rules, true, workers.length + 1);
  attachMechanisms(machine.system.machine, kernel);
  const gate = new Int32Array(new SharedArrayBuffer(8));
  const answers = workers.map(async (worker, thread) => {
    const start: SerialStart = {
      buffer: machine.system.machine.buffer as SharedArrayBuffer,
      thread,
      threads: workers.length,
      mm: machine.process.mm,
      object: machine.object,
      kernel: kernel.name,
      ops: program[thread] as SmallOp[],
      gate,
    };
    worker.postMessage(start);
    return (await once(worker, 'message'))[0] as number[];
  });
  const results = await Promise.all(answers);
  validateMachine(machine.system.machine);
  return { results, end: finalState(machine) };
}

/** A step of an operation: a fault that its access may need, or the operation itself. */
interface Step {
  readonly index: number;
  readonly isFault: boolean;
}

/** The steps of a thread, with so many faults before each access. */
function stepsOf(ops: readonly SmallOp[], faults: number): Step[] {
  return ops.flatMap((op, index) => [
    ...Array.from({ length: isAccess(op) ? faults : 0 }, () => ({ index, isFault: true })),
    { index, isFault: false },
  ]);
}

/**
 * Tries the orders until one gives what was seen; null: none does. An access that was disturbed twice
 * is rare, so the many orders with two faults are only tried where one is not enough.
 */
function explain(kernel: Kernel, program: readonly SmallOp[][], seen: Seen): number[] | null {
  for (const faults of [0, 1, 2]) {
    const steps = program.map((ops) => stepsOf(ops, faults));
    for (const order of ordersOf(steps.map(({ length }) => length))) {
      if (isLike(kernel, program, steps, order, seen)) return order;
    }
  }
  return null;
}

function isLike(
  kernel: Kernel,
  program: readonly SmallOp[][],
  steps: readonly Step[][],
  order: readonly number[],
  seen: Seen,
): boolean {
  const machine = smallMachine(kernel.rules, false, 1);
  attachMechanisms(machine.system.machine, kernel);
  const at = program.map(() => 0);
  let isSame = true;
  /** Result of the operation that a fault has ended already, for each thread. */
  const ended = program.map((): number | null => null);
  for (const thread of order) {
    const step = steps[thread]?.[at[thread] as number] as Step;
    at[thread] = (at[thread] as number) + 1;
    const op = program[thread]?.[step.index] as SmallOp;
    if (step.isFault) {
      const code = ended[thread] ?? faultSmall(machine.process, op);
      if (code < 0) ended[thread] = code;
      continue;
    }
    const result = ended[thread] ?? runSmall(machine.process, machine.object, op);
    ended[thread] = null;
    if (result !== seen.results[thread]?.[step.index]) {
      isSame = false;
      break;
    }
  }
  isSame &&= finalState(machine) === seen.end;
  machine.system.machine.release();
  return isSame;
}

/** All ways to merge threads of so many operations each: lists of thread numbers. */
function* ordersOf(left: number[]): Generator<number[]> {
  if (left.every((count) => count === 0)) yield [];
  for (const [thread, count] of left.entries()) {
    if (count === 0) continue;
    const rest = left.with(thread, count - 1);
    for (const order of ordersOf(rest)) yield [thread, ...order];
  }
}

const SHAPES: readonly [threads: number, ops: number, kernel: string][] = [
  [2, 3, 'linux-6.18'],
  [2, 3, 'linux-6.18+pte-ref'],
  [3, 2, 'linux-6.18+pte-ref-lock'],
  [3, 2, 'linux-6.18+pte-ref-percpu'],
];

for (const [threads, ops, name] of SHAPES) {
  test(`as one after the other: ${threads} threads of ${ops} operations, ${name}`, async (t) => {
    t.diagnostic(`PAGELAB_SEED=${seed}`);
    const kernel = parseKernel(name);
    const random = new Random(seed);
    const url = new URL('./serial.worker.js', import.meta.url);
    const workers = Array.from({ length: threads }, () => new Worker(url));
    let mixed = 0;
    try {
      for (let i = 0; i < CASES; i++) {
        const program = randomProgram(random, threads, ops);
        const seen = await runOnThreads(kernel, program, workers);
        const order = explain(kernel, program, seen);
        assert.notEqual(order, null, `no order gives ${JSON.stringify({ program, seen })}`);
        if (isMixed(order as number[])) mixed += 1;
      }
    } finally {
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
    t.diagnostic(`${mixed} of ${CASES} cases need an order in which threads take turns`);
  });
}

/** True if the first order that fits is not one thread after the other. */
function isMixed(order: readonly number[]): boolean {
  const switches = order.filter((thread, i) => i > 0 && thread !== order[i - 1]).length;
  return switches > new Set(order).size - 1;
}
