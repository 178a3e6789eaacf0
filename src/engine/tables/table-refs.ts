import { arenaAllocZeroed, arenaFree, CLASS_8, classFor } from '../arena.ts';
import { CPU_FROZEN, H_CPUS } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { T_COUNT, T_STATE } from './table.ts';

/**
 * References to a last-level table on a shared machine: one for each entry that is not none and one
 * for each walker between having found the table and being done with it. Three ways to keep them:
 *
 *   REFS_LOCKED   T_COUNT alone, under the table's lock; walkers look again after they locked it
 *                 (what Linux has done since 6.5, and what the engine does without a mechanism)
 *   REFS_ATOMIC   one word (pte_ref v3, November 2021): got unless zero, put; whoever puts the last
 *                 one frees the table
 *   REFS_PERCPU   a word for each cpu (percpu_ref RFC, April 2022; "A Case for Page Table Reclaim"):
 *                 no shared word is written. A table without entries is frozen, nobody gets a reference
 *                 any more, and after a grace period the words are summed: at zero it is freed. Who
 *                 needs a frozen table thaws it, and the sum is put off.
 *
 * Shared machines never have runs, so T_RULE is free: it holds the count, or the per-cpu words.
 */
export const REFS_LOCKED = 0;
export const REFS_ATOMIC = 1;
export const REFS_PERCPU = 2;

/** T_RULE (a literal, for the two modules import each other). */
export const T_REFS = 7;

/** The table's references are counted in T_REFS. */
export const T_COUNTED: number = 1 << 13;
/** The reference of whoever made the table is still there: the first unlock drops it. */
export const T_BORN: number = 1 << 14;
/** Nobody gets a reference. */
export const T_FREEZING: number = 1 << 15;
/** Stands on some cpu's list of frozen tables, which looks at it after a grace period. */
export const T_QUEUED: number = 1 << 16;
/** Was thawed since it was put on that list. */
export const T_THAWED: number = 1 << 17;

function refsClass(m: Machine): number {
  return classFor(m.words[H_CPUS]);
}

/** A new table of an address space, with its maker's reference. */
export function initRefs(m: Machine, table: number): void {
  const w = m.words;
  w[table + T_STATE] |= T_COUNTED | T_BORN;
  if (m.tableRefs === REFS_ATOMIC) {
    w[table + T_REFS] = 1;
    return;
  }
  w[table + T_REFS] = arenaAllocZeroed(m, refsClass(m));
  w[w[table + T_REFS] + m.cpu] = 1;
}

/** The table's frame goes back: so do its per-cpu words. */
export function freeRefs(m: Machine, table: number): void {
  const isPerCpu = m.tableRefs === REFS_PERCPU && (m.words[table + T_STATE] & T_COUNTED) !== 0;
  if (isPerCpu) arenaFree(m, refsClass(m), m.words[table + T_REFS]);
}

/** A walker's reference; false if the table is on its way out. */
export function getTable(m: Machine, table: number): boolean {
  const w = m.words;
  if (m.tableRefs === REFS_PERCPU) {
    // Frozen: `lockLeaf` thaws it, under the table's lock.
    w[w[table + T_REFS] + m.cpu] += 1;
    return true;
  }
  for (;;) {
    // A plain load suffices: what is out of date fails the exchange, and zero is for ever.
    const refs = w[table + T_REFS];
    if (refs <= 0) return false;
    if (Atomics.compareExchange(w, table + T_REFS, refs, refs + 1) === refs) return true;
  }
}

/** Gives `refs` references back (below 0: takes some); true if they were the last, never for per-cpu words. */
export function putTable(m: Machine, table: number, refs: number): boolean {
  const w = m.words;
  if (m.tableRefs === REFS_PERCPU) {
    w[w[table + T_REFS] + m.cpu] -= refs;
    return false;
  }
  return Atomics.sub(w, table + T_REFS, refs) === refs;
}

/** An entry went while the world was stopped, so nobody but its entries refers to the table. */
export function putEntry(m: Machine, table: number): void {
  if ((m.words[table + T_STATE] & T_COUNTED) !== 0) putTable(m, table, 1);
}

/** All references together; exact while nobody can get one. */
export function sumRefs(m: Machine, table: number): number {
  const w = m.words;
  if (m.tableRefs !== REFS_PERCPU) return w[table + T_REFS];
  let sum = 0;
  for (let cpu = 0; cpu < w[H_CPUS]; cpu++) sum += w[w[table + T_REFS] + cpu];
  return sum;
}

// Frozen tables of a cpu: a chain of nodes, for the table's own words are in use.
const N_TABLE = 0;
const N_NEXT = 1;

/** Freezes a table that has no entries, or notes that it was frozen again. Under the table's lock. */
export function freezeIfEmpty(m: Machine, table: number): void {
  const w = m.words;
  const state = w[table + T_STATE];
  if (w[table + T_COUNT] !== 0 || (state & T_FREEZING) !== 0) return;
  w[table + T_STATE] = state | T_FREEZING | T_QUEUED;
  if ((state & T_QUEUED) === 0) queueFrozen(m, table);
}

export function queueFrozen(m: Machine, table: number): void {
  const w = m.words;
  const node = arenaAllocZeroed(m, CLASS_8);
  w[node + N_TABLE] = table;
  w[node + N_NEXT] = w[m.cpuAt + CPU_FROZEN];
  w[m.cpuAt + CPU_FROZEN] = node;
  m.deferredCount += 1;
}

/** Whoever needs a frozen table after all takes the freeze back. Under the table's lock. */
export function thaw(m: Machine, table: number): void {
  const w = m.words;
  if ((w[table + T_STATE] & T_FREEZING) === 0) return;
  w[table + T_STATE] = (w[table + T_STATE] & ~T_FREEZING) | T_THAWED;
}

/** Takes the first table off a list of frozen ones (its head word); 0 if there is none. */
export function takeFrozen(m: Machine, head: number): number {
  const w = m.words;
  const node = w[head];
  if (node === 0) return 0;
  const table = w[node + N_TABLE];
  w[head] = w[node + N_NEXT];
  arenaFree(m, CLASS_8, node);
  return table;
}
