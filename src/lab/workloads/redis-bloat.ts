import { InputError, Random } from '../../base/index.ts';
import type { TraceEvent } from '../../trace/index.ts';
import { Allocator, type AllocatorRules, JEMALLOC_4_0, JEMALLOC_5_3 } from '../allocator/index.ts';
import { HeapEvents } from './heap-events.ts';
import { idle, mark, startProgram } from './program.ts';
import { RedisStore } from './redis-store.ts';
import type { Workload } from './workload.ts';
import { Zipf } from './zipf.ts';

const PID = 1;
const TOP_ADDR = 0x7f0000000000;
const SECOND_NS = 1e9;
/** hz 10: what a server that waits does ten times a second. */
const IDLE_STEP_NS = 1e8;
/** In the data of the program (startProgram). */
const SERVER_ADDR = 0x4a0000;

/**
 * Ingens' Redis experiment (OSDI'16 slides): populated with 8 KB objects, 70 % of them deleted at
 * random, then read. Published resident memory: 12.2 GB with base pages, 20.7 GB with huge pages.
 * docs/allocator.md says which inputs are not published and how they were chosen.
 */
export const redisBloat: Workload = {
  name: 'redis-bloat',
  title: 'Redis: 8 KB objects, 70 % deleted, GETs of the rest',
  machine: 'ingens',
  parameters: {
    objects: { value: 2 ** 21, least: 1, what: 'objects at first' },
    valueBytes: { value: 8192, least: 1, what: 'bytes of a value' },
    spreadPercent: { value: 0, least: 0, what: 'values evenly from so much below to above' },
    keyBytes: { value: 16, least: 1, what: 'bytes of a key' },
    deletePercent: { value: 70, least: 0, what: 'part of the objects that is deleted' },
    idleSeconds: { value: 60, least: 0, what: 'pause after the deletion' },
    gets: { value: 1_000_000, least: 0, what: 'GETs after that' },
    skewPercent: { value: 0, least: 0, what: 'exponent of their Zipf law, in hundredths' },
    getNs: { value: 46_000, least: 0, what: 'time of a GET beside memory management, ns' },
    clients: { value: 50, least: 1, what: 'clients that send GETs' },
    opsPerSecond: { value: 20_000, least: 1, what: 'commands a second' },
    jemalloc: { value: 403, least: 403, what: 'version: 403 (4.0.3) or 530 (5.3.0)' },
    lgDirtyMult: { value: 3, least: 0, what: '4.0.3: unused pages up to active ones / 2^this' },
    dirtyDecayMs: { value: 10_000, least: 0, what: '5.3.0: unused pages stay so long' },
    muzzyDecayMs: { value: 0, least: 0, what: '5.3.0: and so long after MADV_FREE' },
  },
  server({ gets = 0, clients = 1 }) {
    return gets === 0 ? undefined : { workers: 1, clients, thinkNs: 0 };
  },
  *events(values, seed) {
    yield* startProgram(PID);
    yield* new RedisRun(values, seed).events();
  },
};

class RedisRun {
  readonly #values: Readonly<Record<string, number>>;
  readonly #random: Random;
  readonly #out = new HeapEvents(PID);
  readonly #heap: Allocator;
  readonly #store: RedisStore;
  /** Keys; those from #gone on are there. */
  readonly #keys: Int32Array;
  #gone = 0;

  constructor(values: Readonly<Record<string, number>>, seed: number) {
    this.#values = values;
    this.#random = new Random(seed);
    this.#heap = new Allocator(rulesOf(values), this.#out, TOP_ADDR);
    const keys = this.#value('objects');
    const spread = this.#value('spreadPercent') / 100;
    if (spread >= 1) throw new InputError('--set spreadPercent: want less than 100');
    const sizes = {
      keys,
      keyBytes: this.#value('keyBytes'),
      valueBytes: this.#value('valueBytes'),
      spread,
    };
    this.#store = new RedisStore(this.#heap, this.#out, sizes, this.#random);
    this.#keys = Int32Array.from({ length: keys }, (_, key) => key);
  }

  *events(): Iterable<TraceEvent> {
    const { length } = this.#keys;
    yield* this.#commands(length, (i) => this.#store.set(i));
    yield mark('populated');
    const deleted = Math.min(length, Math.round((length * this.#value('deletePercent')) / 100));
    yield* this.#commands(deleted, () => this.#store.delete(this.#takeKey()));
    yield mark('deleted');
    yield* this.#idle(this.#value('idleSeconds') * SECOND_NS);
    yield mark('idle');
    const left = length - deleted;
    if (left === 0) return;
    const skew = this.#value('skewPercent') / 100;
    const zipf = skew > 0 ? new Zipf(left, skew, this.#random) : null;
    const clients = this.#value('clients');
    for (let i = 0; i < clients; i++) this.#store.connect();
    yield* this.#commands(this.#value('gets'), (i) => {
      const rank = zipf === null ? this.#random.below(left) : zipf.next();
      this.#out.request('GET', this.#value('getNs'));
      this.#store.get(this.#keys[deleted + rank] as number, i % clients);
    });
    yield idle(PID);
    yield mark('read');
  }

  #value(name: string): number {
    return this.#values[name] ?? redisBloat.parameters[name]?.value ?? 0;
  }

  *#commands(count: number, command: (i: number) => void): Iterable<TraceEvent> {
    const stepNs = SECOND_NS / this.#value('opsPerSecond');
    for (let i = 0; i < count; i++) {
      this.#out.nowNs += stepNs;
      command(i);
      this.#heap.advance(this.#out.nowNs);
      if (this.#out.isFull) yield* this.#out.drain();
    }
    yield* this.#out.drain();
  }

  *#idle(spanNs: number): Iterable<TraceEvent> {
    const endNs = this.#out.nowNs + spanNs;
    while (this.#out.nowNs < endNs) {
      this.#out.nowNs = Math.min(endNs, this.#out.nowNs + IDLE_STEP_NS);
      this.#heap.advance(this.#out.nowNs);
      // Redis' own timer, ten times a second, in its data: time goes on in the trace as well.
      this.#out.write(SERVER_ADDR, 8);
      yield* this.#out.drain();
    }
  }

  /** A random key of those that are there, which then is not. */
  #takeKey(): number {
    const keys = this.#keys;
    const at = this.#gone + this.#random.below(keys.length - this.#gone);
    const key = keys[at] as number;
    keys[at] = keys[this.#gone] as number;
    keys[this.#gone++] = key;
    return key;
  }
}

function rulesOf(values: Readonly<Record<string, number>>): AllocatorRules {
  const { jemalloc = 403, lgDirtyMult = 3, dirtyDecayMs = 10_000, muzzyDecayMs = 0 } = values;
  if (jemalloc === 403) return { ...JEMALLOC_4_0, purge: { kind: 'ratio', lgDirtyMult } };
  if (jemalloc !== 530) throw new InputError(`--set jemalloc=${jemalloc}: want 403 or 530`);
  return {
    ...JEMALLOC_5_3,
    purge: { kind: 'decay', dirtyMs: dirtyDecayMs, muzzyMs: muzzyDecayMs },
  };
}
