import type { RunDocument, RunResult, SeriesPoint } from '../lab/index.ts';
import type { MemoryTable } from './memory-table.ts';
import { formatCount, formatSize } from './units.ts';

/** Metadata of frames by scheme, where a kernel measures it (docs/dynamic-metadata.md). */
export interface MetadataScheme {
  readonly field: string;
  readonly name: string;
  /** Grows with what is in use; the others with the memory that there is. */
  readonly isByUse: boolean;
}

export const METADATA_SCHEMES: readonly MetadataScheme[] = [
  { field: 'structPageKiB', name: 'struct page', isByUse: false },
  { field: 'hvoAllKiB', name: 'HVO for all huge pages', isByUse: false },
  { field: 'memdescKiB', name: 'memdesc', isByUse: false },
  { field: 'onDemandKiB', name: 'on demand', isByUse: true },
  { field: 'engineKiB', name: "the engine's own", isByUse: true },
  { field: 'countsKiB', name: 'LLFree and share counts', isByUse: true },
];

/** A scheme's value at a point, where it was looked at. */
export function metadataAt(point: SeriesPoint, { field }: MetadataScheme): number | undefined {
  return point['dynamic-metadata']?.[field];
}

export function measuresMetadata({ peak }: RunResult): boolean {
  return peak['dynamic-metadata'] !== undefined;
}

/** The highest of each scheme, a column a kernel that measures it; undefined where none does. */
export function metadataTable({ runs }: RunDocument): MemoryTable | undefined {
  const measured = runs.filter(measuresMetadata);
  if (measured.length === 0) return undefined;
  const rows = METADATA_SCHEMES.map(({ name, field }) => [
    name,
    ...measured.map(({ peak }) => formatSize(peak['dynamic-metadata']?.[field] ?? 0)),
  ]);
  return { heads: ['metadata of frames, peak', ...measured.map(({ kernel }) => kernel)], rows };
}

/** What having it on demand took. */
export function metadataSentences({ runs }: RunDocument): string[] {
  return runs.filter(measuresMetadata).map(({ kernel, final }) => {
    const of = (name: string): number => final['dynamic-metadata']?.[name] ?? 0;
    const pages = of('beforePages') + of('beforeHugePages');
    const failed =
      of('refusals') === 0
        ? ''
        : `; ${formatCount(of('refusals'))} allocations failed for want of it`;
    const owed =
      of('overdrafts') === 0
        ? ''
        : `; ${formatCount(of('overdrafts'))} pieces of it found no memory in a split`;
    return `${kernel}: ${formatCount(of('taken'))} pages of metadata came and ${formatCount(of('givenBack'))} went; ${formatCount(pages)} allocations of pages and ${formatCount(of('beforeTables'))} of page tables had to get one first, in ${formatCount(final.faults)} faults${failed}${owed}.`;
  });
}
