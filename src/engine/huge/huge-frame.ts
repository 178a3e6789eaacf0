import { allocBlock, allocExtent } from '../frames/alloc.ts';
import { markFolio } from '../frames/folio.ts';
import { blockOf } from '../frames/frame-record.ts';
import { blockZone, EXTENT_ANON, formatExtent, MIGRATE_MOVABLE } from '../frames/pageblock.ts';
import { TAKEN_HUGE } from '../frames/taken-as.ts';
import * as L from '../layout.ts';
import type { Machine } from '../machine.ts';
import { tryToCompact } from '../migrate/compact.ts';
import type { CompactMode } from '../migrate/compact-zone.ts';
import { resetDeferral } from '../migrate/defer.ts';
import { VM_HUGEPAGE } from '../space/vm-flags.ts';
import { V_ANON_VMA, V_FLAGS, V_INDEX_DELTA } from '../space/vma.ts';
import { queueUnderused } from './deferred-split.ts';

/**
 * 2 MiB of frames in one piece for a fault on the VMA, or 0: what it may do for it is `defrag`
 * (vma_thp_gfp_mask).
 */
export function allocHugeForFault(m: Machine, vma: number): number {
  return allocForFault(m, vma, L.BLOCK_SHIFT);
}

/** The same for 2^order frames, order 2 to 9. */
export function allocForFault(m: Machine, vma: number, order: number): number {
  const base = allocOrder(m, order);
  if (base !== 0) return base;
  const isAdvised = (m.words[vma + V_FLAGS] & VM_HUGEPAGE) !== 0;
  const { defrag } = m.huge;
  const isDirect =
    defrag === 'always' || (isAdvised && (defrag === 'madvise' || defrag === 'defer+madvise'));
  if (!isDirect) {
    const wakes = defrag === 'defer' || defrag === 'defer+madvise';
    if (wakes) {
      m.kswapd.isWoken = true;
      m.isKcompactdWoken = true;
    }
    return 0;
  }
  // Without advice one light try is all (__GFP_NORETRY).
  return compactFor(m, order, isAdvised ? HARD : LIGHT, true);
}

function allocOrder(m: Machine, order: number): number {
  if (order !== L.BLOCK_SHIFT) return allocBlock(m, order);
  return allocExtent(m, EXTENT_ANON, MIGRATE_MOVABLE, TAKEN_HUGE);
}

const LIGHT = ['async'] as const;
const HARD = ['async', 'sync'] as const;

/** 2 MiB with compaction by who asks, first without and then with waiting for pages. Not in a fault. */
export function allocHugeHard(m: Machine): number {
  return compactFor(m, L.BLOCK_SHIFT, HARD, false);
}

function compactFor(
  m: Machine,
  order: number,
  modes: readonly CompactMode[],
  isFault: boolean,
): number {
  let base = allocOrder(m, order);
  for (const mode of modes) {
    if (base !== 0) break;
    // Pages and tables that the caller looked up may have moved: it walks again.
    m.forgetWalk();
    const { hasBlock, statuses } = tryToCompact(m, order, mode, true);
    // Counted as compact_stall is: not where every zone was skipped.
    const hasRun = statuses.some((status) => status !== 'skipped' && status !== 'deferred');
    if (isFault && hasRun) m.compactionsInFault += 1;
    if (!hasBlock) continue;
    base = allocOrder(m, order);
    if (base !== 0) resetDeferral(m, blockZone(m, blockOf(m, base)), order, true);
  }
  return base;
}

/** The record of 2 MiB of a VMA's memory, from the page `hi`, `lo` on, mapped once. */
export function formatHuge(m: Machine, base: number, vma: number, hi: number, lo: number): void {
  const w = m.words;
  const block = blockOf(m, base);
  const index = (Math.imul(hi, m.loPages) + lo + w[vma + V_INDEX_DELTA]) | 0;
  formatExtent(m, block, w[vma + V_ANON_VMA], index, 1);
  markFolio(m, block);
  queueUnderused(m, block);
  if (m.contentsAt !== 0) w.fill(0, m.contentsAt + base, m.contentsAt + base + m.entryCount);
}
