import { wantsHuge } from '../../huge/eligible.ts';
import { H_MM_LIST } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { MM_NEXT } from '../../space/mm.ts';
import { findVmaIndex, V_ANON_VMA, vmaAt, vmaEnd, vmaStart } from '../../space/vma.ts';
import type { Promotion } from './promoter.ts';
import type { IngensVariant } from './variant.ts';

/** Where the thread stands in an address space. */
interface Place {
  page: number;
  /** Promotions of the pass through it that is under way. */
  promoted: number;
  /** The last pass found nothing to promote: others first. */
  isBarren: boolean;
}

/**
 * How the promotion thread goes through address spaces between two sleeps, as khugepaged does: so many
 * pages, 512 for a slot and 1 for an address space.
 *
 * As published, always through the one with the largest metric, compared again after each promotion; one
 * in which a whole pass found nothing lets the others have theirs first, or it would keep the thread.
 * As released, through the one with the largest metric where fairness is on and one has a weight; else
 * the thread stays where it is, or where the last request was, even when it has come to the end, unless
 * that is the youngest: then it begins with the oldest (khugepaged_scan_mm_slot).
 */
export class SpaceWalk {
  readonly #m: Machine;
  readonly #variant: IngensVariant;
  readonly #best: (spaces: readonly number[]) => number;
  readonly #places = new Map<number, Place>();
  #current = 0;

  constructor(m: Machine, variant: IngensVariant, best: (spaces: readonly number[]) => number) {
    this.#m = m;
    this.#variant = variant;
    this.#best = best;
  }

  forget(mm: number): void {
    this.#places.delete(mm);
    if (this.#current === mm) this.#current = 0;
  }

  /** The thread was sent to a region by a request. */
  wasAskedBy(mm: number, page: number): void {
    if (!this.#variant.isFirstComeFirstServed) return;
    this.#current = mm;
    this.#placeOf(mm).page = page + this.#m.entryCount;
  }

  /** One pass of so many pages. `promote` tries a region, whose utilisation it looks at. */
  pass(pagesMax: number, promote: (mm: number, page: number) => Promotion): void {
    const spaces = this.#spaces();
    // Everyone's end twice: there is nothing to do.
    let ends = 2 * spaces.length;
    for (let left = pagesMax; left > 0 && ends > 0; ) {
      const mm = this.#choose(spaces);
      const stretch = this.#stretch(mm, left, promote);
      left -= stretch.pages;
      if (stretch.end === 'no-memory') return;
      if (stretch.end !== 'space') continue;
      ends--;
      this.#finish(mm, mm === spaces.at(-1));
    }
  }

  /** Oldest first. */
  #spaces(): number[] {
    const { words } = this.#m;
    const spaces: number[] = [];
    for (let mm = words[H_MM_LIST]; mm !== 0; mm = words[mm + MM_NEXT]) spaces.push(mm);
    return spaces.reverse();
  }

  #choose(spaces: readonly number[]): number {
    if (this.#variant.isFirstComeFirstServed) {
      this.#current = this.#best(spaces) || this.#current || (spaces[0] as number);
      return this.#current;
    }
    let fertile = spaces.filter((mm) => !this.#placeOf(mm).isBarren);
    if (fertile.length === 0) {
      for (const mm of spaces) this.#placeOf(mm).isBarren = false;
      fertile = [...spaces];
    }
    return this.#best(fertile) || (fertile[0] as number);
  }

  /** Through one address space until a region was promoted, the pages are used up, or it ends. */
  #stretch(
    mm: number,
    pagesMax: number,
    promote: (mm: number, page: number) => Promotion,
  ): { pages: number; end: 'promoted' | 'pages' | 'space' | 'no-memory' } {
    const m = this.#m;
    const span = m.entryCount;
    const place = this.#placeOf(mm);
    let pages = 1;
    let index = findVmaIndex(m, mm, place.page);
    for (let vma = vmaAt(m, mm, index); vma !== 0; vma = vmaAt(m, mm, ++index)) {
      if (!wantsHuge(m, vma) || m.words[vma + V_ANON_VMA] === 0) continue;
      place.page = Math.max(place.page, Math.ceil(vmaStart(m, vma) / span) * span);
      while (place.page + span <= vmaEnd(m, vma)) {
        if (pages >= pagesMax) return { pages, end: 'pages' };
        const result = promote(mm, place.page);
        // As published the region is looked at again when there is a block.
        if (result === 'no-memory') return { pages, end: 'no-memory' };
        place.page += span;
        pages += span;
        if (result !== 'promoted') continue;
        place.promoted += 1;
        return { pages, end: 'promoted' };
      }
    }
    return { pages, end: 'space' };
  }

  #finish(mm: number, isYoungest: boolean): void {
    const place = this.#placeOf(mm);
    place.isBarren = place.promoted === 0;
    place.promoted = 0;
    place.page = 0;
    if (isYoungest) this.#current = 0;
  }

  #placeOf(mm: number): Place {
    let place = this.#places.get(mm);
    if (place === undefined) {
      place = { page: 0, promoted: 0, isBarren: false };
      this.#places.set(mm, place);
    }
    return place;
  }
}
