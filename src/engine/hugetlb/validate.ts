import { assert } from '../../base/index.ts';
import { H_MM_LIST } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { objectsOf, type WindowFrames } from '../objects/window.ts';
import { MM_HUGETLB, MM_HUGETLB_TABLES, MM_NEXT } from '../space/mm.ts';
import { VM_HUGETLB_OWNER } from '../space/vm-flags.ts';
import { V_FLAGS, V_OBJECT, vmaAt, vmaEnd, vmaStart } from '../space/vma.ts';
import { T_PFN } from '../tables/table.ts';
import { coversTable, indexOfPage, isHugetlb, isSharedArea } from './area.ts';
import { countHugeEntries, frameOfEntry, HUGE_OF_FILE, HUGE_WRITE, hugeEntry } from './entries.ts';
import { fileOf, H_FILE, RESERVED, slotCount, slotOf } from './file.ts';
import { findPmdTable, hasLink } from './pmd-share.ts';
import { pageMappings } from './pool.ts';
import type { Hugetlb } from './window-ops.ts';

/** What a walk over all hugetlb areas finds. */
interface Found {
  /** Times that each page is mapped; a shared table's entries count once. */
  readonly maps: Map<number, number>;
  /** Links to each table of level 1 that is nobody's own. */
  readonly links: Map<number, number>;
  /** Entries seen in each other table of level 1. */
  readonly own: Map<number, number>;
  promised: number;
  anonPages: Set<number>;
}

/**
 * Recomputes from entries and arrays: map counts, links and their counts, the pool's numbers. Every page of
 * the pool is free, a file's, or private and mapped.
 */
export function validateHugetlb(m: Machine, hugetlb: Hugetlb): WindowFrames {
  const found: Found = {
    maps: new Map(),
    links: new Map(),
    own: new Map(),
    promised: 0,
    anonPages: new Set(),
  };
  for (let mm = m.words[H_MM_LIST]; mm !== 0; mm = m.words[mm + MM_NEXT]) {
    walkSpace(m, hugetlb, mm, found);
  }
  for (const [table, links] of found.links) {
    const kept = m.shareCounts?.get(m.words[table + T_PFN]) ?? 1;
    assert(kept === links, `mappings of a hugetlb table: ${links} found, ${kept} kept`);
  }
  assert(found.links.size === hugetlb.work.tables, `hugetlb tables: ${found.links.size} found`);
  for (const [table, entries] of found.own) {
    assert(countHugeEntries(m, table) === entries, 'a huge page outside any hugetlb area');
  }
  checkPool(m, hugetlb, found);
  // No entry means one: only tables that several have are in the share counts.
  const shared = [...found.links.values()].filter((links) => links > 1).length;
  return { tables: hugetlb.work.tables, pages: hugetlb.pool.total * m.entryCount, shared };
}

function walkSpace(m: Machine, hugetlb: Hugetlb, mm: number, found: Found): void {
  let links = 0;
  let mapped = 0;
  for (let at = 0, vma = vmaAt(m, mm, 0); vma !== 0; vma = vmaAt(m, mm, ++at)) {
    if (!isHugetlb(m, vma)) continue;
    assert((vmaStart(m, vma) | vmaEnd(m, vma)) % m.entryCount === 0, 'a hugetlb area is aligned');
    found.promised += promisedTo(m, vma);
    for (let from = vmaStart(m, vma); from < vmaEnd(m, vma); ) {
      const to = Math.min(vmaEnd(m, vma), (Math.floor(from / m.loPages) + 1) * m.loPages);
      const table = findPmdTable(m, mm, from);
      if (table !== 0) {
        const isLinked = hasLink(m, mm, from);
        links += isLinked ? 1 : 0;
        mapped += walkTable(m, vma, table, from, to, isLinked, found);
      }
      from = to;
    }
  }
  assert(links === m.words[mm + MM_HUGETLB_TABLES], `hugetlb tables of a space: ${links} found`);
  // With shared tables the kernel's own counter is that of who faulted, so it drifts.
  if (!hugetlb.sharesTables) assert(mapped === m.words[mm + MM_HUGETLB], `huge pages: ${mapped}`);
}

function promisedTo(m: Machine, vma: number): number {
  if ((m.words[vma + V_FLAGS] & VM_HUGETLB_OWNER) === 0) return 0;
  let promised = 0;
  for (let page = vmaStart(m, vma); page < vmaEnd(m, vma); page += m.entryCount) {
    if (slotOf(m, m.words[vma + V_OBJECT], indexOfPage(m, vma, page)) === 0) promised++;
  }
  return promised;
}

function walkTable(
  m: Machine,
  vma: number,
  table: number,
  from: number,
  to: number,
  isLinked: boolean,
  found: Found,
): number {
  if (isLinked) {
    assert(coversTable(m, vma, from), 'a shared table lies in one area');
    const links = (found.links.get(table) ?? 0) + 1;
    found.links.set(table, links);
    if (links > 1) return 0;
  }
  const file = fileOf(m, m.words[vma + V_OBJECT]);
  let entries = 0;
  for (let page = from; page < to; page += m.entryCount) {
    const entry = hugeEntry(m, table, Math.floor((page % m.loPages) / m.entryCount));
    if (entry === 0) continue;
    entries++;
    const pfn = frameOfEntry(entry);
    found.maps.set(pfn, (found.maps.get(pfn) ?? 0) + 1);
    const isFile = (entry & HUGE_OF_FILE) !== 0;
    if (isFile) {
      assert(slotOf(m, file, indexOfPage(m, vma, page)) === pfn, "an entry of the file's page");
      assert(isSharedArea(m, vma) || (entry & HUGE_WRITE) === 0, "a private write to the file's");
    } else {
      found.anonPages.add(pfn);
      const isAlone = (entry & HUGE_WRITE) === 0 || pageMappings(m, pfn) === 1;
      assert(isAlone && !isSharedArea(m, vma), 'a page that may be written is nobody else’s');
    }
  }
  if (!isLinked) found.own.set(table, (found.own.get(table) ?? 0) + entries);
  return entries;
}

function checkPool(m: Machine, hugetlb: Hugetlb, found: Found): void {
  const { pool } = hugetlb;
  const known = new Set<number>(pool.freePages(m));
  assert(known.size === pool.free, `free huge pages: ${known.size} found, ${pool.free} kept`);
  let promised = found.promised;
  const take = (pfn: number, what: string): void => {
    assert(!known.has(pfn), `huge page ${pfn} is ${what} and something else`);
    known.add(pfn);
    const maps = found.maps.get(pfn) ?? 0;
    assert(pageMappings(m, pfn) === maps, `huge page ${pfn}: mapped ${maps} times`);
  };
  for (const object of objectsOf(m, hugetlb.flavor)) {
    if (m.words[object + H_FILE] !== 0) continue;
    for (let i = 0; i < slotCount(m, object); i++) {
      const slot = slotOf(m, object, i);
      if (slot === RESERVED) promised++;
      else if (slot !== 0) take(slot, "a file's");
    }
  }
  for (const pfn of found.anonPages) take(pfn, 'private');
  assert(known.size === pool.total, `huge pages: ${known.size} found, ${pool.total} kept`);
  assert(promised === pool.reserved, `promised: ${promised} found, ${pool.reserved} kept`);
}
