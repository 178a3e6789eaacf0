import type { Machine } from '../machine.ts';
import { isHuge, splitHuge } from '../tables/huge-entry.ts';
import { leafWord } from '../tables/walk.ts';

/** An area is about to begin or end at `page`: no huge page may span it (vma_adjust_trans_huge). */
export function splitHugeAt(m: Machine, mm: number, page: number): void {
  if (m.isShared) return;
  const hi = Math.floor(page / m.loPages);
  const table = leafWord(m, mm, hi, page - hi * m.loPages);
  if (table > 0 && isHuge(m, table)) splitHuge(m, table);
}
