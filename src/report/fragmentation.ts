import type { FragmentationDocument, ZoneFragmentation } from '../lab/index.ts';

/** The measures for a terminal, one paragraph a zone, without a final newline. */
export function fragmentationText({ zones, order }: FragmentationDocument): string {
  return [...zones.map((zone) => zoneText(zone, order)), LEGEND].join('\n\n');
}

const LEGEND = [
  'index: why an allocation would fail: -1.000 it would not, towards 0 too little memory,',
  'towards 1 fragmentation. unusable: part of free memory in smaller blocks. FMFI: the same, as',
  'extfrag_for_order rounds it.',
].join('\n');

function zoneText(zone: ZoneFragmentation, order: number): string {
  const rows = [
    ['order', 'blocks', 'index', 'unusable', 'FMFI'],
    ...zone.orders.map((at) => [
      String(at.order),
      String(zone.blocks[at.order]),
      at.fragmentationIndex.toFixed(3),
      at.unusableIndex.toFixed(3),
      at.fmfi.toFixed(2),
    ]),
  ];
  const lines = rows.map((cells) => cells.map((cell) => cell.padStart(9)).join(''));
  const head = `node ${zone.node}, zone ${zone.zone}: ${(zone.freeKiB / 1024).toFixed(1)} MiB free`;
  const { compaction } = zone;
  const last =
    compaction === undefined
      ? `compaction for order ${order}: not known without the watermarks (--zoneinfo)`
      : `compaction for order ${order}: ${compaction.verdict} (${compaction.why})`;
  return [head, ...lines, last].join('\n');
}
