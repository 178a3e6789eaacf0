import type { MarkPoint, RunDocument } from '../lab/index.ts';
import { formatKiB, kibUnit } from './units.ts';

/** Marks that the table has room for. */
const MARKS_MAX = 6;

/** Memory under several kernels at the marks of a trace, as texts: a row for each kernel. */
export interface MemoryTable {
  readonly heads: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/**
 * What was resident at each mark, and at the last one what of it was in huge pages and what memory was
 * in use: that counts tables, parts of huge pages that wait to be split, and reserved frames.
 * Undefined where there is nothing to compare.
 */
export function memoryTable({ runs }: RunDocument): MemoryTable | undefined {
  const names = runs[0]?.marks.map(({ name }) => name) ?? [];
  const isComparable = runs.every(({ marks }) => marks.length === names.length);
  if (runs.length < 2 || names.length === 0 || names.length > MARKS_MAX || !isComparable) {
    return undefined;
  }
  const unit = kibUnit(
    Math.max(...runs.flatMap(({ marks }) => marks.map(({ usedKiB }) => usedKiB))),
  );
  const rows = runs.map(({ kernel, marks }) => {
    const last = marks[marks.length - 1] as MarkPoint;
    const kib = [...marks.map(resident), last.anonHugeKiB ?? 0, last.usedKiB];
    return [kernel, ...kib.map((value) => formatKiB(value, unit))];
  });
  return { heads: ['resident', ...names, 'in huge\npages', 'memory\nin use'], rows };
}

function resident({ rssAnonKiB, rssFileKiB, rssShmemKiB }: MarkPoint): number {
  return rssAnonKiB + rssFileKiB + rssShmemKiB;
}
