import { formatDecimal } from '../units.ts';
import type { Markup } from './markup.ts';
import { plotter } from './plot.ts';

/** A curve that holds its value until the next point, in the units of the chart's axes. */
export interface Line {
  /** CSS colour. */
  color: string;
  isDashed: boolean;
  points: readonly (readonly [x: number, y: number])[];
}

export interface Dot {
  x: number;
  y: number;
  title: string;
}

export interface Chart {
  /** What a screen reader says instead of the drawing. */
  title: string;
  description: string;
  xLabel: string;
  yLabel: string;
  xMax: number;
  width: number;
  height: number;
  lines: readonly Line[];
  dots: readonly Dot[];
  /** Both axes logarithmic, from the smallest point on. */
  isLog?: boolean;
}

/** Draws charts; made once a report, since Plot and the document it draws into are big. */
export type Draw = (chart: Chart) => Markup;

export async function chartDrawer(): Promise<Draw> {
  const { Plot, draw } = await plotter();
  return (chart) =>
    draw({ ...frame(chart), marks: marks(Plot, chart) }, chart.title, chart.description);
}

function frame(chart: Chart): object {
  const peak = Math.max(
    0,
    ...chart.lines.flatMap(({ points }) => points.map(([, y]) => y)),
    ...chart.dots.map(({ y }) => y),
  );
  return {
    width: chart.width,
    height: chart.height,
    marginLeft: 52,
    marginRight: 16,
    marginTop: 24,
    marginBottom: 38,
    ...(chart.isLog === true ? logAxes(chart) : linearAxes(chart, peak)),
  };
}

function linearAxes(chart: Chart, peak: number): object {
  return {
    x: { domain: [0, chart.xMax], label: chart.xLabel, labelArrow: 'none' },
    y: {
      // From zero: a curve that starts elsewhere makes a small difference look big.
      domain: [0, peak > 0 ? peak * 1.05 : 1],
      nice: true,
      label: chart.yLabel,
      labelArrow: 'none',
      grid: true,
      ticks: Math.round(chart.height / 55),
      tickFormat: (value: number) => (Number.isInteger(value) || peak < 5 ? tick(value) : ''),
    },
  };
}

/** Whole decades: a share of all below 1 % still has a height. */
function logAxes({ lines, xLabel, yLabel, width, height }: Chart): object {
  const axis = (label: string, values: readonly number[], ticks: number): object => {
    const low = 10 ** Math.floor(Math.log10(Math.min(...values)));
    const high = Math.max(10 * low, 10 ** Math.ceil(Math.log10(Math.max(...values))));
    return {
      type: 'log',
      domain: [low, high],
      label,
      labelArrow: 'none',
      grid: true,
      ticks,
      tickFormat: decade,
    };
  };
  const points = lines.flatMap((line) => line.points);
  return {
    x: axis(
      xLabel,
      points.map(([x]) => x),
      Math.round(width / 90),
    ),
    y: axis(
      yLabel,
      points.map(([, y]) => y),
      Math.round(height / 40),
    ),
  };
}

/** Powers of ten only. */
function decade(value: number): string {
  const power = Math.log10(value);
  if (Math.abs(power - Math.round(power)) > 1e-9) return '';
  return value >= 1 ? tick(Math.round(value)) : String(Number(value.toPrecision(1)));
}

function tick(value: number): string {
  return Number.isInteger(value) ? value.toLocaleString('en') : formatDecimal(value);
}

// biome-ignore lint/suspicious/noExplicitAny: Plot's types need the DOM's, which this layer has not
function marks(Plot: any, { lines, dots, isLog }: Chart): any[] {
  const drawn = lines.map(({ points, color, isDashed }, at) =>
    Plot.line(points, {
      curve: 'step-after',
      stroke: color,
      // Curves that run together for a while show as bands around the last one.
      strokeWidth: 1.6 + 2 * (lines.length - 1 - at),
      strokeDasharray: isDashed ? '5 3' : undefined,
      strokeLinecap: 'butt',
    }),
  );
  const recorded = Plot.dot(dots, {
    x: 'x',
    y: 'y',
    r: 2.6,
    fill: 'var(--page)',
    stroke: 'var(--ink)',
    strokeWidth: 1.2,
    title: 'title',
  });
  const zero = isLog === true ? [] : [Plot.ruleY([0])];
  return [...zero, ...drawn, ...(dots.length > 0 ? [recorded] : [])];
}
