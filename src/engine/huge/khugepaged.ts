import { H_MM_LIST } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { MM_NEXT } from '../space/mm.ts';
import { findVmaIndex, V_ANON_VMA, vmaAt, vmaEnd, vmaStart } from '../space/vma.ts';
import { type CollapseResult, collapseSlot, slotFits } from './collapse.ts';
import { holdsAnySlot, wantsHuge } from './eligible.ts';

/**
 * The thread that makes small pages huge ones in the background (mm/khugepaged.c). It sleeps, then
 * looks at so many pages of the address spaces that may have huge pages, one after the other, each
 * from its lowest address to its highest, and goes on the next time where it stopped.
 *
 * Address spaces stand in the order in which khugepaged came to know them. Linux notes one when an
 * area may have huge pages for the first time; here all that have such an area are noted when a pass
 * begins, in the order of their making.
 */
export interface KhugepagedCounters {
  passes: number;
  /** Slots looked at, and made huge (pages_collapsed). */
  slotsScanned: number;
  collapsed: number;
  /** Times through all address spaces (full_scans). */
  fullScans: number;
  /** No 2 MiB in one piece. */
  allocFailed: number;
}

const NS_PER_MS = 1e6;

export class Khugepaged {
  readonly counters: KhugepagedCounters = {
    passes: 0,
    slotsScanned: 0,
    collapsed: 0,
    fullScans: 0,
    allocFailed: 0,
  };
  readonly #m: Machine;
  /** Address spaces by id, in order; the first is the next to be gone through. */
  readonly #known: number[] = [];
  /** Which of them is being gone through, and from which page on. */
  #at = 0;
  #page = 0;
  /** When it wakes; the first time a whole sleep after it first hears of the time. */
  #wakeNs = -1;

  constructor(m: Machine) {
    this.#m = m;
  }

  /** The time is `nowNs`: does what is due. Returns how many slots were made huge. */
  run(nowNs: number): number {
    const { scanSleepMs, allocSleepMs } = this.#m.huge.khugepaged;
    const before = this.counters.collapsed;
    if (this.#wakeNs < 0) this.#wakeNs = nowNs + scanSleepMs * NS_PER_MS;
    while (nowNs >= this.#wakeNs) {
      const isShort = this.pass();
      // A long time in which there is nothing to do is one sleep.
      if (this.#known.length === 0) this.#wakeNs = Math.max(this.#wakeNs, nowNs);
      this.#wakeNs += (isShort ? allocSleepMs : scanSleepMs) * NS_PER_MS;
    }
    return this.counters.collapsed - before;
  }

  /** An address space went; its id may be another's. */
  forget(mm: number): void {
    const at = this.#known.indexOf(mm);
    if (at < 0) return;
    this.#known.splice(at, 1);
    if (at < this.#at) this.#at--;
    else if (at === this.#at) this.#page = 0;
  }

  /** What it does between two sleeps (khugepaged_do_scan). True if it must sleep longer. */
  pass(): boolean {
    this.#learn();
    this.counters.passes += 1;
    const { pagesToScan } = this.#m.huge.khugepaged;
    let progress = 0;
    let isShort = false;
    for (let heads = 0; heads < 2 && this.#known.length > 0 && progress < pagesToScan; ) {
      if (this.#at >= this.#known.length) {
        this.#at = 0;
        this.#page = 0;
        this.counters.fullScans += 1;
      }
      if (this.#at === 0 && this.#page === 0) heads++;
      if (heads === 2) break;
      const space = this.#scanSpace(this.#known[this.#at] as number, pagesToScan - progress);
      progress += space.progress;
      if (space.last !== 'no-memory') continue;
      this.counters.allocFailed += 1;
      isShort = true;
      break;
    }
    return isShort;
  }

  /** One address space from where it stopped, until so many pages were looked at or one collapsed. */
  #scanSpace(mm: number, pages: number): { progress: number; last: CollapseResult | null } {
    const m = this.#m;
    const span = m.entryCount;
    let progress = 1;
    let index = findVmaIndex(m, mm, this.#page);
    for (let vma = vmaAt(m, mm, index); vma !== 0; vma = vmaAt(m, mm, ++index)) {
      if (!wantsHuge(m, vma) || m.words[vma + V_ANON_VMA] === 0) {
        progress++;
        continue;
      }
      const first = Math.ceil(vmaStart(m, vma) / span) * span;
      const end = Math.floor(vmaEnd(m, vma) / span) * span;
      this.#page = Math.max(this.#page, first);
      while (this.#page < end) {
        const last = this.#collapse(mm, vma, this.#page);
        this.#page += span;
        progress += span;
        // The attempt let go of the mmap_lock: the rest of this address space comes next.
        const wasTried = last === 'succeeded' || last === 'no-memory';
        if (wasTried || progress >= pages) return { progress, last };
      }
    }
    this.#at += 1;
    this.#page = 0;
    return { progress, last: null };
  }

  #collapse(mm: number, vma: number, page: number): CollapseResult {
    const m = this.#m;
    this.counters.slotsScanned += 1;
    const fit = slotFits(m, mm, vma, page, m.huge.khugepaged);
    if (fit !== 'succeeded') return fit;
    const result = collapseSlot(m, mm, vma, page);
    if (result === 'succeeded') this.counters.collapsed += 1;
    return result;
  }

  #learn(): void {
    const m = this.#m;
    const fresh: number[] = [];
    for (let mm = m.words[H_MM_LIST]; mm !== 0; mm = m.words[mm + MM_NEXT]) {
      if (!this.#known.includes(mm) && this.#hasWork(mm)) fresh.push(mm);
    }
    // The list begins with the youngest.
    this.#known.push(...fresh.reverse());
  }

  #hasWork(mm: number): boolean {
    const m = this.#m;
    for (let i = 0, vma = vmaAt(m, mm, 0); vma !== 0; vma = vmaAt(m, mm, ++i)) {
      if (wantsHuge(m, vma) && holdsAnySlot(m, vma)) return true;
    }
    return false;
  }
}
