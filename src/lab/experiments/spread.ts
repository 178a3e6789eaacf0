/** Median, least and most of what several seeds gave. */
export interface SeedSpread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Of at least one value. */
export function spreadOf(values: readonly number[]): SeedSpread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (place: number): number => sorted[place] ?? NaN;
  const middle = (sorted.length - 1) / 2;
  const median = (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2;
  return { median, least: at(0), most: at(sorted.length - 1) };
}

/** `25 of 32`-like text: one number if all seeds agree, else the median and the range. */
export function spreadText({ median, least, most }: SeedSpread): string {
  return least === most ? `${median}` : `${median} (${least} to ${most})`;
}
