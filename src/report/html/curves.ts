import type { RunDocument, SeriesPoint } from '../../lab/index.ts';
import { isTimed } from '../figures.ts';
import {
  formatCount,
  formatDuration,
  formatKiB,
  type KibUnit,
  kibUnit,
  listInWords,
} from '../units.ts';
import type { Chart, Dot, Draw, Line } from './chart.ts';
import { kernelColor } from './colors.ts';
import { html, type Markup } from './markup.ts';

/** What a chart shows: a value of each point, or undefined where there is none. */
export interface Curve {
  title: string;
  note: string;
  value: (point: SeriesPoint) => number | undefined;
  /** The kernel's own value at a sample. */
  recorded?: (point: SeriesPoint) => number | undefined;
  /** KiB unless it is a count. */
  isCount?: boolean;
  isWide?: boolean;
}

const MAIN_VMPTE: Curve = {
  title: 'Page tables of the main process (VmPTE)',
  note: '',
  value: (p) => p.main?.vmPteKiB,
  recorded: (p) => p.recorded?.vmPteKiB,
  isWide: true,
};
const MAIN_ANON: Curve = {
  title: 'Anonymous memory of the main process (RssAnon)',
  note: '',
  value: (p) => p.main?.rssAnonKiB,
  recorded: (p) => p.recorded?.rssAnonKiB,
};
const TOTALS: readonly Curve[] = [
  { title: 'Page tables of all processes (VmPTE)', note: '', value: (p) => p.vmPteKiB },
  {
    title: 'Empty page tables of all processes',
    note: 'Tables without a single entry, 4 kB each.',
    value: (p) => p.emptyTables,
    isCount: true,
  },
  { title: 'Anonymous memory (RssAnon)', note: '', value: (p) => p.rssAnonKiB },
  { title: 'File pages (RssFile)', note: '', value: (p) => p.rssFileKiB },
  { title: 'Shared memory (RssShmem)', note: '', value: (p) => p.rssShmemKiB },
];

/** All curves over time, one figure each. */
export function curvesSection(document: RunDocument, draw: Draw): Markup {
  const figures = curvesFor(document).map((curve) => figure(document, curve, draw));
  return html`<section><h2>Over time</h2>
<p>One line a kernel; lines that are the same from end to end are drawn as one. Memory of several
processes is their sum: a page that two of them map counts twice, as in /proc.${hasEmpty(document) ? '' : ' No kernel held an empty page table at any point, so there is no curve of them.'}</p>
<div class="charts">${figures}</div></section>`;
}

function hasEmpty({ runs }: RunDocument): boolean {
  return runs.some(({ peak }) => peak.emptyTables > 0);
}

function curvesFor(document: RunDocument): Curve[] {
  const points = document.runs.flatMap(({ series }) => series);
  const has = (value: Curve['value']) => points.some((p) => (value(p) ?? 0) > 0);
  const curves: Curve[] = [];
  if (has(MAIN_VMPTE.value)) curves.push(MAIN_VMPTE);
  // With one process its curve is the total.
  const isAlone = document.trace.processes === 1 && curves.length > 0;
  for (const curve of TOTALS) {
    const isMain = curve === TOTALS[0] || curve === TOTALS[2];
    if (curve === TOTALS[2] && has(MAIN_ANON.value)) curves.push(MAIN_ANON);
    if (has(curve.value) && !(isAlone && isMain)) curves.push(curve);
  }
  return curves;
}

function figure(document: RunDocument, curve: Curve, draw: Draw): Markup {
  const peak = Math.max(
    0,
    ...document.runs.flatMap(({ series }) => series.map((p) => top(p, curve))),
  );
  const unit = curve.isCount ? countUnit(peak, 'tables') : kibUnit(peak);
  const time = timeAxis(document);
  const groups = alikeRuns(document, curve);
  const lines = groups.map(({ at, series }): Line => {
    return { ...kernelColor(at, groups.length === 1), points: steps(series, curve, unit, time) };
  });
  const chart: Chart = {
    title: curve.title,
    description: description(document, curve, unit),
    xLabel: time.label,
    yLabel: unit.name,
    xMax: time.max,
    width: curve.isWide ? 1080 : 528,
    height: curve.isWide ? 300 : 220,
    lines,
    dots: dotsOf(document, curve, unit, time),
  };
  const note =
    chart.dots.length > 0
      ? 'Circles: what the recorded kernel said in /proc/PID/status.'
      : curve.note;
  const legend = groups.map(({ at, kernels }) => legendEntry(at, kernels, groups.length === 1));
  return html`<figure class="${curve.isWide ? 'wide' : ''}"><figcaption><b>${curve.title}</b>
<span class="legend">${legend}</span></figcaption>
${draw(chart)}${note === '' ? '' : html`<p class="note">${note}</p>`}</figure>`;
}

function legendEntry(at: number, kernels: readonly string[], isOnly: boolean): Markup {
  const { color, isDashed } = kernelColor(at, isOnly);
  const dash = isDashed ? '5 3' : 'none';
  const name = isOnly && kernels.length > 1 ? 'all kernels alike' : kernels.join(' = ');
  return html`<span><svg width="22" height="8" aria-hidden="true"><path d="M1,4H21" stroke="${color}" stroke-dasharray="${dash}" stroke-width="3"/></svg>${name}</span>`;
}

function top(point: SeriesPoint, curve: Curve): number {
  return Math.max(curve.value(point) ?? 0, curve.recorded?.(point) ?? 0);
}

/** Ticks of an axis have room for some digits only. */
function countUnit(max: number, name: string): KibUnit {
  if (max >= 1e6) return { name: `million ${name}`, kib: 1e6 };
  return max >= 1e5 ? { name: `thousand ${name}`, kib: 1e3 } : { name, kib: 1 };
}

/** The axis that all curves of a document share. */
export interface TimeAxis {
  label: string;
  isEvents: boolean;
  /** Of `t` in one unit of the axis. */
  scale: number;
  max: number;
}

export function timeAxis({ runs }: RunDocument): TimeAxis {
  const last = Math.max(1, ...runs.map(({ series }) => series.at(-1)?.t ?? 0));
  if (!runs.some(isTimed)) {
    const unit = countUnit(last, 'events');
    return { label: unit.name, isEvents: true, scale: unit.kib, max: last / unit.kib };
  }
  const [label, scale] =
    last < 2e6 ? ['time (µs)', 1e3] : last < 2e9 ? ['time (ms)', 1e6] : ['time (s)', 1e9];
  return { label, isEvents: false, scale, max: last / scale };
}

interface RunGroup {
  /** Number of the first run of the group. */
  at: number;
  kernels: string[];
  series: readonly SeriesPoint[];
}

/** Runs whose curves are the same are one line. */
function alikeRuns({ runs }: RunDocument, curve: Curve): RunGroup[] {
  const groups = new Map<string, RunGroup>();
  for (const [at, { kernel, series }] of runs.entries()) {
    const key = series.map((p) => `${p.t}:${curve.value(p) ?? ''}`).join();
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { at, kernels: [kernel], series });
    else group.kernels.push(kernel);
  }
  return [...groups.values()];
}

/** Only points at which the value changes, and the last. */
export function steps(
  series: readonly SeriesPoint[],
  curve: Pick<Curve, 'value'>,
  unit: KibUnit,
  time: TimeAxis,
): [number, number][] {
  const points: [number, number][] = [];
  let before: number | undefined;
  let lastT = 0;
  for (const point of series) {
    const value = curve.value(point);
    if (value === undefined) continue;
    lastT = point.t / time.scale;
    if (value !== before) points.push([lastT, value / unit.kib]);
    before = value;
  }
  if (before !== undefined) points.push([lastT, before / unit.kib]);
  return points;
}

/** Recorded values are the same under each kernel. */
function dotsOf({ runs }: RunDocument, curve: Curve, unit: KibUnit, time: TimeAxis): Dot[] {
  const dots: Dot[] = [];
  for (const point of runs[0]?.series ?? []) {
    const value = curve.recorded?.(point);
    if (value === undefined) continue;
    const at = time.isEvents ? `event ${point.t}` : formatDuration(point.t);
    const title = `${at}: ${formatKiB(value, kibUnit(0))} recorded`;
    dots.push({ x: point.t / time.scale, y: value / unit.kib, title });
  }
  return dots;
}

function description({ runs }: RunDocument, curve: Curve, unit: KibUnit): string {
  const peaks = runs.map(({ kernel, series }) => {
    const peak = Math.max(0, ...series.map((p) => curve.value(p) ?? 0));
    return `${kernel} peaks at ${curve.isCount ? `${formatCount(peak)} tables` : formatKiB(peak, unit)}`;
  });
  return `${listInWords(peaks)}.`;
}
