import type { RunDocument, RunResult } from '../../lab/index.ts';
import {
  METADATA_SCHEMES,
  type MetadataScheme,
  measuresMetadata,
  metadataAt,
  metadataSentences,
  metadataTable,
} from '../metadata.ts';
import { formatKiB, kibUnit, listInWords } from '../units.ts';
import type { Draw } from './chart.ts';
import { kernelColor } from './colors.ts';
import { steps, timeAxis } from './curves.ts';
import { html, type Markup, nothing } from './markup.ts';
import { memorySection } from './phases.ts';

/** What the kernel must know of its frames, in bytes by scheme. */
export function metadataSection(document: RunDocument, draw: Draw): Markup {
  const table = metadataTable(document);
  const run = document.runs.find(measuresMetadata);
  if (table === undefined || run === undefined) return nothing;
  const charts = [true, false].map((isByUse) => schemeChart(document, run, isByUse, draw));
  return html`<section><h2>Metadata of frames</h2>
<p>What the kernel would keep of its frames by each scheme, under ${run.kernel}. On demand is what the
mechanism held; the others are computed from what stood in the frames at that moment. The machine has
nothing but these programs on it: the rest of its memory is free.</p>
<div class="charts">${charts}</div>
${memorySection(table)}<ul>${metadataSentences(document).map((text) => html`<li>${text}</li>`)}</ul></section>`;
}

function schemeChart(
  document: RunDocument,
  { series, peak }: RunResult,
  isByUse: boolean,
  draw: Draw,
): Markup {
  const schemes = METADATA_SCHEMES.filter((scheme) => scheme.isByUse === isByUse);
  const peakOf = ({ field }: MetadataScheme): number => peak['dynamic-metadata']?.[field] ?? 0;
  const unit = kibUnit(Math.max(...schemes.map(peakOf)));
  const time = timeAxis(document);
  const colorOf = (scheme: MetadataScheme) => kernelColor(METADATA_SCHEMES.indexOf(scheme));
  const title = isByUse ? 'Metadata that goes with use' : 'Metadata of all memory';
  const lines = schemes.map((scheme) => ({
    ...colorOf(scheme),
    points: steps(series, { value: (point) => metadataAt(point, scheme) }, unit, time),
  }));
  const svg = draw({
    title,
    description: `${listInWords(schemes.map((scheme) => `${scheme.name} peaks at ${formatKiB(peakOf(scheme), unit)}`))}.`,
    xLabel: time.label,
    yLabel: unit.name,
    xMax: time.max,
    width: 528,
    height: 260,
    lines,
    dots: [],
  });
  const legend = schemes.map((scheme) => {
    const { color } = colorOf(scheme);
    return html`<span><svg width="22" height="8" aria-hidden="true"><path d="M1,4H21" stroke="${color}" stroke-width="3"/></svg>${scheme.name}</span>`;
  });
  return html`<figure><figcaption><b>${title}</b><span class="legend">${legend}</span></figcaption>${svg}</figure>`;
}
