import { H_STOP } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { pause } from '../threads/pause.ts';
import { park } from '../threads/world.ts';
import { O_LOCK, O_MAP_LOCK } from './object.ts';

/**
 * The two locks of an object. The mapping lock (i_mmap_rwsem) guards the list of its mappings and
 * their bounds, and is held through a truncation; it may be held for long. The page lock (i_pages)
 * guards the page index and is a spin lock, taken inside a table's. Only shared machines lock.
 */
export function lockMappings(m: Machine, object: number): void {
  if (!m.isShared || object === 0) return;
  const at = object + O_MAP_LOCK;
  for (let spins = 0; !m.tryLock(at); spins++) {
    if (m.words[H_STOP] !== 0) park(m);
    else if (spins > 100) pause(m.words, at, 1);
  }
}

export function unlockMappings(m: Machine, object: number): void {
  if (m.isShared && object !== 0) m.unlock(object + O_MAP_LOCK);
}

export function lockPages(m: Machine, object: number): void {
  if (m.isShared) m.lock(object + O_LOCK);
}

export function unlockPages(m: Machine, object: number): void {
  if (m.isShared) m.unlock(object + O_LOCK);
}
