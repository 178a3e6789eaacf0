import { isPartlyUnmapped, putOnQueue, takeOffQueue } from '../frames/folio.ts';
import { firstQueued, isBlockId } from '../frames/folio-queue.ts';
import { firstFrameOf } from '../frames/small-folio.ts';
import { BLOCK_FRAMES, BLOCK_WORDS } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { isLockedHuge, splitHugePage } from './split-page.ts';

/**
 * Huge pages that wait to be split when memory is short: those that lost a part of their mappings, and,
 * where contents are known, all, as they may be mostly zeros (since 6.12).
 */

/** A fault or a collapse made a huge page (deferred_split_folio). */
export function queueUnderused(m: Machine, block: number): void {
  const isAsked = m.contentsAt !== 0 && m.huge.shrinkUnderused && m.rules.hasUnderusedSplit;
  if (isAsked) putOnQueue(m, block);
}

/**
 * Splits what waits, oldest first, until so many frames are free (deferred_split_scan); how many. Linux
 * asks for a part of the queue, growing with the need; here it is as much as is wanted. A huge page
 * with all its mappings that is in use enough, or locked, waits no longer.
 */
export function splitDeferred(m: Machine, want: number): number {
  let freed = 0;
  for (let id = firstQueued(m); freed < want && id !== 0; id = firstQueued(m)) {
    const isBlock = isBlockId(m, id);
    const base = isBlock ? ((id - m.blocksAt) / BLOCK_WORDS) * BLOCK_FRAMES : firstFrameOf(m, id);
    if (!isBlock || isPartlyUnmapped(m, id)) {
      m.deferredSplits += 1;
    } else {
      takeOffQueue(m, id);
      if (!isUnderused(m, base) || isLockedHuge(m, base)) continue;
      m.underusedSplits += 1;
    }
    freed += splitHugePage(m, base);
  }
  return freed;
}

/**
 * More pages of zeros than khugepaged would fill in (thp_underused). At 511, its default, none is: so it
 * is up to 6.18; a later fix lets a huge page of zeros alone be split.
 */
function isUnderused(m: Machine, base: number): boolean {
  const { maxPtesNone } = m.huge.khugepaged;
  if (maxPtesNone === BLOCK_FRAMES - 1) return false;
  let zeros = 0;
  for (let i = 0; i < BLOCK_FRAMES; i++) if (m.words[m.contentsAt + base + i] === 0) zeros++;
  return zeros > maxPtesNone;
}
