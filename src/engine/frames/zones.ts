import * as L from '../layout.ts';
import type { Machine, ZonePlan } from '../machine.ts';
import { freeBlocks } from './buddy.ts';
import { blockOf } from './frame-record.ts';
import { MIGRATE_MOVABLE, setBlockMigrateType, setBlockZone } from './pageblock.ts';
import { formatPcp } from './pcp.ts';

/** First frames of the machine that nobody gets: the modelled kernel's own image. Frame 0 is "none". */
export const RESERVED_FRAMES = 1024;

/** Word offset of a zone. */
export function zoneAt(m: Machine, zone: number): number {
  return m.zonesAt + zone * L.ZONE_WORDS;
}

/** `DMA32` or `Normal`. */
export function zoneName(m: Machine, zone: number): string {
  return m.words[zoneAt(m, zone) + L.Z_KIND] === 0 ? 'DMA32' : 'Normal';
}

/** Lays out the zones, all memory free, every pageblock movable (as memmap_init_zone_range does). */
export function formatZones(m: Machine, plans: readonly ZonePlan[], cpus: number): void {
  const w = m.words;
  for (const [zone, plan] of plans.entries()) {
    const z = zoneAt(m, zone);
    w[z + L.Z_START] = plan.start;
    w[z + L.Z_FRAMES] = plan.frames;
    w[z + L.Z_NODE] = plan.node;
    w[z + L.Z_KIND] = plan.kind;
    const end = plan.start + plan.frames;
    for (let pfn = plan.start; pfn < end; pfn += L.BLOCK_FRAMES) {
      const block = blockOf(m, pfn);
      setBlockMigrateType(m, block, MIGRATE_MOVABLE);
      setBlockZone(m, block, zone);
    }
    const first = plan.start === 0 ? RESERVED_FRAMES : plan.start;
    freeBlocks(m, z, first, end);
  }
  setWatermarks(m);
  for (let cpu = 0; cpu < cpus; cpu++) formatPcp(m, cpu, cpus);
}

/**
 * min, low and high watermarks of each zone (mm/page_alloc.c: calculate_min_free_kbytes,
 * __setup_per_zone_wmarks, with watermark_scale_factor 10).
 */
export function setWatermarks(m: Machine): void {
  const w = m.words;
  let managed = 0;
  for (let zone = 0; zone < m.zoneCount; zone++) managed += w[zoneAt(m, zone) + L.Z_FREE];
  const minFreeKiB = Math.min(262144, Math.max(128, Math.floor(Math.sqrt(managed * 4 * 16))));
  for (let zone = 0; zone < m.zoneCount; zone++) {
    const z = zoneAt(m, zone);
    const frames = w[z + L.Z_FREE];
    const min = Math.floor(((minFreeKiB / 4) * frames) / managed);
    const gap = Math.max(Math.floor(min / 4), Math.floor((frames * 10) / 10000));
    w[z + L.Z_MIN] = min;
    w[z + L.Z_LOW] = min + gap;
    w[z + L.Z_HIGH] = min + 2 * gap;
  }
}
