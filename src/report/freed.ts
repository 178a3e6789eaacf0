import type { FreedByCause, RunDocument, RunResult } from '../lab/index.ts';
import { formatCount, listInWords } from './units.ts';

/** What freed page tables, in a sentence for each kernel that freed any. */
export function freedSentences({ runs }: RunDocument): string[] {
  return runs.flatMap((run) => {
    const { causes } = run.tablesFreedBy;
    if (causes.length === 0) return [];
    const parts = causes.map(causeText);
    const tables = formatCount(run.final.tablesFreed);
    return [`${run.kernel} freed ${tables} tables for being empty: ${listInWords(parts)}.`];
  });
}

function causeText({ cause, tables, calls, byPieces }: FreedByCause): string {
  const pieces =
    byPieces > 0 ? `; ${formatCount(byPieces)} tables by calls shorter than a table's span` : '';
  const noun = cause === 'reclaim' || cause === 'scan' ? 'time' : 'call';
  const times = `${formatCount(calls)} ${noun}${calls === 1 ? '' : 's'}`;
  return `${formatCount(tables)} by ${cause} (${times}${pieces})`;
}

/** A call that freed tables under some kernel, and how many under each. */
export interface FreeingCall {
  line: number;
  cause: string;
  addr: string;
  len: number;
  /** By run; 0 where the same call freed none there. */
  tables: number[];
}

/** The calls of all runs side by side, by line. */
export function freeingCalls(runs: readonly RunResult[]): FreeingCall[] {
  const calls = new Map<number, FreeingCall>();
  for (const [at, run] of runs.entries()) {
    for (const { line, cause, addr, len, tables } of run.tablesFreedBy.calls) {
      let call = calls.get(line);
      if (call === undefined) {
        call = { line, cause, addr, len, tables: runs.map(() => 0) };
        calls.set(line, call);
      }
      call.tables[at] = tables;
    }
  }
  return [...calls.values()].sort((a, b) => a.line - b.line);
}

/**
 * True if a run's list of calls is cut short: behind its last line nothing is known of it, and calls
 * of other runs cannot be set beside it.
 */
export function isCut(run: RunResult): boolean {
  const { calls, causes } = run.tablesFreedBy;
  const all = causes.reduce((sum, { tables }) => sum + tables, 0);
  const listed = calls.reduce((sum, { tables }) => sum + tables, 0);
  const others = causes.filter(({ cause }) => cause === 'reclaim' || cause === 'scan');
  return listed < all - others.reduce((sum, { tables }) => sum + tables, 0);
}
