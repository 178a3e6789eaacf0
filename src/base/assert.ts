/** Thrown for a bug in pagelab itself; what a modelled kernel refuses is an errno value instead. */
export class AssertionError extends Error {
  override name = 'AssertionError';
}

/** States what must be true here. A failure is our own bug. */
export function assert(isTrue: boolean, what: string): asserts isTrue {
  if (!isTrue) throw new AssertionError(what);
}
