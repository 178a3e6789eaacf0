import type { BlockUse, FrameMap, RunDocument } from '../../lab/index.ts';
import { formatCount, formatShare, formatSize } from '../units.ts';
import { Cells, shareClass } from './cells.ts';
import { html, type Markup, nothing } from './markup.ts';

const CELLS_MAX = 4096;
const COLUMNS = 128;
const CELL = 4;

/** Physical memory at the end: where 2 MiB are free, huge, in pieces, or held by what cannot move. */
export function framesSection(
  document: RunDocument,
  maps: readonly (FrameMap | undefined)[],
): Markup {
  const panels = document.runs.flatMap(({ kernel }, at) => {
    const map = maps[at];
    return map === undefined || map.blocks.length === 0 ? [] : [panel(kernel, map)];
  });
  if (panels.length === 0) return nothing;
  return html`<section><h2>Physical memory at the end</h2>
<p>Frames in their order, line by line. A free 2 MiB in one piece can become a huge page at once; memory
in pieces only after compaction; where something stands that cannot move, never.</p>
${legend()}
<div class="charts">${panels}</div></section>`;
}

function legend(): Markup {
  const entries = [
    ['fb', 'free in one piece'],
    ['hg', 'huge page'],
    ['u1', 'up to 25 % in use'],
    ['u2', 'up to 50 %'],
    ['u3', 'up to 75 %'],
    ['u4', 'less than 100 %'],
    ['u5', 'all in use'],
    ['um', 'with what cannot move'],
  ] as const;
  return html`<p class="legend">${entries.map(
    ([name, text]) => html`<span><svg class="cells" width="12" height="12" aria-hidden="true">
<rect class="${name}" x="0" y="0" width="12" height="12"/></svg>${text}</span>`,
  )}</p>`;
}

function panel(kernel: string, { blocks, blockFrames }: FrameMap): Markup {
  const inCell = Math.max(1, Math.ceil(blocks.length / CELLS_MAX));
  const count = Math.ceil(blocks.length / inCell);
  const cells = new Cells();
  let open = { name: '', from: 0 };
  const close = (to: number): void => {
    if (open.name !== '' && to > open.from) {
      const x = (open.from % COLUMNS) * CELL;
      const y = Math.floor(open.from / COLUMNS) * CELL;
      cells.add(open.name, x, y, (to - open.from) * CELL, CELL);
    }
  };
  for (let at = 0; at < count; at++) {
    const name = cellClass(blocks.slice(at * inCell, (at + 1) * inCell), blockFrames);
    if (name === open.name && at % COLUMNS !== 0) continue;
    close(at);
    open = { name, from: at };
  }
  close(count);
  const height = Math.ceil(count / COLUMNS) * CELL;
  const width = COLUMNS * CELL;
  const summary = summaryOf(blocks, blockFrames, inCell);
  return html`<figure><figcaption><b>${kernel}</b><br>${summary}</figcaption>
<svg class="cells" role="img" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<title>Physical memory under ${kernel}</title><desc>${summary}.</desc>${cells.markup}</svg></figure>`;
}

function summaryOf(blocks: readonly BlockUse[], blockFrames: number, inCell: number): string {
  const free = blocks.reduce((sum, block) => sum + block.free, 0);
  const whole = blocks.filter((block) => block.free === blockFrames).length;
  const huge = blocks.filter(({ isHuge }) => isHuge).length;
  const stuck = blocks.filter(({ unmovable }) => unmovable > 0).length;
  const inPieces = free === 0 ? 0 : 1 - (whole * blockFrames) / free;
  return `A cell is ${formatSize(inCell * blockFrames * 4)}. ${formatCount(whole)} times 2 MiB free in one piece, ${formatShare(inPieces)} of free memory in pieces; ${formatCount(huge)} huge pages; ${formatCount(stuck)} blocks with what cannot move`;
}

function cellClass(blocks: readonly BlockUse[], blockFrames: number): string {
  const most = blocks.length / 2;
  if (blocks.filter(({ free }) => free === blockFrames).length > most) return 'fb';
  if (blocks.filter(({ isHuge }) => isHuge).length > most) return 'hg';
  if (blocks.filter(({ unmovable }) => unmovable > 0).length > most) return 'um';
  const free = blocks.reduce((sum, block) => sum + block.free, 0);
  return shareClass(1 - free / (blocks.length * blockFrames));
}
