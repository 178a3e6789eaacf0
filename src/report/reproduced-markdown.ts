import type { FigureRow, ReproduceDocument } from '../lab/index.ts';
import { type KeptFigure, keptFigures } from './kept-figures.ts';
import { summary } from './reproduced-terminal.ts';

/** How ours came about, in words. */
const METHODS: Readonly<Record<FigureRow['method'], string>> = {
  engine: 'the engine ran it at the published size',
  kernel: 'measured on the running kernel',
  model: 'counts of the engine times published costs',
  arithmetic: 'arithmetic; nothing ran',
};

/**
 * docs/figures.md: a table of all figures, then each with what went in and its parts. `order` are the
 * ids of all figures; those that did not run are taken from `before`, the page as it was.
 */
export function reproducedMarkdown(
  { rows, host }: ReproduceDocument,
  before = '',
  order: readonly string[] = rows.map(({ id }) => id),
): string {
  const known = new Map(keptFigures(before).map((kept) => [kept.id, kept]));
  for (const row of rows) known.set(row.id, figureOf(row));
  const figures = order.flatMap((id) => known.get(id) ?? []);
  return `${[
    '# Published figures',
    '',
    'Written by `pagelab reproduce --markdown docs/figures.md`, not by hand. kB, MB, GB are 1024 bytes, kB, MB, as /proc writes them.',
    '',
    `Times, where a figure has any, were measured on: ${host}.`,
    '',
    `${summary(figures)}.`,
    '',
    '| figure | published | here | method | verdict |',
    '| --- | --- | --- | --- | --- |',
    ...figures.map(({ tableLine }) => tableLine),
    ...figures.flatMap(({ sectionLines }) => sectionLines),
  ].join('\n')}\n`;
}

function figureOf(row: FigureRow): KeptFigure {
  const { id, published, here, method, verdict } = row;
  const tableLine = `| [${id}](#${anchor(id)}) | ${cell(published)} | ${cell(here)} | ${method} | ${verdict} |`;
  return { id, verdict, tableLine, sectionLines: section(row) };
}

function section(row: FigureRow): string[] {
  return [
    '',
    `## ${row.id}`,
    '',
    `${capital(row.what)}.`,
    '',
    `- published: ${row.published} (${row.source})`,
    `- here: ${row.here}`,
    `- method: ${row.method}, ${METHODS[row.method]}`,
    ...row.inputs.map(({ name, value, source }) => `- input: ${name}: ${value} (${source})`),
    `- rule: ${row.rule}`,
    `- verdict: **${row.verdict}**; ${row.why}`,
    '',
    `Again: \`pagelab reproduce ${row.id}\``,
    ...partsTable(row),
  ];
}

function partsTable({ parts }: FigureRow): string[] {
  if (parts.length === 0) return [];
  const lines = parts.map(({ what, unit, published, here, verdict }) => {
    const theirs = published === null ? '' : number(published);
    return `| ${cell(what)} | ${unit} | ${theirs} | ${number(here)} | ${published === null ? '' : verdict} |`;
  });
  return [
    '',
    '| part | unit | published or expected | here | verdict |',
    '| --- | --- | ---: | ---: | --- |',
    ...lines,
  ];
}

/** The anchor that Markdown makes of a heading. */
function anchor(id: string): string {
  return id.replaceAll('.', '');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function number(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 4 });
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
