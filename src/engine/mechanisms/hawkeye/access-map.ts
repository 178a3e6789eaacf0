import { holdsSlot, wantsHuge } from '../../huge/eligible.ts';
import { H_MM_LIST } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { MM_NEXT } from '../../space/mm.ts';
import { V_ANON_VMA, vmaAt, vmaEnd, vmaStart } from '../../space/vma.ts';
import { ENTRY_ACCESSED } from '../../tables/entry.ts';
import { isHuge } from '../../tables/huge-entry.ts';
import { changeEntry, entryFlags, entryWord } from '../../tables/leaf.ts';
import { T_COUNT } from '../../tables/table.ts';
import { isLeaf, LeafCursor } from '../../tables/walk.ts';
import type { HawkeyeOptions } from './options.ts';

/** A region of small pages that could become a huge page. */
export interface Region {
  /** Its first page. */
  readonly page: number;
  /** Moving average of its pages that were accessed. */
  weight: number;
  bucket: number;
  /** Order within the bucket: the smallest is the head. */
  rank: number;
  scan: number;
  /** A promotion failed since the last scan. */
  hasFailed: boolean;
}

const cursor = new LeafCursor();

/**
 * Which regions are used, by access coverage (access_map; mm/ohp.c): every so often the accessed bits
 * of all regions without a huge page are cleared, and read after a second. How many are set is
 * averaged, and the average is the region's bucket. One that moves up goes to its bucket's head, one
 * that moves down to the tail [R]; in the released code all go to the head.
 */
export class AccessMap {
  nextNs = -1;
  readonly #m: Machine;
  readonly #options: HawkeyeOptions;
  readonly #spaces = new Map<number, Map<number, Region>>();
  #isSampleNext = false;
  #scan = 0;
  #headRank = 0;
  #tailRank = 0;

  constructor(m: Machine, options: HawkeyeOptions) {
    this.#m = m;
    this.#options = options;
  }

  /** One step, at a time until `nowNs`. */
  run(nowNs: number): void {
    const { scanMs, sampleMs } = this.#options;
    if (!this.#isSampleNext) {
      this.#go(false);
      this.nextNs += sampleMs * 1e6;
    } else {
      const isQuiet = this.#go(true);
      this.nextNs += Math.max(0, scanMs - sampleMs) * 1e6;
      // All averages are 0, and nothing is touched before the next event: no scan changes anything.
      const skipped = Math.floor((nowNs - this.nextNs) / (scanMs * 1e6));
      if (isQuiet && skipped > 0) this.nextNs += skipped * scanMs * 1e6;
    }
    this.#isSampleNext = !this.#isSampleNext;
  }

  forget(mm: number): void {
    this.#spaces.delete(mm);
  }

  /** The region that is promoted next in an address space: the hottest bucket's head. */
  hottest(mm: number): Region | undefined {
    let best: Region | undefined;
    for (const region of this.#spaces.get(mm)?.values() ?? []) {
      if (region.hasFailed || !isUsed(region, this.#options)) continue;
      const isBetter =
        best === undefined ||
        region.bucket > best.bucket ||
        (region.bucket === best.bucket && region.rank < best.rank);
      if (isBetter) best = region;
    }
    return best;
  }

  /** Regions that wait above the two lowest buckets (ohp_mm_pending_promotions). */
  pending(mm: number): number {
    let count = 0;
    for (const { bucket } of this.#spaces.get(mm)?.values() ?? []) if (bucket > 1) count += 1;
    return count;
  }

  /** The region is a huge page, or nothing that could be one. */
  remove(mm: number, region: Region): void {
    this.#spaces.get(mm)?.delete(region.page);
  }

  /** Clears all accessed bits, or reads them; true if every average is 0. */
  #go(isSample: boolean): boolean {
    const m = this.#m;
    this.#scan += 1;
    let isQuiet = true;
    for (let mm = m.words[H_MM_LIST]; mm !== 0; mm = m.words[mm + MM_NEXT]) {
      const regions = this.#spaces.get(mm) ?? new Map<number, Region>();
      this.#spaces.set(mm, regions);
      this.#goSpace(mm, regions, isSample);
      for (const region of regions.values()) {
        if (region.scan !== this.#scan) regions.delete(region.page);
        else if (region.weight > 0) isQuiet = false;
      }
    }
    return isQuiet;
  }

  #goSpace(mm: number, regions: Map<number, Region>, isSample: boolean): void {
    const m = this.#m;
    for (let i = 0, vma = vmaAt(m, mm, 0); vma !== 0; vma = vmaAt(m, mm, ++i)) {
      if (!wantsHuge(m, vma) || m.words[vma + V_ANON_VMA] === 0) continue;
      cursor.begin(mm, vmaStart(m, vma), vmaEnd(m, vma));
      for (let table = cursor.next(m); table !== 0; table = cursor.next(m)) {
        const page = cursor.start - (cursor.start % m.entryCount);
        if (!isLeaf(m, table) || isHuge(m, table) || m.words[table + T_COUNT] === 0) continue;
        if (!holdsSlot(m, vma, page)) continue;
        const region = regions.get(page) ?? this.#added(page);
        regions.set(page, region);
        region.scan = this.#scan;
        if (isSample) this.#weigh(region, accessedPages(m, table));
        else clearAccessed(m, table);
      }
    }
  }

  #added(page: number): Region {
    const rank = ++this.#tailRank;
    return { page, weight: 0, bucket: 0, rank, scan: 0, hasFailed: false };
  }

  #weigh(region: Region, accessed: number): void {
    const { emaPercent, logBins } = this.#options;
    // In whole numbers, as the kernel does.
    region.weight = Math.floor((region.weight * (100 - emaPercent) + accessed * emaPercent) / 100);
    const bucket = bucketOf(region.weight, logBins);
    if (bucket > region.bucket || logBins === 1) region.rank = --this.#headRank;
    else if (bucket < region.bucket) region.rank = ++this.#tailRank;
    region.bucket = bucket;
    region.hasFailed = false;
  }
}

/** Ten buckets, 0 to 49 pages and so on to 450 and more; or the power of two that holds the weight. */
export function bucketOf(weight: number, logBins: number): number {
  if (logBins === 0) return Math.min(9, Math.floor(weight / 50));
  return weight <= 1 ? 0 : 32 - Math.clz32(weight - 1);
}

/** Not one of whose pages few or none were accessed: the code's bin 0 is never promoted. */
function isUsed(region: Region, { logBins, metric }: HawkeyeOptions): boolean {
  if (logBins === 1) return metric < 2 || region.bucket > 0;
  return region.weight > 0;
}

function accessedPages(m: Machine, table: number): number {
  let accessed = 0;
  for (let i = 0; i < m.entryCount; i++) {
    if ((entryFlags(m, table, i) & ENTRY_ACCESSED) !== 0) accessed += 1;
  }
  return accessed;
}

function clearAccessed(m: Machine, table: number): void {
  for (let i = 0; i < m.entryCount; i++) {
    const flags = entryFlags(m, table, i);
    if ((flags & ENTRY_ACCESSED) === 0) continue;
    changeEntry(m, table, i, flags & ~ENTRY_ACCESSED, entryWord(m, table, i));
  }
}
