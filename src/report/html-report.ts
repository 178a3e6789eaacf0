import { assert } from '../base/index.ts';
import type { FrameMap, RegionHistory, RunDocument } from '../lab/index.ts';
import type { SpacePicture } from '../lab/replay/picture.ts';
import { figuresOf, isTimed, lastMoment, referenceRun } from './figures.ts';
import { headline, proofSentences } from './headline.ts';
import { meanBars } from './html/bars.ts';
import { chartDrawer } from './html/chart.ts';
import { curvesSection } from './html/curves.ts';
import { framesSection } from './html/frame-map.ts';
import { freedSection } from './html/freed.ts';
import { latencySection } from './html/latency.ts';
import { html, type Markup, nothing } from './html/markup.ts';
import { metadataSection } from './html/metadata.ts';
import { page } from './html/page.ts';
import { phasesSection } from './html/phases.ts';
import { regionsSection } from './html/regions.ts';
import { differencesSection, methodSection } from './html/sections.ts';
import { sharingSection } from './html/sharing.ts';
import { type KernelPicture, spaceSection } from './html/space-picture.ts';
import { figuresTable } from './html/tables.ts';
import { formatCount, formatDuration } from './units.ts';

export interface HtmlOptions {
  /** Kernel to measure the others by; default: the one that agrees best with the recording. */
  reference?: string;
  /** When the pictures were taken, as a sentence; default: at the last sample. */
  pictureMoment?: string;
  /** The modelled machine in words. */
  machine?: string;
  /** Of each run: its regions over time, and physical memory at the end. */
  regions?: readonly (RegionHistory | undefined)[];
  frames?: readonly (FrameMap | undefined)[];
  /** What stands at the end: versions, the command, a date. */
  footer?: string;
}

/**
 * The comparison as one HTML file that loads nothing. `pictures[i]` belongs to `document.runs[i]`;
 * runs without one are left out of the section on address spaces.
 */
export async function htmlReport(
  document: RunDocument,
  pictures: readonly (SpacePicture | undefined)[],
  options: HtmlOptions = {},
): Promise<string> {
  const run = referenceRun(document, options.reference);
  assert(run !== undefined, 'a report needs at least one run');
  const draw = await chartDrawer();
  const moment = options.pictureMoment ?? momentText(document);
  const body = html`<header><h1>${document.trace.name}</h1>${about(document)}</header>
<div class="lead">${headline(document, run.kernel).map((text) => html`<p>${text}</p>`)}</div>
<div class="proof">${proofSentences(document, run.kernel).map((text) => html`<p>${text}</p>`)}</div>
${meanBars(document.runs.map(figuresOf))}
${curvesSection(document, draw)}
${spaceSection(kernelPictures(document, pictures), moment)}
${figuresTable(document, run.kernel)}
${phasesSection(document)}
${sharingSection(document)}
${metadataSection(document, draw)}
${latencySection(document, draw)}
${regionsSection(document, options.regions ?? [])}
${framesSection(document, options.frames ?? [])}
${freedSection(document)}
${differencesSection(document, run)}
${methodSection(document, options.machine ?? '')}
${options.footer === undefined ? nothing : html`<footer>${options.footer}</footer>`}`;
  return `${page(document.trace.name, body).text}\n`;
}

function about({ trace, runs }: RunDocument): Markup {
  const [run] = runs;
  const last = run?.series.at(-1)?.t ?? 0;
  const parts = [
    `${formatCount(trace.events)} events`,
    `${formatCount(trace.processes)} process${trace.processes === 1 ? '' : 'es'}`,
  ];
  if (run !== undefined && isTimed(run)) parts.push(`${formatDuration(last)} recorded`);
  if (trace.source !== '') parts.push(trace.source);
  return html`<p class="about">${parts.join(' · ')}</p>`;
}

function kernelPictures(
  { runs }: RunDocument,
  pictures: readonly (SpacePicture | undefined)[],
): KernelPicture[] {
  return runs.flatMap(({ kernel }, at) => {
    const picture = pictures[at];
    return picture === undefined ? [] : [{ kernel, picture }];
  });
}

function momentText({ runs }: RunDocument): string {
  const [run] = runs;
  const moment = run === undefined ? undefined : lastMoment(run.series);
  if (run === undefined || moment?.recorded === undefined) return 'At the end of the trace.';
  const at = isTimed(run) ? formatDuration(moment.t) : `event ${formatCount(moment.t)}`;
  return `At the last sample (${at}).`;
}
