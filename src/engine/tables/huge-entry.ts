import type { Machine } from '../machine.ts';
import { C_HUGE, C_HUGE_SPLITS, mmCounters } from '../space/mm.ts';
import { ENTRY_ZERO, KIND_MASK } from './entry.ts';
import { ownerOfTable, T_RULE, T_STATE } from './table.ts';

/**
 * A PMD that maps 2 MiB. Linux keeps a page table for it in reserve (pgtable_trans_huge_deposit),
 * which counts in VmPTE as any other; so here it is that table: a RUN over all its entries, with
 * T_HUGE. What reads entries needs not know. What changes a part of them makes them single ones and
 * so takes the mark away, which is Linux's split of the mapping (__split_huge_pmd).
 *
 * The huge zero page is such a run of zero entries; its frame word is 0.
 */
export const T_HUGE: number = 1 << 18;

export function isHuge(m: Machine, table: number): boolean {
  return (m.words[table + T_STATE] & T_HUGE) !== 0;
}

/** True for the mapping of the huge zero page. */
export function isHugeZero(m: Machine, table: number): boolean {
  return ((m.words[table + T_RULE] >>> 20) & KIND_MASK) === ENTRY_ZERO;
}

/** A table that was just made a run over all its entries maps a huge page. */
export function markHuge(m: Machine, mm: number, table: number): void {
  m.words[table + T_STATE] |= T_HUGE;
  if (!isHugeZero(m, table)) m.words[mmCounters(m, mm) + C_HUGE] += 1;
}

/** The mark goes, and AnonHugePages with it; the entries stay. Nothing for other tables. */
export function unmarkHuge(m: Machine, table: number): void {
  const w = m.words;
  if ((w[table + T_STATE] & T_HUGE) === 0) return;
  w[table + T_STATE] &= ~T_HUGE;
  if (!isHugeZero(m, table)) w[mmCounters(m, ownerOfTable(m, table)) + C_HUGE] -= 1;
}

/** The mapping becomes 512 small ones (__split_huge_pmd). */
export function splitHuge(m: Machine, table: number): void {
  const w = m.words;
  if ((w[table + T_STATE] & T_HUGE) === 0) return;
  w[mmCounters(m, ownerOfTable(m, table)) + C_HUGE_SPLITS] += 1;
  unmarkHuge(m, table);
}
