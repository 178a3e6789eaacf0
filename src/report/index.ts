/** Results for people: the terminal's table. docs/report.md tells where each figure comes from. */
export { figuresOf, type KernelFigures, type Levels, referenceRun } from './figures.ts';
export { headline, proofSentences } from './headline.ts';
export { type TerminalOptions, terminalTable } from './terminal-table.ts';
