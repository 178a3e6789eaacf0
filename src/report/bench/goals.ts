import type { BenchRow } from './document.ts';

/** Ratios to reach, of rows whose peer is measured and not itself a goal; docs/bench.md, "Goals". */
const GOALS: readonly { readonly name: RegExp; readonly ratio: number }[] = [
  // 99.8 % less time (Morsels, DIMES 2023).
  { name: /^morsels\/model$/, ratio: 500 },
  // The same for any size, within 20 %.
  { name: /^morsels\/(map|send|clone)$/, ratio: 0.8 },
  { name: /^counts\/[^/]*\/split\/(rosebush|rhashtable)$/, ratio: 10 },
];

/** The ratio that the row should reach; 1 says no more than that a side is better. */
export function goalOf({ name }: BenchRow): number {
  return GOALS.find((goal) => goal.name.test(name))?.ratio ?? 1;
}
