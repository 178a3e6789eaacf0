import type { PairedRow } from '../bench/document.ts';
import { goalOf } from '../bench/goals.ts';
import { shortName, type ValueChart } from '../bench/value-charts.ts';
import { TABLES } from '../bench/values.ts';
import { formatDecimal, formatShort, listInWords } from '../units.ts';
import { logScale, valueScale } from './log-axis.ts';
import type { Markup } from './markup.ts';
import type { Plotter } from './plot.ts';

const WIDTH = 1080;
const HALF = 528;
const BAR = 15;
const RATIO_ROW = 17;
/** Pixels of a character in a chart's small type. */
const CHARACTER = 6.3;

/** A value in the unit of its row. */
export function formatValue(value: number): string {
  return value >= 1e6 ? formatShort(value) : formatDecimal(value);
}

/** Bars by group and series, or lines over the groups where these are numbers. */
export function valuePlot(plotter: Plotter, chart: ValueChart): Markup {
  return chart.groupAxis === undefined ? bars(plotter, chart) : lines(plotter, chart);
}

interface Bar {
  /** Of its own in the chart. */
  readonly key: string;
  readonly group: string;
  readonly series: string;
  readonly value: number;
}

function barsOf({ groups }: ValueChart): Bar[] {
  return groups.flatMap(({ name, values }) =>
    [...values].map(([series, value]) => ({
      key: `${name}|${series}`,
      group: name,
      series,
      value,
    })),
  );
}

/** The same table has the same colour in all charts; names stand beside, so nobody needs the colours. */
function colorOf(series: string): string {
  const at = TABLES.indexOf(series);
  return `var(--k${at >= 0 ? at : series === 'ours' ? 0 : 7})`;
}

function bars({ Plot, draw }: Plotter, chart: ValueChart): Markup {
  const data = barsOf(chart);
  const groups = chart.groups.map(({ name }) => name);
  const seriesWidth = widthOf(data.map(({ series }) => series));
  const values = data.map(({ value }) => value);
  const scale = valueScale(values, chart.unit);
  // An empty row behind each group.
  const domain = groups.flatMap((group) => {
    return [...data.filter((bar) => bar.group === group).map(({ key }) => key), `${group}|`];
  });
  const firsts = groups.map((group) => data.find((bar) => bar.group === group) as Bar);
  const options = {
    width: HALF,
    height: domain.length * BAR + 44,
    // Bold takes more room.
    marginLeft: seriesWidth + widthOf(groups) * 1.15,
    marginRight: 58,
    marginTop: 6,
    marginBottom: 38,
    x: scale.options,
    y: { domain, padding: 0.12 },
    marks: [
      Plot.axisY({ label: null, tickSize: 0, tickFormat: (key: string) => key.split('|')[1] }),
      Plot.barX(data, {
        y: 'key',
        x1: () => scale.low,
        x2: 'value',
        fill: ({ series }: Bar) => colorOf(series),
      }),
      Plot.text(data, {
        y: 'key',
        x: 'value',
        text: ({ value }: Bar) => formatValue(value),
        textAnchor: 'start',
        dx: 4,
        fill: 'var(--ink)',
      }),
      Plot.text(firsts, {
        y: 'key',
        text: 'group',
        frameAnchor: 'left',
        textAnchor: 'end',
        dx: -seriesWidth,
        fill: 'var(--ink)',
        fontWeight: 600,
      }),
    ],
  };
  return draw(options, chart.title, spoken(chart));
}

function lines({ Plot, draw }: Plotter, chart: ValueChart): Markup {
  const data = barsOf(chart).map((bar) => ({ ...bar, x: Number(bar.group) }));
  const last = Math.max(...data.map(({ x }) => x));
  const scale = valueScale(
    data.map(({ value }) => value),
    chart.unit,
  );
  const common = { x: 'x', y: 'value' };
  const options = {
    width: HALF,
    height: 300,
    marginLeft: 56,
    marginRight: widthOf(data.map(({ series }) => series)) + 8,
    marginTop: 26,
    marginBottom: 40,
    x: {
      domain: [0, last],
      ticks: [...new Set(data.map(({ x }) => x))],
      tickFormat: String,
      label: chart.groupAxis,
      labelArrow: 'none',
      labelAnchor: 'center',
    },
    // From zero, as bars.
    y: { ...scale.options, labelAnchor: 'top' },
    marks: [
      Plot.line(data, {
        ...common,
        z: 'series',
        stroke: ({ series }: Bar) => colorOf(series),
        strokeWidth: 2,
      }),
      Plot.dot(data, { ...common, r: 3, fill: ({ series }: Bar) => colorOf(series) }),
      Plot.text(
        spread(
          data.filter(({ x }) => x === last),
          scale.high / 16,
        ),
        { x: 'x', y: 'at', text: 'series', textAnchor: 'start', dx: 7, fill: 'var(--ink)' },
      ),
    ],
  };
  return draw(options, chart.title, spoken(chart));
}

/** Labels of lines that end close together are moved apart. */
function spread(ends: readonly Bar[], step: number): (Bar & { at: number })[] {
  let free = -Infinity;
  return [...ends]
    .sort((a, b) => a.value - b.value)
    .map((end) => {
      const at = Math.max(end.value, free);
      free = at + step;
      return { ...end, at };
    });
}

/** Every value, for those who do not see the drawing. */
function spoken({ groups, unit }: ValueChart): string {
  const texts = groups.map(({ name, values }) => {
    const all = [...values].map(([series, value]) => `${series} ${formatValue(value)}`);
    return `${name}: ${listInWords(all)}`;
  });
  return `In ${unit}. ${texts.join('. ')}.`;
}

/** The ratio of each row: the median as a dot, the worst and the best pair as a line, the goal as a tick. */
export function ratioPlot(
  { Plot, draw }: Plotter,
  name: string,
  rows: readonly PairedRow[],
): Markup {
  const low = Math.min(1, ...rows.map(({ ratioLow }) => ratioLow));
  const high = Math.max(1, ...rows.map((row) => Math.max(row.ratioHigh, goalOf(row))));
  const goals = rows.filter((row) => goalOf(row) !== 1);
  const labels = rows.map(shortName);
  const y = (row: PairedRow): string => shortName(row);
  const options = {
    width: WIDTH,
    height: rows.length * RATIO_ROW + 52,
    marginLeft: widthOf(labels),
    marginRight: 24,
    marginTop: 8,
    marginBottom: 40,
    x: logScale(low / 1.15, high * 1.15, 'times as good as the peer').options,
    y: { domain: labels, label: null, tickSize: 0 },
    marks: [
      Plot.ruleX([1], { stroke: 'var(--ink)', strokeWidth: 1.2 }),
      Plot.ruleY(rows, {
        y,
        x1: 'ratioLow',
        x2: 'ratioHigh',
        stroke: verdictColor,
        strokeWidth: 3,
      }),
      Plot.dot(rows, { y, x: 'ratio', r: 4.5, fill: verdictColor, stroke: 'var(--page)' }),
      Plot.tickX(goals, { y, x: goalOf, stroke: 'var(--warn)', strokeWidth: 2.5 }),
    ],
  };
  const texts = rows.map((row) => `${shortName(row)} ${ratioText(row)}`);
  return draw(options, `${name}: ratios`, `${texts.join('; ')}.`);
}

/** `2.1 (1.8 to 2.6)`: the median, the worst and the best pair. */
export function ratioText({ ratio, ratioLow, ratioHigh }: PairedRow): string {
  return `${formatDecimal(ratio)} (${formatDecimal(ratioLow)} to ${formatDecimal(ratioHigh)})`;
}

/** All pairs above the goal, all below, or some of each. */
export function verdictOf(row: PairedRow): 'above' | 'below' | 'both' {
  const goal = goalOf(row);
  if (row.ratioLow >= goal) return 'above';
  return row.ratioHigh < goal ? 'below' : 'both';
}

const VERDICT_COLORS = { above: 'var(--k2)', below: 'var(--k4)', both: 'var(--all)' } as const;

function verdictColor(row: PairedRow): string {
  return VERDICT_COLORS[verdictOf(row)];
}

function widthOf(texts: readonly string[]): number {
  return Math.ceil(Math.max(...texts.map(({ length }) => length)) * CHARACTER) + 14;
}
