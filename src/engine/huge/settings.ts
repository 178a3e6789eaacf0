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
  /** Huge pages with more than `maxPtesNone` pages of zeros may be split for memory. */
  readonly shrinkUnderused: boolean;
  readonly khugepaged: KhugepagedSettings;
  /** hugepages-NNkB/enabled; `never` where not said. That of 2 MiB is `inherit`. */
  readonly sizes: Readonly<Partial<Record<HugeSize, HugeSizeEnabled>>>;
}

/** Sizes of anonymous memory below 2 MiB (mTHP), smallest first: order 2 to 8. */
export const HUGE_SIZES = ['16kB', '32kB', '64kB', '128kB', '256kB', '512kB', '1024kB'] as const;
export type HugeSize = (typeof HUGE_SIZES)[number];

export const HUGE_SIZE_ENABLED = ['always', 'inherit', 'madvise', 'never'] as const;
export type HugeSizeEnabled = (typeof HUGE_SIZE_ENABLED)[number];

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
  shrinkUnderused: true,
  sizes: {},
  khugepaged: {
    pagesToScan: 8 * 512,
    scanSleepMs: 10_000,
    allocSleepMs: 60_000,
    maxPtesNone: 511,
    maxPtesSwap: 64,
    maxPtesShared: 256,
  },
};

/** The orders that each setting of `sizes` is given to, a bit each (huge_anon_orders_always and so on). */
export interface SizeOrders {
  readonly always: number;
  readonly madvise: number;
  readonly inherit: number;
}

export function sizeOrdersOf({ sizes }: HugePageSettings): SizeOrders {
  const ordersOf = (wanted: HugeSizeEnabled): number =>
    HUGE_SIZES.reduce((orders, size, i) => orders | (sizes[size] === wanted ? 4 << i : 0), 0);
  return { always: ordersOf('always'), madvise: ordersOf('madvise'), inherit: ordersOf('inherit') };
}
