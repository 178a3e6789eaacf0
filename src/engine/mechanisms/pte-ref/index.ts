import type { Mechanism } from '../mechanism.ts';

/**
 * Refcounted page-table pages (Qi Zheng, "Free user PTE page table pages", v3, November 2021;
 * "Improvement of PTE page table management", CLK 2021): the count of a last-level table covers
 * its entries that are not none, and the table is freed the moment the count is zero, wherever the
 * last entry went: MADV_DONTNEED, munmap, truncation, reclaim, migration, a move. Upper tables stay,
 * as published.
 *
 * On an exclusive machine there are no walkers in flight, so the engine's count is the reference
 * count.
 */
export const pteRef: Mechanism = {
  id: 'pte-ref',
  title: 'PTE tables freed as soon as their last entry goes (refcounted)',
  excludes: {},
  attach(m) {
    m.events.tableEmptied = freeAtZero;
  },
};

function freeAtZero(): boolean {
  return true;
}
