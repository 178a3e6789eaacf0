import type { RunDocument, RunResult } from '../../lab/index.ts';
import { figuresOf, type KernelFigures } from '../figures.ts';
import { fieldLines, worstText } from '../proof.ts';
import {
  formatCount,
  formatDecimal,
  formatDuration,
  formatKiB,
  formatShort,
  kibUnit,
} from '../units.ts';
import { html, type Markup, nothing } from './markup.ts';

interface Column {
  head: string;
  cell: (figures: KernelFigures) => string;
}

interface Group {
  head: string;
  columns: Column[];
}

export function figuresTable(document: RunDocument, reference: string): Markup {
  const figures = document.runs.map(figuresOf);
  const groups = groupsFor(figures);
  const columns = groups.flatMap((group) => group.columns);
  const heads = groups.map(
    ({ head, columns: own }) => html`<th scope="colgroup" colspan="${own.length}">${head}</th>`,
  );
  const rows = figures.map(
    (row) => html`<tr${row.kernel === reference ? html` class="reference"` : nothing}>
<th scope="row">${row.kernel}</th>${columns.map(({ cell }) => html`<td>${cell(row)}</td>`)}</tr>`,
  );
  return html`<section><h2>Figures</h2><div class="scroll"><table>
<caption>Sums over all processes. Mean: over the time in which a process lived; last: at the last
sample, or before the last exit where there is none.</caption>
<thead><tr><th scope="col" rowspan="2">kernel</th>${heads}</tr>
<tr>${columns.map(({ head }) => html`<th scope="col">${head}</th>`)}</tr></thead>
<tbody>${rows}</tbody></table></div></section>`;
}

function groupsFor(figures: readonly KernelFigures[]): Group[] {
  const max = (value: (f: KernelFigures) => number): number => Math.max(0, ...figures.map(value));
  const pte = kibUnit(max((f) => f.vmPte.peak));
  const rss = kibUnit(max((f) => f.rss.peak));
  const kib = (head: string, value: (f: KernelFigures) => number, unit = rss): Column => {
    return { head, cell: (f) => formatKiB(value(f), unit) };
  };
  const count = (head: string, value: (f: KernelFigures) => number): Column => {
    return { head, cell: (f) => formatCount(value(f)) };
  };
  const groups: Group[] = [
    {
      head: 'page tables (VmPTE)',
      columns: [
        kib('mean', (f) => f.vmPte.mean, pte),
        kib('peak', (f) => f.vmPte.peak, pte),
        kib('last', (f) => f.vmPte.last, pte),
      ],
    },
    {
      head: 'tables',
      columns: [
        { head: 'empty, mean', cell: (f) => formatDecimal(f.emptyTables.mean) },
        count('empty, peak', (f) => f.emptyTables.peak),
        count('freed', (f) => f.tablesFreed),
      ],
    },
    {
      head: 'resident memory, peak',
      columns: [
        kib('anonymous', (f) => f.peakRssAnonKiB),
        kib('file', (f) => f.peakRssFileKiB),
        ...(max((f) => f.peakRssShmemKiB) > 0 ? [kib('shared', (f) => f.peakRssShmemKiB)] : []),
      ],
    },
    {
      head: 'faults',
      columns: [count('all', (f) => f.faults), count('copies', (f) => f.cowFaults)],
    },
    {
      head: 'replay, here',
      columns: [
        { head: 'took', cell: (f) => (f.elapsedMs > 0 ? formatDuration(f.elapsedMs * 1e6) : '–') },
        {
          head: 'events/s',
          cell: (f) => (f.eventsPerSecond > 0 ? formatShort(f.eventsPerSecond) : '–'),
        },
      ],
    },
  ];
  if (max((f) => f.oomKills) > 0) {
    groups.splice(4, 0, { head: 'OOM', columns: [count('kills', (f) => f.oomKills)] });
  }
  return groups;
}

/** Each recorded counter against the reference run's. */
export function truthTable(run: RunResult): Markup {
  const lines = fieldLines(run);
  if (lines.length === 0) return nothing;
  const rows = lines.map((line) => {
    const { compared, exact, worstLine } = line.truth;
    const isExact = exact === compared;
    return html`<tr><th scope="row">${line.name}</th><td>${formatCount(compared)}</td>
<td>${formatCount(exact)}</td><td>${isExact ? '–' : worstText(line)}</td>
<td>${isExact ? '–' : formatCount(worstLine)}</td><td class="words">${line.reason}</td></tr>`;
  });
  return html`<div class="scroll"><table>
<caption>Counters of the recorded kernel (/proc/PID/status) against those of ${run.kernel} here</caption>
<thead><tr><th scope="col">counter</th><th scope="col">samples</th><th scope="col">exact</th>
<th scope="col">largest difference</th><th scope="col">at line</th><th scope="col" class="words">remark</th></tr></thead>
<tbody>${rows}</tbody></table></div>`;
}

/** Answers that are not as recorded, of all runs. */
export function outcomeTable(runs: readonly RunResult[]): Markup {
  const rows = runs.flatMap(({ kernel, outcomes }) =>
    outcomes.first.map(
      ({ line, op, expected, got }) => html`<tr><th scope="row">${kernel}</th>
<td>${formatCount(line)}</td><td class="words">${op}</td><td class="words">${expected}</td><td class="words">${got}</td></tr>`,
    ),
  );
  if (rows.length === 0) return nothing;
  return html`<div class="scroll"><table><caption>The first answers that are not as recorded</caption>
<thead><tr><th scope="col">kernel</th><th scope="col">line</th><th scope="col" class="words">event</th>
<th scope="col" class="words">recorded</th><th scope="col" class="words">here</th></tr></thead>
<tbody>${rows}</tbody></table></div>`;
}
