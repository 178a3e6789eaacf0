import { type BenchRow, isPaired } from '../bench/document.ts';
import { chartGroupsOf, type RowGroup } from '../bench/groups.ts';
import { pairCharts, tableCharts, type ValueChart } from '../bench/value-charts.ts';
import { ratioPlot, valuePlot } from './bench-charts.ts';
import { rowsTable, valuesTable } from './bench-tables.ts';
import { html, type Markup, nothing } from './markup.ts';
import type { Plotter } from './plot.ts';

/** One benchmark: values of tables beside each other, then each group's values, ratios and numbers. */
export function benchSection(plotter: Plotter, group: RowGroup): Markup {
  const { charts, names } = tableCharts(group.rows);
  const compared =
    charts.length === 0
      ? nothing
      : html`<div class="charts">${charts.map((chart) => html`<div>${valueFigure(plotter, chart)}${valuesTable(chart)}</div>`)}</div>`;
  const parts = chartGroupsOf(group).map((part) => partOf(plotter, part, names));
  return html`<section><h2>${group.name}</h2>${compared}${parts}</section>`;
}

function partOf(plotter: Plotter, { name, rows }: RowGroup, charted: ReadonlySet<string>): Markup {
  const charts = pairCharts(name, rows, charted);
  const values =
    charts.length === 0
      ? nothing
      : html`<div class="charts">${charts.map((chart) => valueFigure(plotter, chart))}</div>`;
  const head = name.includes('/') || name.includes(':') ? html`<h3>${name}</h3>` : nothing;
  return html`${head}${values}${ratioFigure(plotter, name, rows)}${rowsTable(name, rows)}`;
}

function valueFigure(plotter: Plotter, chart: ValueChart): Markup {
  const { title, note } = chart;
  return html`<figure><figcaption><b>${title}</b></figcaption><p class="note">${note}</p>
${valuePlot(plotter, chart)}</figure>`;
}

function ratioFigure(plotter: Plotter, name: string, rows: readonly BenchRow[]): Markup {
  const paired = rows.filter(isPaired);
  if (paired.length === 0) return nothing;
  return html`<figure class="wide"><figcaption><b>${name}: ratios to the peer</b></figcaption>
<p class="note">Dot: median of the pairs; line: worst to best pair; right of 1: ours is better. A tick is the ratio to reach, where that is not 1. Green: every pair reaches it; red: none does.</p>
${ratioPlot(plotter, name, paired)}</figure>`;
}
