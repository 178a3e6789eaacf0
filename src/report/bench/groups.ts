import type { BenchRow } from './document.ts';

/** Rows that are shown together. */
export interface RowGroup {
  readonly name: string;
  readonly rows: readonly BenchRow[];
}

/** Up to so many rows are one chart. */
const CHART_ROWS_MAX = 24;
/** Smaller groups of a long benchmark go together. */
const CHART_ROWS_MIN = 4;
const OTHERS = 'others';

/** By benchmark: what stands before the first `/`. */
export function benchmarksOf(rows: readonly BenchRow[]): RowGroup[] {
  return grouped(rows, ({ name }) => name.split('/')[0] as string);
}

/** The rows of a benchmark, by the second part of their names if they are too many for a chart. */
export function chartGroupsOf({ name, rows }: RowGroup): RowGroup[] {
  if (rows.length <= CHART_ROWS_MAX) return [{ name, rows }];
  const groups = grouped(rows, stemOf);
  const large = groups.filter((group) => group.rows.length >= CHART_ROWS_MIN);
  const rest = groups.filter((group) => group.rows.length < CHART_ROWS_MIN);
  const others = rest.flatMap((group) => group.rows);
  return others.length === 0 ? large : [...large, { name: `${name}: ${OTHERS}`, rows: others }];
}

/** `counts/threads-2/static` is of `counts/threads`. */
function stemOf({ name }: BenchRow): string {
  const [benchmark, second = ''] = name.split('/');
  return `${benchmark}/${second.split('-')[0]}`;
}

function grouped(rows: readonly BenchRow[], nameOf: (row: BenchRow) => string): RowGroup[] {
  const groups = new Map<string, BenchRow[]>();
  for (const row of rows) {
    const name = nameOf(row);
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  return [...groups].map(([name, own]) => ({ name, rows: own }));
}
