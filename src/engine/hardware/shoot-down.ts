import type { Translator } from './translator.ts';

/**
 * What it costs to take translations back from other cores. x86 has no instruction that reaches
 * them: the kernel interrupts each and waits (arch/x86/mm/tlb.c, flush_tlb_mm_range).
 */
export interface ShootDownCosts {
  readonly baseNs: number;
  readonly perCoreNs: number;
  readonly perPageNs: number;
  /** More pages than this, and everything is flushed (tlb_single_page_flush_ceiling). */
  readonly pageCeiling: number;
}

/** The first two: third-party measurements; the others: arch/x86/mm/tlb.c and its comment. */
export const SHOOT_DOWN_COSTS: ShootDownCosts = {
  baseNs: 1000,
  perCoreNs: 200,
  perPageNs: 100,
  pageCeiling: 33,
};

/** Time until all `receivers` have flushed, while they flush side by side. */
export function shootDownNs(
  pages: number,
  receivers: number,
  costs: ShootDownCosts = SHOOT_DOWN_COSTS,
): number {
  const local = Math.min(pages, costs.pageCeiling) * costs.perPageNs;
  return local + (receivers === 0 ? 0 : costs.baseNs + receivers * costs.perCoreNs);
}

/**
 * Takes `pages` pages of `granulesInPage` from a granule on out of all cores' translations, as the
 * kernel does: one by one up to the ceiling, else everything. Returns the modelled time in ns.
 */
export function shootDown(
  cores: readonly Translator[],
  first: number,
  pages: number,
  granulesInPage: number,
  costs: ShootDownCosts = SHOOT_DOWN_COSTS,
): number {
  for (const core of cores) {
    if (pages > costs.pageCeiling) core.flush();
    else core.invalidate(first, first + pages * granulesInPage);
  }
  return shootDownNs(pages, cores.length - 1, costs);
}
