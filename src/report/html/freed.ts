import type { RunDocument } from '../../lab/index.ts';
import { type FreeingCall, freedSentences, freeingCalls, isCut } from '../freed.ts';
import { formatCount, formatDecimal, formatSize } from '../units.ts';
import { waysOf } from '../ways.ts';
import { html, type Markup, nothing } from './markup.ts';

/** Which calls freed page tables, kernel beside kernel: what one keeps and another frees. */
export function freedSection(document: RunDocument): Markup {
  const { runs } = document;
  const sentences = freedSentences(document);
  if (sentences.length === 0) return nothing;
  // Behind the end of a list that was cut, kernels cannot be compared line by line.
  const ends = runs.filter(isCut).map((run) => run.tablesFreedBy.calls.at(-1)?.line ?? 0);
  const lastLine = Math.min(Infinity, ...ends);
  const calls = freeingCalls(runs).filter(({ line }) => line <= lastLine);
  return html`<section><h2>What freed page tables</h2>
<ul>${sentences.map((text) => html`<li>${text}</li>`)}</ul>
${wayTable(document)}
${callTable(document, calls, ends.length > 0)}
${placeTable(document)}</section>`;
}

/** Empty tables over the run, and what it takes to have fewer of them. */
function wayTable(document: RunDocument): Markup {
  const rows = waysOf(document).map(
    ({ kernel, emptyTables, freed, madeAgain, work }) => html`<tr><th scope="row">${kernel}</th>
<td>${formatDecimal(emptyTables.mean)}</td><td>${formatCount(emptyTables.peak)}</td>
<td>${formatCount(emptyTables.last)}</td><td>${formatCount(freed)}</td>
<td>${formatCount(madeAgain)}</td><td class="words">${work}</td></tr>`,
  );
  return html`<div class="scroll"><table>
<caption>Empty page tables, and what it takes to have fewer. Made again: tables made beyond those of
the kernel that made fewest</caption>
<thead><tr><th scope="col">kernel</th><th scope="col">empty, mean</th><th scope="col">peak</th>
<th scope="col">last</th><th scope="col">freed</th><th scope="col">made again</th>
<th scope="col" class="words">work of its own</th></tr></thead>
<tbody>${rows}</tbody></table></div>`;
}

function callTable({ runs }: RunDocument, calls: readonly FreeingCall[], isShort: boolean): Markup {
  if (calls.length === 0) return nothing;
  const rows = calls.map(
    ({ line, cause, addr, len, tables }) => html`<tr><th scope="row">${formatCount(line)}</th>
<td class="words">${cause}</td><td>${addr}</td><td>${formatSize(len / 1024)}</td>${tables.map(
      (count) => html`<td>${count === 0 ? '–' : formatCount(count)}</td>`,
    )}</tr>`,
  );
  const first = isShort ? 'The first calls' : 'All calls';
  return html`<div class="scroll tall"><table>
<caption>${first} that freed tables, and how many under each kernel</caption>
<thead><tr><th scope="col">line</th><th scope="col" class="words">call</th><th scope="col">address</th>
<th scope="col">length</th>${runs.map(({ kernel }) => html`<th scope="col">${kernel}</th>`)}</tr></thead>
<tbody>${rows}</tbody></table></div>`;
}

/** Where tables were freed again and again: the program came back to those addresses. */
function placeTable({ runs }: RunDocument): Markup {
  const rows = runs.flatMap(({ kernel, tablesFreedBy }) =>
    tablesFreedBy.places
      .filter(({ tables }) => tables > 1)
      .slice(0, 5)
      .map(
        ({ addr, cause, tables, firstLine, lastLine }) => html`<tr><th scope="row">${kernel}</th>
<td>${addr}</td><td class="words">${cause}</td><td>${formatCount(tables)}</td>
<td>${formatCount(firstLine)}</td><td>${formatCount(lastLine)}</td></tr>`,
      ),
  );
  if (rows.length === 0) return nothing;
  return html`<div class="scroll"><table>
<caption>Addresses of which most tables were freed, by where the call began</caption>
<thead><tr><th scope="col">kernel</th><th scope="col">address</th><th scope="col" class="words">call</th>
<th scope="col">tables</th><th scope="col">first line</th><th scope="col">last line</th></tr></thead>
<tbody>${rows}</tbody></table></div>`;
}
