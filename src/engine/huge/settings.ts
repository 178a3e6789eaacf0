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
}

/** How hard a fault tries to get 2 MiB in one piece. */
export const HUGE_DEFRAG = ['always', 'defer', 'defer+madvise', 'madvise', 'never'] as const;
export type HugeDefrag = (typeof HUGE_DEFRAG)[number];

export const HUGE_PAGE_DEFAULTS: HugePageSettings = {
  enabled: 'disabled',
  defrag: 'madvise',
  usesZeroPage: true,
};
