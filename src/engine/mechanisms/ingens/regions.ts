import { splitFolioOf } from '../../frames/folio.ts';
import { mapCount } from '../../frames/map-count.ts';
import { isKsm } from '../../ksm/ksm-page.ts';
import type { Machine } from '../../machine.ts';
import { splitHuge } from '../../tables/huge-entry.ts';
import { T_CONTENTS } from '../../tables/table.ts';
import { zapEntries } from '../../tables/zap.ts';

/**
 * Which pages of a huge page were given back. Linux takes a huge page apart at once; Ingens keeps it
 * while enough of it is in use, only noting which part is not, and takes it apart when too little is
 * left: then what was noted is freed as well.
 */
export class Regions {
  demotions = 0;
  /** By the table that maps the huge page: a 1 for each page that was given back. */
  readonly #unused = new Map<number, Uint8Array>();
  readonly #m: Machine;
  readonly #usedMin: () => number;

  /** `usedMin`: pages that must be in use for a huge page to stay. */
  constructor(m: Machine, usedMin: () => number) {
    this.#m = m;
    this.#usedMin = usedMin;
  }

  /** Entries [from, to) of a huge page are given back: true if it stays as it is. */
  giveBack(mm: number, table: number, from: number, to: number): boolean {
    const m = this.#m;
    const unused = this.#unused.get(table) ?? new Uint8Array(m.entryCount);
    unused.fill(1, from, to);
    const base = m.words[table + T_CONTENTS];
    // Who reads them again reads zeros.
    const isOwn = mapCount(m, base) === 1 && !isKsm(m, base);
    if (m.contentsAt !== 0 && isOwn)
      m.words.fill(0, m.contentsAt + base + from, m.contentsAt + base + to);
    let used = m.entryCount;
    for (const flag of unused) used -= flag;
    if (isOwn && used >= this.#usedMin()) {
      this.#unused.set(table, unused);
      return true;
    }
    this.#unused.delete(table);
    this.demotions += 1;
    splitHuge(m, table);
    splitFolioOf(m, base);
    for (let i = 0; i < unused.length; i++) {
      if (unused[i] === 1) zapEntries(m, mm, table, i, i + 1);
    }
    return false;
  }

  /** The table maps a huge page anew, or none any more. */
  forget(table: number): void {
    this.#unused.delete(table);
  }
}
