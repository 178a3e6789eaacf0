/** Page tables of one process as plain maps. All numbers are page numbers (address / 4096). */

export const SLOT_PAGES = 512;
export const GIB_PAGES: number = 512 * SLOT_PAGES;
export const PUD_PAGES: number = 512 * GIB_PAGES;

/** A page of anonymous memory; several processes can map it after fork. */
export interface AnonPage {
  mapCount: number;
  /** MADV_FREE: may be dropped as long as no entry is dirty. */
  isLazyFree: boolean;
  /** Left mlocked by an mremap with DONTUNMAP, which unlocks the VMA but not its pages. */
  isStuckLocked?: boolean;
}

/** A page of a file or of shared memory that the page cache has. */
export interface FilePage {
  mapCount: number;
  /** Ever written through a shared mapping; before that it is zero and can be dropped. */
  isDirty: boolean;
  isStuckLocked?: boolean;
}

/** What a last-level entry holds. `file` also stands for shared memory. */
export type Entry =
  | { readonly kind: 'zero' }
  | { readonly kind: 'anon'; readonly page: AnonPage; isDirty: boolean }
  | { readonly kind: 'file'; readonly page: FilePage; readonly isShmem: boolean }
  | { readonly kind: 'guard' };

export const ZERO: Entry = { kind: 'zero' };
export const GUARD: Entry = { kind: 'guard' };

export interface EntryCounts {
  present: number;
  guards: number;
  anon: number;
  file: number;
  shmem: number;
}

class PteTable {
  /** The slot is mapped by one huge page (or the huge zero page): all entries are alike. */
  isHuge = false;
  readonly entries = new Map<number, Entry>();
  readonly counts: EntryCounts = { present: 0, guards: 0, anon: 0, file: 0, shmem: 0 };

  set(page: number, entry: Entry): void {
    this.isHuge = false;
    this.delete(page);
    this.entries.set(page, entry);
    count(this.counts, entry, 1);
    if ('page' in entry) entry.page.mapCount += 1;
  }

  delete(page: number): void {
    const entry = this.entries.get(page);
    if (entry === undefined) return;
    this.isHuge = false;
    this.entries.delete(page);
    count(this.counts, entry, -1);
    if ('page' in entry) entry.page.mapCount -= 1;
  }
}

export class Tables {
  readonly #pte = new Map<number, PteTable>();
  readonly #pmd = new Set<number>();
  readonly #pud = new Set<number>();

  get tableCount(): number {
    return this.#pte.size + this.#pmd.size + this.#pud.size;
  }

  get(page: number): Entry | undefined {
    return this.#pte.get(slotOf(page))?.entries.get(page);
  }

  /** Sets an entry; its tables must be there or are made. */
  set(page: number, entry: Entry): void {
    this.makePte(page);
    this.#pte.get(slotOf(page))!.set(page, entry);
  }

  delete(page: number): void {
    this.#pte.get(slotOf(page))?.delete(page);
  }

  hasPte(page: number): boolean {
    return this.#pte.has(slotOf(page));
  }

  hasPmd(page: number): boolean {
    return this.#pmd.has(gibOf(page));
  }

  hasPud(page: number): boolean {
    return this.#pud.has(pudOf(page));
  }

  makePud(page: number): void {
    this.#pud.add(pudOf(page));
  }

  makePmd(page: number): void {
    this.makePud(page);
    this.#pmd.add(gibOf(page));
  }

  makePte(page: number): void {
    this.makePmd(page);
    if (!this.hasPte(page)) this.#pte.set(slotOf(page), new PteTable());
  }

  freePte(page: number): void {
    this.#pte.delete(slotOf(page));
  }

  freePmd(page: number): void {
    this.#pmd.delete(gibOf(page));
  }

  freePud(page: number): void {
    this.#pud.delete(pudOf(page));
  }

  isHuge(page: number): boolean {
    return this.#pte.get(slotOf(page))?.isHuge === true;
  }

  /** Fills the slot's table; from now on it counts as one huge page, until an entry changes. */
  fillHuge(page: number, makeEntry: () => Entry): void {
    const first = slotOf(page) * SLOT_PAGES;
    for (let at = first; at < first + SLOT_PAGES; at++) this.set(at, makeEntry());
    this.markHuge(page, true);
  }

  /** A huge page becomes 512 small ones (false), or the slot was copied or moved as one (true). */
  markHuge(page: number, isHuge: boolean): void {
    const table = this.#pte.get(slotOf(page));
    if (table !== undefined) table.isHuge = isHuge;
  }

  isEmptyPte(page: number): boolean {
    return this.#pte.get(slotOf(page))?.entries.size === 0;
  }

  /** The entries of [start, end), in order of address. */
  entriesIn(start: number, end: number): [page: number, entry: Entry][] {
    const found: [number, Entry][] = [];
    for (let slot = slotOf(start); slot < Math.ceil(end / SLOT_PAGES); slot++) {
      const table = this.#pte.get(slot);
      if (table === undefined) continue;
      for (const [page, entry] of table.entries) {
        if (page >= start && page < end) found.push([page, entry]);
      }
    }
    return found.sort(([a], [b]) => a - b);
  }

  countsIn(start: number, end: number): EntryCounts {
    const sum: EntryCounts = { present: 0, guards: 0, anon: 0, file: 0, shmem: 0 };
    for (const [slot, table] of this.#pte) {
      const first = slot * SLOT_PAGES;
      if (first >= end || first + SLOT_PAGES <= start) continue;
      if (first >= start && first + SLOT_PAGES <= end) addCounts(sum, table.counts);
      else {
        for (const [page, entry] of table.entries) {
          if (page >= start && page < end) count(sum, entry, 1);
        }
      }
    }
    return sum;
  }
}

export function slotOf(page: number): number {
  return Math.floor(page / SLOT_PAGES);
}

export function gibOf(page: number): number {
  return Math.floor(page / GIB_PAGES);
}

export function pudOf(page: number): number {
  return Math.floor(page / PUD_PAGES);
}

/** The first page of each aligned span of `size` pages that [start, end) touches. */
export function spansOf(start: number, end: number, size: number): number[] {
  const spans: number[] = [];
  for (let at = Math.floor(start / size) * size; at < end; at += size) spans.push(at);
  return spans;
}

function count(into: EntryCounts, entry: Entry, by: number): void {
  if (entry.kind === 'guard') {
    into.guards += by;
    return;
  }
  into.present += by;
  if (entry.kind === 'anon') into.anon += by;
  if (entry.kind === 'file') into[entry.isShmem ? 'shmem' : 'file'] += by;
}

function addCounts(into: EntryCounts, from: EntryCounts): void {
  for (const key of ['present', 'guards', 'anon', 'file', 'shmem'] as const) into[key] += from[key];
}
