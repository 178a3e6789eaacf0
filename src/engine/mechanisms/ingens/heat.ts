import type { Random } from '../../../base/index.ts';
import { BLOCK_SHIFT, H_MM_LIST } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { isBoundedDue } from '../../migrate/compact.ts';
import { C_ANON, C_HUGE, MM_NEXT, mmCounter } from '../../space/mm.ts';
import { V_OBJECT, vmaAt, vmaEnd, vmaStart } from '../../space/vma.ts';
import { ENTRY_ACCESSED, ENTRY_OBJECT, ENTRY_PAGE, KIND_MASK } from '../../tables/entry.ts';
import { isHuge } from '../../tables/huge-entry.ts';
import { changeEntry, entryFlags, entryWord, runFlags, setRunFlags } from '../../tables/leaf.ts';
import {
  FORM_DENSE,
  FORM_RUN,
  flagsAt,
  T_CONTENTS,
  T_RULE,
  tableForm,
} from '../../tables/table.ts';
import { isLeaf, LeafCursor } from '../../tables/walk.ts';
import { type HeatRule, Histories, heatRuleOf } from './history.ts';
import type { IngensOptions } from './options.ts';
import type { IngensVariant } from './variant.ts';

const cursor = new LeafCursor();

/** What a scan saw of an address space's huge pages. */
interface Seen {
  held: number;
  idle: number;
  /** Huge pages that its anonymous memory would need. */
  wanted: number;
}

const NOTHING_SEEN: Seen = { held: 0, idle: 0, wanted: 0 };

/**
 * How hot anonymous pages are (Scan-kth): each scan reads and clears their accessed bits, and history.ts
 * makes of those bits what is hot. Clearing a bit costs the page's next access a walk, so of hot pages
 * only some are looked at. Small pages matter only to compaction: they are scanned while that is due.
 *
 * Limit: Linux remembers for page reclaim that a bit was cleared so (PG_young); here the page looks
 * unused to it.
 */
export class Heat {
  readonly #m: Machine;
  readonly #options: IngensOptions;
  readonly #variant: IngensVariant;
  readonly #rule: HeatRule;
  readonly #random: Random;
  readonly #shareOf: (mm: number) => number;
  /** By table. */
  #histories = new Map<number, Histories>();
  #seen = new Map<number, Seen>();
  #hasChanged = false;
  #scansPages = false;
  #nextNs = -1;

  constructor(
    m: Machine,
    options: IngensOptions,
    variant: IngensVariant,
    random: Random,
    shareOf: (mm: number) => number,
  ) {
    this.#m = m;
    this.#options = options;
    this.#variant = variant;
    this.#rule = heatRuleOf(variant, options.emaPercent);
    this.#random = random;
    this.#shareOf = shareOf;
  }

  run(nowNs: number): void {
    const periodNs = this.#options.scanMs * 1e6;
    if (periodNs === 0) return;
    if (this.#nextNs < 0) this.#nextNs = nowNs + periodNs;
    while (nowNs >= this.#nextNs) {
      this.scan();
      this.#nextNs += periodNs;
      if (this.#hasChanged) continue;
      // Nobody runs between two scans that are due at once: the next would change nothing either.
      const due = Math.floor((nowNs - this.#nextNs) / periodNs) + 1;
      this.#nextNs += Math.max(0, due) * periodNs;
    }
  }

  /** The share of an address space's huge pages that are idle, 0 to 1. */
  idleShare(mm: number): number {
    const huge = mmCounter(this.#m, mm, C_HUGE);
    return huge === 0 ? 0 : Math.min(1, this.seen(mm).idle / huge);
  }

  /** What the last scan saw of an address space. */
  seen(mm: number): Readonly<Seen> {
    return this.#seen.get(mm) ?? NOTHING_SEEN;
  }

  /**
   * True if the table maps a huge page that is hot to samepage merging; false also where nothing is
   * known of it. As released that is an average above 0 (mm/ksm.c there), which none ever has.
   */
  isHugeHot(table: number): boolean {
    const histories = this.#histories.get(table);
    if (histories?.bits.length !== 1) return false;
    if (this.#variant.hasIntegerAverage) return (histories.averages[0] as number) > 0;
    return histories.isHot(this.#rule, 0);
  }

  /** The table maps a huge page anew. */
  forget(table: number): void {
    this.#histories.delete(table);
  }

  /** An address space went. */
  forgetSpace(mm: number): void {
    this.#seen.delete(mm);
  }

  scan(): void {
    const m = this.#m;
    const before = this.#histories;
    const { compactMs, fmfiPercent } = this.#options;
    this.#scansPages = compactMs > 0 && isBoundedDue(m, fmfiPercent - 1);
    this.#histories = new Map();
    this.#seen = new Map();
    this.#hasChanged = false;
    for (let mm = m.words[H_MM_LIST]; mm !== 0; mm = m.words[mm + MM_NEXT]) {
      // The released code passes over processes without a weight.
      if (this.#variant.isFirstComeFirstServed && this.#shareOf(mm) === 0) continue;
      if (mmCounter(m, mm, C_ANON) > 0) this.#scanSpace(mm, before);
    }
  }

  /** Hot small pages in each pageblock. */
  hotPages(): Uint16Array {
    const m = this.#m;
    const pages = new Uint16Array(m.blockCount);
    for (let mm = m.words[H_MM_LIST]; mm !== 0; mm = m.words[mm + MM_NEXT]) {
      this.#eachTable(mm, (table) => {
        const histories = this.#histories.get(table);
        if (histories === undefined || histories.bits.length === 1) return;
        for (let i = 0; i < m.entryCount; i++) {
          if (!histories.isHot(this.#rule, i) || !isAnonPage(entryFlags(m, table, i))) continue;
          (pages[entryWord(m, table, i) >> BLOCK_SHIFT] as number) += 1;
        }
      });
    }
    return pages;
  }

  #scanSpace(mm: number, before: ReadonlyMap<number, Histories>): void {
    const m = this.#m;
    const scansPages = this.#scansPages;
    const seen: Seen = { held: 0, idle: 0, wanted: 0 };
    seen.held = mmCounter(m, mm, C_HUGE);
    seen.wanted = Math.floor(mmCounter(m, mm, C_ANON) / m.entryCount);
    if (seen.held === 0 && !scansPages) {
      this.#seen.set(mm, seen);
      return;
    }
    this.#eachTable(mm, (table) => {
      const size = isHuge(m, table) ? 1 : m.entryCount;
      if (size > 1 && !scansPages) return;
      let histories = before.get(table);
      if (histories?.bits.length !== size) histories = new Histories(size);
      this.#histories.set(table, histories);
      if (size > 1) {
        this.#lookAtPages(table, histories);
        return;
      }
      this.#lookAtRun(table, histories, 0, 1);
      if (!histories.isHot(this.#rule, 0)) seen.idle++;
    });
    this.#seen.set(mm, seen);
  }

  #eachTable(mm: number, visit: (table: number) => void): void {
    const m = this.#m;
    let last = 0;
    for (let i = 0, vma = vmaAt(m, mm, 0); vma !== 0; vma = vmaAt(m, mm, ++i)) {
      if (m.words[vma + V_OBJECT] !== 0) continue;
      cursor.begin(mm, vmaStart(m, vma), vmaEnd(m, vma));
      for (let table = cursor.next(m); table !== 0; table = cursor.next(m)) {
        // Two areas may meet in a table.
        if (table === last || !isLeaf(m, table)) continue;
        last = table;
        visit(table);
      }
    }
  }

  #lookAtPages(table: number, histories: Histories): void {
    const m = this.#m;
    if (tableForm(m, table) === FORM_RUN) {
      const rule = m.words[table + T_RULE];
      if (isAnonPage(runFlags(rule))) this.#lookAtRun(table, histories, 0, m.entryCount);
      return;
    }
    const isDense = tableForm(m, table) === FORM_DENSE;
    const dense = isDense ? flagsAt(m, m.words[table + T_CONTENTS]) : 0;
    for (let i = 0; i < m.entryCount; i++) {
      const flags = isDense ? m.bytes[dense + i] : entryFlags(m, table, i);
      if (!isAnonPage(flags)) {
        histories.clear(i);
        continue;
      }
      if ((flags & ENTRY_ACCESSED) === 0 && histories.isAtRest(this.#rule, i)) continue;
      const shifts = this.#shiftsFor(histories.isHot(this.#rule, i), false);
      if (shifts === 0) continue;
      const isUsed = (flags & ENTRY_ACCESSED) !== 0;
      if (isUsed) changeEntry(m, table, i, flags & ~ENTRY_ACCESSED, entryWord(m, table, i));
      this.#note(histories, i, isUsed, shifts);
    }
  }

  /** Pages that share their accessed bit: a huge page, or those that were filled at once. */
  #lookAtRun(table: number, histories: Histories, from: number, to: number): void {
    const m = this.#m;
    const flags = runFlags(m.words[table + T_RULE]);
    const shifts = this.#shiftsFor(histories.isHot(this.#rule, from), isHuge(m, table));
    if (shifts === 0) return;
    const isUsed = (flags & ENTRY_ACCESSED) !== 0;
    if (isUsed) setRunFlags(m, table, flags & ~ENTRY_ACCESSED);
    for (let i = from; i < to; i++) this.#note(histories, i, isUsed, shifts);
  }

  /**
   * By how much the history moves on: 0 if the page is not looked at. The released code moves that of a
   * base page once for all and once for those that it draws; huge ones it does not draw.
   */
  #shiftsFor(isHot: boolean, isHugePage: boolean): number {
    const isDrawn = !isHot || this.#random.chance(this.#options.samplePercent / 100);
    if (this.#variant.shiftsTwice) return isHugePage || !isDrawn ? 1 : 2;
    return isDrawn ? 1 : 0;
  }

  #note(histories: Histories, i: number, isUsed: boolean, shifts: number): void {
    // What the released code does not draw counts as used (clear_page_idle).
    const counts =
      isUsed || (this.#variant.shiftsTwice && shifts === 1 && histories.bits.length > 1);
    if (histories.note(this.#rule, i, counts, shifts)) this.#hasChanged = true;
  }
}

function isAnonPage(flags: number): boolean {
  return (flags & KIND_MASK) === ENTRY_PAGE && (flags & ENTRY_OBJECT) === 0;
}
