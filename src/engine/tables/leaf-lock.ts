import { assert } from '../../base/index.ts';
import { TYPE_TABLE } from '../frames/frame-record.ts';
import type { Machine } from '../machine.ts';
import { raiseSequence } from '../space/mmap-lock.ts';
import {
  HAS_RACE_POINTS,
  MUTANT,
  MUTANT_LATE_COUNT,
  MUTANT_LATE_FLUSH,
  MUTANT_NO_RECHECK,
  racePoint,
} from '../threads/test-switches.ts';
import { countFreedTables } from './emptied.ts';
import {
  ownerOfTable,
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
import {
  freezeIfEmpty,
  getTable,
  putTable,
  REFS_LOCKED,
  REFS_PERCPU,
  sumRefs,
  T_BORN,
  T_COUNTED,
  T_FREEZING,
  thaw,
} from './table-refs.ts';

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
  if (m.tableRefs !== REFS_LOCKED) return lockCounted(m, leaf);
  m.lock(leaf + T_LOCK);
  if (isGone(m, leaf, m.words[leaf + T_STATE])) {
    m.unlock(leaf + T_LOCK);
    return false;
  }
  return true;
}

function lockCounted(m: Machine, leaf: number): boolean {
  if (!getTable(m, leaf)) return false;
  m.lock(leaf + T_LOCK);
  const state = m.words[leaf + T_STATE];
  if (isGone(m, leaf, state)) {
    m.unlock(leaf + T_LOCK);
    putTable(m, leaf, 1);
    return false;
  }
  if ((state & T_FREEZING) !== 0) thaw(m, leaf);
  m.lockedCounts[m.lockedTables++] = m.words[leaf + T_COUNT];
  return true;
}

/** Under the lock: whether the table was taken away before. */
function isGone(m: Machine, leaf: number, state: number): boolean {
  if (HAS_RACE_POINTS) {
    assert(tableType(m, leaf) === TYPE_TABLE, "a table's lock taken on a frame that is no table");
  }
  return (state & T_DEAD) !== 0 && MUTANT !== MUTANT_NO_RECHECK;
}

/** Unlocks a table; where references are counted, that may have been the last. Last locked, first unlocked. */
export function unlockLeaf(m: Machine, owner: number, leaf: number): void {
  if (!m.isShared) return;
  if (m.tableRefs === REFS_LOCKED) m.unlock(leaf + T_LOCK);
  else unlockCounted(m, owner, leaf);
}

function unlockCounted(m: Machine, owner: number, leaf: number): void {
  const w = m.words;
  const change = w[leaf + T_COUNT] - (m.lockedCounts[--m.lockedTables] as number);
  // An ordinary fault: the entry that came takes over the walker's reference.
  if (change === 1 && (w[leaf + T_STATE] & T_BORN) === 0 && MUTANT !== MUTANT_LATE_COUNT) {
    m.unlock(leaf + T_LOCK);
  } else {
    unlockChanged(m, owner, leaf, change);
  }
}

/**
 * Entries that came take their references before anybody else can lock the table and give them back;
 * those that went give theirs back with the walker's.
 */
function unlockChanged(m: Machine, owner: number, leaf: number, change: number): void {
  const w = m.words;
  const state = w[leaf + T_STATE];
  let refs = 1 - change;
  if ((state & T_BORN) !== 0) {
    w[leaf + T_STATE] = state & ~T_BORN;
    refs += 1;
  }
  const isLate = MUTANT === MUTANT_LATE_COUNT && change > 0;
  if (isLate) refs += change;
  if (refs < 0) {
    putTable(m, leaf, refs);
    refs = 0;
  }
  if (m.tableRefs === REFS_PERCPU) freezeIfEmpty(m, leaf);
  m.unlock(leaf + T_LOCK);
  if (refs !== 0 && putTable(m, leaf, refs)) freeUnreferenced(m, owner, leaf);
  if (isLate) {
    racePoint();
    putTable(m, leaf, -change);
  }
}

/** The last reference was put: nobody can get one any more (free_pte_table of pte_ref v3). */
function freeUnreferenced(m: Machine, owner: number, leaf: number): void {
  if (HAS_RACE_POINTS) racePoint();
  const parent = m.words[leaf + T_PARENT];
  m.lock(parent + T_LOCK);
  m.lock(leaf + T_LOCK);
  assert(m.words[leaf + T_COUNT] === 0, 'a table without references holds entries');
  unhook(m, owner, leaf);
  m.unlock(leaf + T_LOCK);
  m.unlock(parent + T_LOCK);
  freeUnhooked(m, owner, leaf);
}

/**
 * Takes an empty last-level table out of its tree and frees it; false if it is gone already or holds
 * entries again. Shared machines; the caller holds no spin lock. Where references are counted, they
 * decide, and this is for a stopped world.
 */
export function freeEmptyLeaf(m: Machine, owner: number, leaf: number): boolean {
  if (m.tableRefs !== REFS_LOCKED && !m.isWorldStopped) return false;
  return freeIfUnused(m, owner, leaf, 0);
}

/** The same for a table that must also be in a state: all `wanted` bits of T_STATE. */
export function freeIfUnused(m: Machine, owner: number, leaf: number, wanted: number): boolean {
  const w = m.words;
  const parent = w[leaf + T_PARENT];
  if (parent === 0) return false;
  if (HAS_RACE_POINTS) racePoint();
  m.lock(parent + T_LOCK);
  m.lock(leaf + T_LOCK);
  const state = w[leaf + T_STATE];
  const isStill =
    w[leaf + T_PARENT] === parent &&
    (state & T_DEAD) === 0 &&
    (state & wanted) === wanted &&
    w[leaf + T_COUNT] === 0 &&
    ((state & T_COUNTED) === 0 || sumRefs(m, leaf) === 0);
  const by = isStill && owner === 0 ? ownerOfTable(m, leaf) : owner;
  if (isStill) unhook(m, by, leaf);
  m.unlock(leaf + T_LOCK);
  m.unlock(parent + T_LOCK);
  if (isStill) freeUnhooked(m, by, leaf);
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
