import { buddyFree, removeFree } from '../frames/buddy.ts';
import { isFolio, splitFolioOf } from '../frames/folio.ts';
import { externalFragmentation } from '../frames/fragmentation.ts';
import { blockOf, frameRecord } from '../frames/frame-record.ts';
import { freeHeadOrder } from '../frames/isolate.ts';
import {
  blockMigrateType,
  blockZone,
  isBlockSkipped,
  MIGRATE_MOVABLE,
  MIGRATE_RECLAIMABLE,
  MIGRATE_UNMOVABLE,
  setBlockSkipped,
} from '../frames/pageblock.ts';
import { smallFolioOrder } from '../frames/small-folio.ts';
import { zoneAt } from '../frames/zones.ts';
import * as L from '../layout.ts';
import type { Machine } from '../machine.ts';
import type { CompactResult } from './compact.ts';
import { frameUse, isMovableUse, isUnmovableUse } from './frame-use.ts';
import { moveFrame } from './migrate.ts';

/**
 * Compaction of one zone (compact_zone): the migration scanner goes up from the zone's start and
 * collects what can be moved, 32 frames at a time; the free scanner comes down from its end and
 * collects free frames for them; where they meet, the zone is done.
 *
 * Left out of Linux: looking through the free lists for a quick start (fast_find_migrateblock,
 * fast_isolate_freepages), which compact_memory does not do either; locks and contention.
 * A migration never fails here but for want of a free frame.
 */
export type CompactMode = 'async' | 'sync';

export interface CompactControl {
  /** Stop at a free block of this order; -1: never (compact_memory). */
  readonly order: number;
  /** `async` takes frames only from pageblocks of the type that is wanted. */
  readonly mode: CompactMode;
  readonly isWholeZone: boolean;
  readonly ignoresSkips: boolean;
  /** Nobody waits for it: it leaves it to others to ask for skip marks to be forgotten. */
  readonly isBackground?: boolean;
  /** Stop where at most so many percent of the zone's free memory are in blocks too small. */
  readonly scoreMax?: number;
  /** What may be moved; what is moved is taken off. */
  readonly budget?: CompactBudget;
  /** True for a pageblock, by number, of which nothing is to be moved. */
  readonly spares?: (block: number) => boolean;
}

/** Pages, and rounds of at most 32 pages; for several zones together. */
export interface CompactBudget {
  pages: number;
  rounds: number;
}

export const COMPACT_SUCCESS = 'success';
/**
 * `complete`: the scanners met, over the whole zone. `partial`: they met, but had not begun at the
 * zone's ends. `no-memory`: no free frame was left between them. `spent`: the budget is.
 */
export type CompactStatus = 'success' | 'complete' | 'partial' | 'no-memory' | 'spent';

const CLUSTER_MAX = 32;

export function compactZone(
  m: Machine,
  zone: number,
  control: CompactControl,
  result: CompactResult,
): CompactStatus {
  const compaction = new ZoneCompaction(m, zone, control, result);
  const status = compaction.run();
  compaction.releaseFreePages();
  return status;
}

/** struct compact_control: one run over one zone. */
class ZoneCompaction {
  readonly #m: Machine;
  readonly #zone: number;
  readonly #z: number;
  readonly #control: CompactControl;
  readonly #result: CompactResult;
  readonly #start: number;
  readonly #lastBlock: number;
  #isWholeZone: boolean;
  #migratePfn: number;
  #freePfn: number;
  /** What the migration scanner has taken, in the order found; free frames, the next one last. */
  readonly #pages: number[] = [];
  readonly #free: number[] = [];
  /** The rest of a pageblock at once, when a part of it was moved already. */
  #finishesBlock = false;

  constructor(m: Machine, zone: number, control: CompactControl, result: CompactResult) {
    const w = m.words;
    this.#m = m;
    this.#zone = zone;
    this.#z = zoneAt(m, zone);
    this.#control = control;
    this.#result = result;
    this.#start = w[this.#z + L.Z_START];
    const end = this.#start + w[this.#z + L.Z_FRAMES];
    this.#lastBlock = blockStart(end - 1);
    this.#isWholeZone = control.isWholeZone;
    this.#migratePfn = this.#start;
    this.#freePfn = this.#lastBlock;
    if (control.isWholeZone) return;
    const cached = w[this.#z + migrateCache(control.mode)];
    const cachedFree = w[this.#z + L.Z_COMPACT_FREE];
    if (cached > this.#start && cached <= this.#lastBlock) this.#migratePfn = cached;
    if (cachedFree > this.#start && cachedFree <= this.#lastBlock) this.#freePfn = cachedFree;
    if (this.#migratePfn === this.#start) this.#isWholeZone = true;
  }

  run(): CompactStatus {
    let lastBlock = -1;
    for (;;) {
      const status = this.#finished();
      if (status !== undefined) return status;
      const from = blockStart(this.#migratePfn);
      this.#finishesBlock = lastBlock === from;
      if (!this.#isolateMigratePages()) continue;
      lastBlock = blockStart(this.#migratePfn - 1);
      if (!this.#migratePages() && !this.#scannersMet()) return 'no-memory';
    }
  }

  #scannersMet(): boolean {
    return blockStart(this.#freePfn) <= blockStart(this.#migratePfn);
  }

  /** compact_finished: the end, or undefined to go on. */
  #finished(): CompactStatus | undefined {
    const w = this.#m.words;
    if (this.#scannersMet()) {
      w.fill(0, this.#z + L.Z_COMPACT_MIGRATE, this.#z + L.Z_COMPACT_FREE + 1);
      const isDirect = this.#control.order >= 0 && this.#control.isBackground !== true;
      if (isDirect) w[this.#z + L.Z_COMPACT_FLUSH] = 1;
      return this.#isWholeZone ? 'complete' : 'partial';
    }
    const { budget, scoreMax } = this.#control;
    if (budget !== undefined && (budget.pages <= 0 || budget.rounds <= 0)) return 'spent';
    if (scoreMax !== undefined) return this.#score() <= scoreMax ? 'success' : undefined;
    if (this.#control.order < 0 || this.#migratePfn !== blockStart(this.#migratePfn)) {
      return undefined;
    }
    return this.#hasBlock() ? 'success' : undefined;
  }

  /** fragmentation_score_zone. */
  #score(): number {
    return externalFragmentation(this.#m, this.#zone, L.BLOCK_SHIFT);
  }

  /** A movable allocation of the order would find a block of its own type, or could claim one. */
  #hasBlock(): boolean {
    const { order } = this.#control;
    const types = [MIGRATE_MOVABLE, MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE];
    for (let o = order; o <= L.MAX_ORDER; o++) {
      const row = this.#z + L.Z_LISTS + o * L.MIGRATE_TYPES;
      if (this.#m.words[row + MIGRATE_MOVABLE] !== 0) return true;
      const canClaim = order >= L.BLOCK_SHIFT >> 1;
      if (canClaim && types.some((type) => this.#m.words[row + type] !== 0)) return true;
    }
    return false;
  }

  /** True for a pageblock that is online in this zone (pageblock_pfn_to_page). */
  #isMine(pfn: number): boolean {
    return blockZone(this.#m, blockOf(this.#m, pfn)) === this.#zone;
  }

  /** isolation_suitable: nothing was found there lately, unless marks are to be ignored. */
  #isSuitable(pfn: number): boolean {
    return this.#control.ignoresSkips || !isBlockSkipped(this.#m, blockOf(this.#m, pfn));
  }

  /** isolate_migratepages: the next pageblock's frames in use; false if it gave none. */
  #isolateMigratePages(): boolean {
    for (;;) {
      const first = blockStart(this.#migratePfn);
      const end = first + L.BLOCK_FRAMES;
      // Never into the free scanner's pageblock.
      if (end > this.#freePfn) return false;
      const isFresh = this.#migratePfn === first;
      const isSkipped = isFresh && (!this.#isSuitable(first) || this.#isSpared(first));
      if (!this.#isMine(first) || isSkipped || !this.#isSource(first)) {
        this.#migratePfn = end;
        continue;
      }
      this.#isolateBlock(end);
      return this.#pages.length > 0;
    }
  }

  #isSpared(pfn: number): boolean {
    return this.#control.spares?.(pfn >> L.BLOCK_SHIFT) === true;
  }

  /** suitable_migration_source. */
  #isSource(pfn: number): boolean {
    const isPicky = this.#control.mode === 'async' && this.#control.order >= 0;
    return !isPicky || blockMigrateType(this.#m, blockOf(this.#m, pfn)) === MIGRATE_MOVABLE;
  }

  /** isolate_migratepages_block: from the scanner's place to the pageblock's end. */
  #isolateBlock(end: number): void {
    const m = this.#m;
    const result = this.#result;
    let pfn = this.#migratePfn;
    while (pfn < end) {
      result.migrateScanned++;
      const order = freeHeadOrder(m, pfn);
      if (order >= 0) {
        pfn += 1 << order;
        continue;
      }
      // To move a page as large as what is wanted gains nothing (skip_isolation_on_order).
      if (isFolio(m, blockOf(m, pfn))) {
        pfn = (pfn | (L.BLOCK_FRAMES - 1)) + 1;
        continue;
      }
      const frames = this.#spared(pfn);
      if (frames > 0) {
        pfn += frames;
        continue;
      }
      // Linux moves it whole; here it is taken apart, and what nothing maps of it is free.
      splitFolioOf(m, pfn);
      const use = frameUse(m, pfn);
      if (isMovableUse(m, use)) this.#pages.push(pfn);
      else if (use === 'table') result.tablesStuck++;
      else if (isUnmovableUse(m, use)) result.otherStuck++;
      pfn++;
      if (this.#pages.length >= this.#cluster()) break;
    }
    this.#migratePfn = Math.min(pfn, end);
    const isAtEnd = this.#migratePfn === end;
    if (!isAtEnd || (this.#pages.length > 0 && !this.#finishesBlock)) return;
    setBlockSkipped(m, blockOf(m, end - 1), true);
    this.#rememberMigrate(end);
  }

  /** Frames to pass over: to the end of a folio that is no smaller than the block wanted. */
  #spared(pfn: number): number {
    const { order } = this.#control;
    if (order < 0 || order >= L.BLOCK_SHIFT) return 0;
    if (this.#m.words[blockOf(this.#m, pfn) + L.B_CHUNK] === 0) return 0;
    const own = smallFolioOrder(this.#m, frameRecord(this.#m, pfn));
    return own < order ? 0 : (1 << own) - (pfn & ((1 << own) - 1));
  }

  /** Pages that are collected before they are moved. */
  #cluster(): number {
    const most = this.#finishesBlock ? L.BLOCK_FRAMES : CLUSTER_MAX;
    const { budget } = this.#control;
    return budget === undefined ? most : Math.min(most, budget.pages, budget.rounds * CLUSTER_MAX);
  }

  /** update_cached_migrate. */
  #rememberMigrate(pfn: number): void {
    if (this.#control.ignoresSkips) return;
    const w = this.#m.words;
    const at = this.#z + L.Z_COMPACT_MIGRATE;
    w[at] = Math.max(w[at], pfn);
    if (this.#control.mode === 'sync') w[at + 1] = Math.max(w[at + 1], pfn);
  }

  /** migrate_pages: false if free frames ran out; what was not moved stays where it is. */
  #migratePages(): boolean {
    const m = this.#m;
    const { budget } = this.#control;
    if (budget !== undefined) {
      budget.pages -= this.#pages.length;
      budget.rounds -= Math.ceil(this.#pages.length / CLUSTER_MAX);
    }
    for (let i = 0; i < this.#pages.length; i++) {
      const pfn = this.#pages[i] as number;
      if (this.#free.length === 0) this.#isolateFreePages(this.#pages.length - i);
      const to = this.#free.pop();
      if (to === undefined) {
        this.#pages.length = 0;
        return false;
      }
      const isTable = frameUse(m, pfn) === 'table' || frameUse(m, pfn) === 'index';
      moveFrame(m, pfn, to);
      buddyFree(m, this.#z, pfn, 0);
      if (isTable) this.#result.tablesMoved++;
      else this.#result.pagesMoved++;
    }
    this.#pages.length = 0;
    return true;
  }

  /** isolate_freepages: goes down until there are `wanted` free frames or the scanners meet. */
  #isolateFreePages(wanted: number): void {
    const low = blockStart(this.#migratePfn - 1) + L.BLOCK_FRAMES;
    let from = this.#freePfn;
    let block = blockStart(from);
    while (block >= low) {
      const isTarget = this.#isMine(block) && this.#isTarget(block) && this.#isSuitable(block);
      if (isTarget) {
        const end = block + L.BLOCK_FRAMES;
        from = this.#isolateFreeBlock(from, end, wanted);
        if (from >= end) this.#markFreeScanned(block);
        if (from >= end && this.#free.length >= wanted) from = block - L.BLOCK_FRAMES;
        // Enough, or stopped by the watermark.
        if (this.#free.length >= wanted || from < end) break;
      }
      block -= L.BLOCK_FRAMES;
      from = block;
    }
    this.#freePfn = from;
    // Frames are handed out in the order found.
    this.#free.reverse();
  }

  /** suitable_migration_target: a movable pageblock that is not one large free block itself. */
  #isTarget(pfn: number): boolean {
    const order = this.#control.order > 0 ? this.#control.order : L.BLOCK_SHIFT;
    if (freeHeadOrder(this.#m, pfn) >= order) return false;
    return blockMigrateType(this.#m, blockOf(this.#m, pfn)) === MIGRATE_MOVABLE;
  }

  /** update_pageblock_skip. */
  #markFreeScanned(block: number): void {
    setBlockSkipped(this.#m, blockOf(this.#m, block), true);
    const w = this.#m.words;
    const at = this.#z + L.Z_COMPACT_FREE;
    const next = block - L.BLOCK_FRAMES;
    if (next >= this.#start && (w[at] === 0 || next < w[at])) w[at] = next;
  }

  /** isolate_freepages_block: takes free blocks off their lists; where it stopped. */
  #isolateFreeBlock(from: number, end: number, wanted: number): number {
    const m = this.#m;
    const w = m.words;
    let pfn = from;
    while (pfn < end) {
      this.#result.freeScanned++;
      const order = freeHeadOrder(m, pfn);
      if (order < 0) {
        pfn++;
        continue;
      }
      const frames = 1 << order;
      // __isolate_free_page leaves the min watermark alone.
      if (w[this.#z + L.Z_FREE] <= w[this.#z + L.Z_MIN] + frames) return pfn;
      removeFree(m, this.#z, pfn, order, blockMigrateType(m, blockOf(m, pfn)));
      w[this.#z + L.Z_FREE] -= frames;
      for (let i = 0; i < frames; i++) this.#free.push(pfn + i);
      pfn += frames;
      if (this.#free.length >= wanted) break;
    }
    return pfn;
  }

  /** release_free_list: what was not used is free again, and the next run looks there again. */
  releaseFreePages(): void {
    let highest = 0;
    for (const pfn of this.#free) {
      buddyFree(this.#m, this.#z, pfn, 0);
      highest = Math.max(highest, pfn);
    }
    this.#free.length = 0;
    const at = this.#z + L.Z_COMPACT_FREE;
    const w = this.#m.words;
    if (w[at] !== 0 && blockStart(highest) > w[at]) w[at] = blockStart(highest);
  }
}

function migrateCache(mode: CompactMode): number {
  return mode === 'sync' ? L.Z_COMPACT_MIGRATE_SYNC : L.Z_COMPACT_MIGRATE;
}

function blockStart(pfn: number): number {
  return pfn & ~(L.BLOCK_FRAMES - 1);
}
