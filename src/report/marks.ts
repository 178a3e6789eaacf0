import type { MarkPoint, RunDocument } from '../lab/index.ts';
import { formatKiB, listInWords } from './units.ts';

/** Marks that a sentence can hold. */
const MARKS_MAX = 8;

/** What was resident at each mark of the trace, in a sentence for each kernel; none if there are many. */
export function markSentences({ runs }: RunDocument): string[] {
  return runs.flatMap(({ kernel, marks }) => {
    if (marks.length === 0 || marks.length > MARKS_MAX) return [];
    return [`${kernel}, resident: ${listInWords(marks.map(markText))}.`];
  });
}

function markText({
  name,
  rssAnonKiB,
  rssFileKiB,
  rssShmemKiB,
  anonHugeKiB = 0,
}: MarkPoint): string {
  const rss = formatKiB(rssAnonKiB + rssFileKiB + rssShmemKiB);
  const huge = anonHugeKiB > 0 ? ` (${formatKiB(anonHugeKiB)} in huge pages)` : '';
  return `${name} ${rss}${huge}`;
}
