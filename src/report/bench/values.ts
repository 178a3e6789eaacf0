import { COUNT_KINDS } from '../../engine/index.ts';
import { type BenchRow, isPaired, type PairedRow } from './document.ts';

/** Tables of share counts in their order; the first is the one that the others are compared with. */
export const TABLES: readonly string[] = COUNT_KINDS.map(({ name }) => name);
export const OUR_TABLE: string = TABLES[0] as string;

/** Rows `prefix/<table>`, each a pair of our table with another. */
export function tablePairs(rows: readonly BenchRow[], prefix: string): PairedRow[] {
  return rows
    .filter(isPaired)
    .filter(({ name, peer }) => name === `${prefix}/${peer}` && TABLES.includes(peer));
}

/** The value of each table under a prefix, in the order of the tables; empty where it was not measured. */
export function tableValues(rows: readonly BenchRow[], prefix: string): Map<string, number> {
  const pairs = tablePairs(rows, prefix);
  const values = new Map<string, number>();
  if (pairs.length === 0) return values;
  // One median, unless rows of several runs were joined.
  values.set(OUR_TABLE, middleOf(pairs.map(({ ours }) => ours)));
  for (const table of TABLES) {
    const pair = pairs.find(({ peer }) => peer === table);
    if (pair !== undefined) values.set(table, pair.theirs);
  }
  return values;
}

export function middleOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}
