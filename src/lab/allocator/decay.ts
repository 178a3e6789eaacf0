/** SMOOTHSTEP_NSTEPS: epochs in a decay time. */
const STEPS = 200;

/** The "smoother" step 6t^5 - 15t^4 + 10t^3 at (i + 1) / 200, in 24 bits (smoothstep.h). */
const H_STEPS: readonly number[] = Array.from({ length: STEPS }, (_, i) => {
  const t = (i + 1) / STEPS;
  return Math.floor(t ** 3 * (t * (t * 6 - 15) + 10) * 2 ** 24);
});

/**
 * How many unused pages may stay at a time (src/decay.c): pages that became unused in an epoch may
 * stay along a smooth curve, and none of them after the decay time. Left out: the random part of
 * each deadline.
 */
export class Decay {
  readonly #intervalNs: number;
  readonly #backlog: Float64Array = new Float64Array(STEPS);
  #epochNs = 0;
  #unpurged = 0;

  constructor(decayMs: number) {
    this.#intervalNs = (decayMs * 1e6) / STEPS;
  }

  /** The limit after time has come to `nowNs`, or -1 if no epoch has ended since. */
  advance(nowNs: number, pages: number): number {
    const epochs = Math.floor((nowNs - this.#epochNs) / this.#intervalNs);
    if (epochs < 1) return -1;
    this.#epochNs += epochs * this.#intervalNs;
    const backlog = this.#backlog;
    if (epochs >= STEPS) backlog.fill(0);
    else {
      backlog.copyWithin(0, epochs);
      backlog.fill(0, STEPS - epochs);
    }
    backlog[STEPS - 1] = Math.max(0, pages - this.#unpurged);
    let sum = 0;
    for (let i = 0; i < STEPS; i++) sum += (backlog[i] as number) * (H_STEPS[i] as number);
    const limit = Math.floor(sum / 2 ** 24);
    this.#unpurged = Math.max(limit, pages);
    return limit;
  }
}
