/** One result, as `pagelab bench --json` gives it. */
export interface Row {
  /** `benchmark/variant`. */
  readonly name: string;
  readonly what: string;
  /** Median over the repeats, in `unit`. */
  readonly ours: number;
  /** The same of the peer; null where there is none. */
  readonly theirs: number | null;
  /** `kernel`, `engine` (itself, otherwise set up), `buddy` (the engine's), `cachegrind`, `goal` (a number to reach, not a measurement) or `none`. */
  readonly peer: string;
  readonly unit: Unit;
  /** How many times better we are: the median of the pairs, the worst and the best pair. */
  readonly ratio: number | null;
  readonly ratioLow: number | null;
  readonly ratioHigh: number | null;
  readonly repeats: number;
}

/** Less is better for a time or a size, more for a rate or a share. */
export type Unit =
  | 'ns/page'
  | 'ns/table'
  | 'ns/call'
  | 'ns/entry'
  | 'bytes/frame'
  | 'operations/s'
  | '%'
  | 'faults/s'
  | 'events/s'
  | 'accesses/s';

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The row of pairs measured one after the other: `ours[i]` and `theirs[i]` are one pair. */
export function rowOf(
  head: { name: string; what: string; peer: string; unit: Unit },
  ours: readonly number[],
  theirs: readonly number[] | null,
): Row {
  const isLessBetter = /^(ns|bytes)\//.test(head.unit);
  const ratios = (theirs ?? []).map((their, i) =>
    isLessBetter ? their / ours[i]! : ours[i]! / their,
  );
  const hasPeer = theirs !== null;
  return {
    name: head.name,
    what: head.what,
    ours: round(median(ours)),
    theirs: hasPeer ? round(median(theirs)) : null,
    peer: head.peer,
    unit: head.unit,
    ratio: hasPeer ? round(median(ratios)) : null,
    ratioLow: hasPeer ? round(Math.min(...ratios)) : null,
    ratioHigh: hasPeer ? round(Math.max(...ratios)) : null,
    repeats: ours.length,
  };
}

/** Four digits: more would be noise. */
function round(value: number): number {
  return Number(value.toPrecision(4));
}
