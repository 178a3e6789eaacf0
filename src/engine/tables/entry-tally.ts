import type { Machine } from '../machine.ts';
import { C_GUARD, C_SPECIAL, C_SWAP, C_ZERO, mmCounters } from '../space/mm.ts';
import {
  ENTRY_GUARD,
  ENTRY_NONE,
  ENTRY_OBJECT,
  ENTRY_PAGE,
  ENTRY_SPECIAL,
  ENTRY_SWAP,
  KIND_MASK,
} from './entry.ts';
import { entryFlags, runFlags, runHigh, runLow } from './leaf.ts';
import { FORM_RUN, T_RULE, tableForm } from './table.ts';
import { rssCounter } from './zap.ts';

/** In which counter of an address space (C_*) an entry that is not none is. */
function counterOf(flags: number, shmem: boolean): number {
  switch (flags & KIND_MASK) {
    case ENTRY_PAGE:
      return rssCounter(flags, shmem);
    case ENTRY_SWAP:
      return C_SWAP;
    case ENTRY_GUARD:
      return C_GUARD;
    case ENTRY_SPECIAL:
      return C_SPECIAL;
    default:
      return C_ZERO;
  }
}

/**
 * The entries of a last-level table are counted for the address space `to` instead of `from`.
 * `isShmemAt` is asked for pages of objects, by their index in the table.
 */
export function countEntries(
  m: Machine,
  from: number,
  to: number,
  table: number,
  isShmemAt: (index: number) => boolean,
): void {
  const w = m.words;
  const less = mmCounters(m, from);
  const more = mmCounters(m, to);
  const isRun = tableForm(m, table) === FORM_RUN;
  const low = isRun ? runLow(w[table + T_RULE]) : 0;
  const high = isRun ? runHigh(w[table + T_RULE]) : m.entryCount;
  if (isRun && (runFlags(w[table + T_RULE]) & ENTRY_OBJECT) === 0) {
    const counter = counterOf(runFlags(w[table + T_RULE]), false);
    w[less + counter] -= high - low;
    w[more + counter] += high - low;
    return;
  }
  for (let i = low; i < high; i++) {
    const flags = entryFlags(m, table, i);
    if (flags === ENTRY_NONE) continue;
    const counter = counterOf(flags, (flags & ENTRY_OBJECT) !== 0 && isShmemAt(i));
    w[less + counter] -= 1;
    w[more + counter] += 1;
  }
}
