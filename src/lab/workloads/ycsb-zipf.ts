import type { Random } from '../../base/index.ts';

/**
 * YCSB's ScrambledZipfianGenerator in constant time a draw (Gray et al., "Quickly generating
 * billion-record synthetic databases", SIGMOD 1994): ranks by 1 / rank ^ skew, then spread over
 * [0, n) by a hash, so that two ranks may fall on one number.
 */
export class YcsbZipf {
  readonly #random: Random;
  readonly #n: number;
  readonly #skew: number;
  readonly #zeta: number;
  readonly #alpha: number;
  readonly #eta: number;

  /** `skew` above 0 and below 1; YCSB has 0.99. */
  constructor(n: number, skew: number, random: Random) {
    this.#random = random;
    this.#n = n;
    this.#skew = skew;
    let zeta = 0;
    for (let rank = 1; rank <= n; rank++) zeta += 1 / rank ** skew;
    this.#zeta = zeta;
    this.#alpha = 1 / (1 - skew);
    this.#eta = (1 - (2 / n) ** (1 - skew)) / (1 - (1 + 0.5 ** skew) / zeta);
  }

  /** A rank, 0 the most frequent. */
  rank(): number {
    const u = this.#random.uint32() / 2 ** 32;
    const uz = u * this.#zeta;
    if (uz < 1) return 0;
    if (uz < 1 + 0.5 ** this.#skew) return 1;
    return Math.floor(this.#n * (this.#eta * u - this.#eta + 1) ** this.#alpha);
  }

  next(): number {
    return Math.floor((scrambled(this.rank()) / 2 ** 32) * this.#n);
  }
}

/** 32 bits (the finalizer of MurmurHash3). */
function scrambled(rank: number): number {
  let hash = Math.imul(rank ^ (rank >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
