import { H_MM_LIST } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { C_ZERO, MM_NEXT, mmCounter } from '../space/mm.ts';
import { vmaAt, vmaEnd, vmaStart } from '../space/vma.ts';
import { ENTRY_DIRTY, ENTRY_ZERO, KIND_MASK } from '../tables/entry.ts';
import { entryFlags } from '../tables/leaf.ts';
import { isLeaf, LeafCursor } from '../tables/walk.ts';

/** The files of /sys/kernel/mm/ksm that count; a huge page taken whole counts as its 512 pages. */
export interface KsmCounters {
  /** Merged pages in use, and how many more mappings they have: what is saved. */
  pagesShared: number;
  pagesSharing: number;
  /** Looked at, and unlike all others; changing too fast to be compared. */
  pagesUnshared: number;
  pagesVolatile: number;
  fullScans: number;
  pagesScanned: number;
  pagesSkipped: number;
  /** Entries of the zero page that were pages of zeros (ksm_zero_pages). */
  zeroPages: number;
  /** stable_node_chains, stable_node_dups. */
  chains: number;
  chainDups: number;
  /** Merged huge pages, and huge pages split so that some of their pages could merge. */
  hugePagesShared: number;
  hugePagesSplit: number;
}

const cursor = new LeafCursor();

/**
 * Linux marks such an entry by the dirty bit (is_ksm_zero_pte), as here. They are counted when asked
 * for, so no place that drops an entry needs to know of them.
 */
export function zeroPagesOf(m: Machine): number {
  let count = 0;
  for (let mm = m.words[H_MM_LIST]; mm !== 0; mm = m.words[mm + MM_NEXT]) {
    if (mmCounter(m, mm, C_ZERO) > 0) count += zeroPagesIn(m, mm);
  }
  return count;
}

export function isKsmZero(flags: number): boolean {
  return (flags & (KIND_MASK | ENTRY_DIRTY)) === (ENTRY_ZERO | ENTRY_DIRTY);
}

function zeroPagesIn(m: Machine, mm: number): number {
  let count = 0;
  for (let at = 0, vma = vmaAt(m, mm, 0); vma !== 0; vma = vmaAt(m, mm, ++at)) {
    cursor.begin(mm, vmaStart(m, vma), vmaEnd(m, vma), true);
    for (let table = cursor.next(m); table !== 0; table = cursor.next(m)) {
      if (!isLeaf(m, table)) continue;
      const first = cursor.start % m.entryCount;
      const end = first + cursor.end - cursor.start;
      for (let i = first; i < end; i++) if (isKsmZero(entryFlags(m, table, i))) count++;
    }
  }
  return count;
}
