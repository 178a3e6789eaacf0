import { H_FRAMES } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { C_ZERO, MM_LOCKED_VM, mmCounters, mmDouble } from '../../space/mm.ts';
import { raiseSequence } from '../../space/mmap-lock.ts';
import { VM_LOCKED } from '../../space/vm-flags.ts';
import { findVma, V_FLAGS, vmaEnd, vmaStart } from '../../space/vma.ts';
import { countFreedTables } from '../../tables/emptied.ts';
import { ENTRY_NONE, ENTRY_ZERO, KIND_MASK } from '../../tables/entry.ts';
import { entryFlags, removeEntry } from '../../tables/leaf.ts';
import { OWNER_KIND, OWNER_MM } from '../../tables/owner.ts';
import {
  countStored,
  K_FREED,
  K_PICKS,
  K_REFUSED,
  poolFrames,
  STORED_COMPRESSED,
  STORED_SWAPPED,
  storeTable,
} from '../../tables/stored.ts';
import {
  FORM_RUN,
  ownerOfTable,
  T_COUNT,
  T_PARENT,
  T_STATE,
  TABLE_FROZEN,
  tableForm,
  tableIndex,
  tableLevel,
} from '../../tables/table.ts';
import { entrySpan, freeTable } from '../../tables/walk.ts';
import { tableBelow } from './entries.ts';

/** How a table with entries is kept without its frame. */
export type StoreWay = 'compress' | 'swap';

export const DEFAULT_WAYS: readonly StoreWay[] = ['compress', 'swap'];

/** The pool takes at most this share of memory, as zswap's max_pool_percent. */
const POOL_MAX_SHARE = 0.2;

/**
 * Reclaims the table that the entry names, if it may go: frozen, looked at, and freed or stored.
 * The frames that this freed, less those that the pool took: 1, 0 or -1.
 */
export function reclaimTable(
  m: Machine,
  parent: number,
  index: number,
  ways: readonly StoreWay[],
): number {
  const w = m.words;
  const table = tableBelow(m, parent, index);
  countStored(m, K_PICKS, 1);
  // The fault that is waiting for memory may be working on the table of its last walk.
  if (table === 0 || table === m.walkLeaf || (w[table + T_STATE] & TABLE_FROZEN) !== 0) return 0;
  const owner = ownerOfTable(m, parent);
  if (isLocked(m, owner, table)) return 0;
  w[table + T_STATE] |= TABLE_FROZEN;
  if (isWorthless(m, table)) {
    dropZeroPages(m, owner, table);
    // What other threads remember of the table; they stand still now (frames/make-room.ts).
    if (m.isShared) raiseSequence(m, owner);
    freeTable(m, owner, table);
    countFreedTables(m, owner, 1);
    countStored(m, K_FREED, 1);
    return 1;
  }
  const before = poolFrames(m);
  for (const way of ways) {
    if (way === 'compress' && before > w[H_FRAMES] * POOL_MAX_SHARE) continue;
    const form = way === 'compress' ? STORED_COMPRESSED : STORED_SWAPPED;
    if (storeTable(m, owner, table, form)) return 1 - (poolFrames(m) - before);
  }
  w[table + T_STATE] &= ~TABLE_FROZEN;
  countStored(m, K_REFUSED, 1);
  return 0;
}

/** Nothing but empty entries and zero pages: a read maps the zero page again. */
function isWorthless(m: Machine, table: number): boolean {
  if (m.words[table + T_COUNT] === 0) return true;
  if (tableForm(m, table) === FORM_RUN) return false;
  let left = m.words[table + T_COUNT];
  for (let i = 0; left > 0; i++) {
    const flags = entryFlags(m, table, i);
    if (flags === ENTRY_NONE) continue;
    if ((flags & KIND_MASK) !== ENTRY_ZERO) return false;
    left--;
  }
  return true;
}

function dropZeroPages(m: Machine, owner: number, table: number): void {
  const zeros = m.words[table + T_COUNT];
  for (let i = 0; m.words[table + T_COUNT] > 0; i++) {
    if (entryFlags(m, table, i) !== ENTRY_NONE) removeEntry(m, owner, table, i);
  }
  m.words[mmCounters(m, owner) + C_ZERO] -= zeros;
}

/** Memory locked by mlock is promised to be there at once: its tables stay. */
function isLocked(m: Machine, owner: number, table: number): boolean {
  if (m.words[owner + OWNER_KIND] !== OWNER_MM || mmDouble(m, owner, MM_LOCKED_VM) === 0) {
    return false;
  }
  const start = firstPage(m, table);
  for (let at = start; at < start + m.entryCount; ) {
    const vma = findVma(m, owner, at);
    if (vma === 0 || vmaStart(m, vma) >= start + m.entryCount) return false;
    if ((m.words[vma + V_FLAGS] & VM_LOCKED) !== 0) return true;
    at = vmaEnd(m, vma);
  }
  return false;
}

/** First page of a table's span, from its indexes upwards. */
function firstPage(m: Machine, table: number): number {
  let page = 0;
  let at = table;
  for (let level = tableLevel(m, at); level < m.geometry.levels - 1; level++) {
    page += tableIndex(m, at) * entrySpan(m, level + 1);
    at = m.words[at + T_PARENT];
  }
  return page;
}
