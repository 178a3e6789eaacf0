import {
  compactionSuitabilityOf,
  externalFragmentationOf,
  fragmentationIndexOf,
  freeInfoOf,
  isCostlyOrder,
  unusableIndexOf,
} from '../../engine/index.ts';
import type { BuddyZone } from './buddyinfo.ts';
import type { ZoneMarks } from './zoneinfo.ts';

/** The whole document of `pagelab fragmentation --json`. */
export interface FragmentationDocument {
  readonly pagelab: 1;
  /** Where the free blocks were read. */
  readonly source: string;
  /** The order that compaction was asked about. */
  readonly order: number;
  readonly zones: readonly ZoneFragmentation[];
}

export interface ZoneFragmentation {
  readonly node: number;
  readonly zone: string;
  readonly freeKiB: number;
  /** Free blocks of each order. */
  readonly blocks: readonly number[];
  readonly orders: readonly OrderFragmentation[];
  /** Absent where the zone's watermarks are not known. */
  readonly compaction?: {
    readonly verdict: 'not needed' | 'skipped' | 'would run';
    readonly why: string;
  };
}

/** The measures as the kernel's debugfs prints them, in steps of 0.001. */
export interface OrderFragmentation {
  readonly order: number;
  /** -1: an allocation would succeed; towards 0 too little memory, towards 1 fragmentation. */
  readonly fragmentationIndex: number;
  /** Part of free memory in blocks too small, 0 to 1. */
  readonly unusableIndex: number;
  /** Ingens' FMFI: the same part, in steps of 0.01 (extfrag_for_order). */
  readonly fmfi: number;
}

/** Measures of each zone; `marks` may lack zones or be empty. */
export function fragmentationOf(
  zones: readonly BuddyZone[],
  marks: readonly ZoneMarks[],
  order: number,
): ZoneFragmentation[] {
  return zones.map((zone) => {
    const own = marks.find((other) => other.node === zone.node && other.zone === zone.zone);
    const measures = {
      node: zone.node,
      zone: zone.zone,
      freeKiB: freeInfoOf(zone.blocks, 0).frames * 4,
      blocks: zone.blocks,
      orders: zone.blocks.map((_, at) => measuresOf(zone.blocks, at)),
    };
    if (own === undefined) return measures;
    return { ...measures, compaction: compactionOf(zone.blocks, own, order) };
  });
}

function measuresOf(blocks: readonly number[], order: number): OrderFragmentation {
  const info = freeInfoOf(blocks, order);
  return {
    order,
    fragmentationIndex: fragmentationIndexOf(info, order) / 1000,
    unusableIndex: unusableIndexOf(info, order) / 1000,
    fmfi: externalFragmentationOf(info, order) / 100,
  };
}

function compactionOf(
  blocks: readonly number[],
  marks: ZoneMarks,
  order: number,
): NonNullable<ZoneFragmentation['compaction']> {
  const info = freeInfoOf(blocks, order);
  const mark = isCostlyOrder(order) ? marks.lowFrames : marks.minFrames;
  const markFrames = mark + marks.reserveFrames;
  const { freeFrames } = marks;
  switch (compactionSuitabilityOf(info, order, freeFrames, markFrames)) {
    case 'success':
      return { verdict: 'not needed', why: `${info.suitable} free blocks of order ${order}` };
    case 'continue':
      return { verdict: 'would run', why: `no block of order ${order} to be had, memory enough` };
    case 'skipped': {
      const wanted = markFrames + 2 * 2 ** order;
      const why =
        freeFrames <= wanted
          ? `${freeFrames} pages free, compaction wants more than ${wanted} (watermark, reserve, twice the order)`
          : `fragmentation index ${fragmentationIndexOf(info, order) / 1000}: put down to too little memory`;
      return { verdict: 'skipped', why };
    }
  }
}
