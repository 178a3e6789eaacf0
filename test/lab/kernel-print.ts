import type { ZoneFragmentation } from '../../src/lab/index.ts';

/** Measures in the form of the kernel's debugfs files (extfrag_show_print, mm/vmstat.c). */

export function indexLines(zones: readonly ZoneFragmentation[]): string {
  return linesOf(zones, ({ fragmentationIndex }) => thousandths(fragmentationIndex, 2));
}

export function unusableLines(zones: readonly ZoneFragmentation[]): string {
  return linesOf(zones, ({ unusableIndex }) => thousandths(unusableIndex, 1));
}

/** printf's "%2d.%03d" (or "%d") of value / 1000 and value % 1000, which C rounds towards zero. */
function thousandths(value: number, width: number): string {
  const milli = Math.round(value * 1000);
  // String(-0) is '0'.
  return `${String(Math.trunc(milli / 1000)).padStart(width)}.${String(milli % 1000).padStart(3, '0')}`;
}

function linesOf(
  zones: readonly ZoneFragmentation[],
  print: (order: ZoneFragmentation['orders'][number]) => string,
): string {
  const lines = zones.map(({ node, zone, orders }) => {
    const head = `Node ${node}, zone ${zone.padStart(8)} `;
    return `${head}${orders.map((order) => `${print(order)} `).join('')}\n`;
  });
  return lines.join('');
}
