import * as L from '../layout.ts';
import type { Machine } from '../machine.ts';
import { buddyAlloc, buddyAllocContiguous, buddyFree, buddyFreeBlock } from './buddy.ts';
import { FLOOR_HALF_MIN, FLOOR_LOW, FLOOR_MIN, FLOOR_NONE } from './floors.ts';
import { blockOf, frameRecord } from './frame-record.ts';
import { blockZone, MIGRATE_MOVABLE, setBlockExtent } from './pageblock.ts';
import { freeToPcp, PCP_TOPS, pcpAt, pcpCount, refillPcp } from './pcp.ts';
import { TAKEN_BARE, TAKEN_EACH, type TakenAs } from './taken-as.ts';
import { isMovableZone, zoneAt } from './zones.ts';

/**
 * What the rest of the engine asks for: one frame, or a whole pageblock. Zones are tried from the
 * highest down, first above their low watermark; then memory is reclaimed, then down to the min
 * watermark, and at last, as for an allocation that must not fail, to half of it. 0 means out of
 * memory: the caller's fault fails and the OOM killer decides (reclaim/).
 */

/** One frame of the migrate type, or 0. Its record's words are stale: the caller sets them. */
export function allocFrame(m: Machine, type: number): number {
  const w = m.words;
  const at = m.preferredPcp + PCP_TOPS + type;
  const pfn = w[w[at] - 1];
  if (pfn === 0) return allocFrameSlow(m, type, TAKEN_EACH);
  w[at] -= 1;
  if (m.events.frameTaken === null || told(m, pfn, FLOOR_LOW, TAKEN_EACH)) return pfn;
  return allocFrameSlow(m, type, TAKEN_EACH);
}

/** The same for a frame of which nothing is kept (TAKEN_BARE). */
export function allocBareFrame(m: Machine, type: number): number {
  return m.events.frameTaken === null ? allocFrame(m, type) : allocFrameSlow(m, type, TAKEN_BARE);
}

/** A frame leaves free memory; false: it may not, and is back on its list. */
function told(m: Machine, pfn: number, floor: number, as: TakenAs): boolean {
  const { frameTaken } = m.events;
  if (frameTaken === null || frameTaken(m, pfn, 1, floor, as)) return true;
  freeToPcp(m, pfn, frameRecord(m, pfn));
  return false;
}

/** The same for a pageblock or several that are extents. */
function toldExtents(m: Machine, pfn: number, blocks: number, as: TakenAs): boolean {
  const { frameTaken } = m.events;
  if (frameTaken === null || frameTaken(m, pfn, blocks * L.BLOCK_FRAMES, FLOOR_LOW, as)) {
    return true;
  }
  for (let i = 0; i < blocks; i++) freeExtent(m, pfn + i * L.BLOCK_FRAMES);
  return false;
}

function allocFrameSlow(m: Machine, type: number, as: TakenAs): number {
  m.events.listsAtRest?.(m);
  let pfn = takeFromZones(m, type, FLOOR_LOW, as);
  if (pfn !== 0) return pfn;
  // kswapd, which that woke, runs when this operation is over: until then there is the reserve.
  if (m.kswapd.isAttached) {
    pfn = takeFromZones(m, type, FLOOR_MIN, as);
    if (pfn !== 0) return pfn;
  }
  // The caller may hold locks that reclaim needs: it lets go of them and makes room (make-room.ts).
  if (m.isShared && !m.isWorldStopped && m.roomRounds === 0) return 0;
  if (!m.isShared && m.events.memoryShort !== null) {
    m.reclaims++;
    // Pages and tables that the caller looked up may be gone: it walks again.
    m.forgetWalk();
    // Each round that frees something is worth another try; a round that frees nothing is the end.
    for (let round = 0; round < 16; round++) {
      if (m.events.memoryShort(m, 64) === 0) break;
      m.kswapd.failures = 0;
      pfn = takeFromZones(m, type, FLOOR_MIN, as);
      if (pfn !== 0) return pfn;
    }
  }
  pfn = takeFromZones(m, type, FLOOR_MIN, as);
  return pfn !== 0 ? pfn : takeFromZones(m, type, FLOOR_HALF_MIN, as);
}

/**
 * A frame for reclaim itself, which must not call reclaim again: down to half of the min watermark,
 * as an allocation with PF_MEMALLOC. 0 if there is none.
 */
export function allocFrameInReclaim(m: Machine, type: number): number {
  return takeFromZones(m, type, FLOOR_HALF_MIN, TAKEN_EACH);
}

/** A frame for the listener of `frameTaken`, which is not told of it; 0 if there is none. */
export function allocFrameUntold(m: Machine, type: number, floor: number): number {
  return popFromZones(m, type, floor);
}

/** A frame of one zone that leaves it `floor` free ones; 0 if there is none. Without reclaim. */
export function allocFrameInZone(m: Machine, zone: number, type: number, floor: number): number {
  const w = m.words;
  const at = pcpAt(m, zone) + PCP_TOPS + type;
  if (w[w[at] - 1] === 0 && !refillPcp(m, zone, type, floor)) return 0;
  w[at] -= 1;
  const pfn = w[w[at]];
  return told(m, pfn, FLOOR_LOW, TAKEN_EACH) ? pfn : 0;
}

function takeFromZones(m: Machine, type: number, floor: number, as: TakenAs): number {
  const pfn = popFromZones(m, type, floor);
  return pfn !== 0 && told(m, pfn, floor, as) ? pfn : 0;
}

function popFromZones(m: Machine, type: number, mark: number): number {
  const w = m.words;
  for (let zone = m.zoneCount - 1; zone >= 0; zone--) {
    if (type !== MIGRATE_MOVABLE && isMovableZone(m, zone)) continue;
    const pcp = pcpAt(m, zone);
    const at = pcp + PCP_TOPS + type;
    const floor = floorFrames(m, zone, mark);
    if (w[w[at] - 1] === 0 && !refillPcp(m, zone, type, floor)) {
      if (mark === FLOOR_LOW) m.kswapd.isWoken = true;
      continue;
    }
    w[at] -= 1;
    return w[w[at]];
  }
  return 0;
}

/** Frames of a zone that an allocation leaves free. */
function floorFrames(m: Machine, zone: number, floor: number): number {
  if (floor === FLOOR_NONE) return 0;
  const z = zoneAt(m, zone);
  return floor === FLOOR_HALF_MIN ? m.words[z + L.Z_MIN] >> 1 : m.words[z + floor];
}

/**
 * A whole pageblock as one extent (EXTENT_*), without frame records; its first frame, or 0. `type`
 * says whether a Movable zone may give it, `as` what it becomes.
 */
export function allocExtent(
  m: Machine,
  extent: number,
  type: number = MIGRATE_MOVABLE,
  as: TakenAs = TAKEN_EACH,
): number {
  return allocExtentAbove(m, extent, type, as, L.Z_LOW);
}

/**
 * The same for 512 frames that are taken one by one in truth (the children of a uniform table): below the
 * low watermark too, as single frames are, where reclaim has nothing to give. 0 where it has.
 */
export function allocSinglesExtent(m: Machine, extent: number, type: number): number {
  const pfn = allocExtentAbove(m, extent, type, TAKEN_EACH, L.Z_LOW);
  if (pfn !== 0 || m.isShared) return pfn;
  if (m.kswapd.isAttached) {
    m.kswapd.isWoken = true;
  } else if (m.events.memoryShort !== null) {
    m.reclaims++;
    m.forgetWalk();
    if (m.events.memoryShort(m, 64) > 0) return 0;
  }
  return allocExtentAbove(m, extent, type, TAKEN_EACH, L.Z_MIN);
}

function allocExtentAbove(
  m: Machine,
  extent: number,
  type: number,
  as: TakenAs,
  mark: number,
): number {
  const w = m.words;
  for (let zone = m.zoneCount - 1; zone >= 0; zone--) {
    const z = zoneAt(m, zone);
    if (w[z + L.Z_FREE] - L.BLOCK_FRAMES < w[z + mark]) continue;
    if (type !== MIGRATE_MOVABLE && isMovableZone(m, zone)) continue;
    if (m.isShared) m.lock(z + L.Z_LOCK);
    const pfn = buddyAlloc(m, z, L.BLOCK_SHIFT, MIGRATE_MOVABLE);
    if (m.isShared) m.unlock(z + L.Z_LOCK);
    if (pfn === 0) continue;
    setBlockExtent(m, blockOf(m, pfn), extent);
    return toldExtents(m, pfn, 1, as) ? pfn : 0;
  }
  return 0;
}

/** True if `allocExtent` for movable memory would find a pageblock. */
export function hasExtent(m: Machine): boolean {
  const w = m.words;
  for (let zone = 0; zone < m.zoneCount; zone++) {
    const z = zoneAt(m, zone);
    if (w[z + L.Z_FREE] - L.BLOCK_FRAMES < w[z + L.Z_LOW]) continue;
    for (let order = L.BLOCK_SHIFT; order <= L.MAX_ORDER; order++) {
      if (w[z + L.Z_COUNTS + order] > 0) return true;
    }
  }
  return false;
}

/** 2^order frames of a pageblock, aligned, whose records say "tail"; the first, or 0. No reclaim. */
export function allocBlock(m: Machine, order: number): number {
  const w = m.words;
  for (let zone = m.zoneCount - 1; zone >= 0; zone--) {
    const z = zoneAt(m, zone);
    if (w[z + L.Z_FREE] - (1 << order) < w[z + L.Z_LOW]) continue;
    const pfn = buddyAlloc(m, z, order, MIGRATE_MOVABLE);
    if (pfn === 0) continue;
    const { frameTaken } = m.events;
    if (frameTaken === null || frameTaken(m, pfn, 1 << order, FLOOR_LOW, TAKEN_EACH)) return pfn;
    buddyFree(m, z, pfn, order);
    return 0;
  }
  return 0;
}

/** `blocks` pageblocks one after the other, each an extent; the first frame, or 0. */
export function allocExtents(
  m: Machine,
  blocks: number,
  extent: number,
  as: TakenAs = TAKEN_EACH,
): number {
  const w = m.words;
  for (let zone = m.zoneCount - 1; zone >= 0; zone--) {
    const z = zoneAt(m, zone);
    if (w[z + L.Z_FREE] - blocks * L.BLOCK_FRAMES < w[z + L.Z_LOW]) continue;
    if (m.isShared) m.lock(z + L.Z_LOCK);
    const pfn = buddyAllocContiguous(m, z, blocks);
    if (m.isShared) m.unlock(z + L.Z_LOCK);
    if (pfn === 0) continue;
    for (let i = 0; i < blocks; i++) {
      setBlockExtent(m, blockOf(m, pfn + i * L.BLOCK_FRAMES), extent);
    }
    return toldExtents(m, pfn, blocks, as) ? pfn : 0;
  }
  return 0;
}

export function freeExtent(m: Machine, pfn: number): void {
  const z = zoneAt(m, blockZone(m, blockOf(m, pfn)));
  if (m.isShared) m.lock(z + L.Z_LOCK);
  buddyFreeBlock(m, z, pfn);
  if (m.isShared) m.unlock(z + L.Z_LOCK);
  m.events.listsAtRest?.(m);
}

/** Frames of the machine that are not free, the modelled kernel's own 4 MiB included. */
export function usedFrameCount(m: Machine): number {
  return m.words[L.H_FRAMES] - freeFrameCount(m);
}

/** Free frames of all zones, those on per-cpu lists of this thread included. */
export function freeFrameCount(m: Machine): number {
  let free = 0;
  for (let zone = 0; zone < m.zoneCount; zone++) {
    free += m.words[zoneAt(m, zone) + L.Z_FREE] + pcpCount(m, zone);
  }
  return free;
}
