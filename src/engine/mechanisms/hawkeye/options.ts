/**
 * What HawkEye can be told. Tags as in the literature notes: [S] in the released source
 * (github.com/apanwariisc/HawkEye, Linux 4.3), [N] in notes on the paper, [R] recalled.
 */
export interface HawkeyeOptions {
  /** Free blocks of 4 MiB that are zeroed between two sleeps, and the sleep, ms. [S] */
  readonly zeroBlocks: number;
  readonly zeroSleepMs: number;
  /** How often accessed bits are cleared, and how long after that they are read, ms. [N] */
  readonly scanMs: number;
  readonly sampleMs: number;
  /** Weight of the newest sample in the moving average of accessed pages, percent. [S] */
  readonly emaPercent: number;
  /** 0: ten buckets of 50 pages each (paper [N]); 1: one for each power of two (released code [S]). */
  readonly logBins: number;
  /**
   * Whose region is next: 0 the process with the largest MMU overhead (HawkEye-PMU), 1 with the
   * largest for each region that waits, 2 whoever has the hottest region, in turns (HawkEye-G). [S]
   */
  readonly metric: number;
  /** HawkEye-PMU stops below this MMU overhead, percent. [N] */
  readonly stopPercent: number;
  /** Bloat is recovered where less than the first is free, percent, up to the second. [S] */
  readonly recoverBelowPercent: number;
  readonly recoverToPercent: number;
  readonly recoverMs: number;
}

export const HAWKEYE_DEFAULTS: HawkeyeOptions = {
  zeroBlocks: 10,
  zeroSleepMs: 1000,
  scanMs: 30_000,
  sampleMs: 1000,
  emaPercent: 40,
  logBins: 0,
  metric: 2,
  stopPercent: 2,
  recoverBelowPercent: 15,
  recoverToPercent: 30,
  recoverMs: 120_000,
};

/** MMU overhead of a process, percent of its cycles, as user space reports it. [S] */
export type MmuOverhead = ReadonlyMap<number, number>;

export const HAWKEYE_SETTING_TEXTS: Readonly<Record<keyof HawkeyeOptions, string>> = {
  zeroBlocks: 'free blocks of 4 MiB zeroed between two sleeps',
  zeroSleepMs: 'the sleep, ms',
  scanMs: 'how often accessed bits are cleared, ms',
  sampleMs: 'how long after that they are read, ms',
  emaPercent: 'weight of the newest sample in the moving average',
  logBins: '0: ten buckets of 50 pages each; 1: one for each power of two',
  metric: 'who is next: 0 largest MMU overhead, 1 the same a region, 2 hottest region',
  stopPercent: 'by MMU overhead nobody is next below this, percent',
  recoverBelowPercent: 'zeros are given back where less is free, percent',
  recoverToPercent: 'and up to so much, percent',
  recoverMs: 'how often that is looked at, ms',
};
