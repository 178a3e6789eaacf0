/**
 * Results for people: the terminal's table, and a report as one HTML file. docs/report.md tells
 * where each figure comes from.
 */
export {
  type BenchDocument,
  type BenchRow,
  joinDocuments,
  parseBenchDocument,
} from './bench/document.ts';
export { type Answer, answersOf } from './bench/questions.ts';
export { type BenchReportOptions, benchReport } from './bench-report.ts';
export { figuresOf, type KernelFigures, type Levels, referenceRun } from './figures.ts';
export { fragmentationText } from './fragmentation.ts';
export { headline, proofSentences } from './headline.ts';
export { type HtmlOptions, htmlReport } from './html-report.ts';
export { reproducedMarkdown } from './reproduced-markdown.ts';
export { reproducedText } from './reproduced-terminal.ts';
export { type TerminalOptions, terminalTable } from './terminal-table.ts';
export { PLAIN_LINES, wrapWords } from './text-layout.ts';
export { tlbTable } from './tlb-table.ts';
