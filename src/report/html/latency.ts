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
  const fromNs = Math.min(...drawn.map(({ summary }) => summary.buckets[0]?.[0] ?? 1)) / 2;
  // A tenth of what one duration of the most is.
  const floor = 10 / Math.max(...drawn.map(({ summary }) => summary.count));
  const lines = drawn.map(({ at, summary }): Line => {
    return { ...kernelColor(at, false), points: exceedance(summary, fromNs, floor) };
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

/**
 * Percent of durations above a time, as steps: all up to the first one, then less at each bucket's end,
 * and at the longest down to `floor`, as a logarithmic axis has no zero.
 */
function exceedance(
  { count, buckets, maxNs }: LatencySummary,
  fromNs: number,
  floor: number,
): [number, number][] {
  const points: [number, number][] = [[fromNs / 1e3, 100]];
  let above = count;
  for (const [end, inBucket] of buckets) {
    above -= inBucket;
    const share = above === 0 ? floor : (100 * above) / count;
    points.push([Math.min(end, maxNs) / 1e3, share]);
  }
  return points;
}
