import { CountMemory } from '../../src/engine/counts/count-memory.ts';
import { RhashtableBuckets } from '../../src/engine/counts/rhashtable-buckets.ts';

/**
 * Stops at every access that a count table makes to its buffer, plain or atomic, in this thread:
 * `step` is called before each and may run whole operations of other threads there, as if this one
 * had lost its processor. A real thread can be stopped in the same places, for any time.
 */
type Hidden = { words: Int32Array };
type AtomicName = 'load' | 'store' | 'add' | 'sub' | 'compareExchange' | 'exchange';
type Call = (words: Int32Array, ...rest: number[]) => number;

const NAMES: readonly AtomicName[] = ['load', 'store', 'add', 'sub', 'compareExchange', 'exchange'];

/** Runs `work` with the tables' accesses watched. */
export function withSteps(
  tables: readonly object[],
  step: () => void,
  swapped: (old: number, next: number) => void,
  work: () => void,
): void {
  const targets = new WeakMap<object, Int32Array>();
  const real = pick(Atomics as unknown as Record<string, Call>);
  const words = tables.map((table) => (table as Hidden).words);
  for (const table of tables) watch(table as Hidden, targets, step);
  for (const name of NAMES) {
    const call = real[name] as Call;
    const watched: Call = (w, ...rest) => {
      const target = targets.get(w);
      if (target === undefined) return call(w, ...rest);
      step();
      const result = call(target, ...rest);
      if (name === 'compareExchange' && result === rest[1]) swapped(result, rest[2] as number);
      return result;
    };
    Object.assign(Atomics, { [name]: watched });
  }
  const wait = (): string => {
    step();
    return 'timed-out';
  };
  Object.assign(Atomics, { wait });
  try {
    work();
  } finally {
    Object.assign(Atomics, real);
    tables.forEach((table, i) => {
      (table as Hidden).words = words[i] as Int32Array;
    });
  }
}

function pick(atomics: Record<string, Call>): Record<string, Call> {
  return Object.fromEntries([...NAMES, 'wait'].map((name) => [name, atomics[name] as Call]));
}

function watch(table: Hidden, targets: WeakMap<object, Int32Array>, step: () => void): void {
  const target = table.words;
  const proxy = new Proxy(target, {
    get(words, key) {
      const isIndex = typeof key === 'string' && key >= '0' && key <= ':';
      if (isIndex) step();
      const value: unknown = Reflect.get(words, key, words);
      return typeof value === 'function' ? value.bind(words) : value;
    },
    set(words, key, value: number) {
      step();
      return Reflect.set(words, key, value, words);
    },
  });
  targets.set(proxy, target);
  table.words = proxy;
}

/** How many locks of count tables this thread's operations hold. */
export interface Locks {
  held: number;
}

type Method = (...args: number[]) => number;

/** Counts locks as they are taken and given back while `work` runs. `seesSwaps`: the caller counts those taken. */
export function withLocks(locks: Locks, seesSwaps: boolean, work: () => void): void {
  const wrapped: [Record<string, Method>, string, Method][] = [];
  const replace = (owner: object, name: string, by: (method: Method) => Method): void => {
    const methods = owner as Record<string, Method>;
    const method = methods[name] as Method;
    wrapped.push([methods, name, method]);
    methods[name] = by(method);
  };
  const wrap = (owner: object, name: string, before: number, after: number): void =>
    replace(owner, name, (method) => {
      return function (this: object, ...args: number[]): number {
        locks.held += before;
        const result = method.apply(this, args);
        locks.held += after;
        return result;
      };
    });
  // Counted before it is had, so that nobody else tries meanwhile.
  if (!seesSwaps) wrap(CountMemory.prototype, 'lock', 1, 0);
  wrap(CountMemory.prototype, 'unlock', 0, -1);
  wrap(RhashtableBuckets.prototype, 'lockBucket', 1, 0);
  wrap(RhashtableBuckets.prototype, 'unlockBucket', 0, -1);
  try {
    work();
  } finally {
    for (const [methods, name, method] of wrapped) methods[name] = method;
    locks.held = 0;
  }
}
