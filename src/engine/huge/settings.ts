import type { HugeEnabled } from '../../base/index.ts';

/**
 * Transparent huge pages as an administrator sets them: the files of
 * /sys/kernel/mm/transparent_hugepage, with Linux's defaults but for `enabled`, which a trace says or
 * the user (Documentation/admin-guide/mm/transhuge.rst).
 */
export interface HugePageSettings {
  readonly enabled: HugeEnabled;
  readonly defrag: HugeDefrag;
  /** A first read maps the huge zero page instead of memory. */
  readonly usesZeroPage: boolean;
  readonly khugepaged: KhugepagedSettings;
}

/** transparent_hugepage/khugepaged/. */
export interface KhugepagedSettings {
  /** Pages looked at between two sleeps. */
  readonly pagesToScan: number;
  readonly scanSleepMs: number;
  /** The sleep after a failed allocation. */
  readonly allocSleepMs: number;
  /** Of a slot's 512 entries: most that may be empty or the zero page, in swap, shared with others. */
  readonly maxPtesNone: number;
  readonly maxPtesSwap: number;
  readonly maxPtesShared: number;
}

/** How hard a fault tries to get 2 MiB in one piece. */
export const HUGE_DEFRAG = ['always', 'defer', 'defer+madvise', 'madvise', 'never'] as const;
export type HugeDefrag = (typeof HUGE_DEFRAG)[number];

export const HUGE_PAGE_DEFAULTS: HugePageSettings = {
  enabled: 'disabled',
  defrag: 'madvise',
  usesZeroPage: true,
  khugepaged: {
    pagesToScan: 8 * 512,
    scanSleepMs: 10_000,
    allocSleepMs: 60_000,
    maxPtesNone: 511,
    maxPtesSwap: 64,
    maxPtesShared: 256,
  },
};
