import { freeToPcp } from '../frames/pcp.ts';
import {
  CPU_DEFERRED,
  CPU_STATE,
  CPU_TICKS,
  CPU_WAITING,
  CPU_WORDS,
  H_CPUS,
  HEADER_WORDS,
} from '../layout.ts';
import type { Machine } from '../machine.ts';
import { T_PFN, T_RULE } from '../tables/table.ts';
import { MUTANT, MUTANT_NO_GRACE } from './test-switches.ts';
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

/** Gives the frame of an unhooked table back, as soon as that may be. */
export function freeAfterGrace(m: Machine, table: number): void {
  const w = m.words;
  if (!m.isShared || m.isWorldStopped || MUTANT === MUTANT_NO_GRACE) {
    freeToPcp(m, w[table + T_PFN], table);
    return;
  }
  const head = m.cpuAt + CPU_DEFERRED;
  w[table + T_RULE] = w[head];
  w[head] = table;
  m.deferredCount += 1;
  if (m.deferredCount >= BATCH) advanceGrace(m);
}

/** Frees what has waited long enough and starts the next grace period. Called by the list's own thread. */
export function advanceGrace(m: Machine): void {
  const w = m.words;
  const waiting = m.cpuAt + CPU_WAITING;
  if (w[waiting] !== 0) {
    if (!hasGracePassed(m)) return;
    freeList(m, waiting);
  }
  w[waiting] = w[m.cpuAt + CPU_DEFERRED];
  w[m.cpuAt + CPU_DEFERRED] = 0;
  m.deferredCount = 0;
  beginGrace(m);
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
    freeList(m, at + CPU_WAITING);
    freeList(m, at + CPU_DEFERRED);
  }
}

function freeList(m: Machine, head: number): void {
  const w = m.words;
  for (let table = w[head]; table !== 0; ) {
    const next = w[table + T_RULE];
    freeToPcp(m, w[table + T_PFN], table);
    table = next;
  }
  w[head] = 0;
}
