import type { FigureRow, ReproduceDocument } from '../lab/index.ts';

/** The published figures for a terminal, one paragraph each, without a final newline. */
export function reproducedText({ rows }: ReproduceDocument, color = false): string {
  const paint = color ? (text: string) => `\u001b[1m${text}\u001b[22m` : (text: string) => text;
  const paragraphs = rows.map((row) =>
    [
      `${paint(row.id)}: ${row.verdict}`,
      `  ${row.what} (${row.method})`,
      `  published: ${row.published}`,
      `  here:      ${row.here}`,
      `  why:       ${row.why}`,
    ].join('\n'),
  );
  return [...paragraphs, summary(rows)].join('\n\n');
}

/** `4 agree, 1 differs, 1 not comparable`. */
export function summary(rows: readonly { readonly verdict: string }[]): string {
  const count = (verdict: FigureRow['verdict']): number =>
    rows.filter((row) => row.verdict === verdict).length;
  return `${count('agrees')} agree, ${count('differs')} differ, ${count('not comparable')} not comparable`;
}
