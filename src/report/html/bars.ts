import type { KernelFigures } from '../figures.ts';
import { formatKiB, formatShare, kibUnit } from '../units.ts';
import { html, type Markup } from './markup.ts';

const ROW = 30;
const WIDTH = 1080;
/** Room for the values at the right. */
const VALUES = 330;

/** Mean page tables of each kernel as bars, the empty ones in their own colour, and the peak. */
export function meanBars(figures: readonly KernelFigures[]): Markup {
  const max = Math.max(1, ...figures.map(({ vmPte }) => vmPte.peak));
  const unit = kibUnit(max);
  // 8.6 pixels hold a bold character of this size.
  const label = Math.ceil(Math.max(...figures.map(({ kernel }) => kernel.length)) * 8.6) + 16;
  const bar = Math.max(100, WIDTH - label - VALUES);
  const height = figures.length * ROW + 4;
  const rows = figures.map((row, at) => {
    const y = at * ROW + 5;
    const empty = Math.min(row.emptyTables.mean * 4, row.vmPte.mean);
    const used = ((row.vmPte.mean - empty) / max) * bar;
    const all = (row.vmPte.mean / max) * bar;
    const peak = (row.vmPte.peak / max) * bar;
    return html`<text x="0" y="${y + 14}" class="name">${row.kernel}</text>
<rect class="used" x="${label}" y="${y}" width="${px(used)}" height="20"/>
<rect class="empty" x="${px(label + used)}" y="${y}" width="${px(all - used)}" height="20"/>
<path class="peak" d="M${px(label + peak)},${y}v20"/>
<text x="${label + bar + 14}" y="${y + 14}">${valueText(row, empty, unit)}</text>
`;
  });
  const spoken = figures.map(
    (row) => `${row.kernel}: ${valueText(row, row.emptyTables.mean * 4, unit)}.`,
  );
  return html`<figure class="wide"><figcaption><b>Page tables on average over the run (VmPTE)</b>
<span class="legend"><span><i class="swatch used"></i>tables in use</span><span><i class="swatch empty"></i>empty tables</span><span><i class="swatch peak"></i>peak</span></span></figcaption>
<svg class="bars" role="img" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}">
<title>Page tables on average over the run</title><desc>${spoken.join(' ')}</desc>
${rows}</svg></figure>`;
}

function valueText(row: KernelFigures, empty: number, unit: ReturnType<typeof kibUnit>): string {
  const share = row.vmPte.mean > 0 ? empty / row.vmPte.mean : 0;
  const of = empty === 0 ? 'none empty' : `${formatShare(share)} empty`;
  return `${formatKiB(row.vmPte.mean, unit)}, ${of}; peak ${formatKiB(row.vmPte.peak, unit)}`;
}

function px(value: number): number {
  return Math.round(value * 10) / 10;
}
