import type { Machine } from '../machine.ts';
import { isHuge, isHugeZero } from '../tables/huge-entry.ts';
import { entryFlags, entryWord } from '../tables/leaf.ts';
import { leafWord } from '../tables/walk.ts';
import { isKsmZero } from './counters.ts';
import { isKsm } from './ksm-page.ts';
import { isAnonPage } from './mergeable.ts';

/** What a slot of 512 pages is. */
export interface RegionUse {
  isHuge: boolean;
  /** Entries of merged pages, ksmd's zero pages included. */
  merged: number;
}

/** The slot that begins at `page`; nothing where it has no table in memory. */
export function regionUse(m: Machine, mm: number, page: number): RegionUse {
  const hi = Math.floor(page / m.loPages);
  const table = leafWord(m, mm, hi, page - hi * m.loPages);
  if (table <= 0) return { isHuge: false, merged: 0 };
  let merged = 0;
  for (let i = 0; i < m.entryCount; i++) {
    const flags = entryFlags(m, table, i);
    const isMerged = isAnonPage(flags) && isKsm(m, entryWord(m, table, i));
    if (isMerged || isKsmZero(flags)) merged++;
  }
  return { isHuge: isHuge(m, table) && !isHugeZero(m, table), merged };
}
