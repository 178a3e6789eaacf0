import {
  F_INDEX,
  F_MAPPING,
  F_STATE,
  FRAME_KSM,
  frameRecord,
  TYPE_ANON,
  TYPE_MASK,
} from '../frames/frame-record.ts';
import type { KsmPlace } from '../ksm/ksm.ts';
import type { Machine } from '../machine.ts';
import { low32, V_MM, V_OBJECT_NEXT, vmaEnd, vmaPgoff, vmaStart } from '../space/vma.ts';
import { ENTRY_PAGE, KIND_MASK } from '../tables/entry.ts';
import { entryFlags, entryWord } from '../tables/leaf.ts';
import { leafForReclaim } from '../tables/walk.ts';
import { firstMapping, mappingVma, nextMapping } from './anon-vma.ts';
import { O_VMAS } from './object.ts';

/**
 * From a frame to the entries that map it (rmap_walk): along the VMAs of its anon_vma or object, to
 * the one page of each where it can be, and there to the entry, if that still names the frame.
 *
 *   walk.begin(m, pfn); while (walk.next(m)) { walk.vma, walk.mm, walk.leaf, walk.index, walk.page }
 */
export class RmapWalk {
  vma = 0;
  mm = 0;
  leaf = 0;
  index = 0;
  page = 0;
  #pfn = 0;
  #frameIndex = 0;
  #isAnon = false;
  /** The next link (anonymous) or VMA (object) to look at. */
  #link = 0;
  /** Places of a merged page, which knows them itself; else null. */
  #places: readonly KsmPlace[] | null = null;
  #placesSeen = 0;
  /** Next candidate page in the current VMA: only areas beyond 16 TiB have more than one. */
  #page = -1;

  begin(m: Machine, pfn: number): void {
    const rec = frameRecord(m, pfn);
    this.#pfn = pfn;
    this.#places = null;
    if ((m.words[rec + F_STATE] & FRAME_KSM) !== 0) {
      this.#places = m.ksm?.placesOf(pfn) ?? [];
      this.#placesSeen = 0;
      return;
    }
    this.#frameIndex = m.words[rec + F_INDEX];
    this.#isAnon = (m.words[rec + F_STATE] & TYPE_MASK) === TYPE_ANON;
    const mapping = m.words[rec + F_MAPPING];
    this.#link = this.#isAnon ? firstMapping(m, mapping) : m.words[mapping + O_VMAS];
    this.#page = -1;
  }

  next(m: Machine): boolean {
    if (this.#places !== null) return this.#nextPlace(m, this.#places);
    for (;;) {
      if (this.#page < 0) {
        if (this.#link === 0) return false;
        this.vma = this.#isAnon ? mappingVma(m, this.#link) : this.#link;
        this.#link = this.#isAnon
          ? nextMapping(m, this.#link)
          : m.words[this.#link + V_OBJECT_NEXT];
        const delta = (this.#frameIndex - low32(vmaPgoff(m, this.vma))) >>> 0;
        this.#page = vmaStart(m, this.vma) + delta;
      }
      const page = this.#page;
      if (page >= vmaEnd(m, this.vma)) {
        this.#page = -1;
        continue;
      }
      this.#page = page + 2 ** 32;
      if (this.#maps(m, page)) return true;
    }
  }

  #nextPlace(m: Machine, places: readonly KsmPlace[]): boolean {
    while (this.#placesSeen < places.length) {
      const place = places[this.#placesSeen++] as KsmPlace;
      this.vma = place.vma;
      if (this.#maps(m, place.page)) return true;
    }
    return false;
  }

  #maps(m: Machine, page: number): boolean {
    this.mm = m.words[this.vma + V_MM];
    this.page = page;
    const hi = Math.floor(page / m.loPages);
    const lo = page - hi * m.loPages;
    this.leaf = leafForReclaim(m, this.mm, hi, lo);
    if (this.leaf === 0) return false;
    this.index = lo & m.mask;
    return (
      (entryFlags(m, this.leaf, this.index) & KIND_MASK) === ENTRY_PAGE &&
      entryWord(m, this.leaf, this.index) === this.#pfn
    );
  }
}
