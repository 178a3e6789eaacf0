import { assert } from '../../base/index.ts';
import { TYPE_TABLE } from '../frames/frame-record.ts';
import type { Machine } from '../machine.ts';
import { raiseSequence } from '../space/mmap-lock.ts';
import {
  HAS_RACE_POINTS,
  MUTANT,
  MUTANT_LATE_FLUSH,
  MUTANT_NO_RECHECK,
  racePoint,
} from '../threads/test-switches.ts';
import { countFreedTables } from './emptied.ts';
import {
  setTableDead,
  T_COUNT,
  T_DEAD,
  T_LOCK,
  T_PARENT,
  T_STATE,
  tableDestroy,
  tableType,
  unlinkTable,
} from './table.ts';

/**
 * The lock of a last-level table (the PTE lock) and what it means that a table can go at any time,
 * even while others hold the mmap_lock for reading: a walk finds a table without a lock, locks it,
 * and looks again (pte_offset_map_lock, which may fail). A table that went is marked dead under its
 * lock; its record stays a dead table's until a grace period is over (threads/grace.ts).
 *
 * What each caller does when the table vanished:
 *
 *   fault                    walks again and makes a new one
 *   zap, age, guard removal  nothing is there any more: goes on behind it
 *   guard install, fork, move: the destination's is made again; the source's had no entries
 *
 * On an exclusive machine all of this is nothing.
 */

/** Locks a table that a walk found; false if it was taken away meanwhile. */
export function lockLeaf(m: Machine, leaf: number): boolean {
  if (!m.isShared) return true;
  if (HAS_RACE_POINTS) racePoint();
  m.lock(leaf + T_LOCK);
  if (HAS_RACE_POINTS) {
    assert(tableType(m, leaf) === TYPE_TABLE, "a table's lock taken on a frame that is no table");
  }
  if ((m.words[leaf + T_STATE] & T_DEAD) === 0 || MUTANT === MUTANT_NO_RECHECK) return true;
  m.unlock(leaf + T_LOCK);
  return false;
}

export function unlockLeaf(m: Machine, leaf: number): void {
  if (m.isShared) m.unlock(leaf + T_LOCK);
}

/**
 * Takes an empty last-level table out of its tree and frees it; false if it is gone already or holds
 * entries again. Shared machines; the caller holds no spin lock.
 */
export function freeEmptyLeaf(m: Machine, owner: number, leaf: number): boolean {
  const w = m.words;
  const parent = w[leaf + T_PARENT];
  if (parent === 0) return false;
  if (HAS_RACE_POINTS) racePoint();
  m.lock(parent + T_LOCK);
  m.lock(leaf + T_LOCK);
  const isStill =
    w[leaf + T_PARENT] === parent && (w[leaf + T_STATE] & T_DEAD) === 0 && w[leaf + T_COUNT] === 0;
  if (isStill) unhook(m, owner, leaf);
  m.unlock(leaf + T_LOCK);
  m.unlock(parent + T_LOCK);
  if (isStill) freeUnhooked(m, owner, leaf);
  return isStill;
}

/**
 * The same for a caller that holds the table's lock and never dropped it since it emptied the table:
 * the upper lock may only be tried, for the order is upper before lower (zap_pte_range with
 * pmd_trylock). True if the table is unhooked: the caller unlocks it and calls `freeUnhooked`.
 */
export function tryUnhookLocked(m: Machine, owner: number, leaf: number): boolean {
  const parent = m.words[leaf + T_PARENT];
  if (parent === 0 || !m.tryLock(parent + T_LOCK)) return false;
  unhook(m, owner, leaf);
  m.unlock(parent + T_LOCK);
  return true;
}

/** Both locks are held: flushes what threads remember, marks the table dead, empties its place. */
function unhook(m: Machine, owner: number, leaf: number): void {
  if (MUTANT !== MUTANT_LATE_FLUSH) raiseSequence(m, owner);
  setTableDead(m, leaf);
  unlinkTable(m, leaf);
}

/** The rest, without locks. */
export function freeUnhooked(m: Machine, owner: number, leaf: number): void {
  if (MUTANT === MUTANT_LATE_FLUSH) {
    racePoint();
    raiseSequence(m, owner);
  }
  tableDestroy(m, owner, leaf);
  countFreedTables(m, owner, 1);
}
