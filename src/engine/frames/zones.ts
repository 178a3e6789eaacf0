import * as L from '../layout.ts';
import type { Machine, ZonePlan } from '../machine.ts';
import { freeBlocks } from './buddy.ts';
import { blockOf } from './frame-record.ts';
import { EXTENT_ABSENT, EXTENT_NONE, formatBlock, NO_ZONE } from './pageblock.ts';
import { formatPcp } from './pcp.ts';
import {
  minFreeFrames,
  movableWatermarks,
  recommendedMinFreeFrames,
  zoneWatermarks,
} from './watermarks.ts';

/** First frames of the machine that nobody gets: the modelled kernel's own image. Frame 0 is "none". */
export const RESERVED_FRAMES = 1024;

/** Word offset of a zone. */
export function zoneAt(m: Machine, zone: number): number {
  return m.zonesAt + zone * L.ZONE_WORDS;
}

export const ZONE_DMA32 = 0;
export const ZONE_NORMAL = 1;
/** Only what can be moved is allocated here, so its memory can be unplugged. */
export const ZONE_MOVABLE = 2;

/** `DMA32`, `Normal` or `Movable`. */
export function zoneName(m: Machine, zone: number): string {
  return ['DMA32', 'Normal', 'Movable'][m.words[zoneAt(m, zone) + L.Z_KIND]] as string;
}

export function isMovableZone(m: Machine, zone: number): boolean {
  return m.words[zoneAt(m, zone) + L.Z_KIND] === ZONE_MOVABLE;
}

/**
 * Lays out the zones, all memory of the start free, every pageblock movable (as
 * memmap_init_zone_range does). What only hot-plug can add is absent.
 */
export function formatZones(m: Machine, plans: readonly ZonePlan[], cpus: number): void {
  const w = m.words;
  for (let b = 0; b < m.blockCount; b++) {
    formatBlock(m, m.blocksAt + b * L.BLOCK_WORDS, EXTENT_ABSENT, NO_ZONE);
  }
  for (const [zone, plan] of plans.entries()) {
    const z = zoneAt(m, zone);
    w[z + L.Z_START] = plan.start;
    w[z + L.Z_FRAMES] = plan.frames;
    w[z + L.Z_NODE] = plan.node;
    w[z + L.Z_KIND] = plan.kind;
    const end = plan.bootStart + plan.bootFrames;
    for (let pfn = plan.bootStart; pfn < end; pfn += L.BLOCK_FRAMES) {
      const block = blockOf(m, pfn);
      formatBlock(m, block, EXTENT_NONE, zone);
    }
    const first = plan.bootStart === 0 ? RESERVED_FRAMES : plan.bootStart;
    if (first < end) freeBlocks(m, z, first, end);
    w[z + L.Z_MANAGED] = w[z + L.Z_FREE];
  }
  setWatermarks(m);
  w[L.H_PCP_START] = w[L.H_ARENA_NEXT];
  for (let cpu = 0; cpu < cpus; cpu++) formatPcp(m, cpu, cpus);
  w[L.H_PCP_END] = w[L.H_ARENA_NEXT];
}

/**
 * min, low and high watermarks of each zone (watermarks.ts). With huge pages on the kernel keeps more
 * free; whoever switches them on later calls this again (start_stop_khugepaged).
 */
export function setWatermarks(m: Machine): void {
  const base = minFreeFrames(managedFrames(m));
  setZoneWatermarks(m, base);
  const { enabled } = m.huge;
  if (enabled !== 'always' && enabled !== 'madvise') return;
  const recommended = recommendedMinFreeFrames(kernelZones(m), framesAboveHigh(m));
  if (recommended > base) setZoneWatermarks(m, recommended);
}

/** A Movable zone has no part in the memory that the kernel itself needs. */
function managedFrames(m: Machine): number {
  let managed = 0;
  for (let zone = 0; zone < m.zoneCount; zone++) {
    if (!isMovableZone(m, zone)) managed += m.words[zoneAt(m, zone) + L.Z_MANAGED];
  }
  return managed;
}

function setZoneWatermarks(m: Machine, minFree: number): void {
  const w = m.words;
  const all = managedFrames(m);
  for (let zone = 0; zone < m.zoneCount; zone++) {
    const z = zoneAt(m, zone);
    const marksOf = isMovableZone(m, zone) ? movableWatermarks : zoneWatermarks;
    const { min, low, high } = marksOf(w[z + L.Z_MANAGED], all, minFree);
    w[z + L.Z_MIN] = min;
    w[z + L.Z_LOW] = low;
    w[z + L.Z_HIGH] = high;
  }
}

/** Zones for the kernel as Linux has them on x86-64: the first 16 MiB are one of their own, DMA. */
function kernelZones(m: Machine): number {
  let zones = 1;
  for (let zone = 0; zone < m.zoneCount; zone++) {
    if (!isMovableZone(m, zone) && m.words[zoneAt(m, zone) + L.Z_MANAGED] > 0) zones++;
  }
  return zones;
}

function framesAboveHigh(m: Machine): number {
  let frames = 0;
  for (let zone = 0; zone < m.zoneCount; zone++) {
    const z = zoneAt(m, zone);
    if (isMovableZone(m, zone)) continue;
    frames += Math.max(0, m.words[z + L.Z_MANAGED] - m.words[z + L.Z_HIGH]);
  }
  return frames;
}
