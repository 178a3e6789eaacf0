import type { RunDocument, RunResult } from '../lab/index.ts';
import { figuresOf, type Levels } from './figures.ts';
import { formatCount, listInWords } from './units.ts';

/** How one kernel gets rid of empty page tables, and what that takes. */
export interface Way {
  kernel: string;
  emptyTables: Levels;
  freed: number;
  /** Tables made beyond those of the run that made fewest: freed ones that came back. */
  madeAgain: number;
  work: string;
}

export function waysOf({ runs }: RunDocument): Way[] {
  const fewest = Math.min(...runs.map((run) => run.final.tablesMade));
  return runs.map((run) => ({
    kernel: run.kernel,
    emptyTables: figuresOf(run).emptyTables,
    freed: run.final.tablesFreed,
    madeAgain: run.final.tablesMade - fewest,
    work: workText(run),
  }));
}

/** True if a mechanism counts what it does: then the ways differ in more than their tables. */
export function hasWork({ runs }: RunDocument): boolean {
  return runs.length > 1 && runs.some((run) => countedWork(run) !== '');
}

function workText(run: RunResult): string {
  const counted = countedWork(run);
  if (counted !== '') return counted;
  if (run.kernel.includes('+pte-ref')) {
    return `a count changed by each of ${formatCount(run.final.faults)} faults`;
  }
  return run.final.tablesFreed > 0 ? 'none: the zap has just seen the entries' : 'none';
}

function countedWork({ final }: RunResult): string {
  const scan = final['table-scan'];
  if (scan !== undefined) {
    return `${counter(scan, 'tablesScanned')} tables looked at in ${counter(scan, 'scans')} scans`;
  }
  const reclaim = final['table-reclaim'] ?? final['table-reclaim-aged'];
  if (reclaim === undefined) return '';
  const parts = RECLAIM_WORK.flatMap(([name, words]) =>
    (reclaim[name] ?? 0) > 0 ? [`${counter(reclaim, name)} ${words}`] : [],
  );
  return parts.length === 0 ? 'none: memory was never short' : listInWords(parts);
}

const RECLAIM_WORK = [
  ['picks', 'tables picked'],
  ['compressions', 'compressed'],
  ['swapOuts', 'swapped out'],
  ['refaults', 'brought back by faults'],
] as const;

function counter(counters: Readonly<Record<string, number>>, name: string): string {
  return formatCount(counters[name] ?? 0);
}
