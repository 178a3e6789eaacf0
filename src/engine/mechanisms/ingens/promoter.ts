import { allocExtent, hasExtent } from '../../frames/alloc.ts';
import { zoneFreeInfo } from '../../frames/fragmentation.ts';
import { EXTENT_ANON, MIGRATE_MOVABLE } from '../../frames/pageblock.ts';
import { TAKEN_HUGE } from '../../frames/taken-as.ts';
import { collapseSlot } from '../../huge/collapse.ts';
import { holdsSlot, wantsHuge } from '../../huge/eligible.ts';
import { isKsm } from '../../ksm/ksm-page.ts';
import { BLOCK_SHIFT } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { V_ANON_VMA, vmaLookup } from '../../space/vma.ts';
import { ENTRY_PAGE, KIND_MASK } from '../../tables/entry.ts';
import { isHuge } from '../../tables/huge-entry.ts';
import { entryFlags, entryWord } from '../../tables/leaf.ts';
import { T_COUNT } from '../../tables/table.ts';
import { leafWord } from '../../tables/walk.ts';
import type { Heat } from './heat.ts';
import type { IngensOptions } from './options.ts';
import { Requests } from './requests.ts';
import type { ShareMetric } from './share.ts';
import type { IngensVariant } from './variant.ts';
import { SpaceWalk } from './walk.ts';

/** What became of a region. */
export type Promotion = 'promoted' | 'unfit' | 'no-memory';

/**
 * The thread that promotes (Promote-kth). Faults ask for regions whose utilisation reached the
 * threshold; it serves the process with the largest metric first (share.ts), of that process the oldest
 * request. Between two sleeps it goes through address spaces as well (walk.ts). Each promotion takes it
 * time; nobody waits for it.
 *
 * It takes a block only where one is free: to make blocks is the compactor's work, which is bounded. The
 * released kernel does not compact for it either: there compact_finished ends at once unless the
 * periodic thread has asked.
 */
export class Promoter {
  promotions = 0;
  /** Times that no block was free. */
  failures = 0;
  readonly #m: Machine;
  readonly #options: IngensOptions;
  readonly #variant: IngensVariant;
  readonly #heat: Heat;
  readonly #metric: ShareMetric;
  readonly #onPromoted: (table: number) => void;
  readonly #requests = new Requests();
  readonly #walk: SpaceWalk;
  /** Until then the thread is at work on the last promotion; until then it sleeps for want of a block. */
  #busyNs = 0;
  #sleepsNs = 0;
  #wakeNs = -1;
  #lastNs = -1;
  #isStarved = false;

  constructor(
    m: Machine,
    options: IngensOptions,
    variant: IngensVariant,
    heat: Heat,
    metric: ShareMetric,
    onPromoted: (table: number) => void,
  ) {
    this.#m = m;
    this.#options = options;
    this.#variant = variant;
    this.#heat = heat;
    this.#metric = metric;
    this.#onPromoted = onPromoted;
    this.#walk = new SpaceWalk(m, variant, (mms) => this.#best(mms));
  }

  /** Pages of a region that must be in use: 90 %, or one where memory is in large pieces. */
  usedMin(): number {
    const { fmfiPercent } = this.#options;
    if (fmfiPercent > 0 && fmfi(this.#m) * 100 < fmfiPercent) return 1;
    return Math.max(1, this.keptMin());
  }

  /** Pages of a huge page that must be in use for it to stay one. */
  keptMin(): number {
    return Math.floor((this.#options.utilPercent * this.#m.entryCount) / 100);
  }

  /** A fault has filled an entry of the region that begins at `page`; so many are filled now. */
  filled(mm: number, page: number, count: number): void {
    if (this.#variant.ignoresFirstFault && this.#requests.isFirstOf(mm, page)) return;
    if (count < this.keptMin() && count < this.usedMin()) {
      // It has lost pages since, which takes back that it was asked for.
      if (this.#variant.asksOnce) this.#requests.allowAgain(mm, page);
      return;
    }
    this.#requests.add(mm, page);
  }

  forget(mm: number): void {
    this.#requests.forget(mm);
    this.#walk.forget(mm);
  }

  run(nowNs: number): void {
    const sleepNs = this.#options.sleepMs * 1e6;
    if (this.#wakeNs < 0) this.#wakeNs = nowNs + sleepNs;
    // It began with what had been asked for before, as soon as it was free.
    const sinceNs = this.#lastNs < 0 ? nowNs : this.#lastNs;
    this.#lastNs = nowNs;
    while (this.#requests.count > 0 && this.#freeNs() <= nowNs && this.#canStart()) {
      this.#serve(sinceNs);
    }
    for (; this.#wakeNs <= nowNs; this.#wakeNs += sleepNs) {
      const atNs = this.#wakeNs;
      if (this.#sleepsNs > atNs) continue;
      if (!this.#canStart()) break;
      this.#walk.pass(this.#options.pagesToScan, (mm, page) =>
        this.#promote(mm, page, this.keptMin(), atNs),
      );
    }
    while (this.#wakeNs <= nowNs) this.#wakeNs += sleepNs;
  }

  #freeNs(): number {
    return Math.max(this.#busyNs, this.#sleepsNs);
  }

  /** As published a request waits until there is a block; in the released code it is lost. */
  #canStart(): boolean {
    if (this.#options.allocSleepMs > 0) return true;
    const isStarved = !hasExtent(this.#m);
    if (isStarved && !this.#isStarved) this.failures += 1;
    this.#isStarved = isStarved;
    return !isStarved;
  }

  #serve(nowNs: number): void {
    const isInOrder = this.#variant.isFirstComeFirstServed;
    const mm = isInOrder ? this.#requests.oldest() : this.#best(this.#requests.spaces());
    const page = this.#requests.take(mm);
    if (!this.#variant.asksOnce) this.#requests.allowAgain(mm, page);
    this.#walk.wasAskedBy(mm, page);
    this.#promote(mm, page, isInOrder ? this.keptMin() : this.usedMin(), nowNs);
  }

  #promote(mm: number, page: number, usedMin: number, nowNs: number): Promotion {
    const m = this.#m;
    const vma = vmaLookup(m, mm, page);
    if (vma === 0 || !wantsHuge(m, vma) || m.words[vma + V_ANON_VMA] === 0) return 'unfit';
    if (!holdsSlot(m, vma, page)) return 'unfit';
    const hi = Math.floor(page / m.loPages);
    const table = leafWord(m, mm, hi, page - hi * m.loPages);
    if (table <= 0 || isHuge(m, table) || holdsMerged(m, table)) return 'unfit';
    // It may have lost pages since it was asked for.
    const used = m.words[table + T_COUNT];
    if (used < usedMin) return 'unfit';
    const result = collapseSlot(m, mm, vma, page, freeBlock);
    if (result === 'no-memory') {
      if (this.#options.allocSleepMs > 0) {
        this.failures += 1;
        this.#sleepsNs = nowNs + this.#options.allocSleepMs * 1e6;
      }
      return 'no-memory';
    }
    if (result !== 'succeeded') return 'unfit';
    this.promotions += 1;
    this.#onPromoted(leafWord(m, mm, hi, page - hi * m.loPages));
    const { copyNs, zeroNs, fixedNs } = this.#options;
    const takesNs = used * copyNs + (m.entryCount - used) * zeroNs + fixedNs;
    this.#busyNs = Math.max(this.#busyNs, nowNs) + takesNs;
    return 'promoted';
  }

  /**
   * The one with the largest metric, the first of equals; 0 if none counts: as released that needs
   * fairness, a weight, and more than 1.
   */
  #best(spaces: readonly number[]): number {
    const isReleased = this.#variant.isFirstComeFirstServed;
    if (this.#options.fairness === 0) return isReleased ? 0 : (spaces[0] ?? 0);
    let best = 0;
    let most = isReleased ? 1 : -1;
    for (const mm of spaces) {
      const metric = this.#metric.of(mm, this.#heat);
      if (metric > most) {
        most = metric;
        best = mm;
      }
    }
    return best;
  }
}

/** A region with merged pages stays one of small pages, or promotion and merging would take turns. */
function holdsMerged(m: Machine, table: number): boolean {
  if (m.ksm === null) return false;
  for (let i = 0; i < m.entryCount; i++) {
    const isPage = (entryFlags(m, table, i) & KIND_MASK) === ENTRY_PAGE;
    if (isPage && isKsm(m, entryWord(m, table, i))) return true;
  }
  return false;
}

function freeBlock(m: Machine): number {
  return allocExtent(m, EXTENT_ANON, MIGRATE_MOVABLE, TAKEN_HUGE);
}

/** Share of free memory that is in pieces smaller than 2 MiB, 0 to 1 (Gorman and Whitcroft). */
export function fmfi(m: Machine): number {
  let frames = 0;
  let suitable = 0;
  for (let zone = 0; zone < m.zoneCount; zone++) {
    const info = zoneFreeInfo(m, zone, BLOCK_SHIFT);
    frames += info.frames;
    suitable += info.suitable * 2 ** BLOCK_SHIFT;
  }
  return frames === 0 ? 1 : (frames - suitable) / frames;
}
