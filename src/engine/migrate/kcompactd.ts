import { externalFragmentation } from '../frames/fragmentation.ts';
import { drainAllPcp } from '../frames/pcp.ts';
import { zoneAt } from '../frames/zones.ts';
import * as L from '../layout.ts';
import type { Machine } from '../machine.ts';
import type { Rules } from '../rules.ts';
import {
  addWork,
  compactionSuitable,
  freeHugeBlocks,
  newCompactResult,
  resetIsolationSuitable,
} from './compact.ts';
import { type CompactControl, type CompactStatus, compactZone } from './compact-zone.ts';
import { deferCompaction, isCompactionDeferred, resetDeferral } from './defer.ts';

/**
 * The thread that compacts in the background (kcompactd, mm/compaction.c), one for all nodes: when an
 * allocation that must not do it itself has woken it, and ahead of need, where free memory is in small
 * pieces (proactive compaction). It needs a free 2 MiB for nobody: it only makes them.
 *
 * Left out: kswapd reclaims twice the order wanted before it wakes this thread; here an allocation that
 * would wake kswapd for 2 MiB wakes this thread alone.
 */
export interface KcompactdCounters {
  /** Woken by an allocation (compact_daemon_wake), and proactive runs over a node. */
  wakes: number;
  proactiveRuns: number;
  /** Of both: frames moved, free 2 MiB blocks more than before. */
  pagesMoved: number;
  blocksMade: number;
}

/** Between two looks at the score (HPAGE_FRAG_CHECK_INTERVAL_MSEC). */
const CHECK_NS = 500e6;
/** After a run that did not lower it: 64 times as long (COMPACT_MAX_DEFER_SHIFT). */
const DEFER_SHIFT = 6;

/**
 * fragmentation_score_wmark: proactive compaction of a node begins above `high` and ends in each zone
 * at `low`, percent of free memory in blocks smaller than 2 MiB.
 */
export function proactiveMarks(proactiveness: number, rules: Rules): { low: number; high: number } {
  const wanted = 100 - proactiveness;
  const low = rules.hasCompactionFloor ? Math.max(wanted, 5) : wanted;
  const leeway = rules.hasCompactionFloor ? 10 : Math.min(10, Math.floor(low / 2));
  return { low, high: Math.min(low + leeway, 100) };
}

/** fragmentation_score_node: of its zones, by their memory. */
export function nodeScore(m: Machine, node: number): number {
  const w = m.words;
  let frames = 0;
  let score = 0;
  for (const zone of zonesOf(m, node)) frames += w[zoneAt(m, zone) + L.Z_MANAGED];
  for (const zone of zonesOf(m, node)) {
    const managed = w[zoneAt(m, zone) + L.Z_MANAGED];
    score += Math.floor((managed * externalFragmentation(m, zone, L.BLOCK_SHIFT)) / (frames + 1));
  }
  return score;
}

function zonesOf(m: Machine, node: number): number[] {
  const zones: number[] = [];
  for (let zone = 0; zone < m.zoneCount; zone++) {
    const z = zoneAt(m, zone);
    if (m.words[z + L.Z_NODE] === node && m.words[z + L.Z_MANAGED] > 0) zones.push(zone);
  }
  return zones;
}

export class Kcompactd {
  readonly counters: KcompactdCounters = {
    wakes: 0,
    proactiveRuns: 0,
    pagesMoved: 0,
    blocksMade: 0,
  };
  readonly #m: Machine;
  readonly #nodes: readonly number[];
  /** When each node is looked at next. */
  readonly #nextNs: number[];
  #soonestNs = -1;

  constructor(m: Machine) {
    this.#m = m;
    const nodes = new Set<number>();
    for (let zone = 0; zone < m.zoneCount; zone++) nodes.add(m.words[zoneAt(m, zone) + L.Z_NODE]);
    this.#nodes = [...nodes];
    this.#nextNs = this.#nodes.map(() => -1);
  }

  /** The time is `nowNs`: does what is due. */
  run(nowNs: number): void {
    if (this.#m.isKcompactdWoken) {
      this.work();
      // The wait for the next look begins anew.
      this.#nextNs.fill(nowNs + CHECK_NS);
      this.#soonestNs = nowNs + CHECK_NS;
    }
    if (nowNs < this.#soonestNs || this.#m.compactionProactiveness === 0) return;
    for (const [at, node] of this.#nodes.entries()) {
      const next = this.#nextNs[at] as number;
      if (next >= 0 && nowNs < next) continue;
      // Nobody runs between looks that are due at once: one stands for all.
      const hasFailed = next >= 0 && this.#lookAt(node);
      this.#nextNs[at] = nowNs + (hasFailed ? CHECK_NS * 2 ** DEFER_SHIFT : CHECK_NS);
    }
    this.#soonestNs = Math.min(...this.#nextNs);
  }

  /** A block for whoever has woken it (kcompactd_do_work). */
  work(): void {
    const m = this.#m;
    m.isKcompactdWoken = false;
    this.counters.wakes += 1;
    const order = L.BLOCK_SHIFT;
    drainAllPcp(m);
    for (let zone = 0; zone < m.zoneCount; zone++) {
      if (m.words[zoneAt(m, zone) + L.Z_COMPACT_FLUSH] !== 0) resetIsolationSuitable(m, zone);
      if (isCompactionDeferred(m, zone, order)) continue;
      if (compactionSuitable(m, zone, order) !== 'continue') continue;
      const status = this.#compact(zone, {
        ...{ order, mode: 'sync', isWholeZone: false, ignoresSkips: false, isBackground: true },
      });
      if (status === 'success') resetDeferral(m, zone, order, false);
      else if (status !== 'no-memory') deferCompaction(m, zone, order);
    }
  }

  /** Compacts a node whose score is too high. True if that did not lower it. */
  #lookAt(node: number): boolean {
    const m = this.#m;
    const { low, high } = proactiveMarks(m.compactionProactiveness, m.rules);
    const before = nodeScore(m, node);
    if (before <= high || m.kswapd.isWoken) return false;
    this.counters.proactiveRuns += 1;
    drainAllPcp(m);
    for (const zone of zonesOf(m, node)) {
      this.#compact(zone, {
        ...{ order: -1, mode: 'sync', isWholeZone: true, ignoresSkips: true, scoreMax: low },
      });
    }
    return nodeScore(m, node) >= before;
  }

  #compact(zone: number, control: CompactControl): CompactStatus {
    const m = this.#m;
    m.forgetWalk();
    const result = newCompactResult(m);
    const status = compactZone(m, zone, control, result);
    addWork(m.compactionWork, result);
    this.counters.pagesMoved += result.pagesMoved + result.tablesMoved;
    this.counters.blocksMade += freeHugeBlocks(m) - result.hugeBefore;
    return status;
  }
}
