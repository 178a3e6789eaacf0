/**
 * What Ingens can be told. Tags as in the literature notes: [L] on the authors' slides (OSDI'16), [S] in
 * the released source, [R] recalled from the paper and not re-read, [A] an assumption.
 */
export interface IngensOptions {
  /** Pages of a region in use, percent, from which it deserves a huge page. 90 [L][S]. */
  readonly utilPercent: number;
  /** Below this FMFI (percent) a region is promoted from its first page on. 50 [R]; 0: never. */
  readonly fmfiPercent: number;
  /** How often accessed bits are read, ms. 2000 [R]; the released code 4000 [S]. */
  readonly scanMs: number;
  /** Weight of the newest scan in the moving average, percent. 40 [R]; the released code 30 [S]. */
  readonly emaPercent: number;
  /** Of the hot pages, so many percent are looked at in a scan; cold ones all. 20 [R]. */
  readonly samplePercent: number;
  /** Idleness penalty tau, percent: 100 switches it off. [A] */
  readonly tauPercent: number;
  /** Pages of address space that the thread goes through between two sleeps, and the sleep. [S], [R]. */
  readonly pagesToScan: number;
  readonly sleepMs: number;
  /** Time that a promotion takes the thread: each page copied, each page zeroed, the rest, ns. [A]. */
  readonly copyNs: number;
  readonly zeroNs: number;
  readonly fixedNs: number;
}

/** 4096 bytes at 5.6 GB/s and at 5.75 GB/s: from the published 3.6 us and 378 us of faults [L]. */
export const INGENS_DEFAULTS: IngensOptions = {
  utilPercent: 90,
  fmfiPercent: 50,
  scanMs: 2000,
  emaPercent: 40,
  samplePercent: 20,
  tauPercent: 50,
  pagesToScan: 4096,
  sleepMs: 1000,
  copyNs: 731,
  zeroNs: 712,
  fixedNs: 10_000,
};
