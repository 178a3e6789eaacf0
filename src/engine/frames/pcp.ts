import * as L from '../layout.ts';
import type { Machine } from '../machine.ts';
import { buddyAlloc, buddyFree } from './buddy.ts';
import { blockOf, F_NEXT, F_STATE, frameRecord, TYPE_PCP, TYPE_TAIL } from './frame-record.ts';
import { blockMigrateType, blockZone } from './pageblock.ts';
import { zoneAt } from './zones.ts';

/**
 * Per-cpu lists of single frames in front of the buddy allocator (struct per_cpu_pages): last freed
 * is first allocated, refilled and drained in batches. `high` grows up to an eighth of the zone a
 * cpu, as the kernel's automatic tuning does (mm/page_alloc.c: zone_highsize, nr_pcp_high).
 */
export const PCP_COUNT = 0;
export const PCP_HIGH = 1;
export const PCP_HIGH_MAX = 2;
/** One list head a migrate type (unmovable, movable, reclaimable). */
export const PCP_HEADS = 3;
const BATCH = 63;

/** Word offset of this thread's lists for a zone. */
export function pcpAt(m: Machine, zone: number): number {
  return m.cpuAt + L.CPU_PCP + zone * L.PCP_WORDS;
}

export function formatPcp(m: Machine, cpu: number, cpus: number): void {
  const w = m.words;
  for (let zone = 0; zone < m.zoneCount; zone++) {
    const z = zoneAt(m, zone);
    const pcp = L.HEADER_WORDS + cpu * L.CPU_WORDS + L.CPU_PCP + zone * L.PCP_WORDS;
    w[pcp + PCP_HIGH] = Math.max(4 * BATCH, Math.floor(w[z + L.Z_LOW] / cpus));
    w[pcp + PCP_HIGH_MAX] = Math.max(w[pcp + PCP_HIGH], Math.floor(w[z + L.Z_FREE] / cpus / 8));
  }
}

/**
 * Fills the list of a type by a batch; false if the zone has nothing above its floor.
 * `floor`: free frames that must stay in the zone.
 */
export function refillPcp(m: Machine, zone: number, type: number, floor: number): boolean {
  const w = m.words;
  const z = zoneAt(m, zone);
  const pcp = pcpAt(m, zone);
  if (m.isShared) m.lock(z + L.Z_LOCK);
  let got = 0;
  for (; got < BATCH && w[z + L.Z_FREE] > floor; got++) {
    const pfn = buddyAlloc(m, z, 0, type);
    if (pfn === 0) break;
    const rec = frameRecord(m, pfn);
    w[rec + F_STATE] = TYPE_PCP;
    w[rec + F_NEXT] = w[pcp + PCP_HEADS + type];
    w[pcp + PCP_HEADS + type] = pfn;
  }
  if (m.isShared) m.unlock(z + L.Z_LOCK);
  w[pcp + PCP_COUNT] += got;
  // The clock that stamps frames ticks once a batch, as the kernel adds pages to its lists in batches.
  w[m.cpuAt + L.CPU_CLOCK] += 1;
  if (got > 0 && w[pcp + PCP_HIGH] < w[pcp + PCP_HIGH_MAX]) {
    w[pcp + PCP_HIGH] = Math.min(w[pcp + PCP_HIGH] + BATCH, w[pcp + PCP_HIGH_MAX]);
  }
  return got > 0;
}

/** Puts one frame on this thread's list; drains a batch where the list is over its limit. */
export function freeToPcp(m: Machine, pfn: number, rec: number): void {
  const w = m.words;
  const block = blockOf(m, pfn);
  const pcp = pcpAt(m, blockZone(m, block));
  const head = pcp + PCP_HEADS + blockMigrateType(m, block);
  w[rec + F_STATE] = TYPE_PCP;
  w[rec + F_NEXT] = w[head];
  w[head] = pfn;
  const count = w[pcp + PCP_COUNT] + 1;
  w[pcp + PCP_COUNT] = count;
  if (count > w[pcp + PCP_HIGH]) drainPcp(m, blockZone(m, block), 4 * BATCH);
}

/** Moves up to `frames` frames of this thread's lists back to the buddy. */
export function drainPcp(m: Machine, zone: number, frames: number): void {
  const w = m.words;
  const z = zoneAt(m, zone);
  const pcp = pcpAt(m, zone);
  if (m.isShared) m.lock(z + L.Z_LOCK);
  let left = frames;
  for (let type = 0; type < 3 && left > 0; type++) {
    let pfn = w[pcp + PCP_HEADS + type];
    while (pfn !== 0 && left > 0) {
      const rec = frameRecord(m, pfn);
      const next = w[rec + F_NEXT];
      w[rec + F_STATE] = TYPE_TAIL;
      w[pcp + PCP_HEADS + type] = next;
      buddyFree(m, z, pfn, 0);
      pfn = next;
      left--;
    }
  }
  w[pcp + PCP_COUNT] -= frames - left;
  if (m.isShared) m.unlock(z + L.Z_LOCK);
}

/** Empties this thread's lists of all zones, as before a fragmentation picture. */
export function drainAllPcp(m: Machine): void {
  for (let zone = 0; zone < m.zoneCount; zone++) drainPcp(m, zone, 0x7fffffff);
}
