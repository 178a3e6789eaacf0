/**
 * What Ingens can be told. Tags as in the literature notes: [L] on the authors' slides (OSDI'16), [S] in
 * the released source, [R] recalled from the paper and not re-read, [A] an assumption.
 */
export interface IngensOptions {
  /** Pages of a region in use, percent, from which it deserves a huge page. 90 [L][S]. */
  readonly utilPercent: number;
  /** Below this FMFI (percent) a region is promoted from its first page on. 50 [R]; 0: never [S]. */
  readonly fmfiPercent: number;
  /** How often accessed bits are read, ms. 2000 [R]; the released code 4000 [S]. */
  readonly scanMs: number;
  /** Weight of the newest scan in the moving average, percent. 40 [R]; the released code 30 [S]. */
  readonly emaPercent: number;
  /**
   * Of the hot pages, so many percent are looked at in a scan; cold ones all. 20 [R]. The released code
   * looks at all (deferred_mode 1), and with sampling (deferred_mode 2) at 80 [S].
   */
  readonly samplePercent: number;
  /** The process with the largest promotion metric first: 1; first come, first served: 0 [S]. */
  readonly fairness: number;
  /** Share priority of a process for which none was set. 1 [A]; 0 in the released code [S]. */
  readonly share: number;
  /** Idleness penalty tau, percent: 100 switches it off. [A]; the released code has none [S]. */
  readonly tauPercent: number;
  /** Pages of address space that the thread goes through between two sleeps, and the sleep. [S], [R]. */
  readonly pagesToScan: number;
  readonly sleepMs: number;
  /** The sleep after no block was free, ms. 0: until one is [A]; 60,000 [S]. */
  readonly allocSleepMs: number;
  /** Compaction in the background: its period, ms. 5000 [R]; 0: off [S]. */
  readonly compactMs: number;
  /** Pages that it moves in a period at most. 25,600 are 100 MiB [R]; 0: no bound. */
  readonly compactPages: number;
  /** Rounds of at most 32 pages in a period at most. 20 [S]; 0: no bound. */
  readonly compactRounds: number;
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
  fairness: 1,
  share: 1,
  tauPercent: 50,
  pagesToScan: 4096,
  sleepMs: 1000,
  allocSleepMs: 0,
  compactMs: 5000,
  compactPages: 25_600,
  compactRounds: 0,
  copyNs: 731,
  zeroNs: 712,
  fixedNs: 10_000,
};

/** The released kernel's, khugepaged's of Linux 4.3 among them [S]. */
export const INGENS_ARTIFACT_DEFAULTS: IngensOptions = {
  ...INGENS_DEFAULTS,
  fmfiPercent: 0,
  scanMs: 4000,
  emaPercent: 30,
  samplePercent: 100,
  fairness: 0,
  share: 0,
  tauPercent: 100,
  sleepMs: 10_000,
  allocSleepMs: 60_000,
  compactMs: 0,
  compactPages: 0,
  compactRounds: 20,
};

export const INGENS_SETTING_TEXTS: Readonly<Record<keyof IngensOptions, string>> = {
  utilPercent: 'pages of a region in use, percent, from which it becomes huge',
  fmfiPercent: 'below this FMFI a region becomes huge from its first page on',
  scanMs: 'how often accessed bits are read, ms',
  emaPercent: 'weight of the newest scan in the moving average',
  samplePercent: 'of hot pages so many are looked at in a scan, percent',
  fairness: '1: the largest promotion metric first; 0: first come, first served',
  share: 'share priority of a process; share.PID for a single one',
  tauPercent: 'idleness penalty tau, percent; 100: none',
  pagesToScan: 'pages that the thread goes through between two sleeps',
  sleepMs: 'its sleep, ms',
  allocSleepMs: 'its sleep after no block was free, ms; 0: until one is',
  compactMs: 'period of compaction in the background, ms; 0: off',
  compactPages: 'pages that it moves in a period at most; 0: no bound',
  compactRounds: 'rounds of at most 32 pages in a period; 0: no bound',
  copyNs: 'time of a promotion for each page copied, ns',
  zeroNs: 'for each page zeroed, ns',
  fixedNs: 'and beside that, ns',
};
