import {
  CPU_DEFERRED,
  CPU_FROZEN,
  CPU_FROZEN_WAITING,
  CPU_STATE,
  CPU_TICKS,
  CPU_WAITING,
  CPU_WORDS,
  H_CPUS,
  HEADER_WORDS,
} from '../layout.ts';
import type { Machine } from '../machine.ts';
import { freeIfUnused } from '../tables/leaf-lock.ts';
import { T_COUNT, T_DEAD, T_INDEX, T_LOCK, T_STATE } from '../tables/table.ts';
import { queueFrozen, T_FREEZING, T_QUEUED, T_THAWED, takeFrozen } from '../tables/table-refs.ts';
import { freeAfterGrace, freeFrame } from './deferred.ts';
import { CPU_ONLINE } from './world.ts';

/**
 * Deferred freeing (RCU, of the quiescent-state kind): a table that was taken out of its tree keeps
 * its frame until no thread can still hold a reference to it.
 *
 * A thread holds references only inside an operation, and counts its operations as they end, by a
 * plain store. A store may become visible late, when the next operation has begun already and read
 * an old reference. Stores of one thread do not overtake its earlier loads, so when a count has
 * risen by two, an operation that began after the table went lies wholly in between. Threads that
 * are offline or parked hold nothing.
 *
 * Each cpu has two lists: tables taken away since the grace period began, and those that wait for it.
 */

/** Tables on the first list that make a look worth it. */
const BATCH = 32;

/** At the end of an operation of the lists' own thread: it holds no lock then. */
export function advanceGraceIfMany(m: Machine): void {
  if (m.deferredCount >= BATCH) advanceGrace(m);
}

/** Frees what has waited long enough and starts the next grace period. */
function advanceGrace(m: Machine): void {
  const w = m.words;
  const waiting = m.cpuAt + CPU_WAITING;
  const frozen = m.cpuAt + CPU_FROZEN_WAITING;
  if ((w[waiting] | w[frozen]) !== 0) {
    if (!hasGracePassed(m)) return;
    freeList(m, waiting);
    lookAtFrozen(m, frozen);
  }
  w[waiting] = w[m.cpuAt + CPU_DEFERRED];
  w[m.cpuAt + CPU_DEFERRED] = 0;
  w[frozen] = w[m.cpuAt + CPU_FROZEN];
  w[m.cpuAt + CPU_FROZEN] = 0;
  m.deferredCount = 0;
  beginGrace(m);
}

/** Tables that were frozen a grace period ago: who had a reference then has put it. */
function lookAtFrozen(m: Machine, head: number): void {
  for (let table = takeFrozen(m, head); table !== 0; table = takeFrozen(m, head)) {
    if (decideFrozen(m, table)) continue;
    freeIfUnused(m, 0, table, T_FREEZING);
  }
}

/** What the table's own lock is enough for; false if it is frozen still, and may be free to go. */
function decideFrozen(m: Machine, table: number): boolean {
  const w = m.words;
  const at = table + T_STATE;
  m.lock(table + T_LOCK);
  const state = w[at];
  const isDead = (state & T_DEAD) !== 0;
  const isThawed = (state & T_THAWED) !== 0;
  const isAgain = !isDead && isThawed && w[table + T_COUNT] === 0;
  w[at] = state & ~(T_THAWED | T_QUEUED);
  if (isAgain) w[at] |= T_FREEZING | T_QUEUED;
  else if (isThawed) w[at] &= ~T_FREEZING;
  m.unlock(table + T_LOCK);
  if (isAgain) queueFrozen(m, table);
  else if (isDead) freeAfterGrace(m, table);
  return isDead || isThawed;
}

function beginGrace(m: Machine): void {
  const w = m.words;
  for (let cpu = 0; cpu < w[H_CPUS]; cpu++) {
    m.graceTicks[cpu] = Atomics.load(w, HEADER_WORDS + cpu * CPU_WORDS + CPU_TICKS);
  }
}

/** True if every thread was outside all operations once since `beginGrace`. */
function hasGracePassed(m: Machine): boolean {
  const w = m.words;
  for (let cpu = 0; cpu < w[H_CPUS]; cpu++) {
    if (cpu === m.cpu) continue;
    const at = HEADER_WORDS + cpu * CPU_WORDS;
    if (Atomics.load(w, at + CPU_STATE) !== CPU_ONLINE) continue;
    const ended = (Atomics.load(w, at + CPU_TICKS) - (m.graceTicks[cpu] as number)) | 0;
    if (ended < 2) return false;
  }
  return true;
}

/** Frees what all threads have deferred. Only while nobody else is inside an operation. */
export function releaseDeferred(m: Machine): void {
  for (let cpu = 0; cpu < m.words[H_CPUS]; cpu++) {
    const at = HEADER_WORDS + cpu * CPU_WORDS;
    releaseFrozen(m, at + CPU_FROZEN_WAITING);
    releaseFrozen(m, at + CPU_FROZEN);
  }
  for (let cpu = 0; cpu < m.words[H_CPUS]; cpu++) {
    const at = HEADER_WORDS + cpu * CPU_WORDS;
    freeList(m, at + CPU_WAITING);
    freeList(m, at + CPU_DEFERRED);
  }
}

function releaseFrozen(m: Machine, head: number): void {
  const w = m.words;
  for (let table = takeFrozen(m, head); table !== 0; table = takeFrozen(m, head)) {
    w[table + T_STATE] &= ~(T_THAWED | T_QUEUED | T_FREEZING);
    if ((w[table + T_STATE] & T_DEAD) !== 0) freeFrame(m, table);
    else freeIfUnused(m, 0, table, 0);
  }
}

function freeList(m: Machine, head: number): void {
  const w = m.words;
  for (let table = w[head]; table !== 0; ) {
    const next = w[table + T_INDEX];
    freeFrame(m, table);
    table = next;
  }
  w[head] = 0;
}
