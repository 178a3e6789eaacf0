import Table from 'cli-table3';
import type { RunDocument } from '../lab/index.ts';
import { figuresOf, isTimed, type KernelFigures, lastMoment, referenceRun } from './figures.ts';
import { freedSentences } from './freed.ts';
import { proofSentences } from './headline.ts';
import { hugeSentences } from './huge.ts';
import { causeSentences, LATENCY_NOTE, latencyTables } from './latency.ts';
import { markSentences } from './marks.ts';
import { type MemoryTable, memoryTable } from './memory-table.ts';
import { metadataSentences, metadataTable } from './metadata.ts';
import { sharingSentences } from './sharing.ts';
import { COLUMN_GAP, PLAIN_LINES, wrapWords } from './text-layout.ts';
import {
  formatCount,
  formatDecimal,
  formatDuration,
  formatKiB,
  formatShort,
  kibUnit,
} from './units.ts';
import { hasWork, waysOf } from './ways.ts';

export interface TerminalOptions {
  /** ANSI colours; NO_COLOR and terminals are the caller's business. */
  color?: boolean;
  /** Columns of the terminal; less important columns go first. Default 100. */
  width?: number;
  /** Kernel to measure the others by; default: the one that agrees best with the recording. */
  reference?: string;
}

interface Column {
  head: string;
  /** Columns of a higher number are the first to go where the terminal is narrow. */
  rank: number;
  cell: (figures: KernelFigures) => string;
}

/** The comparison of a document as lines for a terminal, without a final newline. */
export function terminalTable(document: RunDocument, options: TerminalOptions = {}): string {
  const { color = false, width = 100, reference } = options;
  const paint = color ? ansi : (_code: number, text: string) => text;
  const figures = document.runs.map(figuresOf);
  const columns = columnsThatFit(columnsFor(figures), figures, width);
  const chosen = referenceRun(document, reference)?.kernel;
  const table = new Table({
    head: columns.map(({ head }) => paint(1, head)),
    colAligns: columns.map((_, at) => (at === 0 ? 'left' : 'right')),
    chars: PLAIN_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const row of figures) {
    const cells = columns.map(({ cell }) => cell(row));
    table.push(
      cells.map((text, at) => (at === 0 && row.kernel === chosen ? paint(1, text) : text)),
    );
  }
  const lines = [paint(1, title(document)), table.toString(), ''];
  lines.push(...wrapWords(note(document), width).map((line) => paint(2, line)));
  for (const sentence of proofSentences(document, reference))
    lines.push(...wrapWords(sentence, width));
  const memory = memoryTable(document);
  if (memory !== undefined && widthOfTexts(memory) <= width) {
    lines.push('', plainTable(memory, paint), '');
  } else {
    for (const sentence of markSentences(document)) lines.push(...wrapWords(sentence, width));
  }
  for (const sentence of hugeSentences(document)) lines.push(...wrapWords(sentence, width));
  for (const sentence of sharingSentences(document)) lines.push(...wrapWords(sentence, width));
  const metadata = metadataTable(document);
  if (metadata !== undefined && widthOfTexts(metadata) <= width) {
    lines.push('', plainTable(metadata, paint), '');
  }
  for (const sentence of metadataSentences(document)) lines.push(...wrapWords(sentence, width));
  lines.push(...latencyLines(document, width, paint));
  if (hasWork(document)) lines.push('', waysTable(document, width, paint), '');
  for (const sentence of freedSentences(document)) lines.push(...wrapWords(sentence, width));
  return lines.flatMap((text) => text.split('\n').map((line) => line.trimEnd())).join('\n');
}

function plainTable(
  { heads, rows }: MemoryTable,
  paint: (code: number, text: string) => string,
): string {
  const table = new Table({
    head: heads.map((head) => paint(1, head)),
    colAligns: heads.map((_, at) => (at === 0 ? 'left' : 'right')),
    chars: PLAIN_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const row of rows) table.push([...row]);
  return table.toString();
}

function widthOfTexts({ heads, rows }: MemoryTable): number {
  const widths = heads.map((head, at) =>
    Math.max(
      ...[...head.split('\n'), ...rows.map((row) => row[at] ?? '')].map(({ length }) => length),
    ),
  );
  return widths.reduce((sum, width) => sum + width + COLUMN_GAP.length, -COLUMN_GAP.length);
}

/** Modelled times, if any, with what they are. */
function latencyLines(
  document: RunDocument,
  width: number,
  paint: (code: number, text: string) => string,
): string[] {
  const tables = latencyTables(document);
  if (tables === undefined) return [];
  const lines: string[] = [''];
  for (const { heads, rows } of [tables.faults, ...(tables.requests ? [tables.requests] : [])]) {
    const plain = {
      heads: ['kernel', ...heads],
      rows: rows.map(({ kernel, cells }) => [kernel, ...cells]),
    };
    lines.push(plainTable(plain, paint), '');
  }
  lines.push(...wrapWords(LATENCY_NOTE, width).map((line) => paint(2, line)));
  for (const sentence of causeSentences(document)) lines.push(...wrapWords(sentence, width));
  return lines;
}

/** Ways to have fewer empty tables, side by side; without their work where that is too wide. */
function waysTable(
  document: RunDocument,
  width: number,
  paint: (code: number, text: string) => string,
): string {
  const ways = waysOf(document);
  const nameWidth = Math.max(...ways.map(({ kernel }) => kernel.length));
  const hasRoom = nameWidth + 36 + Math.max(...ways.map(({ work }) => work.length)) <= width;
  const heads = ['empty tables', 'mean', 'peak', 'last', 'freed', 'made\nagain'];
  if (hasRoom) heads.push('work of its own');
  const table = new Table({
    head: heads.map((head) => paint(1, head)),
    colAligns: heads.map((_, at) => (at === 0 || at === 6 ? 'left' : 'right')),
    chars: PLAIN_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const { kernel, emptyTables, freed, madeAgain, work } of ways) {
    const counts = [emptyTables.peak, emptyTables.last, freed, madeAgain].map(formatCount);
    const row = [kernel, formatDecimal(emptyTables.mean), ...counts];
    table.push(hasRoom ? [...row, work] : row);
  }
  return table.toString();
}

function title({ trace, runs }: RunDocument): string {
  const processes = `${formatCount(trace.processes)} process${trace.processes === 1 ? '' : 'es'}`;
  return `${printable(trace.name)}: ${formatCount(trace.events)} events, ${processes}, ${runs.length} kernel${runs.length === 1 ? '' : 's'}`;
}

function note({ runs }: RunDocument): string {
  const [run] = runs;
  const moment = run === undefined ? undefined : lastMoment(run.series);
  const at =
    run === undefined || moment === undefined
      ? ''
      : `; last: ${moment.recorded ? 'at the last sample' : 'before the last exit'}, ${momentText(isTimed(run), moment.t)}`;
  return `VmPTE: all page tables of all processes; kB = 1024 bytes; mean over ${run !== undefined && isTimed(run) ? 'time' : 'events'}${at}. Events/s: measured here.`;
}

function momentText(isTime: boolean, t: number): string {
  return isTime ? formatDuration(t) : `event ${formatCount(t)}`;
}

function columnsFor(figures: readonly KernelFigures[]): Column[] {
  const maxOf = (value: (f: KernelFigures) => number): number => Math.max(0, ...figures.map(value));
  const pte = kibUnit(maxOf((f) => f.vmPte.peak));
  const rss = kibUnit(maxOf((f) => f.rss.peak));
  const columns: Column[] = [
    { head: 'kernel', rank: 0, cell: (f) => f.kernel },
    { head: 'VmPTE\nmean', rank: 0, cell: (f) => formatKiB(f.vmPte.mean, pte) },
    { head: '\npeak', rank: 0, cell: (f) => formatKiB(f.vmPte.peak, pte) },
    { head: '\nlast', rank: 1, cell: (f) => formatKiB(f.vmPte.last, pte) },
    { head: 'empty tables\nmean', rank: 2, cell: (f) => formatDecimal(f.emptyTables.mean) },
    { head: '\npeak', rank: 3, cell: (f) => formatCount(f.emptyTables.peak) },
    { head: 'tables\nfreed', rank: 4, cell: (f) => formatCount(f.tablesFreed) },
    { head: 'RSS\npeak', rank: 5, cell: (f) => formatKiB(f.rss.peak, rss) },
    {
      head: '\nfaults',
      rank: 6,
      cell: (f) => (f.faults < 1e9 ? formatCount : formatShort)(f.faults),
    },
    { head: '\nevents/s', rank: 7, cell: (f) => formatShort(f.eventsPerSecond) },
  ];
  if (maxOf((f) => f.oomKills) > 0) {
    columns.push({ head: 'OOM\nkills', rank: 1, cell: (f) => formatCount(f.oomKills) });
  }
  return columns;
}

function columnsThatFit(
  columns: readonly Column[],
  figures: readonly KernelFigures[],
  width: number,
): Column[] {
  let kept = [...columns];
  for (let rank = 7; rank > 0 && widthOf(kept, figures) > width; rank--) {
    kept = kept.filter((column) => column.rank < rank);
  }
  return kept;
}

function widthOf(columns: readonly Column[], figures: readonly KernelFigures[]): number {
  let width = -COLUMN_GAP.length;
  for (const { head, cell } of columns) {
    const texts = [...head.split('\n'), ...figures.map(cell)];
    width += COLUMN_GAP.length + Math.max(...texts.map((text) => text.length));
  }
  return width;
}

/** A name from a file must not steer the terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}

function ansi(code: number, text: string): string {
  return `\u001b[${code}m${text}\u001b[${code === 1 || code === 2 ? 22 : 0}m`;
}
