/**
 * Durations counted in buckets: 64 for each doubling, so a percentile is at most 1/64 too large;
 * mean and maximum are exact. Costs one increment a duration, and 23 KiB.
 */
export interface LatencySummary {
  count: number;
  meanNs: number;
  /** Upper ends of the buckets in which the percentiles lie, at most `maxNs`. */
  p50Ns: number;
  p90Ns: number;
  p99Ns: number;
  p999Ns: number;
  maxNs: number;
  /** Buckets in use: upper end in ns, durations in it. */
  buckets: [upToNs: number, count: number][];
}

const SUB_BITS = 6;
const SUB = 1 << SUB_BITS;
/** Doublings above the first 64 ns: to more than 10 days. */
const DOUBLINGS = 50 - SUB_BITS;

export class LatencyHistogram {
  readonly #counts: Float64Array = new Float64Array(SUB * (DOUBLINGS + 1));
  #count = 0;
  #sumNs = 0;
  #maxNs = 0;

  /** Counts a duration of whole or broken ns, `times` times. */
  add(ns: number, times = 1): void {
    if (times === 0) return;
    this.#counts[bucketOf(ns)]! += times;
    this.#count += times;
    this.#sumNs += ns * times;
    if (ns > this.#maxNs) this.#maxNs = ns;
  }

  get count(): number {
    return this.#count;
  }

  summary(): LatencySummary {
    const buckets: [number, number][] = [];
    this.#counts.forEach((count, at) => {
      if (count > 0) buckets.push([endOf(at), count]);
    });
    return {
      count: this.#count,
      meanNs: this.#count === 0 ? 0 : this.#sumNs / this.#count,
      p50Ns: this.#percentile(buckets, 0.5),
      p90Ns: this.#percentile(buckets, 0.9),
      p99Ns: this.#percentile(buckets, 0.99),
      p999Ns: this.#percentile(buckets, 0.999),
      maxNs: this.#maxNs,
      buckets,
    };
  }

  /** Nearest rank: the smallest bucket end that at least this share of durations does not exceed. */
  #percentile(buckets: readonly [number, number][], share: number): number {
    const rank = Math.ceil(this.#count * share);
    let seen = 0;
    for (const [end, count] of buckets) {
      seen += count;
      if (seen >= rank) return Math.min(end, this.#maxNs);
    }
    return 0;
  }
}

/** Bucket 0 to 63: each whole ns; then 64 buckets a doubling. */
function bucketOf(ns: number): number {
  if (ns < SUB) return Math.max(0, Math.floor(ns));
  const doubling = Math.min(DOUBLINGS, Math.floor(Math.log2(ns)) - SUB_BITS + 1);
  const within = Math.floor(ns / 2 ** (doubling - 1)) - SUB;
  return doubling * SUB + Math.min(SUB - 1, Math.max(0, within));
}

/** Where a bucket ends. */
function endOf(bucket: number): number {
  if (bucket < SUB) return bucket + 1;
  const doubling = Math.floor(bucket / SUB);
  return (SUB + (bucket % SUB) + 1) * 2 ** (doubling - 1);
}
