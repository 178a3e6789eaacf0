import { type BenchRow, isPaired } from '../bench/document.ts';
import { goalOf } from '../bench/goals.ts';
import type { ValueChart } from '../bench/value-charts.ts';
import { TABLES } from '../bench/values.ts';
import { formatDecimal } from '../units.ts';
import { formatValue } from './bench-charts.ts';
import { html, type Markup } from './markup.ts';

/** All numbers of rows. */
export function rowsTable(name: string, rows: readonly BenchRow[]): Markup {
  const lines = rows.map((row) => {
    const { ours, theirs, peer, unit, repeats } = row;
    const ratios = isPaired(row)
      ? [row.ratio, row.ratioLow, row.ratioHigh, goalOf(row)].map(formatDecimal)
      : ['–', '–', '–', '–'];
    return html`<tr data-row="${row.name}"><th scope="row">${row.name}</th><td>${formatValue(ours)}</td>
<td>${theirs === null ? '–' : formatValue(theirs)}</td><td class="words">${peer}</td><td class="words">${unit}</td>
${ratios.map((text) => html`<td>${text}</td>`)}<td>${repeats}</td><td class="words">${row.what}</td></tr>`;
  });
  return html`<div class="scroll tall"><table>
<caption>${name}: medians; ratio above 1: ours is better; worst and best: of the pairs</caption>
<thead><tr><th scope="col" class="words">row</th><th scope="col">ours</th><th scope="col">peer's</th>
<th scope="col" class="words">peer</th><th scope="col" class="words">unit</th><th scope="col">ratio</th>
<th scope="col">worst</th><th scope="col">best</th><th scope="col">line at</th><th scope="col">pairs</th>
<th scope="col" class="words">what</th></tr></thead>
<tbody>${lines}</tbody></table></div>`;
}

/** The numbers of a chart of values: a line a series, a column a group. */
export function valuesTable({ title, unit, groups }: ValueChart): Markup {
  const named = new Set(groups.flatMap(({ values }) => [...values.keys()]));
  const series = [...named].sort((a, b) => TABLES.indexOf(a) - TABLES.indexOf(b));
  const lines = series.map((one) => {
    const cells = groups.map(({ values }) => {
      const value = values.get(one);
      return html`<td>${value === undefined ? '–' : formatValue(value)}</td>`;
    });
    return html`<tr><th scope="row">${one}</th>${cells}</tr>`;
  });
  return html`<div class="scroll"><table><caption>${title}, ${unit}</caption>
<thead><tr><th scope="col"></th>${groups.map(({ name }) => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${lines}</tbody></table></div>`;
}
