import { shareCountsOf } from '../counts/share-counts.ts';
import { allocFrame } from '../frames/alloc.ts';
import { frameRecord, TYPE_MASK, TYPE_MORSEL_TABLE, TYPE_TABLE } from '../frames/frame-record.ts';
import { MIGRATE_UNMOVABLE } from '../frames/pageblock.ts';
import { freeToPcp } from '../frames/pcp.ts';
import type { Machine } from '../machine.ts';
import { O_VMAS } from '../objects/object.ts';
import { MM_HUGETLB_TABLES } from '../space/mm.ts';
import { VM_LOCKED_MASK } from '../space/vm-flags.ts';
import {
  V_FLAGS,
  V_MM,
  V_OBJECT,
  V_OBJECT_NEXT,
  vmaEnd,
  vmaPgoff,
  vmaStart,
} from '../space/vma.ts';
import { isLink, linkHeld, unlinkHeld } from '../tables/link.ts';
import {
  countTables,
  dropContents,
  formatTable,
  linkTable,
  T_PFN,
  T_STATE,
} from '../tables/table.ts';
import { ensureTable, findTable } from '../tables/walk.ts';
import { coversTable, isSharedArea } from './area.ts';
import { trimHugeEntries } from './entries.ts';
import type { Hugetlb } from './window-ops.ts';

/**
 * Tables of level 1 of shared mappings that cover a whole GiB: any mapping of the object at the same place
 * may have the same one (huge_pmd_share). Such a table hangs as a link (tables/link.ts) in every address
 * space that has it and is nobody's own; how many have it is in the share counts, where no entry means one.
 * All other tables of level 1 are an address space's own, as ever.
 */

/** The table whose entries are the page's, 0 if there is none. */
export function findPmdTable(m: Machine, mm: number, page: number): number {
  return findTable(m, mm, 1, Math.floor(page / m.loPages), 0);
}

/** The same, made or taken from another mapping where missing (huge_pte_alloc); 0 when memory is out. */
export function ensurePmdTable(m: Machine, hugetlb: Hugetlb, vma: number, page: number): number {
  const mm = m.words[vma + V_MM];
  const present = findPmdTable(m, mm, page);
  if (present !== 0) return present;
  const hi = Math.floor(page / m.loPages);
  if (!mayShare(m, hugetlb, vma, page)) return ensureTable(m, mm, 1, hi, 0);
  const upper = ensureTable(m, mm, 2, hi, 0);
  if (upper === 0) return 0;
  let table = findSharer(m, vma, page);
  if (table === 0) {
    table = tableNew(m, hugetlb);
    if (table === 0) return 0;
  } else {
    shareCountsOf(m).inc(m.words[table + T_PFN]);
    hugetlb.work.shares += 1;
  }
  linkHeld(m, upper, hi & m.mask, table);
  m.words[mm + MM_HUGETLB_TABLES] += 1;
  return table;
}

/** The table that a fault at the page would take from another mapping; 0 for none. */
export function sharedTableFor(m: Machine, hugetlb: Hugetlb, vma: number, page: number): number {
  return mayShare(m, hugetlb, vma, page) ? findSharer(m, vma, page) : 0;
}

/** want_pmd_share. */
function mayShare(m: Machine, hugetlb: Hugetlb, vma: number, page: number): boolean {
  return hugetlb.sharesTables && isSharedArea(m, vma) && coversTable(m, vma, page);
}

/** The table of another area with the same entries at the same place of a table (page_table_shareable). */
function findSharer(m: Machine, vma: number, page: number): number {
  const w = m.words;
  const flags = w[vma + V_FLAGS] & ~VM_LOCKED_MASK;
  const offset = page - vmaStart(m, vma) + vmaPgoff(m, vma);
  for (let other = w[w[vma + V_OBJECT] + O_VMAS]; other !== 0; other = w[other + V_OBJECT_NEXT]) {
    if (other === vma || (w[other + V_FLAGS] & ~VM_LOCKED_MASK) !== flags) continue;
    const there = offset - vmaPgoff(m, other) + vmaStart(m, other);
    if (there < vmaStart(m, other) || there >= vmaEnd(m, other)) continue;
    if (there % m.loPages !== page % m.loPages || !coversTable(m, other, there)) continue;
    if (!hasLink(m, w[other + V_MM], there)) continue;
    return findPmdTable(m, w[other + V_MM], there);
  }
  return 0;
}

/** True if the page's table hangs as a link. */
export function hasLink(m: Machine, mm: number, page: number): boolean {
  const hi = Math.floor(page / m.loPages);
  const upper = findTable(m, mm, 2, hi, 0);
  return upper !== 0 && isLink(m, upper, hi & m.mask);
}

/** True for a table that more than one address space (or area) has. */
export function isSharedPmd(m: Machine, table: number): boolean {
  return m.shareCounts !== null && m.shareCounts.get(m.words[table + T_PFN]) > 1;
}

/**
 * Takes the page's table out of the address space if others have it too (huge_pmd_unshare): the GiB is
 * unmapped here, and comes back by faults. True if it was.
 */
export function unsharePmd(m: Machine, hugetlb: Hugetlb, mm: number, page: number): boolean {
  if (!hasLink(m, mm, page) || !isSharedPmd(m, findPmdTable(m, mm, page))) return false;
  const table = unlinkPmd(m, mm, page);
  shareCountsOf(m).dec(m.words[table + T_PFN]);
  hugetlb.work.unshares += 1;
  return true;
}

/** The area stays but is about to cover the table no more: its only user keeps the table as its own. */
export function adoptPmd(m: Machine, hugetlb: Hugetlb, mm: number, page: number): void {
  const w = m.words;
  const hi = Math.floor(page / m.loPages);
  const table = unlinkPmd(m, mm, page);
  w[table + T_STATE] = (w[table + T_STATE] & ~TYPE_MASK) | TYPE_TABLE;
  linkTable(m, findTable(m, mm, 2, hi, 0), hi & m.mask, table);
  countTables(m, mm, 1, 1);
  hugetlb.work.tables -= 1;
  m.events.upperTableMade?.(m, mm, table, 1);
}

/** Frees a table that hung as a link, had no other user and has no entries. */
export function freePmd(m: Machine, hugetlb: Hugetlb, mm: number, page: number): void {
  const table = unlinkPmd(m, mm, page);
  trimHugeEntries(m, table);
  dropContents(m, table);
  freeToPcp(m, m.words[table + T_PFN], table);
  hugetlb.work.tables -= 1;
}

function unlinkPmd(m: Machine, mm: number, page: number): number {
  const hi = Math.floor(page / m.loPages);
  m.words[mm + MM_HUGETLB_TABLES] -= 1;
  return unlinkHeld(m, findTable(m, mm, 2, hi, 0), hi & m.mask);
}

/** An empty table that is nobody's own; 0 when memory is out. */
function tableNew(m: Machine, hugetlb: Hugetlb): number {
  const pfn = allocFrame(m, MIGRATE_UNMOVABLE);
  if (pfn === 0) return 0;
  const table = frameRecord(m, pfn);
  formatTable(m, table, pfn, TYPE_MORSEL_TABLE, 1);
  const { work } = hugetlb;
  work.tables += 1;
  work.peakTables = Math.max(work.peakTables, work.tables);
  return table;
}
