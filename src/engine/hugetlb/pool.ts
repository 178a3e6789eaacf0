import { assert } from '../../base/index.ts';
import { allocExtent } from '../frames/alloc.ts';
import { blockOf } from '../frames/frame-record.ts';
import { EXTENT_HUGETLB } from '../frames/pageblock.ts';
import { B_MAPCOUNT, B_MAPPING } from '../layout.ts';
import type { Machine } from '../machine.ts';

/**
 * The pages set aside (struct hstate): HugePages_Total, _Free and _Rsvd of /proc/meminfo. None is ever
 * taken beyond `total` (no overcommit, so no surplus). Free pages form a list through their pageblocks,
 * the last one given back first (enqueue_hugetlb_folio, dequeue_hugetlb_folio_node_exact).
 */
export class HugetlbPool {
  total = 0;
  free = 0;
  /** Of the free ones, those promised to mappings that have not touched them yet. */
  reserved = 0;
  #first = 0;

  /** Sets `wanted` more pages aside, as far as memory has such blocks (set_max_huge_pages). */
  grow(m: Machine, wanted: number): void {
    for (let i = 0; i < wanted; i++) {
      const pfn = allocExtent(m, EXTENT_HUGETLB);
      if (pfn === 0) return;
      this.total += 1;
      this.put(m, pfn);
    }
  }

  /** Promises pages (hugetlb_acct_memory); false: there are not as many. */
  reserve(pages: number): boolean {
    if (this.reserved + pages > this.free) return false;
    this.reserved += pages;
    return true;
  }

  unreserve(pages: number): void {
    assert(pages <= this.reserved, 'more reservations given back than there are');
    this.reserved -= pages;
  }

  /** A zeroed page, unmapped: a promised one, or one beyond all promises; 0 if there is none. */
  take(m: Machine, isReserved: boolean): number {
    if (!isReserved && this.free <= this.reserved) return 0;
    const pfn = this.#first;
    assert(pfn !== 0, 'a reservation without a page');
    const block = blockOf(m, pfn);
    this.#first = m.words[block + B_MAPPING];
    m.words[block + B_MAPPING] = 0;
    this.free -= 1;
    if (isReserved) this.reserved -= 1;
    if (m.contentsAt !== 0) m.words.fill(0, m.contentsAt + pfn, m.contentsAt + pfn + m.entryCount);
    return pfn;
  }

  /** A page that nothing maps comes back. */
  put(m: Machine, pfn: number): void {
    const block = blockOf(m, pfn);
    m.words[block + B_MAPPING] = this.#first;
    m.words[block + B_MAPCOUNT] = 0;
    this.#first = pfn;
    this.free += 1;
  }

  /** First frames of the free pages. */
  freePages(m: Machine): number[] {
    const pages: number[] = [];
    for (let pfn = this.#first; pfn !== 0; pfn = m.words[blockOf(m, pfn) + B_MAPPING]) {
      pages.push(pfn);
    }
    return pages;
  }
}

/** Entries that map the page. */
export function pageMappings(m: Machine, pfn: number): number {
  return m.words[blockOf(m, pfn) + B_MAPCOUNT];
}

export function addPageMapping(m: Machine, pfn: number, change: number): number {
  const at = blockOf(m, pfn) + B_MAPCOUNT;
  m.words[at] += change;
  return m.words[at];
}
