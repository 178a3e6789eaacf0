/**
 * Writes of one word. Where several threads use the buffer they are atomic; a single worker pays
 * for plain stores only, and `isShared` is one test that the processor predicts.
 *
 * Loads are plain, but where a loop waits: what they decide is confirmed by the compare-exchange that
 * follows, or costs a detour at most (docs/llfree.md, "Memory order").
 */

/** Puts `next` in place of `old`; false if the word was something else. */
export function cas(
  w: Int32Array,
  at: number,
  old: number,
  next: number,
  isShared: boolean,
): boolean {
  if (isShared) return Atomics.compareExchange(w, at, old, next) === old;
  w[at] = next;
  return true;
}

export function add(w: Int32Array, at: number, value: number, isShared: boolean): void {
  if (isShared) Atomics.add(w, at, value);
  else w[at] = w[at]! + value;
}

export function store(w: Int32Array, at: number, value: number, isShared: boolean): void {
  if (isShared) Atomics.store(w, at, value);
  else w[at] = value;
}

/** The old value. */
export function exchange(w: Int32Array, at: number, value: number, isShared: boolean): number {
  if (isShared) return Atomics.exchange(w, at, value);
  const old = w[at]!;
  w[at] = value;
  return old;
}
