/**
 * Samepage merging as an administrator sets it: the files of /sys/kernel/mm/ksm with Linux's defaults
 * (Documentation/admin-guide/mm/ksm.rst), and what the released code of Ingens adds for huge pages
 * (ksm/merge_hugepage there, mm/ksm.c of github.com/ut-osa/ingens).
 */
export interface KsmSettings {
  /** ksmd goes through memory. MADV_MERGEABLE marks areas in any case. */
  readonly isRunning: boolean;
  /** Pages looked at between two sleeps, and the sleep. */
  readonly pagesToScan: number;
  readonly sleepMs: number;
  /** Most mappings of one merged page; beyond, another copy of it is made. */
  readonly maxPageSharing: number;
  /** Pages of zeros become the zero page. */
  readonly usesZeroPages: boolean;
  /** Pages that did not merge for several scans are passed over now and then (6.7). */
  readonly isSmartScan: boolean;
  /** How often a chain of full copies is looked through for those that are gone. */
  readonly chainsPruneMs: number;
  readonly hugePages: KsmHugeMode;
  /** `preserve`: percent of a process's resident pages that may be in huge pages and kept so. */
  readonly preservePercent: number;
  /** The sleep is so many times as long where a huge page was looked at last. */
  readonly hugeSleepFactor: number;
}

/**
 * What a huge page is to ksmd. `skip`: passed over; `split`: 512 pages, and split where one of them
 * merges (Linux); `whole`: compared with huge pages only, never split; `preserve`: whole, unless huge
 * pages are more than `preservePercent` of the process; `frequency`: whole while it is hot, 512 pages
 * once it is cold (Ingens). Numbers 0 to 4 in the released code, in this order.
 */
export const KSM_HUGE_MODES = ['skip', 'split', 'whole', 'preserve', 'frequency'] as const;
export type KsmHugeMode = (typeof KSM_HUGE_MODES)[number];

export const KSM_DEFAULTS: KsmSettings = {
  isRunning: true,
  pagesToScan: 100,
  sleepMs: 20,
  maxPageSharing: 256,
  usesZeroPages: false,
  isSmartScan: true,
  chainsPruneMs: 2000,
  hugePages: 'split',
  preservePercent: 70,
  hugeSleepFactor: 10,
};
