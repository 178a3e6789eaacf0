import type { Machine } from '../machine.ts';
import { ENTRY_PAGE, KIND_MASK } from '../tables/entry.ts';
import { isHuge } from '../tables/huge-entry.ts';
import { entryFlags, entryWord } from '../tables/leaf.ts';
import { isSharedWord, sharedTableAt } from '../tables/shared-entry.ts';
import { leafWord } from '../tables/walk.ts';

/** The frame that a page of an address space is mapped to; -1 for none. */
export function mappedFrame(m: Machine, mm: number, page: number): number {
  const table = tableAt(m, mm, page);
  const index = page % m.entryCount;
  if (table <= 0 || (entryFlags(m, table, index) & KIND_MASK) !== ENTRY_PAGE) return -1;
  return entryWord(m, table, index);
}

/** True if the page is mapped as a part of a huge page. */
export function isMappedHuge(m: Machine, mm: number, page: number): boolean {
  const table = tableAt(m, mm, page);
  return table > 0 && isHuge(m, table);
}

function tableAt(m: Machine, mm: number, page: number): number {
  const hi = Math.floor(page / m.loPages);
  const word = leafWord(m, mm, hi, page - hi * m.loPages);
  return isSharedWord(word) ? sharedTableAt(m, word) : word;
}
