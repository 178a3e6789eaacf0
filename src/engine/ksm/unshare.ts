import { Errno } from '../../base/index.ts';
import { formatAnonFrame } from '../fault/handle-fault.ts';
import { allocFrame } from '../frames/alloc.ts';
import { frameRecord } from '../frames/frame-record.ts';
import { dropMapping } from '../frames/map-count.ts';
import { MIGRATE_MOVABLE } from '../frames/pageblock.ts';
import { freeToPcp } from '../frames/pcp.ts';
import type { Machine } from '../machine.ts';
import { contentsOfFrame, readContents, writeContents } from '../objects/contents.ts';
import { C_ANON, C_ZERO, mmCounters } from '../space/mm.ts';
import { ENTRY_ACCESSED, ENTRY_PAGE } from '../tables/entry.ts';
import { changeEntry, entryFlags, entryWord } from '../tables/leaf.ts';
import { leafWord } from '../tables/walk.ts';
import { isKsmZero } from './counters.ts';
import { isKsm } from './ksm-page.ts';
import { isAnonPage } from './mergeable.ts';

/**
 * Gives every merged page of [start, end), which lies in one area, a copy of its own (break_ksm):
 * MADV_UNMERGEABLE, and mremap, as merged pages are found by their addresses. 0, or -ENOMEM.
 */
export function unshareRange(
  m: Machine,
  mm: number,
  vma: number,
  start: number,
  end: number,
): number {
  if (m.ksm === null) return 0;
  for (let page = start; page < end; ) {
    const hi = Math.floor(page / m.loPages);
    const lo = page - hi * m.loPages;
    const table = leafWord(m, mm, hi, lo);
    if (table <= 0) {
      page += m.entryCount - (lo & m.mask);
      continue;
    }
    const flags = entryFlags(m, table, lo & m.mask);
    if (isMerged(m, flags, table, lo & m.mask) && !unshare(m, mm, vma, hi, lo)) {
      return -Errno.ENOMEM;
    }
    page++;
  }
  return 0;
}

function isMerged(m: Machine, flags: number, table: number, index: number): boolean {
  return isKsmZero(flags) || (isAnonPage(flags) && isKsm(m, entryWord(m, table, index)));
}

/** One page (FAULT_FLAG_UNSHARE): the next write finds it its own, and takes it over. */
function unshare(m: Machine, mm: number, vma: number, hi: number, lo: number): boolean {
  const copy = allocFrame(m, MIGRATE_MOVABLE);
  if (copy === 0) return false;
  // Looked up only now: reclaim inside the allocation may have taken the page away.
  const table = leafWord(m, mm, hi, lo);
  const index = lo & m.mask;
  const flags = table > 0 ? entryFlags(m, table, index) : 0;
  if (table <= 0 || !isMerged(m, flags, table, index)) {
    freeToPcp(m, copy, frameRecord(m, copy));
    return true;
  }
  const pfn = entryWord(m, table, index);
  const counters = mmCounters(m, mm);
  formatAnonFrame(m, copy, vma, hi, lo);
  changeEntry(m, table, index, ENTRY_PAGE | ENTRY_ACCESSED, copy);
  if (isKsmZero(flags)) {
    m.words[counters + C_ANON] += 1;
    m.words[counters + C_ZERO] -= 1;
    return true;
  }
  writeContents(m, copy, readContents(m, contentsOfFrame(m, pfn)));
  dropMapping(m, pfn);
  return true;
}
