import { type BenchRow, isPaired } from './document.ts';
import { tablePairs, tableValues } from './values.ts';

/** Values side by side: a bar for each series in each group. */
export interface ValueChart {
  readonly title: string;
  /** How to read it. */
  readonly note: string;
  readonly unit: string;
  readonly groups: readonly ValueGroup[];
  /** Groups are numbers on an axis (threads), and series are lines over them. */
  readonly groupAxis?: string;
}

export interface ValueGroup {
  readonly name: string;
  readonly values: ReadonlyMap<string, number>;
}

/** Charts of several rows at once, and the rows whose values are in them. */
export interface ChartedRows {
  readonly charts: readonly ValueChart[];
  readonly names: ReadonlySet<string>;
}

interface Question {
  readonly title: string;
  readonly note: string;
  /** Groups by the prefix of their rows: `prefix/<table>`. */
  readonly prefixes: Readonly<Record<string, string>>;
  readonly groupAxis?: string;
}

const LESS = 'Less is better.';
const THREADS = [1, 2, 4, 8, 16];
const SINGLE = ['insert', 'remove', 'hit', 'miss', 'change'] as const;

/** What seed 003 asks of tables of share counts, a chart each. */
const QUESTIONS: readonly Question[] = [
  ...['clustered', 'random'].map((pattern) => ({
    title: `Operations one by one, ${pattern} frames`,
    note: `insert and remove grow and shrink the table; change: up, look-up, down. ${LESS}`,
    prefixes: Object.fromEntries(SINGLE.map((what) => [what, `counts/${pattern}/${what}`])),
  })),
  {
    title: 'Batches: the 512 entries of a table at once',
    note: `The mean of up from 1, up, down, down to 1. ${LESS}`,
    prefixes: byPattern('batch'),
  },
  {
    title: 'Splitting a shared table of 512 entries',
    note: `Copied, write-protected in both, and counted. ${LESS}`,
    prefixes: byPattern('split'),
  },
  {
    title: 'Memory a shared frame',
    note: `Exact. Dense: all frames of the machine are shared, else few. ${LESS}`,
    prefixes: byPattern('bytes'),
  },
  {
    title: 'Threads on the same frames',
    note: 'Operations of all threads together. More is better.',
    prefixes: Object.fromEntries(THREADS.map((n) => [n, `counts/threads-${n}`])),
    groupAxis: 'threads',
  },
  {
    title: 'While the table is resized',
    note: 'One thread, alone and beside another that makes the table grow and shrink. More is better.',
    prefixes: { alone: 'counts/threads-1', 'while resized': 'counts/resizing' },
  },
  {
    title: 'Write storm after a clone, the fault handler with each table',
    note: `Every page written once; end to end, with the copy of the page's entry and the frame. ${LESS}`,
    prefixes: {
      ascending: 'morsels/storm-ascending',
      random: 'morsels/storm-random',
    },
  },
];

function byPattern(what: string): Record<string, string> {
  return Object.fromEntries(
    ['dense', 'clustered', 'random'].map((pattern) => [pattern, `counts/${pattern}/${what}`]),
  );
}

/** The charts that compare tables of share counts, as far as they were measured. */
export function tableCharts(rows: readonly BenchRow[]): ChartedRows {
  const names = new Set<string>();
  const charts = QUESTIONS.flatMap(({ prefixes, ...question }): ValueChart[] => {
    const groups = Object.entries(prefixes).map(([name, prefix]) => {
      return { name, prefix, values: tableValues(rows, prefix) };
    });
    const measured = groups.filter(({ values }) => values.size > 0);
    const pairs = measured.flatMap(({ prefix }) => tablePairs(rows, prefix));
    for (const { name } of pairs) names.add(name);
    const [first] = pairs;
    return first === undefined ? [] : [{ ...question, unit: first.unit, groups: measured }];
  });
  return { charts, names };
}

/** Ours and theirs of each row, a chart a unit; rows in `charted` are shown elsewhere. */
export function pairCharts(
  name: string,
  rows: readonly BenchRow[],
  charted: ReadonlySet<string>,
): ValueChart[] {
  const shown = rows.filter((row) => !charted.has(row.name));
  return [...new Set(shown.map(({ unit }) => unit))].map((unit) => {
    const isLess = isLessBetter(unit);
    return {
      title: `${name}: values`,
      note: `Medians. ${isLess ? LESS : 'More is better.'}`,
      unit,
      groups: shown
        .filter((row) => row.unit === unit)
        .map((row) => ({ name: shortName(row), values: valuesOf(row) })),
    };
  });
}

/** A row's name without its benchmark. */
export function shortName({ name }: BenchRow): string {
  return name.slice(name.indexOf('/') + 1);
}

/** Less is better for a time or a size, more for a rate or a share. */
export function isLessBetter(unit: string): boolean {
  return /^(ns|bytes)\//.test(unit);
}

function valuesOf(row: BenchRow): Map<string, number> {
  const ours = new Map([['ours', row.ours]]);
  if (isPaired(row)) ours.set(row.peer, row.theirs);
  return ours;
}
