import type { LatencySummary, RunDocument } from '../../lab/index.ts';
import {
  causeSentences,
  faultsOf,
  formatLatency,
  LATENCY_NOTE,
  type LatencyTable,
  latencyTables,
} from '../latency.ts';
import { listInWords } from '../units.ts';
import type { Draw, Line } from './chart.ts';
import { kernelColor } from './colors.ts';
import { html, type Markup, nothing } from './markup.ts';

/** Modelled latencies: which share of faults and of requests took longer than a time, and a table. */
export function latencySection(document: RunDocument, draw: Draw): Markup {
  const tables = latencyTables(document);
  if (tables === undefined) return nothing;
  const { faults, requests } = tables;
  const faultChart = chart(document, draw, 'Time of a page fault in the kernel', (at) => {
    const time = document.runs[at]?.time;
    return time === undefined ? undefined : faultsOf(time);
  });
  const requestChart =
    requests === undefined
      ? nothing
      : chart(document, draw, 'Time of a request, from sending to the answer', (at) => {
          return document.runs[at]?.time?.requests?.all.response;
        });
  return html`<section><h2>Latency</h2>
<p>${LATENCY_NOTE} The curves say how many take longer than a time; both axes are logarithmic.</p>
<div class="charts">${faultChart}${requestChart}</div>
${tableOf('page faults', faults)}${requests === undefined ? nothing : tableOf('requests', requests)}
<ul>${causeSentences(document).map((text) => html`<li>${text}</li>`)}</ul></section>`;
}

function tableOf(name: string, { heads, rows }: LatencyTable): Markup {
  return html`<table><thead><tr><th>${name}</th>${heads.map((head) => html`<th>${head}</th>`)}</tr></thead>
<tbody>${rows.map(({ kernel, cells }) => html`<tr><th>${kernel}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody></table>`;
}

function chart(
  document: RunDocument,
  draw: Draw,
  title: string,
  summaryOf: (at: number) => LatencySummary | undefined,
): Markup {
  const drawn = document.runs.flatMap(({ kernel }, at) => {
    const summary = summaryOf(at);
    return summary === undefined || summary.count === 0 ? [] : [{ kernel, at, summary }];
  });
  if (drawn.length === 0) return nothing;
  const lines = drawn.map(({ at, summary }): Line => {
    return { ...kernelColor(at, false), points: exceedance(summary) };
  });
  const worst = Math.max(...drawn.map(({ summary }) => summary.maxNs));
  const svg = draw({
    title,
    description: `${listInWords(drawn.map(({ kernel, summary }) => `${kernel} takes ${formatLatency(summary.meanNs)} on average and ${formatLatency(summary.maxNs)} at worst`))}.`,
    xLabel: 'longer than (µs)',
    yLabel: '%',
    xMax: worst / 1e3,
    width: 528,
    height: 260,
    lines,
    dots: [],
    isLog: true,
  });
  const legend = drawn.map(({ kernel, at }) => {
    const { color, isDashed } = kernelColor(at, false);
    return html`<span><svg width="22" height="8" aria-hidden="true"><path d="M1,4H21" stroke="${color}" stroke-dasharray="${isDashed ? '5 3' : 'none'}" stroke-width="3"/></svg>${kernel}</span>`;
  });
  return html`<figure><figcaption><b>${title}</b><span class="legend">${legend}</span></figcaption>${svg}</figure>`;
}

/** Percent of durations above the end of each bucket; the curve ends where the last one was. */
function exceedance({ count, buckets, maxNs }: LatencySummary): [number, number][] {
  const points: [number, number][] = [];
  let above = count;
  let share = 100;
  for (const [end, inBucket] of buckets) {
    above -= inBucket;
    const at = Math.min(end, maxNs) / 1e3;
    // All up to here were slower than the end of the bucket before.
    points.push([at, share]);
    share = (100 * above) / count;
    if (share > 0) points.push([at, share]);
  }
  return points;
}
