import type { Machine } from '../machine.ts';
import { releaseDeferred } from '../threads/grace.ts';
import { resumeWorld, stopWorld } from '../threads/world.ts';
import { drainAllPcp } from './pcp.ts';

/** Attempts before an allocation of a shared machine has failed. */
const MAX_ROUNDS = 16;

/**
 * For a shared machine whose allocation found nothing: stops the world, frees the tables that wait
 * for a grace period and the frames on all threads' lists, and reclaims. True: try again. The caller
 * holds no spin lock, and what it knows of last-level tables no longer holds.
 *
 * On an exclusive machine reclaim runs inside the allocation (frames/alloc.ts), and this is nothing.
 */
export function makeRoom(m: Machine): boolean {
  if (!m.isShared || m.isWorldStopped || m.roomRounds >= MAX_ROUNDS) return false;
  const isFirst = m.roomRounds === 0;
  m.roomRounds += 1;
  m.reclaims += 1;
  stopWorld(m);
  m.forgetWalk();
  releaseDeferred(m);
  drainAllPcp(m);
  const freed = m.events.memoryShort === null ? 0 : m.events.memoryShort(m, 64);
  resumeWorld(m);
  return freed > 0 || isFirst;
}
