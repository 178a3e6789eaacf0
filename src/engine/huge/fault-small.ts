import { FAULT_DONE, WRITTEN_PAGE } from '../fault/fault-codes.ts';
import { formatAnonFrame } from '../fault/handle-fault.ts';
import { markSmallFolio } from '../frames/small-folio.ts';
import type { Machine } from '../machine.ts';
import { anonVmaPrepare } from '../objects/anon-vma.ts';
import { C_ANON, C_FAULTS, mmCounters } from '../space/mm.ts';
import { VM_HUGEPAGE } from '../space/vm-flags.ts';
import { V_ANON_VMA, V_FLAGS, vmaEnd, vmaStart } from '../space/vma.ts';
import { ENTRY_NONE } from '../tables/entry.ts';
import { addEntry, entryFlags } from '../tables/leaf.ts';
import { ensureTable } from '../tables/walk.ts';
import { couldBeHuge } from './eligible.ts';
import { NOT_HUGE } from './fault-huge.ts';
import { allocForFault } from './huge-frame.ts';

/**
 * A first write to a page of private anonymous memory where pages of 16 KiB to 1 MiB are on
 * (alloc_anon_folio, mm/memory.c): the largest size that is on for the area, whose aligned range lies in
 * it and has no entry yet; where no such block is free, the next smaller one. NOT_HUGE: a single page.
 */
export function faultSmall(
  m: Machine,
  mm: number,
  vma: number,
  leaf: number,
  hi: number,
  lo: number,
): number {
  let orders = ordersFor(m, vma);
  const page = hi * m.loPages + lo;
  while (orders !== 0 && !isRoom(m, vma, leaf, page, highest(orders))) {
    orders &= ~(1 << highest(orders));
  }
  if (orders === 0) return NOT_HUGE;
  if (m.words[vma + V_ANON_VMA] === 0) anonVmaPrepare(m, vma);
  for (; orders !== 0; orders &= ~(1 << highest(orders))) {
    const order = highest(orders);
    const pfn = allocForFault(m, vma, order);
    if (pfn !== 0) {
      mapFolio(m, mm, vma, hi, lo & -(1 << order), pfn, order);
      return FAULT_DONE;
    }
    m.sizeFallbacks[order]! += 1;
  }
  return NOT_HUGE;
}

function highest(orders: number): number {
  return 31 - Math.clz32(orders);
}

/** The orders that are on for an area (thp_vma_allowable_orders). */
function ordersFor(m: Machine, vma: number): number {
  const { sizeOrders } = m;
  if (sizeOrders === null || !couldBeHuge(m, vma)) return 0;
  const isAdvised = (m.words[vma + V_FLAGS] & VM_HUGEPAGE) !== 0;
  let orders = sizeOrders.always;
  if (isAdvised) orders |= sizeOrders.madvise;
  const { enabled } = m.huge;
  if (enabled === 'always' || (isAdvised && enabled === 'madvise')) orders |= sizeOrders.inherit;
  return orders;
}

/** The aligned range of the order around the page lies in the area, and nothing stands in it. */
function isRoom(m: Machine, vma: number, leaf: number, page: number, order: number): boolean {
  const frames = 1 << order;
  const first = page - (page % frames);
  if (first < vmaStart(m, vma) || first + frames > vmaEnd(m, vma)) return false;
  const index = first % m.entryCount;
  for (let i = index; i < index + frames; i++) {
    if (entryFlags(m, leaf, i) !== ENTRY_NONE) return false;
  }
  return true;
}

function mapFolio(
  m: Machine,
  mm: number,
  vma: number,
  hi: number,
  lo: number,
  pfn: number,
  order: number,
): void {
  // Compaction inside the allocation may have moved what was looked up before; the tables are there.
  const leaf = ensureTable(m, mm, 0, hi, lo);
  for (let i = 0; i < 1 << order; i++) {
    formatAnonFrame(m, pfn + i, vma, hi, lo + i);
    addEntry(m, mm, leaf, (lo + i) & m.mask, WRITTEN_PAGE, pfn + i);
  }
  markSmallFolio(m, pfn, order);
  const counters = mmCounters(m, mm);
  m.words[counters + C_ANON] += 1 << order;
  m.words[counters + C_FAULTS] += 1;
  m.sizeFaults[order]! += 1;
  m.sizeExtraPages += (1 << order) - 1;
}
