import { assert } from '../../base/index.ts';

const PAGE_BYTES = 4096;
/** Every mapping is a multiple of this: chunks of 512 pages, or size classes from 512 pages on. */
const GRANULE_SHIFT = 7;
const GRANULE_PAGES = 1 << GRANULE_SHIFT;

/**
 * The mappings of an allocator and the numbers of their pages: from 0 in the order in which memory
 * was mapped. The kernel places mappings from the top of the address space downwards, so a later
 * mapping has higher page numbers and lower addresses.
 */
export class Spans {
  readonly #topPage: number;
  #pages = 0;
  /** By granule of page numbers: how many granules below the top it begins. */
  #below: Int32Array = new Int32Array(64);
  /** The other way round: by granules below the top, the granule of page numbers. */
  #granule: Int32Array = new Int32Array(64);

  constructor(topAddr: number) {
    this.#topPage = topAddr / PAGE_BYTES;
  }

  /** Pages of all mappings. */
  get pages(): number {
    return this.#pages;
  }

  /** A new mapping below the others; its first page. */
  add(pages: number): number {
    assert(pages % GRANULE_PAGES === 0, `a mapping of ${pages} pages`);
    const first = this.#pages;
    const from = first >> GRANULE_SHIFT;
    this.#pages += pages;
    const end = this.#pages >> GRANULE_SHIFT;
    if (end >= this.#below.length) {
      this.#below = grown(this.#below, end);
      this.#granule = grown(this.#granule, end);
    }
    for (let granule = from; granule < end; granule++) {
      const below = end - (granule - from);
      this.#below[granule] = below;
      this.#granule[below] = granule;
    }
    return first;
  }

  addrOf(page: number): number {
    const below = this.#below[page >> GRANULE_SHIFT] as number;
    const offset = page & (GRANULE_PAGES - 1);
    return (this.#topPage - below * GRANULE_PAGES + offset) * PAGE_BYTES;
  }

  pageOf(addr: number): number {
    const pagesBelow = this.#topPage - Math.floor(addr / PAGE_BYTES);
    assert(pagesBelow > 0 && pagesBelow <= this.#pages, 'an address in no mapping');
    const below = Math.ceil(pagesBelow / GRANULE_PAGES);
    const offset = below * GRANULE_PAGES - pagesBelow;
    return ((this.#granule[below] as number) << GRANULE_SHIFT) + offset;
  }
}

function grown(from: Int32Array, atLeast: number): Int32Array<ArrayBuffer> {
  const to = new Int32Array(Math.max(atLeast + 1, 2 * from.length));
  to.set(from);
  return to;
}
