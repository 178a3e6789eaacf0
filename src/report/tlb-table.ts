import type { TlbDocument } from '../lab/index.ts';
import { formatCount, formatDecimal, formatShare, formatShort, formatSize } from './units.ts';

/** The result of `pagelab tlb` as lines for a terminal, without a final newline. */
export function tlbTable(document: TlbDocument): string {
  const { hardware, walks, cycles, mpki } = document;
  const rows = document.levels.flatMap(({ name, sets, ways, pageSizes }) =>
    pageSizes.map((size) => [
      name,
      `${sets} x ${ways}`,
      formatSize(size.pageBytes / 1024),
      formatCount(size.lookups),
      formatCount(size.hits),
      formatCount(size.misses),
      formatShare(size.lookups === 0 ? 0 : size.misses / size.lookups),
      formatCount(size.evictions),
    ]),
  );
  const heads = ['level', 'sets x ways', 'page', 'lookups', 'hits', 'misses', '', 'evictions'];
  const lines = [title(document), ...aligned([heads, ...rows])];
  lines.push('', ...walkLines(document));
  const share = formatShare(cycles.walkShare);
  lines.push(
    `Cycles (modelled): ${formatShort(cycles.accesses)} of the program, ${formatShort(cycles.tlbL2Hits)} for hits below level 1, ${formatShort(cycles.walks)} in walks: ${share}.`,
  );
  if (mpki !== null) {
    const instructions = `${formatCount(document.instructions ?? 0)} instructions`;
    lines.push(
      `Per 1,000 of ${instructions}: ${formatDecimal(mpki.level1)} misses in level 1, ${formatDecimal(mpki.walks)} walks.`,
    );
  }
  if (walks.count > 0) lines.push('', 'Constants:', ...constantLines(document));
  for (const remark of hardware.remarks) lines.push(`Not as the real one: ${remark}.`);
  lines.push(`Translated at ${formatShort(document.accessesPerSecond)} accesses/s, measured here.`);
  return lines.map((line) => line.trimEnd()).join('\n');
}

function title({ trace, hardware, accesses, crossings }: TlbDocument): string {
  const sizes = hardware.pageBytes.map((bytes) => formatSize(bytes / 1024)).join(', ');
  const host =
    hardware.hostPageBytes === null
      ? ''
      : ` on host pages of ${formatSize(hardware.hostPageBytes / 1024)}`;
  const crossed = crossings === 0 ? '' : ` (${formatCount(crossings)} reach into the next page)`;
  return `${trace.name} (${trace.format}): ${formatCount(accesses)} accesses${crossed}, ${hardware.title}, pages of ${sizes}${host}, ${hardware.tableLevels} levels of tables`;
}

function walkLines({ walks }: TlbDocument): string[] {
  const served = Object.entries(walks.servedBy)
    .map(([cache, loads]) => `${cache} ${formatCount(loads)}`)
    .join(', ');
  const caches = walks.caches
    .filter(({ lookups }) => lookups > 0)
    .map(({ name, lookups, hits }) => `${name} ${formatShare(hits / lookups)}`)
    .join(', ');
  const lines = [
    `Walks: ${formatCount(walks.count)}, ${formatDecimal(walks.loadsPerWalk)} loads and ${formatDecimal(walks.cyclesPerWalk)} cycles each; loads served by ${served}.`,
  ];
  if (caches !== '') lines.push(`Hits of the walk caches: ${caches}.`);
  return lines;
}

function constantLines({ constants }: TlbDocument): string[] {
  return aligned(
    constants.map(({ name, value, unit, ground, source }) => [
      `  ${name}=${value}`,
      unit,
      ground,
      source,
    ]),
    false,
  );
}

/** Columns as wide as their widest cell; numbers to the right. */
function aligned(rows: readonly (readonly string[])[], isRight = true): string[] {
  const widths = (rows[0] ?? []).map((_, at) =>
    Math.max(...rows.map((row) => (row[at] ?? '').length)),
  );
  return rows.map((row) =>
    row
      .map((cell, at) => {
        const width = widths[at] as number;
        return isRight && at > 0 ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  '),
  );
}
