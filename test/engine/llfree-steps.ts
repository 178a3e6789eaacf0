import type { Random } from '../../src/base/index.ts';

/**
 * Looks at every atomic write that is made on a buffer, in this thread, by standing in for `Atomics`.
 * `before` is called before each step and may run something in between, as if the thread had lost its
 * processor there; `written` afterwards, if the word was written.
 */
export interface Steps {
  before?(): void;
  written?(at: number, value: number): void;
}

export function withSteps<T>(buffer: ArrayBufferLike, steps: Steps, work: () => T): T {
  const real = {
    compareExchange: Atomics.compareExchange,
    add: Atomics.add,
    store: Atomics.store,
    exchange: Atomics.exchange,
  };
  const isOurs = (w: Int32Array): boolean => w.buffer === buffer;
  const watched = {
    compareExchange(w: Int32Array, at: number, old: number, next: number): number {
      if (isOurs(w)) steps.before?.();
      const seen = real.compareExchange(w, at, old, next);
      if (isOurs(w) && seen === old) steps.written?.(at, next);
      return seen;
    },
    add(w: Int32Array, at: number, value: number): number {
      if (isOurs(w)) steps.before?.();
      const old = real.add(w, at, value);
      if (isOurs(w)) steps.written?.(at, w[at]!);
      return old;
    },
    store(w: Int32Array, at: number, value: number): number {
      if (isOurs(w)) steps.before?.();
      real.store(w, at, value);
      if (isOurs(w)) steps.written?.(at, value);
      return value;
    },
    exchange(w: Int32Array, at: number, value: number): number {
      if (isOurs(w)) steps.before?.();
      const old = real.exchange(w, at, value);
      if (isOurs(w)) steps.written?.(at, value);
      return old;
    },
  };
  Object.assign(Atomics, watched);
  try {
    return work();
  } finally {
    Object.assign(Atomics, real);
  }
}

/** Frames that one `get` gave, or what is left of them. */
export interface Held {
  readonly frame: number;
  readonly order: number;
}

/** Orders as programs ask for them: mostly small, some huge, few larger. */
export function anyOrder(random: Random, largest: number): number {
  if (random.chance(0.4)) return 0;
  if (!random.chance(0.15)) return random.between(1, 8);
  return random.chance(0.7) ? 9 : random.between(9, largest);
}
