import type { SourcedNumber } from './sourced.ts';

/**
 * What translation costs, in cycles, and what page tables get of the data caches. Every constant can
 * be set by its name (`--set l2Cycles=14`). Cycles are counts times these; nothing is fitted.
 */
export const COSTS = [
  {
    name: 'walkCacheCycles',
    value: 1,
    unit: 'cycles',
    ground: 'source',
    source: 'probing the walk caches once a walk: Virtuoso, mmu_base.cfg (access_penalty)',
  },
  {
    name: 'l1dCycles',
    value: 5,
    unit: 'cycles',
    ground: 'notes',
    source: 'load to use from L1D, Skylake client (WikiChip: 4 to 5)',
  },
  {
    name: 'l2Cycles',
    value: 14,
    unit: 'cycles',
    ground: 'notes',
    source: 'load to use from L2, Skylake client (WikiChip: 12 to 14)',
  },
  {
    name: 'l3Cycles',
    value: 44,
    unit: 'cycles',
    ground: 'notes',
    source: 'load to use from L3, Skylake client (WikiChip)',
  },
  {
    name: 'dramCycles',
    value: 225,
    unit: 'cycles',
    ground: 'recalled',
    source: 'load to use from memory: 200 to 250 cycles',
  },
  {
    name: 'l1dLines',
    value: 64,
    unit: 'lines',
    ground: 'assumption',
    source: 'an eighth of 32 KiB holds page-table lines',
  },
  {
    name: 'l2Lines',
    value: 4096,
    unit: 'lines',
    ground: 'assumption',
    source: 'a quarter of 1 MiB holds page-table lines',
  },
  {
    name: 'l3Lines',
    value: 32768,
    unit: 'lines',
    ground: 'assumption',
    source: 'a quarter of 8 MiB holds page-table lines',
  },
  {
    name: 'accessCycles',
    value: 2,
    unit: 'cycles',
    ground: 'assumption',
    source:
      'cycles of the program for each access, without translation; the share of walks needs it',
  },
] as const satisfies readonly SourcedNumber[];

export type CostName = (typeof COSTS)[number]['name'];
export type Costs = Readonly<Record<CostName, number>>;

/** The table's values, with some set otherwise. */
export function costsWith(set: Readonly<Partial<Record<CostName, number>>> = {}): Costs {
  const entries = COSTS.map(({ name, value }) => [name, set[name] ?? value]);
  return Object.fromEntries(entries) as Costs;
}
