import { assert } from '../../base/index.ts';
import {
  compactionSuitabilityOf,
  externalFragmentation,
  freeBlocksOf,
  isCostlyOrder,
  type Suitability,
  zoneFreeInfo,
} from '../frames/fragmentation.ts';
import { blockOf } from '../frames/frame-record.ts';
import { setBlockSkipped } from '../frames/pageblock.ts';
import { drainAllPcp } from '../frames/pcp.ts';
import { zoneAt } from '../frames/zones.ts';
import * as L from '../layout.ts';
import type { Machine } from '../machine.ts';
import {
  COMPACT_SUCCESS,
  type CompactBudget,
  type CompactControl,
  type CompactMode,
  type CompactStatus,
  compactZone,
} from './compact-zone.ts';
import { type CompactionWork, noCompactionWork } from './compaction-work.ts';
import { deferCompaction, isCompactionDeferred, resetDeferral } from './defer.ts';

/**
 * Compaction as it is asked for (mm/compaction.c): of all memory, as by writing to
 * /proc/sys/vm/compact_memory, or until there is a free block of an order, as an allocation does.
 * The scanners are in compact-zone.ts.
 */
export interface CompactResult extends CompactionWork {
  /** Frames in use that could not be moved, as the migration scanner met them. */
  tablesStuck: number;
  otherStuck: number;
  /** Free blocks of order 9 (2 MiB) before and after; a block of order 10 is two. */
  hugeBefore: number;
  hugeAfter: number;
}

const HUGE_ORDER = L.BLOCK_SHIFT;

export function newCompactResult(m: Machine): CompactResult {
  return {
    ...noCompactionWork(),
    tablesStuck: 0,
    otherStuck: 0,
    hugeBefore: freeHugeBlocks(m),
    hugeAfter: 0,
  };
}

/** Free 2 MiB blocks of all zones. */
export function freeHugeBlocks(m: Machine): number {
  let blocks = 0;
  for (let zone = 0; zone < m.zoneCount; zone++) blocks += freeBlocksOf(m, zone, HUGE_ORDER);
  return blocks;
}

/** Compacts every zone from end to end (compact_nodes): all modes, no skip marks. */
export function compactMemory(m: Machine): CompactResult {
  assert(!m.isShared, 'compaction is for exclusive machines');
  drainAllPcp(m);
  const result = newCompactResult(m);
  for (let zone = 0; zone < m.zoneCount; zone++) {
    if (m.words[zoneAt(m, zone) + L.Z_MANAGED] === 0) continue;
    const control: CompactControl = {
      order: -1,
      mode: 'sync',
      isWholeZone: true,
      ignoresSkips: true,
    };
    compactZone(m, zone, control, result);
  }
  result.hugeAfter = freeHugeBlocks(m);
  addWork(m.compactionWork, result);
  return result;
}

/** What a thread that compacts ahead of need may do at a time. */
export interface CompactBound extends CompactBudget {
  /** As in CompactControl: a zone with at most that score is left alone. */
  readonly scoreMax: number;
  readonly spares: (block: number) => boolean;
}

/**
 * Compacts zones for blocks of order 9 within a bound. Each call goes on where the last one stopped; a
 * zone that it has gone through is begun again.
 */
export function compactBounded(m: Machine, bound: CompactBound): CompactResult {
  assert(!m.isShared, 'compaction is for exclusive machines');
  const result = newCompactResult(m);
  const { scoreMax, spares } = bound;
  const budget: CompactBudget = { pages: bound.pages, rounds: bound.rounds };
  let isDrained = false;
  for (let zone = m.zoneCount - 1; zone >= 0; zone--) {
    if (!isZoneDue(m, zone, scoreMax)) continue;
    if (!isDrained) drainAllPcp(m);
    isDrained = true;
    m.forgetWalk();
    const status = compactZone(
      m,
      zone,
      {
        order: -1,
        mode: 'sync',
        isWholeZone: false,
        ignoresSkips: false,
        scoreMax,
        budget,
        spares,
      },
      result,
    );
    if (status === 'complete' || status === 'partial') resetIsolationSuitable(m, zone);
    if (status === 'spent') break;
  }
  result.hugeAfter = freeHugeBlocks(m);
  addWork(m.compactionWork, result);
  return result;
}

/** True if `compactBounded` has a zone to compact. */
export function isBoundedDue(m: Machine, scoreMax: number): boolean {
  for (let zone = 0; zone < m.zoneCount; zone++) if (isZoneDue(m, zone, scoreMax)) return true;
  return false;
}

function isZoneDue(m: Machine, zone: number, scoreMax: number): boolean {
  return externalFragmentation(m, zone, HUGE_ORDER) > scoreMax && hasRoom(m, zone);
}

/** Free frames for what is moved meanwhile (__compaction_suitable). */
function hasRoom(m: Machine, zone: number): boolean {
  const z = zoneAt(m, zone);
  return m.words[z + L.Z_FREE] > m.words[z + L.Z_LOW] + 2 * L.BLOCK_FRAMES;
}

export function addWork(sum: CompactionWork, more: CompactionWork): void {
  sum.pagesMoved += more.pagesMoved;
  sum.tablesMoved += more.tablesMoved;
  sum.migrateScanned += more.migrateScanned;
  sum.freeScanned += more.freeScanned;
}

/** Whether compaction of a zone for an order is due. */
export function compactionSuitable(m: Machine, zone: number, order: number): Suitability {
  const z = zoneAt(m, zone);
  const mark = m.words[z + (isCostlyOrder(order) ? L.Z_LOW : L.Z_MIN)];
  return compactionSuitabilityOf(zoneFreeInfo(m, zone, order), order, m.words[z + L.Z_FREE], mark);
}

/**
 * Compacts until some zone has a free block of the order that a movable allocation could take
 * (try_to_compact_pages). True if one has. Each call goes on where the last one stopped. `mayDefer`: a
 * zone in which it failed lately is left out (defer.ts); for allocations, which try again and again.
 */
export function tryToCompact(
  m: Machine,
  order: number,
  mode: CompactMode,
  mayDefer = false,
): {
  hasBlock: boolean;
  statuses: (CompactStatus | 'skipped' | 'deferred')[];
  result: CompactResult;
} {
  assert(!m.isShared, 'compaction is for exclusive machines');
  assert(order >= 1 && order <= HUGE_ORDER, `order ${order} not in 1..${HUGE_ORDER}`);
  drainAllPcp(m);
  const result = newCompactResult(m);
  const statuses: (CompactStatus | 'skipped' | 'deferred')[] = [];
  let hasBlock = false;
  for (let zone = m.zoneCount - 1; zone >= 0 && !hasBlock; zone--) {
    if (mayDefer && isCompactionDeferred(m, zone, order)) {
      statuses.push('deferred');
      continue;
    }
    const suitability = compactionSuitable(m, zone, order);
    if (suitability === 'skipped') {
      statuses.push('skipped');
      continue;
    }
    // No kswapd here that would do it when it goes to sleep.
    if (m.words[zoneAt(m, zone) + L.Z_COMPACT_FLUSH] !== 0) resetIsolationSuitable(m, zone);
    const control: CompactControl = { order, mode, isWholeZone: false, ignoresSkips: false };
    const status =
      suitability === 'success' ? COMPACT_SUCCESS : compactZone(m, zone, control, result);
    statuses.push(status);
    // The scanners may also have met just when the block was there.
    hasBlock = compactionSuitable(m, zone, order) === 'success';
    if (hasBlock) resetDeferral(m, zone, order, false);
    else if (mode === 'sync') deferCompaction(m, zone, order);
  }
  result.hugeAfter = freeHugeBlocks(m);
  addWork(m.compactionWork, result);
  return { hasBlock, statuses, result };
}

/** Forgets a zone's skip marks and where its scanners stopped (__reset_isolation_suitable). */
export function resetIsolationSuitable(m: Machine, zone: number): void {
  const z = zoneAt(m, zone);
  const end = m.words[z + L.Z_START] + m.words[z + L.Z_FRAMES];
  for (let pfn = m.words[z + L.Z_START]; pfn < end; pfn += L.BLOCK_FRAMES) {
    setBlockSkipped(m, blockOf(m, pfn), false);
  }
  m.words.fill(0, z + L.Z_COMPACT_MIGRATE, z + L.Z_COMPACT_FLUSH + 1);
}
