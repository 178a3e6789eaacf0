/**
 * What a page written by `reproducedMarkdown` says of each figure: its line of the table and its
 * section. So a page can be brought up to date figure by figure, as some take minutes.
 */
export interface KeptFigure {
  readonly id: string;
  readonly verdict: string;
  readonly tableLine: string;
  /** From the empty line before the heading on. */
  readonly sectionLines: readonly string[];
}

/** The figures of a page, in its order; none if it is not such a page. */
export function keptFigures(page: string): KeptFigure[] {
  const lines = page.trimEnd().split('\n');
  const tableLines = new Map<string, string>();
  for (const line of lines) {
    const id = /^\| \[([^\]]+)\]\(#[^)]*\) \|/.exec(line)?.[1];
    if (id !== undefined) tableLines.set(id, line);
  }
  const starts = lines.flatMap((line, at) => (line.startsWith('## ') ? [at] : []));
  return starts.flatMap((start, i) => {
    const id = (lines[start] as string).slice('## '.length);
    const tableLine = tableLines.get(id);
    const verdict = / \| ([^|]+) \|$/.exec(tableLine ?? '')?.[1];
    if (tableLine === undefined || verdict === undefined) return [];
    const end = starts[i + 1] ?? lines.length + 1;
    return [{ id, verdict, tableLine, sectionLines: lines.slice(start - 1, end - 1) }];
  });
}
