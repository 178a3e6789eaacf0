import { drainAllPcp } from '../frames/pcp.ts';
import { zoneAt } from '../frames/zones.ts';
import { Z_FREE, Z_HIGH, Z_LOW } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { releaseDeferred } from '../threads/grace.ts';
import { enter, leave, resumeWorld, stopWorld } from '../threads/world.ts';
import { framesToHighMark } from './reclaim.ts';

/** Steps without success after which the thread gives up (MAX_RECLAIM_RETRIES, mm/internal.h). */
const FAILURES_MAX = 16;

/**
 * A step if an allocation has asked for one; for whoever runs operations one after the other. It
 * costs a test where memory is not short. After 16 steps that freed nothing it does nothing more,
 * until an allocation has reclaimed something itself (kswapd_failures, mm/vmscan.c).
 */
export function runKswapd(m: Machine): void {
  const { kswapd } = m;
  if (!kswapd.isWoken) return;
  kswapd.isWoken = false;
  if (kswapd.failures >= FAILURES_MAX) return;
  if (kswapdStep(m) > 0) kswapd.failures = 0;
  else if (shortZones(m) === m.zoneCount) kswapd.failures++;
}

/**
 * One step of the thread that reclaims in the background (kswapd): nothing while every zone has more
 * than its low watermark. A zone that came down to it has page tables migrated to a node that has
 * room, where a mechanism does that. If all zones did, memory is reclaimed up to the high watermarks.
 * (Page reclaim does not know zones: for one alone it would empty the others.)
 *
 * The frames that came free. Whoever models time or threads calls it, or `runKswapd`; no allocation
 * does. On a shared machine a thread of its own does, and the others stand still meanwhile.
 */
export function kswapdStep(m: Machine): number {
  if (shortZones(m) === 0) return 0;
  if (!m.isShared) return balance(m);
  const wasOffline = enter(m);
  stopWorld(m);
  m.forgetWalk();
  releaseDeferred(m);
  const freed = balance(m);
  resumeWorld(m);
  leave(m, wasOffline);
  return freed;
}

function balance(m: Machine): number {
  m.kswapd.isRunning = true;
  const before = freeInZones(m);
  for (let zone = 0; zone < m.zoneCount; zone++) {
    const z = zoneAt(m, zone);
    if (isShort(m, zone)) m.events.nodeShort?.(m, zone, m.words[z + Z_HIGH] - m.words[z + Z_FREE]);
  }
  while (shortZones(m) === m.zoneCount && m.events.memoryShort !== null) {
    if (m.events.memoryShort(m, framesToHighMark(m)) === 0) break;
    m.forgetWalk();
    drainAllPcp(m);
  }
  m.kswapd.isRunning = false;
  return freeInZones(m) - before;
}

/** An allocation leaves a zone its low watermark: it is short when that is all it has. */
function isShort(m: Machine, zone: number): boolean {
  const z = zoneAt(m, zone);
  return m.words[z + Z_FREE] <= m.words[z + Z_LOW];
}

function shortZones(m: Machine): number {
  let short = 0;
  for (let zone = 0; zone < m.zoneCount; zone++) if (isShort(m, zone)) short++;
  return short;
}

function freeInZones(m: Machine): number {
  let free = 0;
  for (let zone = 0; zone < m.zoneCount; zone++) free += m.words[zoneAt(m, zone) + Z_FREE];
  return free;
}
