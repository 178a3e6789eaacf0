import { parentPort, workerData } from 'node:worker_threads';
import { buddyAlloc, buddyFree } from '../src/engine/frames/buddy.ts';
import { MIGRATE_MOVABLE } from '../src/engine/frames/pageblock.ts';
import { zoneAt } from '../src/engine/frames/zones.ts';
import { LINUX_6_18, LLFree, Machine, X86_64_4LEVEL } from '../src/engine/index.ts';
import { Z_LOCK } from '../src/engine/layout.ts';

/** A thread of `llfree`: takes its share of half the memory, and gives it back in reverse. */
export interface Start {
  readonly kind: 'llfree' | 'buddy';
  /** The allocator's buffer, or the machine's; null: this thread makes one for itself alone. */
  readonly buffer: SharedArrayBuffer | null;
  readonly frames: number;
  readonly core: number;
  readonly workers: number;
  readonly order: number;
  /** Two words, in which the threads wait for each other. */
  readonly barrier: SharedArrayBuffer;
}

/** Work for that many seconds and rounds at least. Null in its place: the end. */
export interface Order {
  readonly seconds: number;
  readonly rounds: number;
}

/** ns a call of this thread. */
export interface Answer {
  readonly get: number;
  readonly put: number;
}

interface Calls {
  fill(into: Int32Array): void;
  empty(from: Int32Array): void;
}

function llfreeCalls({ buffer, frames, core, order }: Start): Calls {
  const options = { frames, cores: 1 };
  const a =
    buffer === null
      ? LLFree.format(new ArrayBuffer(LLFree.bytesFor(options)), options, false)
      : LLFree.attach(buffer);
  return {
    fill: (into) => {
      for (let i = 0; i < into.length; i++) into[i] = a.get(core, order);
    },
    empty: (from) => {
      for (let i = from.length - 1; i >= 0; i--) a.put(core, from[i]!, order);
    },
  };
}

/** The engine's buddy under its zone's lock; a machine of one thread takes none. */
function buddyCalls({ buffer, frames, core, order }: Start): Calls {
  const m =
    buffer === null
      ? Machine.create({ nodeBytes: [frames * 4096] })
      : Machine.attach(buffer, core + 1, X86_64_4LEVEL, LINUX_6_18);
  const zone = zoneAt(m, 0);
  return {
    fill: (into) => {
      for (let i = 0; i < into.length; i++) {
        if (m.isShared) m.lock(zone + Z_LOCK);
        into[i] = buddyAlloc(m, zone, order, MIGRATE_MOVABLE);
        if (m.isShared) m.unlock(zone + Z_LOCK);
      }
    },
    empty: (from) => {
      for (let i = from.length - 1; i >= 0; i--) {
        if (m.isShared) m.lock(zone + Z_LOCK);
        buddyFree(m, zone, from[i]!, order);
        if (m.isShared) m.unlock(zone + Z_LOCK);
      }
    },
  };
}

/** Nobody goes on before all have come. The last one's word decides; it is returned to all. */
function meet(words: Int32Array, workers: number, isLastRound: boolean): boolean {
  const turn = Atomics.load(words, 1);
  if (Atomics.add(words, 0, 1) === workers - 1) {
    Atomics.store(words, 0, 0);
    Atomics.store(words, 1, ((turn >> 1) + 1) * 2 + (isLastRound ? 1 : 0));
    Atomics.notify(words, 1);
  } else {
    Atomics.wait(words, 1, turn);
  }
  return (Atomics.load(words, 1) & 1) === 1;
}

function work(calls: Calls, held: Int32Array, start: Start, order: Order): Answer {
  const barrier = new Int32Array(start.barrier);
  const endMs = performance.now() + order.seconds * 1000;
  let getMs = 0;
  let putMs = 0;
  let rounds = 0;
  let isOver = false;
  while (!isOver) {
    meet(barrier, start.workers, false);
    const startMs = performance.now();
    calls.fill(held);
    getMs += performance.now() - startMs;
    meet(barrier, start.workers, false);
    const middleMs = performance.now();
    calls.empty(held);
    putMs += performance.now() - middleMs;
    rounds += 1;
    isOver = meet(barrier, start.workers, rounds >= order.rounds && performance.now() >= endMs);
  }
  const count = rounds * held.length;
  return { get: (getMs * 1e6) / count, put: (putMs * 1e6) / count };
}

const port = parentPort;
if (port !== null) {
  const start = workerData as Start;
  const calls = start.kind === 'llfree' ? llfreeCalls(start) : buddyCalls(start);
  const held = new Int32Array(Math.floor(start.frames / 2 / start.workers) >> start.order);
  port.on('message', (order: Order | null) => {
    if (order === null) port.close();
    else port.postMessage(work(calls, held, start, order));
  });
}
