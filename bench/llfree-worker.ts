import { parentPort, workerData } from 'node:worker_threads';
import { Random } from '../src/base/index.ts';
import { buddyAlloc, buddyFree } from '../src/engine/frames/buddy.ts';
import { MIGRATE_MOVABLE } from '../src/engine/frames/pageblock.ts';
import { zoneAt } from '../src/engine/frames/zones.ts';
import { LINUX_6_18, LLFree, Machine, X86_64_4LEVEL } from '../src/engine/index.ts';
import { Z_LOCK } from '../src/engine/layout.ts';

/**
 * A thread of `llfree`. A round takes this thread's share of half the memory (get), then one more
 * frame again and again (repeat), gives all back in reverse (put); then takes it once more, swaps frames with
 * the others at random, and gives back what it has now (rand).
 */
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
  /** A word for each frame that the threads take. */
  readonly pool: SharedArrayBuffer;
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
  /** A get and a put. */
  readonly repeat: number;
  /** A put of a frame that any thread took. */
  readonly rand: number;
}

interface Calls {
  fill(into: Int32Array): void;
  empty(from: Int32Array): void;
  pairs(count: number): void;
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
    pairs: (count) => {
      for (let i = 0; i < count; i++) a.put(core, a.get(core, order), order);
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
  const get = (): number => {
    if (m.isShared) m.lock(zone + Z_LOCK);
    const frame = buddyAlloc(m, zone, order, MIGRATE_MOVABLE);
    if (m.isShared) m.unlock(zone + Z_LOCK);
    return frame;
  };
  const put = (frame: number): void => {
    if (m.isShared) m.lock(zone + Z_LOCK);
    buddyFree(m, zone, frame, order);
    if (m.isShared) m.unlock(zone + Z_LOCK);
  };
  return {
    fill: (into) => {
      for (let i = 0; i < into.length; i++) into[i] = get();
    },
    empty: (from) => {
      for (let i = from.length - 1; i >= 0; i--) put(from[i]!);
    },
    pairs: (count) => {
      for (let i = 0; i < count; i++) put(get());
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

/** Frames of all threads, dealt out anew; each thread waits for the others. */
function deal(held: Int32Array, start: Start, random: Random): void {
  const barrier = new Int32Array(start.barrier);
  const pool = new Int32Array(start.pool);
  const first = start.core * held.length;
  pool.set(held, first);
  meet(barrier, start.workers, false);
  if (start.core === 0) shuffle(pool, random);
  meet(barrier, start.workers, false);
  held.set(pool.subarray(first, first + held.length));
}

function shuffle(values: Int32Array, random: Random): void {
  for (let i = values.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const value = values[i]!;
    values[i] = values[j]!;
    values[j] = value;
  }
}

function work(calls: Calls, held: Int32Array, start: Start, order: Order): Answer {
  const barrier = new Int32Array(start.barrier);
  const random = new Random(1);
  const endMs = performance.now() + order.seconds * 1000;
  const spentMs = { get: 0, put: 0, repeat: 0, rand: 0 };
  const time = (what: keyof Answer, run: () => void): void => {
    meet(barrier, start.workers, false);
    const startMs = performance.now();
    run();
    spentMs[what] += performance.now() - startMs;
  };
  let rounds = 0;
  let isOver = false;
  while (!isOver) {
    time('get', () => calls.fill(held));
    time('repeat', () => calls.pairs(held.length));
    time('put', () => calls.empty(held));
    meet(barrier, start.workers, false);
    calls.fill(held);
    deal(held, start, random);
    time('rand', () => calls.empty(held));
    rounds += 1;
    isOver = meet(barrier, start.workers, rounds >= order.rounds && performance.now() >= endMs);
  }
  const ns = (ms: number): number => (ms * 1e6) / (rounds * held.length);
  const { get, put, repeat, rand } = spentMs;
  return { get: ns(get), put: ns(put), repeat: ns(repeat), rand: ns(rand) };
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
