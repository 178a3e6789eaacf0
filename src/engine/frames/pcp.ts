import { arenaAllocForEver } from '../arena.ts';
import * as L from '../layout.ts';
import type { Machine } from '../machine.ts';
import { buddyAllocUpTo, buddyFree } from './buddy.ts';
import { blockOf, F_STATE, FRAME_WORDS, frameRecord, TYPE_PCP, TYPE_TAIL } from './frame-record.ts';
import { blockMigrateType, blockZone } from './pageblock.ts';
import { zoneAt } from './zones.ts';

/**
 * Per-cpu lists of single frames in front of the buddy allocator (struct per_cpu_pages): last freed
 * is first allocated, refilled and drained in batches. `high` grows up to an eighth of the zone a
 * cpu, as the kernel's automatic tuning does (mm/page_alloc.c: zone_highsize, nr_pcp_high), at most
 * 2^16 frames.
 *
 * A list is a stack of frame numbers in an array of its own, not a chain through the frames' records:
 * the next frame is known without waiting for a record to come from memory. Below the first frame
 * stands a 0, so an empty list answers "frame 0", which is none.
 */
export const PCP_HIGH = 0;
export const PCP_HIGH_MAX = 1;
/**
 * Word offset behind the last frame of each list, and of its first: one a migrate type. Nobody
 * allocates from the list of MIGRATE_ISOLATE: frames that are freed while their block goes offline
 * wait there for `drainAllPcp`, so that freeing needs no test.
 */
export const PCP_TOPS = 2;
export const PCP_BASES = 6;
const TYPES = L.MIGRATE_TYPES;
const BATCH = 63;
const HIGH_LIMIT = 65536;

/** Word offset of this thread's lists for a zone. */
export function pcpAt(m: Machine, zone: number): number {
  return pcpOf(m.cpu, zone);
}

function pcpOf(cpu: number, zone: number): number {
  return L.HEADER_WORDS + cpu * L.CPU_WORDS + L.CPU_PCP + zone * L.PCP_WORDS;
}

export function formatPcp(m: Machine, cpu: number, cpus: number): void {
  const w = m.words;
  for (let zone = 0; zone < m.zoneCount; zone++) {
    const pcp = pcpOf(cpu, zone);
    // Room for what the lists may hold once all memory that the zone can have is there.
    const most = highMax(m, zone, cpus, w[zoneAt(m, zone) + L.Z_FRAMES]);
    for (let type = 0; type < TYPES; type++) {
      const array = arenaAllocForEver(m, most + 2 * BATCH);
      w[pcp + PCP_BASES + type] = array + 1;
      w[pcp + PCP_TOPS + type] = array + 1;
    }
  }
  updatePcpHigh(m, cpu, cpus);
}

/**
 * Zeroes what the lists have written into their arrays, for a machine whose buffer is lent on: no list
 * is ever longer than its limit and two batches.
 */
export function clearPcpArrays(m: Machine): void {
  const w = m.words;
  for (let cpu = 0; cpu < w[L.H_CPUS]; cpu++) {
    for (let zone = 0; zone < m.zoneCount; zone++) {
      for (let type = 0; type < TYPES; type++) {
        const pcp = pcpOf(cpu, zone);
        w[pcp + PCP_TOPS + type] = w[pcp + PCP_BASES + type];
      }
      clearArrays(m, pcpOf(cpu, zone));
    }
  }
}

/** Zeroes what stands above the lists' tops; above that much nothing was ever written. */
function clearArrays(m: Machine, pcp: number): void {
  const w = m.words;
  for (let type = 0; type < TYPES; type++) {
    const end = w[pcp + PCP_BASES + type] + w[pcp + PCP_HIGH] + 2 * BATCH;
    w.fill(0, w[pcp + PCP_TOPS + type], end);
  }
}

/** Most frames on a cpu's list, where the zone has that many frames. */
function highMax(m: Machine, zone: number, cpus: number, frames: number): number {
  return Math.min(HIGH_LIMIT, Math.max(lowShare(m, zone, cpus), Math.floor(frames / cpus / 8)));
}

/** This thread's lists hold no more than the least that Linux lets them (pcp->batch times 4). */
export function keepPcpShort(m: Machine): void {
  for (let zone = 0; zone < m.zoneCount; zone++) {
    const pcp = pcpAt(m, zone);
    clearArrays(m, pcp);
    m.words[pcp + PCP_HIGH] = Math.min(m.words[pcp + PCP_HIGH], 4 * BATCH);
    m.words[pcp + PCP_HIGH_MAX] = m.words[pcp + PCP_HIGH];
  }
}

function lowShare(m: Machine, zone: number, cpus: number): number {
  return Math.max(4 * BATCH, Math.floor(m.words[zoneAt(m, zone) + L.Z_LOW] / cpus));
}

/** A cpu's limits by what the zones have now (zone_pcp_update, after hot-plug). */
export function updatePcpHigh(m: Machine, cpu: number, cpus: number): void {
  const w = m.words;
  for (let zone = 0; zone < m.zoneCount; zone++) {
    const pcp = pcpOf(cpu, zone);
    clearArrays(m, pcp);
    w[pcp + PCP_HIGH_MAX] = highMax(m, zone, cpus, w[zoneAt(m, zone) + L.Z_MANAGED]);
    w[pcp + PCP_HIGH] = Math.min(lowShare(m, zone, cpus), w[pcp + PCP_HIGH_MAX]);
  }
}

/** Frames on this thread's lists of a zone. */
export function pcpCount(m: Machine, zone: number): number {
  const pcp = pcpAt(m, zone);
  let count = 0;
  for (let type = 0; type < TYPES; type++) {
    count += m.words[pcp + PCP_TOPS + type] - m.words[pcp + PCP_BASES + type];
  }
  return count;
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
  while (got < BATCH && w[z + L.Z_FREE] > floor) {
    const wanted = Math.min(BATCH - got, w[z + L.Z_FREE] - floor);
    const pfn = buddyAllocUpTo(m, z, 31 - Math.clz32(wanted), type);
    if (pfn === 0) break;
    const frames = 1 << m.foundIndex;
    let rec = frameRecord(m, pfn);
    const top = w[pcp + PCP_TOPS + type];
    for (let i = 0; i < frames; i++, rec += FRAME_WORDS) {
      w[rec + F_STATE] = TYPE_PCP;
      w[top + i] = pfn + i;
    }
    w[pcp + PCP_TOPS + type] = top + frames;
    got += frames;
  }
  if (m.isShared) m.unlock(z + L.Z_LOCK);
  // The clock that stamps frames ticks once a batch, as the kernel adds pages to its lists in batches.
  w[m.cpuAt + L.CPU_CLOCK] += 1;
  if (got > 0 && w[pcp + PCP_HIGH] < w[pcp + PCP_HIGH_MAX]) {
    w[pcp + PCP_HIGH] = Math.min(w[pcp + PCP_HIGH] + BATCH, w[pcp + PCP_HIGH_MAX]);
  }
  return got > 0;
}

/** Puts one frame on this thread's list; drains a part where the list is over its limit. */
export function freeToPcp(m: Machine, pfn: number, rec: number): void {
  const w = m.words;
  const block = blockOf(m, pfn);
  const pcp = pcpAt(m, blockZone(m, block));
  const type = blockMigrateType(m, block);
  const top = w[pcp + PCP_TOPS + type];
  w[rec + F_STATE] = TYPE_PCP;
  w[top] = pfn;
  w[pcp + PCP_TOPS + type] = top + 1;
  if (top + 1 - w[pcp + PCP_BASES + type] > w[pcp + PCP_HIGH]) {
    drainList(m, m.cpu, blockZone(m, block), type, 4 * BATCH);
  }
}

/** Moves up to `frames` frames of one of a thread's lists back to the buddy. */
function drainList(m: Machine, cpu: number, zone: number, type: number, frames: number): void {
  const w = m.words;
  const z = zoneAt(m, zone);
  const pcp = pcpOf(cpu, zone);
  if (m.isShared) m.lock(z + L.Z_LOCK);
  const top = w[pcp + PCP_TOPS + type];
  const end = Math.max(w[pcp + PCP_BASES + type], top - frames);
  for (let at = top - 1; at >= end; at--) {
    const pfn = w[at];
    w[frameRecord(m, pfn) + F_STATE] = TYPE_TAIL;
    buddyFree(m, z, pfn, 0);
  }
  w[pcp + PCP_TOPS + type] = end;
  if (m.isShared) m.unlock(z + L.Z_LOCK);
  m.events.listsAtRest?.(m);
}

/** Empties all threads' lists of all zones (drain_all_pages); no other thread is inside an operation. */
export function drainAllPcp(m: Machine): void {
  for (let cpu = 0; cpu < m.words[L.H_CPUS]; cpu++) {
    for (let zone = 0; zone < m.zoneCount; zone++) {
      for (let type = 0; type < TYPES; type++) drainList(m, cpu, zone, type, HIGH_LIMIT * 2);
    }
  }
}
