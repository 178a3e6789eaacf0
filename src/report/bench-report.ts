import { assert } from '../base/index.ts';
import { type BenchDocument, isPaired } from './bench/document.ts';
import { benchmarksOf } from './bench/groups.ts';
import { type Answer, answersOf } from './bench/questions.ts';
import { benchSection } from './html/bench-section.ts';
import { html, type Markup, nothing } from './html/markup.ts';
import { page } from './html/page.ts';
import { plotter } from './html/plot.ts';
import { formatCount, listInWords } from './units.ts';

export interface BenchReportOptions {
  /** What stands at the end: versions, the command, a date. */
  readonly footer?: string;
}

/** The rows of `pagelab bench` as one HTML file that loads nothing. */
export async function benchReport(
  document: BenchDocument,
  { footer }: BenchReportOptions = {},
): Promise<string> {
  const { rows, notes, host } = document;
  assert(rows.length > 0, 'a report needs at least one row');
  const plot = await plotter();
  const groups = benchmarksOf(rows);
  const names = groups.map(({ name }) => name);
  const paired = rows.filter(isPaired);
  const clear = paired.filter(({ ratioLow }) => ratioLow > 1).length;
  const behind = paired.filter(({ ratioHigh }) => ratioHigh < 1).length;
  const title = `Benchmarks: ${listInWords(names)}`;
  const body = html`<header><h1>${title}</h1><p class="about">${formatCount(rows.length)} rows · ${host ?? 'machine not recorded'}</p></header>
<div class="lead"><p>Of ${formatCount(paired.length)} rows with a peer ours is better in every pair of ${formatCount(clear)}, and worse in every pair of ${formatCount(behind)}.</p></div>
${notes.map((note) => html`<p>${note}</p>`)}
${questionsSection(answersOf(rows))}
${groups.map((group) => benchSection(plot, group))}
${methodSection()}
${footer === undefined ? nothing : html`<footer>${footer}</footer>`}`;
  return `${page(title, body).text}\n`;
}

function questionsSection(answers: readonly Answer[]): Markup {
  if (answers.length === 0) return nothing;
  const parts = answers.map(
    ({ question, sentences, command }) => html`<h3>${question}</h3>
<ul>${sentences.map((text) => html`<li>${text}</li>`)}</ul><p class="note">${command}</p>`,
  );
  return html`<section><h2>What copy-on-write with share counts in a table costs</h2>
<p>The questions of the thesis “Dynamic Metadata Management for Virtual-Memory Objects”, as far as these rows answer them. Sentences and figures are computed from the rows below.</p>
${parts}</section>`;
}

function methodSection(): Markup {
  return html`<section><h2>How this was measured</h2><ul>
<li>Each row is a pair, measured in one process in turns: ours, the peer's, ours, … The ratio of each pair is taken by itself. Values are medians.</li>
<li>Times were measured on the machine that ran the benchmark, and its other work is in them: look at the worst and the best pair before believing a median. Bytes are exact. A peer called goal is a number to reach, not a measurement.</li>
<li>On a logarithmic axis lengths of bars cannot be compared, only where they end.</li></ul></section>`;
}
