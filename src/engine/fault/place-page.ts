import { allocFrame } from '../frames/alloc.ts';
import { MIGRATE_MOVABLE } from '../frames/pageblock.ts';
import type { Machine } from '../machine.ts';

/**
 * A frame for a page of an area's anonymous memory: the one where a mechanism wants the page, else any.
 * 0: out of memory. The second kind may reclaim, so the caller walks again (`m.walkOwner`).
 */
export function allocPageFrame(
  m: Machine,
  vma: number,
  leaf: number,
  hi: number,
  lo: number,
): number {
  if (m.events.placePage !== null) {
    const pfn = m.events.placePage(m, vma, leaf, hi, lo);
    if (pfn !== 0) return pfn;
  }
  return allocFrame(m, MIGRATE_MOVABLE);
}
