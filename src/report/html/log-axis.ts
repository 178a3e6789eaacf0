import { formatDecimal, formatShort } from '../units.ts';

/** A scale of values: logarithmic where they span more than a decade. */
export interface ValueScale {
  readonly isLog: boolean;
  readonly low: number;
  readonly high: number;
  /** Plot's options of the axis. */
  readonly options: object;
}

/** Bars of less than this share of the longest one could not be told from nothing. */
const LINEAR_SPAN_MAX = 12;

export function valueScale(values: readonly number[], label: string): ValueScale {
  const min = Math.min(...values);
  const max = Math.max(...values);
  if (max / min <= LINEAR_SPAN_MAX) {
    const options = { domain: [0, max * 1.02], nice: true, ticks: 6, tickFormat: formatShortest };
    return { isLog: false, low: 0, high: max, options: { ...options, ...axis(label) } };
  }
  const scale = logScale(min / 1.6, max * 1.1, label);
  return scale;
}

/** A logarithmic axis with labels at 1, 2 and 5, or at powers of ten if there are many. */
export function logScale(low: number, high: number, label: string): ValueScale {
  const decades = Math.log10(high / low);
  const steps = decades > 2.5 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 5];
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const step of steps) {
      const value = Number((step * 10 ** power).toPrecision(3));
      if (value >= low && value <= high) ticks.push(value);
    }
  }
  const options = { type: 'log', domain: [low, high], ticks, tickFormat: formatShortest };
  return { isLog: true, low, high, options: { ...options, ...axis(label) } };
}

function axis(label: string): object {
  return { label, labelArrow: 'none', labelAnchor: 'center', grid: true };
}

/** `0.5`, `20`, `3,000`, `20 k`. */
function formatShortest(value: number): string {
  if (value >= 10_000) return formatShort(value).replace(/\.0+ /, ' ');
  return Number.isInteger(value) ? formatDecimal(value).replace(/\.0+$/, '') : String(value);
}
