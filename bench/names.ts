/**
 * The names of the benchmarks, in the order in which they run; apart from the benchmarks themselves,
 * so that a help text can be written without loading them.
 */
export const BENCHMARK_NAMES = [
  'fault',
  'zap',
  'fork',
  'multi-fault',
  'table-reclaim',
  'llfree',
  'morsels',
  'counts',
  'replay',
  'tlb',
] as const;

export type BenchmarkName = (typeof BENCHMARK_NAMES)[number];
