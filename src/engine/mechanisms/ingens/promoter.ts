import { zoneFreeInfo } from '../../frames/fragmentation.ts';
import { collapseSlot } from '../../huge/collapse.ts';
import { holdsSlot, wantsHuge } from '../../huge/eligible.ts';
import { BLOCK_SHIFT, H_MM_LIST } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { C_HUGE, MM_NEXT, mmCounter } from '../../space/mm.ts';
import { findVmaIndex, V_ANON_VMA, vmaAt, vmaEnd, vmaLookup, vmaStart } from '../../space/vma.ts';
import { isHuge } from '../../tables/huge-entry.ts';
import { T_COUNT } from '../../tables/table.ts';
import { leafWord } from '../../tables/walk.ts';
import type { Heat } from './heat.ts';
import type { IngensOptions } from './options.ts';

/** Requests and what a process was granted. */
interface Space {
  /** First pages of slots, oldest first. */
  readonly requests: number[];
  /** Slots that were asked for and not looked at again since. */
  readonly asked: Set<number>;
  /** Page from which the thread goes on through this address space. */
  cursor: number;
  /** Promotions of the pass through it that is under way. */
  promoted: number;
  /** The last pass found nothing to promote: others first. */
  isBarren: boolean;
}

/**
 * The thread that promotes (Promote-kth). Faults ask for regions whose utilisation reached the
 * threshold; it takes the process with the largest promotion metric first,
 *
 *   M = S / (H * alpha),  alpha = f + tau * (1 - f)
 *
 * S the share priority, H the huge pages held, f the idle share of them; of that process the oldest
 * request. Without requests it goes through the address space of the process with the largest M. Each
 * promotion takes it time; nobody waits for it.
 */
export class Promoter {
  promotions = 0;
  failures = 0;
  readonly #m: Machine;
  readonly #options: IngensOptions;
  readonly #heat: Heat;
  readonly #onPromoted: (table: number) => void;
  readonly #spaces = new Map<number, Space>();
  #waiting = 0;
  /** Until then the thread is at work on the last promotion; then it sleeps. */
  #busyNs = 0;
  #wakeNs = -1;
  #lastNs = -1;

  constructor(m: Machine, options: IngensOptions, heat: Heat, onPromoted: (table: number) => void) {
    this.#m = m;
    this.#options = options;
    this.#heat = heat;
    this.#onPromoted = onPromoted;
  }

  /** Pages of a region that must be in use: 90 %, or one where memory is in large pieces. */
  usedMin(): number {
    const { utilPercent, fmfiPercent } = this.#options;
    if (fmfi(this.#m) * 100 < fmfiPercent) return 1;
    return Math.max(1, Math.floor((utilPercent * this.#m.entryCount) / 100));
  }

  /** Pages of a huge page that must be in use for it to stay one. */
  keptMin(): number {
    return Math.floor((this.#options.utilPercent * this.#m.entryCount) / 100);
  }

  /** A fault has filled an entry of the region that begins at `page`; so many are filled now. */
  filled(mm: number, page: number, count: number): void {
    if (count < this.usedMin()) return;
    const space = this.#spaceOf(mm);
    if (space.asked.has(page)) return;
    space.asked.add(page);
    space.requests.push(page);
    this.#waiting += 1;
  }

  forget(mm: number): void {
    this.#waiting -= this.#spaces.get(mm)?.requests.length ?? 0;
    this.#spaces.delete(mm);
  }

  run(nowNs: number): void {
    const sleepNs = this.#options.sleepMs * 1e6;
    if (this.#wakeNs < 0) this.#wakeNs = nowNs + sleepNs;
    // It began with what had been asked for before, as soon as it was free.
    const sinceNs = this.#lastNs < 0 ? nowNs : this.#lastNs;
    this.#lastNs = nowNs;
    while (this.#waiting > 0 && this.#busyNs <= nowNs) this.#serve(sinceNs);
    while (this.#wakeNs <= nowNs) {
      this.#walk(this.#wakeNs);
      this.#wakeNs += sleepNs;
    }
  }

  #spaceOf(mm: number): Space {
    let space = this.#spaces.get(mm);
    if (space === undefined) {
      space = { requests: [], asked: new Set(), cursor: 0, promoted: 0, isBarren: false };
      this.#spaces.set(mm, space);
    }
    return space;
  }

  #serve(nowNs: number): void {
    const mm = this.#best(
      [...this.#spaces.keys()].filter((id) => this.#spaceOf(id).requests.length > 0),
    );
    const space = this.#spaceOf(mm);
    const page = space.requests.shift() as number;
    space.asked.delete(page);
    this.#waiting -= 1;
    this.#promote(mm, page, this.usedMin(), nowNs);
  }

  /**
   * One stretch of the address space of the process that deserves most. A pass that found nothing lets
   * the others have theirs first, or who has nothing to promote would have the thread for ever.
   */
  #walk(nowNs: number): void {
    const m = this.#m;
    const all: number[] = [];
    for (let mm = m.words[H_MM_LIST]; mm !== 0; mm = m.words[mm + MM_NEXT]) all.push(mm);
    if (all.length === 0) return;
    all.reverse();
    let fertile = all.filter((mm) => !this.#spaceOf(mm).isBarren);
    if (fertile.length === 0) {
      for (const mm of all) this.#spaceOf(mm).isBarren = false;
      fertile = all;
    }
    const mm = this.#best(fertile);
    const space = this.#spaceOf(mm);
    let left = this.#options.pagesToScan;
    let index = findVmaIndex(m, mm, space.cursor);
    for (let vma = vmaAt(m, mm, index); vma !== 0 && left > 0; vma = vmaAt(m, mm, ++index)) {
      if (!wantsHuge(m, vma) || m.words[vma + V_ANON_VMA] === 0) continue;
      const first = Math.ceil(vmaStart(m, vma) / m.entryCount) * m.entryCount;
      space.cursor = Math.max(space.cursor, first);
      for (; space.cursor + m.entryCount <= vmaEnd(m, vma) && left > 0; left -= m.entryCount) {
        // What a fault did not ask for must be in use for the most part.
        if (this.#promote(mm, space.cursor, this.keptMin(), nowNs)) space.promoted += 1;
        space.cursor += m.entryCount;
      }
    }
    if (left <= 0) return;
    space.isBarren = space.promoted === 0;
    space.promoted = 0;
    space.cursor = 0;
  }

  #promote(mm: number, page: number, usedMin: number, nowNs: number): boolean {
    const m = this.#m;
    const vma = vmaLookup(m, mm, page);
    if (vma === 0 || !wantsHuge(m, vma) || m.words[vma + V_ANON_VMA] === 0) return false;
    if (!holdsSlot(m, vma, page)) return false;
    const hi = Math.floor(page / m.loPages);
    const table = leafWord(m, mm, hi, page - hi * m.loPages);
    if (table <= 0 || isHuge(m, table)) return false;
    // It may have lost pages since it was asked for.
    const used = m.words[table + T_COUNT];
    if (used < usedMin) return false;
    const result = collapseSlot(m, mm, vma, page);
    if (result !== 'succeeded') {
      if (result === 'no-memory') this.failures += 1;
      return false;
    }
    this.promotions += 1;
    this.#onPromoted(leafWord(m, mm, hi, page - hi * m.loPages));
    const { copyNs, zeroNs, fixedNs } = this.#options;
    const takesNs = used * copyNs + (m.entryCount - used) * zeroNs + fixedNs;
    this.#busyNs = Math.max(this.#busyNs, nowNs) + takesNs;
    return true;
  }

  /** The one with the largest metric; the first of equals. */
  #best(spaces: readonly number[]): number {
    let best = spaces[0] as number;
    let most = -1;
    for (const mm of spaces) {
      const metric = this.metric(mm);
      if (metric > most) {
        most = metric;
        best = mm;
      }
    }
    return best;
  }

  /** M of an address space, all with the same priority. */
  metric(mm: number): number {
    const held = Math.max(1, mmCounter(this.#m, mm, C_HUGE));
    const idle = this.#heat.idleShare(mm);
    const tau = this.#options.tauPercent / 100;
    // Ingens as published: idle memory counts more against its holder than active memory.
    const alpha = Math.max(1e-9, idle + tau * (1 - idle));
    return 1 / (held * alpha);
  }
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
