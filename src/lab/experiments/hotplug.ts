import {
  type CompactResult,
  compactMemory,
  frameUse,
  freeFrameCount,
  isUnmovableUse,
  type Machine,
  memoryBlocks,
  offlineMemory,
  onlineMemory,
} from '../../engine/index.ts';
import { SCATTER_DEFAULTS, type ScatterSettings, scatterTables } from './scattered-tables.ts';

/**
 * Hot-unplug and compaction with page tables in the way ("A Case for Page Table Reclaim": "Hotunplug
 * fails with unmovable allocations", "Unmovable allocations hinders compaction"; no sizes are
 * published). The machine is that of scattered-tables.ts.
 */
export interface HotplugOutcome {
  readonly kernel: string;
  readonly seed: number;
  /** Frames of page tables, and memory blocks (128 MiB) that hold at least one. */
  readonly tables: number;
  readonly blocks: number;
  readonly blocksWithTables: number;
  /** Part of memory that is free. */
  readonly free: number;
  /** Each block tried by itself and put online again. */
  readonly alone: Unplugged;
  /** As many as can be, from the top down: what a host could have back. */
  readonly shrink: Unplugged;
}

export interface Unplugged {
  readonly offline: number;
  readonly pagesMoved: number;
  readonly tablesMoved: number;
  /** Refusals, by what stood in the first frame that could not move (`no room` for none). */
  readonly refusals: Readonly<Record<string, number>>;
}

/** Hot-unplug under a kernel. */
export function runHotplug(
  kernel: string,
  seed: number,
  settings: Partial<ScatterSettings> = {},
): HotplugOutcome {
  const scatter = { ...SCATTER_DEFAULTS, ...settings };
  const first = scatterTables(kernel, scatter, seed).machine;
  const uses = countUses(first);
  const outcome = {
    ...{ kernel, seed, tables: uses.tables, blocks: memoryBlocks(first).length },
    blocksWithTables: uses.blocksWithTables,
    free: freeFrameCount(first) / (scatter.memoryMiB * 256),
    alone: unplug(first, true),
  };
  first.release();
  const second = scatterTables(kernel, scatter, seed).machine;
  const shrink = unplug(second, false);
  second.release();
  return { ...outcome, shrink };
}

function countUses(m: Machine): { tables: number; blocksWithTables: number } {
  let tables = 0;
  let blocksWithTables = 0;
  for (const { start, frames } of memoryBlocks(m)) {
    const before = tables;
    for (let pfn = start; pfn < start + frames; pfn++) if (frameUse(m, pfn) === 'table') tables++;
    if (tables > before) blocksWithTables++;
  }
  return { tables, blocksWithTables };
}

function unplug(m: Machine, isPutBack: boolean): Unplugged {
  const total = { offline: 0, pagesMoved: 0, tablesMoved: 0 };
  const refusals: Record<string, number> = {};
  for (const { index } of memoryBlocks(m).reverse()) {
    const { errno, blocker, pagesMoved, tablesMoved } = offlineMemory(m, index);
    total.pagesMoved += pagesMoved;
    total.tablesMoved += tablesMoved;
    if (errno !== 0) {
      const reason = blocker?.use ?? 'no room';
      refusals[reason] = (refusals[reason] ?? 0) + 1;
      continue;
    }
    total.offline++;
    if (isPutBack) onlineMemory(m, index, 'online_kernel');
  }
  return { ...total, refusals };
}

export interface CompactionOutcome extends CompactResult {
  readonly kernel: string;
  readonly seed: number;
  /** 2 MiB blocks that the free frames would make if they lay together. */
  readonly hugeIdeal: number;
  /** Pageblocks that are not free afterwards only because of page tables: nothing else is there. */
  readonly heldByTables: number;
}

/** Compaction of all memory under a kernel, as by /proc/sys/vm/compact_memory. */
export function runCompaction(
  kernel: string,
  seed: number,
  settings: Partial<ScatterSettings> = {},
): CompactionOutcome {
  const m = scatterTables(kernel, { ...SCATTER_DEFAULTS, ...settings }, seed).machine;
  const result = compactMemory(m);
  const hugeIdeal = Math.floor(freeFrameCount(m) / 512);
  const heldByTables = countHeldByTables(m);
  m.release();
  return { kernel, seed, hugeIdeal, heldByTables, ...result };
}

function countHeldByTables(m: Machine): number {
  let held = 0;
  for (const { start, frames, state } of memoryBlocks(m)) {
    if (state !== 'online') continue;
    for (let block = start; block < start + frames; block += 512) {
      if (isHeldByTables(m, block)) held++;
    }
  }
  return held;
}

function isHeldByTables(m: Machine, block: number): boolean {
  let tables = 0;
  for (let pfn = block; pfn < block + 512; pfn++) {
    const use = frameUse(m, pfn);
    if (use === 'free') continue;
    if (use !== 'table' || !isUnmovableUse(m, use)) return false;
    tables++;
  }
  return tables > 0 && tables < 512;
}
