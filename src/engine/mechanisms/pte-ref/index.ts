import type { Machine } from '../../machine.ts';
import { REFS_ATOMIC, REFS_LOCKED, REFS_PERCPU } from '../../tables/table-refs.ts';
import type { Mechanism } from '../mechanism.ts';

/**
 * Refcounted page-table pages (Qi Zheng, "Free user PTE page table pages", v3, November 2021;
 * "Improvement of PTE page table management", CLK 2021): the count of a last-level table covers
 * its entries that are not none and the walkers in flight, and the table is freed the moment the count
 * is zero, wherever the last entry went: MADV_DONTNEED, munmap, truncation, reclaim, migration, a
 * move. Upper tables stay, as published.
 *
 * On an exclusive machine there are no walkers in flight, so the engine's count is the reference
 * count, and the three variants do the same. On a shared one they differ in what a fault pays and in
 * when a table goes (tables/table-refs.ts).
 */
export const pteRef: Mechanism = {
  id: 'pte-ref',
  title: 'PTE tables freed when their last entry goes (counted)',
  excludes: {
    'pte-ref-lock': 'two ways to count the same references',
    'pte-ref-percpu': 'two ways to count the same references',
  },
  attach: (m) => countBy(m, REFS_ATOMIC),
};

/** The count under the table's lock, walkers look again: what the engine counts in any case. */
export const pteRefLock: Mechanism = {
  id: 'pte-ref-lock',
  variantOf: 'pte-ref',
  title: 'pte-ref without counting walkers, under the table lock',
  excludes: { 'pte-ref-percpu': 'two ways to count the same references' },
  attach: (m) => countBy(m, REFS_LOCKED),
};

/** A counter for each cpu, frozen when the table is empty (the RFC of April 2022; Edinburgh). */
export const pteRefPercpu: Mechanism = {
  id: 'pte-ref-percpu',
  variantOf: 'pte-ref',
  title: 'pte-ref with a counter for each cpu, frozen and summed',
  excludes: {},
  attach: (m) => countBy(m, REFS_PERCPU),
};

function countBy(m: Machine, refs: number): void {
  m.events.tableEmptied = freeAtZero;
  if (m.isShared) m.tableRefs = refs;
}

function freeAtZero(): boolean {
  return true;
}
