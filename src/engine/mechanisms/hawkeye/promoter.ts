import { collapseSlot, slotFits } from '../../huge/collapse.ts';
import { holdsSlot, wantsHuge } from '../../huge/eligible.ts';
import { H_MM_LIST } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { MM_NEXT, MM_PID } from '../../space/mm.ts';
import { V_ANON_VMA, vmaLookup } from '../../space/vma.ts';
import { ENTRY_NONE, ENTRY_ZERO, KIND_MASK } from '../../tables/entry.ts';
import { entryFlags } from '../../tables/leaf.ts';
import { T_CONTENTS } from '../../tables/table.ts';
import { leafWord } from '../../tables/walk.ts';
import type { AccessMap, Region } from './access-map.ts';
import type { HawkeyeOptions, MmuOverhead } from './options.ts';

/** Attempts that may fail in one turn (ohp_scan_mm). */
const FAILURES_MAX = 100;
/** A process with fewer regions that wait is left alone (ohp_mm_pending_promotions). */
const PENDING_MIN = 8;

/**
 * The thread that promotes: khugepaged of Linux 4.3 with regions from the access map, the hottest
 * bucket first, so many pages between two sleeps (khugepaged's own settings). Its choice of process is
 * `metric`; equals take turns.
 */
export class Promoter {
  promotions = 0;
  failures = 0;
  nextNs = -1;
  readonly #m: Machine;
  readonly #options: HawkeyeOptions;
  readonly #overhead: MmuOverhead;
  readonly #map: AccessMap;
  /** The frames from `base` on are a huge page now, `isHole` says which of them are zeros. */
  readonly #onPromoted: (base: number, isHole: Uint8Array) => void;
  /** Address spaces, in the order in which they are asked. */
  #order: number[] = [];

  constructor(
    m: Machine,
    options: HawkeyeOptions,
    overhead: MmuOverhead,
    map: AccessMap,
    onPromoted: (base: number, isHole: Uint8Array) => void,
  ) {
    this.#m = m;
    this.#options = options;
    this.#overhead = overhead;
    this.#map = map;
    this.#onPromoted = onPromoted;
  }

  /** What it does between two sleeps. */
  run(): void {
    const { scanSleepMs, pagesToScan } = this.#m.huge.khugepaged;
    this.nextNs += scanSleepMs * 1e6;
    this.#learn();
    const only = this.#options.metric < 2 ? this.#target() : 0;
    if (this.#options.metric < 2 && only === 0) return;
    let failed = 0;
    for (let pages = 0; pages < pagesToScan && failed < FAILURES_MAX; ) {
      const mm = only === 0 ? this.#hottestSpace() : only;
      const region = mm === 0 ? undefined : this.#map.hottest(mm);
      if (region === undefined) return;
      const result = this.#promote(mm, region);
      if (result === 'succeeded') pages += this.#m.entryCount;
      else failed += result === 'no-memory' ? FAILURES_MAX : 1;
    }
  }

  forget(mm: number): void {
    this.#order = this.#order.filter((other) => other !== mm);
  }

  /** The process with the largest overhead, or overhead for each region that waits; 0 for none. */
  #target(): number {
    let best = 0;
    let most = 0;
    for (const mm of this.#order) {
      const pending = this.#map.pending(mm);
      const percent = this.#overheadOf(mm);
      if (pending < PENDING_MIN || percent < this.#options.stopPercent) continue;
      const weight = this.#options.metric === 0 ? percent : (percent * 10_000) / pending;
      if (weight <= most) continue;
      most = weight;
      best = mm;
    }
    if (best !== 0) this.#toTail(best);
    return best;
  }

  /** The first in turn that has a region in the hottest bucket of all; 0 for none. */
  #hottestSpace(): number {
    let best = 0;
    let most = -1;
    for (const mm of this.#order) {
      const bucket = this.#map.hottest(mm)?.bucket ?? -1;
      if (bucket <= most) continue;
      most = bucket;
      best = mm;
    }
    if (best !== 0) this.#toTail(best);
    return best;
  }

  #toTail(mm: number): void {
    this.forget(mm);
    this.#order.push(mm);
  }

  #overheadOf(mm: number): number {
    return this.#overhead.get(this.#m.words[mm + MM_PID]) ?? 0;
  }

  #learn(): void {
    const m = this.#m;
    const fresh: number[] = [];
    for (let mm = m.words[H_MM_LIST]; mm !== 0; mm = m.words[mm + MM_NEXT]) {
      if (!this.#order.includes(mm)) fresh.push(mm);
    }
    // The list begins with the youngest.
    this.#order.push(...fresh.reverse());
  }

  #promote(mm: number, region: Region): string {
    const m = this.#m;
    const { page } = region;
    const vma = vmaLookup(m, mm, page);
    const isFit =
      vma !== 0 && wantsHuge(m, vma) && m.words[vma + V_ANON_VMA] !== 0 && holdsSlot(m, vma, page);
    const hi = Math.floor(page / m.loPages);
    const lo = page - hi * m.loPages;
    const fit = isFit ? slotFits(m, mm, vma, page, m.huge.khugepaged) : 'unfit';
    if (fit !== 'succeeded') {
      region.hasFailed = true;
      return fit;
    }
    const isHole = holesOf(m, leafWord(m, mm, hi, lo));
    const result = collapseSlot(m, mm, vma, page);
    if (result !== 'succeeded') {
      region.hasFailed = true;
      this.failures += 1;
      return result;
    }
    this.promotions += 1;
    this.#map.remove(mm, region);
    this.#onPromoted(m.words[leafWord(m, mm, hi, lo) + T_CONTENTS], isHole);
    return result;
  }
}

/** A 1 for each entry of a table that has no page. */
function holesOf(m: Machine, table: number): Uint8Array {
  const isHole = new Uint8Array(m.entryCount);
  for (let i = 0; i < isHole.length; i++) {
    const kind = entryFlags(m, table, i) & KIND_MASK;
    if (kind === ENTRY_NONE || kind === ENTRY_ZERO) isHole[i] = 1;
  }
  return isHole;
}
