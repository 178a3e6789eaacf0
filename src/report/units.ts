/** Numbers as people read them. `kB` is 1024 bytes, as in /proc/PID/status. */

const UNITS = ['kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Kilobytes up to here are shown as they are. */
const UNIT_MAX = 10_000;

export interface KibUnit {
  readonly name: string;
  readonly kib: number;
}

/** The unit in which values up to `maxKiB` read well; one for a whole column or axis. */
export function kibUnit(maxKiB: number): KibUnit {
  let at = 0;
  let kib = 1;
  while (Math.abs(maxKiB) / kib >= UNIT_MAX && at < UNITS.length - 1) {
    at += 1;
    kib *= 1024;
  }
  return { name: UNITS[at] ?? 'kB', kib };
}

/** `1,234 kB`, `62.4 MB`; less than one of the unit is shown in a smaller one. */
export function formatKiB(kib: number, wanted: KibUnit = kibUnit(kib)): string {
  const unit = Math.abs(kib) < wanted.kib ? kibUnit(kib) : wanted;
  const value = kib / unit.kib;
  return `${unit.kib === 1 ? formatCount(value) : formatDecimal(value)} ${unit.name}`;
}

/** A size in the largest unit of which it is a whole number: `2 MB`. */
export function formatSize(kib: number): string {
  if (kib > 0 && kib < 1) return `${formatCount(kib * 1024)} B`;
  let at = 0;
  let value = kib;
  while (value > 0 && value % 1024 === 0 && at < UNITS.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${formatCount(value)} ${UNITS[at]}`;
}

/** A whole number with grouping: `27,632`. */
export function formatCount(value: number): string {
  const digits = String(Math.round(Math.abs(value))).replace(/\B(?=(\d{3})+$)/g, ',');
  return value < 0 && digits !== '0' ? `−${digits}` : digits;
}

/** Three significant digits, never fewer than the whole number has: `1,234`, `62.4`, `0.048`. */
export function formatDecimal(value: number): string {
  const size = Math.abs(value);
  if (size >= 99.95 || size === 0) return formatCount(value);
  const decimals = size >= 9.995 ? 1 : size >= 0.9995 ? 2 : Math.min(3, 2 - exponentOf(size));
  const text = size.toFixed(decimals);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

function exponentOf(size: number): number {
  return Math.floor(Math.log10(size));
}

/** The size of a share as `3.8 %`; what is not nothing never reads as 0. */
export function formatShare(share: number): string {
  const percent = Math.abs(share) * 100;
  if (percent > 0 && percent < 0.05) return '< 0.1 %';
  return `${percent >= 9.95 || percent === 0 ? percent.toFixed(0) : percent.toFixed(1)} %`;
}

/** A duration: `850 µs`, `16 ms`, `1.41 s`, `12 min`. */
export function formatDuration(ns: number): string {
  if (ns < 1e6) return `${formatCount(ns / 1e3)} µs`;
  if (ns < 1e9) return `${formatDecimal(ns / 1e6)} ms`;
  if (ns < 600e9) return `${formatDecimal(ns / 1e9)} s`;
  return `${formatDecimal(ns / 60e9)} min`;
}

/** A count in three digits: `940`, `27.7 k`, `1.77 M`. */
export function formatShort(count: number): string {
  if (count >= 1e6) return `${formatDecimal(count / 1e6)} M`;
  return count >= 10_000 ? `${formatDecimal(count / 1e3)} k` : formatCount(count);
}

/** `a`, `a and b`, `a, b and c`. */
export function listInWords(items: readonly string[]): string {
  if (items.length < 2) return items.join('');
  return `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}
