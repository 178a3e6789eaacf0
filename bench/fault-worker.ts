import { parentPort, workerData } from 'node:worker_threads';
import {
  goOffline,
  goOnline,
  LINUX_6_18,
  Machine,
  Process,
  System,
  X86_64_4LEVEL,
} from '../src/engine/index.ts';
import { EngineRange } from './engine-range.ts';
import { KernelRange } from './kernel-range.ts';
import { ascending } from './orders.ts';
import { PuppetRange } from './puppet-range.ts';

/** A thread of `fault/shared-*`: touches a range of its own, on the engine or on the kernel. */

/** What it gets as workerData. */
export type Start =
  /** On the kernel: memory of this process, or of a process that this thread starts. */
  | { readonly kind: 'thread'; readonly pages: number }
  | { readonly kind: 'process'; readonly pages: number }
  | {
      readonly kind: 'engine';
      readonly pages: number;
      readonly buffer: SharedArrayBuffer;
      readonly cpu: number;
      readonly mm: number;
      readonly addr: number;
    };

/** Work for that many seconds, and for at least that many rounds. Null in its place: the end. */
export interface Order {
  readonly seconds: number;
  readonly rounds: number;
}

export interface Answer {
  readonly faults: number;
  /** Time of the touches alone. */
  readonly ms: number;
}

type Range = EngineRange | KernelRange | PuppetRange;

/** The engine's machine, where this thread runs on one. */
let machine: Machine | null = null;

/** The geometry and rules of a machine that is made without options. */
const GEOMETRY = X86_64_4LEVEL;
const RULES = LINUX_6_18;

function rangeOf(start: Start): Range {
  const plan = ascending(start.pages);
  if (start.kind === 'thread') return new KernelRange(plan);
  if (start.kind === 'process') return new PuppetRange(start.pages);
  machine = Machine.attach(start.buffer, start.cpu, GEOMETRY, RULES);
  return new EngineRange(new Process(new System(machine), 1, start.mm), plan, start.addr);
}

function work(range: Range, pages: number, order: Order): Answer {
  const endMs = performance.now() + order.seconds * 1000;
  let ms = 0;
  let rounds = 0;
  while (rounds < order.rounds || performance.now() < endMs) {
    ms += range.touch(true);
    range.zap();
    rounds += 1;
  }
  return { faults: rounds * pages, ms };
}

const port = parentPort;
if (port !== null) {
  const start = workerData as Start;
  const range = rangeOf(start);
  port.on('message', (order: Order | null) => {
    if (order !== null) {
      if (machine !== null) goOnline(machine);
      const answer = work(range, start.pages, order);
      if (machine !== null) goOffline(machine);
      port.postMessage(answer);
      return;
    }
    range.close();
    port.close();
  });
}
