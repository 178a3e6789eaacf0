import type { Random } from '../../base/index.ts';

/**
 * Draws from [0, n) with probabilities that fall as 1 / rank ^ skew (Zipf). Which number has which
 * rank is random, so that neighbours are not used alike.
 */
export class Zipf {
  readonly #random: Random;
  /** Sums of the weights up to each rank. */
  readonly #sums: Float64Array;
  readonly #byRank: Int32Array;

  constructor(n: number, skew: number, random: Random) {
    this.#random = random;
    this.#sums = new Float64Array(n);
    this.#byRank = Int32Array.from({ length: n }, (_, i) => i);
    let sum = 0;
    for (let rank = 0; rank < n; rank++) {
      sum += 1 / (rank + 1) ** skew;
      this.#sums[rank] = sum;
    }
    for (let i = n - 1; i > 0; i--) {
      const j = random.below(i + 1);
      const other = this.#byRank[j] as number;
      this.#byRank[j] = this.#byRank[i] as number;
      this.#byRank[i] = other;
    }
  }

  next(): number {
    const sums = this.#sums;
    const at = (this.#random.uint32() / 4294967296) * (sums[sums.length - 1] as number);
    let low = 0;
    let high = sums.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) > at) high = middle;
      else low = middle + 1;
    }
    return this.#byRank[low] as number;
  }
}
