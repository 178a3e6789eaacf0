import type { RegionColumn, RegionHistory, RunDocument } from '../../lab/index.ts';
import { isTimed } from '../figures.ts';
import { formatCount, formatDuration, formatSize } from '../units.ts';
import { Cells, shareClass } from './cells.ts';
import { html, type Markup, nothing } from './markup.ts';

const WIDTH = 528;
const ROWS_MAX = 256;
const ROW_HEIGHT_MAX = 6;

/** Which regions stand in a row: those from `first` to before the next row's first. */
interface Rows {
  readonly firsts: readonly number[];
  readonly rowOf: ReadonlyMap<number, number>;
  /** Regions of a row, at most. */
  readonly regions: number;
}

/** How full each region of 2 MiB was over time, and where it was a huge page: a picture a kernel. */
export function regionsSection(
  document: RunDocument,
  histories: readonly (RegionHistory | undefined)[],
): Markup {
  const rows = rowsOf(histories.flatMap((history) => history?.columns ?? []));
  // One region is no picture.
  if (rows.firsts.length < 2) return nothing;
  const panels = document.runs.flatMap((run, at) => {
    const history = histories[at];
    return history === undefined || history.columns.length === 0
      ? []
      : [panel(run.kernel, history, rows, isTimed(run))];
  });
  const pid = histories.find((history) => history !== undefined)?.pid ?? 0;
  const each =
    rows.regions === 1
      ? 'A line is one region of 2 MiB.'
      : `A line is up to ${formatCount(rows.regions)} regions of 2 MiB.`;
  return html`<section><h2>Regions of process ${pid} over time</h2>
<p>Private anonymous memory, by address from top to bottom, over time from left to right. ${each}</p>
${legend()}
<div class="charts">${panels}</div></section>`;
}

function legend(): Markup {
  const entries = [
    ['hg', 'huge page'],
    ['u1', 'up to 25 % of pages present'],
    ['u2', 'up to 50 %'],
    ['u3', 'up to 75 %'],
    ['u4', 'less than 100 %'],
    ['u5', 'full, small pages'],
    ['e', 'empty table'],
  ] as const;
  return html`<p class="legend">${entries.map(
    ([name, text]) => html`<span><svg width="11" height="11" aria-hidden="true">
<rect class="${name}" x="1" y="1" width="9" height="9"/></svg>${text}</span>`,
  )}</p>`;
}

/** The regions that were ever there, in order, so many to a row that the picture has at most 256. */
function rowsOf(columns: readonly RegionColumn[]): Rows {
  const spans: { first: number; end: number }[] = [];
  for (const { runs } of columns) {
    for (const { first, slots } of runs) spans.push({ first, end: first + slots });
  }
  spans.sort((a, b) => a.first - b.first);
  const joined: { first: number; end: number }[] = [];
  for (const { first, end } of spans) {
    const last = joined.at(-1);
    if (last !== undefined && first <= last.end) last.end = Math.max(last.end, end);
    else joined.push({ first, end });
  }
  const total = joined.reduce((sum, { first, end }) => sum + end - first, 0);
  const regions = Math.max(1, Math.ceil(total / ROWS_MAX));
  const firsts: number[] = [];
  const rowOf = new Map<number, number>();
  for (const { first, end } of joined) {
    for (let at = first; at < end; at += regions) {
      for (let slot = at; slot < Math.min(end, at + regions); slot++)
        rowOf.set(slot, firsts.length);
      firsts.push(at);
    }
  }
  return { firsts, rowOf, regions };
}

function panel(kernel: string, history: RegionHistory, rows: Rows, isTime: boolean): Markup {
  const { columns, slotPages } = history;
  const last = columns.at(-1) as RegionColumn;
  const at = (column: RegionColumn): number => (isTime ? column.t : column.event);
  const end = Math.max(1, at(last));
  const height = rows.firsts.length;
  const scale = Math.max(0.5, Math.min(ROW_HEIGHT_MAX, 200 / height));
  const cells = new Cells();
  const open = new Array<{ name: string; x: number }>(height);
  const close = (row: number, x: number): void => {
    const cell = open[row];
    if (cell !== undefined && cell.name !== '' && x > cell.x) {
      cells.add(cell.name, cell.x, row * scale, x - cell.x, scale);
    }
  };
  for (const column of columns) {
    const x = (at(column) / end) * WIDTH;
    const names = namesOf(column, rows, slotPages);
    for (let row = 0; row < height; row++) {
      const name = names[row] ?? '';
      if (open[row]?.name === name) continue;
      close(row, x);
      open[row] = { name, x };
    }
  }
  for (let row = 0; row < height; row++) close(row, WIDTH);
  const size = { width: WIDTH, height: Math.ceil(height * scale) };
  const span = isTime ? formatDuration(end) : `${formatCount(end)} events`;
  const huge = last.runs.reduce((sum, { isHuge, slots }) => sum + (isHuge ? slots : 0), 0);
  const all = last.runs.reduce((sum, { slots }) => sum + slots, 0);
  const summary = `${formatCount(all)} regions at the end (${formatSize(all * 2048)}), ${formatCount(huge)} of them huge pages; ${span} from left to right`;
  return html`<figure><figcaption><b>${kernel}</b><br>${summary}</figcaption>
<svg class="cells" role="img" width="${size.width}" height="${size.height}" viewBox="0 0 ${size.width} ${size.height}" preserveAspectRatio="none">
<title>Regions under ${kernel}</title><desc>${summary}.</desc>${cells.markup}</svg></figure>`;
}

/** The class of each row at one moment: huge if most of its regions are, else by how full they are. */
function namesOf({ runs }: RegionColumn, rows: Rows, slotPages: number): string[] {
  const height = rows.firsts.length;
  const present = new Float64Array(height);
  const slots = new Float64Array(height);
  const huge = new Float64Array(height);
  for (const run of runs) {
    for (let i = 0; i < run.slots; i++) {
      const row = rows.rowOf.get(run.first + i);
      if (row === undefined) continue;
      present[row]! += run.present;
      slots[row]! += 1;
      if (run.isHuge) huge[row]! += 1;
    }
  }
  return Array.from(slots, (count, row) => {
    if (count === 0) return '';
    if (huge[row]! * 2 > count) return 'hg';
    const share = present[row]! / (count * slotPages);
    return share === 0 ? 'e' : shareClass(share);
  });
}
