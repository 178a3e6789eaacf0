import { parentPort, workerData } from 'node:worker_threads';
import { Random } from '../../src/base/index.ts';
import { LLFree } from '../../src/engine/frames/llfree/index.ts';
import { anyOrder, type Held } from './llfree-steps.ts';

/** One thread of llfree-workers.test.ts: gets and puts at random, and swaps frames with the others. */
export interface Start {
  readonly buffer: SharedArrayBuffer;
  readonly core: number;
  readonly seed: number;
  readonly operations: number;
  /** One word a frame: 1 while somebody has it. */
  readonly owned: SharedArrayBuffer;
  /** Frames on their way to another thread: frame * 16 + order + 1, or 0. */
  readonly swaps: SharedArrayBuffer;
}

export interface Answer {
  readonly errors: string[];
  readonly held: readonly Held[];
  readonly gets: number;
  readonly refusals: number;
}

const start = workerData as Start;
const { core } = start;
const a = LLFree.attach(start.buffer);
const owned = new Int32Array(start.owned);
const swaps = new Int32Array(start.swaps);
const random = new Random(start.seed);
const held: Held[] = [];
const errors: string[] = [];
let gets = 0;
let refusals = 0;

function mark({ frame, order }: Held, from: number, to: number): void {
  for (let f = frame; f < frame + 2 ** order; f++) {
    const was = Atomics.compareExchange(owned, f, from, to);
    if (was !== from) errors.push(`core ${core}, frame ${f}: ${was} and not ${from}`);
  }
}

function get(): void {
  const order = anyOrder(random, a.treeShift);
  const frame = a.get(core, order);
  if (frame < 0) {
    refusals += 1;
    return;
  }
  gets += 1;
  mark({ frame, order }, 0, 1);
  held.push({ frame, order });
}

function put(): void {
  const i = random.below(held.length);
  const one = held[i]!;
  held[i] = held.at(-1)!;
  held.pop();
  const order = one.order > 0 && random.chance(0.2) ? one.order - 1 : one.order;
  if (order !== one.order) held.push({ frame: one.frame + 2 ** order, order });
  const freed = { frame: one.frame, order };
  mark(freed, 1, 0);
  const refusal = a.put(core, freed.frame, order);
  if (refusal !== 0) errors.push(`core ${core}: put of ${freed.frame}, order ${order}: ${refusal}`);
}

/** Leaves something for another thread and takes what somebody left. */
function swap(): void {
  const one = held.pop();
  const mine = one === undefined ? 0 : one.frame * 16 + one.order + 1;
  const theirs = Atomics.exchange(swaps, random.below(swaps.length), mine);
  if (theirs !== 0) held.push({ frame: (theirs - 1) >> 4, order: (theirs - 1) & 15 });
}

let wanted = 0.5;
for (let i = 0; i < start.operations && errors.length === 0; i++) {
  if (i % 512 === 0) wanted = random.pick([0.35, 0.5, 0.65]);
  if (random.chance(0.1)) swap();
  else if (held.length === 0 || random.chance(wanted)) get();
  else put();
  if (i % 4096 === 4095) a.drain();
}
parentPort?.postMessage({ errors, held, gets, refusals } satisfies Answer);
