import type { Spread } from '../src/lab/index.ts';
import { median } from './row.ts';

/** A value that belongs to a group of values with something in common, such as one crew. */
export interface Grouped {
  readonly group: number;
  readonly value: number;
}

/** The median of all values, and the interval of the groups' medians. */
export function spreadOf(values: readonly Grouped[]): Spread {
  const groups = new Map<number, number[]>();
  for (const { group, value } of values) groups.set(group, [...(groups.get(group) ?? []), value]);
  const medians = [...groups.values()].map(median);
  const { low, high } = intervalOfMedian(medians);
  return { median: median(values.map(({ value }) => value)), low, high };
}

/**
 * The interval that covers the median of what the values were drawn from with at least 95 %, by
 * ranks: no distribution is supposed. Below six values it is from the lowest to the highest, and
 * covers less.
 */
export function intervalOfMedian(values: readonly number[]): { low: number; high: number } {
  const sorted = [...values].sort((a, b) => a - b);
  const n = sorted.length;
  // Chance that fewer than `cut + 1` of n values lie below the median: a binomial tail.
  let cut = 0;
  let term = 0.5 ** n;
  let tail = term;
  while (cut + 1 < n / 2) {
    term *= (n - cut) / (cut + 1);
    if (2 * (tail + term) > 0.05) break;
    tail += term;
    cut += 1;
  }
  return { low: sorted[cut]!, high: sorted[n - 1 - cut]! };
}
