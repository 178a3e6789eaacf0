import { folioFrames } from '../frames/folio.ts';
import { splitHugePage } from '../huge/split-page.ts';
import type { Machine } from '../machine.ts';
import { VM_MERGEABLE } from '../space/vm-flags.ts';
import { findVmaIndex, V_ANON_VMA, V_FLAGS, vmaAt, vmaEnd, vmaStart } from '../space/vma.ts';
import { isHuge } from '../tables/huge-entry.ts';
import { entryFlags, entryWord } from '../tables/leaf.ts';
import { T_COUNT } from '../tables/table.ts';
import { leafWord } from '../tables/walk.ts';
import type { Ksm } from './ksm.ts';
import { checksumOf, isKsm } from './ksm-page.ts';
import { replaceByZero, replacePage, writeProtect } from './merge.ts';
import { isAnonPage, Mapped, unitOf } from './mergeable.ts';
import type { MmSlot, RmapItem, StableNode } from './rmap-item.ts';

const NS_PER_MS = 1e6;
const AGE_MAX = 255;

/**
 * The thread that looks for equal pages (ksm_scan_thread). It goes through the mergeable areas of one
 * address space after the other; so many pages, then it sleeps. A page must have been the same twice
 * before it is compared with others.
 */
export class Ksmd {
  /** Times through all address spaces (full_scans). */
  scans = 0;
  pagesScanned = 0;
  pagesSkipped = 0;
  /** Pages that items stand for. */
  items = 0;
  hugePagesSplit = 0;
  readonly #ksm: Ksm;
  readonly #m: Machine;
  /** Next page to look at in the address space, and the item before it. */
  #page = 0;
  #before: RmapItem | null = null;
  /** The frame of the page that was just found. */
  #pfn = 0;
  #nowNs = 0;
  #wakeNs = -1;
  #isHugeLast = false;

  constructor(ksm: Ksm, m: Machine) {
    this.#ksm = ksm;
    this.#m = m;
  }

  /** The time is `nowNs`: does what is due. */
  run(nowNs: number): void {
    const { isRunning, pagesToScan, sleepMs, hugeSleepFactor } = this.#ksm.settings;
    if (!isRunning) return;
    while (this.#ksm.slots.length > 0 && this.#wakeNs <= nowNs) {
      // It was woken by the first area, or slept until now.
      if (this.#wakeNs < 0) this.#wakeNs = nowNs;
      this.#nowNs = this.#wakeNs;
      this.scan(pagesToScan);
      const factor = this.#isHugeLast ? hugeSleepFactor : 1;
      this.#wakeNs += sleepMs * factor * NS_PER_MS;
    }
    if (this.#ksm.slots.length === 0) this.#wakeNs = -1;
  }

  /** What it does between two sleeps (ksm_do_scan): so many pages, or to the end of a scan. */
  scan(pages: number): void {
    for (let left = pages; left > 0; left--) {
      const item = this.#nextItem();
      if (item === null) return;
      this.#isHugeLast = item.span > 1;
      this.pagesScanned += 1;
      this.#compareAndMerge(item, this.#pfn);
    }
  }

  /** The next page, its frame in #pfn; null when a scan is over (scan_get_next_rmap_item). */
  #nextItem(): RmapItem | null {
    const ksm = this.#ksm;
    if (ksm.at < 0) {
      ksm.unstable.clear();
      ksm.unstableHuge.clear();
      if (ksm.slots.length === 0) return null;
      ksm.at = 0;
      this.#rewind();
    }
    while (ksm.at < ksm.slots.length) {
      const slot = ksm.slots[ksm.at] as MmSlot;
      if (slot.mm !== 0) {
        const item = this.#nextInSpace(slot);
        if (item !== null) return item;
      } else {
        this.#rewind();
      }
      this.#dropItemsBehind(slot);
      // Without any mergeable area it is forgotten.
      if (this.#page === 0) ksm.slots.splice(ksm.at, 1);
      else ksm.at += 1;
      this.#rewind();
    }
    ksm.at = -1;
    this.scans += 1;
    return null;
  }

  #rewind(): void {
    this.#page = 0;
    this.#before = null;
  }

  #nextInSpace(slot: MmSlot): RmapItem | null {
    const m = this.#m;
    const { mm } = slot;
    let at = findVmaIndex(m, mm, this.#page);
    for (let vma = vmaAt(m, mm, at); vma !== 0; vma = vmaAt(m, mm, ++at)) {
      if ((m.words[vma + V_FLAGS] & VM_MERGEABLE) === 0) continue;
      const end = vmaEnd(m, vma);
      this.#page = Math.max(this.#page, vmaStart(m, vma));
      if (m.words[vma + V_ANON_VMA] === 0) this.#page = end;
      while (this.#page < end) {
        const item = this.#nextInTable(slot, end);
        if (item !== null) return item;
      }
    }
    return null;
  }

  /** The same in the table of #page, up to its end or `end`. */
  #nextInTable(slot: MmSlot, end: number): RmapItem | null {
    const m = this.#m;
    const hi = Math.floor(this.#page / m.loPages);
    const lo = this.#page - hi * m.loPages;
    const tableEnd = Math.min(end, this.#page - (lo & m.mask) + m.entryCount);
    const table = leafWord(m, slot.mm, hi, lo);
    const isThere = table > 0 && m.words[table + T_COUNT] > 0;
    const unit = isThere ? unitOf(this.#ksm, m, slot.mm, table) : 'none';
    if (unit === 'whole' && (lo & m.mask) === 0) {
      const item = this.#itemAt(slot, this.#page, m.entryCount);
      this.#pfn = entryWord(m, table, 0);
      this.#page = tableEnd;
      return this.#isSkipped(item) ? null : item;
    }
    if (unit !== 'pages') {
      this.#page = tableEnd;
      return null;
    }
    for (; this.#page < tableEnd; this.#page++) {
      const index = (this.#page - hi * m.loPages) & m.mask;
      if (!isAnonPage(entryFlags(m, table, index))) continue;
      const item = this.#itemAt(slot, this.#page, 1);
      this.#pfn = entryWord(m, table, index);
      if (this.#isSkipped(item)) continue;
      this.#page += 1;
      return item;
    }
    return null;
  }

  /** The item of a page, a new one where there is none; those passed over go (get_next_rmap_item). */
  #itemAt(slot: MmSlot, page: number, span: number): RmapItem {
    for (;;) {
      const next = this.#before === null ? slot.first : this.#before.next;
      if (next === null || next.page > page) break;
      if (next.page === page && next.span === span) {
        this.#before = next;
        return next;
      }
      this.#unlink(slot, next);
    }
    const made: RmapItem = {
      ...{ slot, page, span, checksum: Number.NaN, age: 0, skipsLeft: 0 },
      ...{ unstable: null, scan: 0, head: null, anonVma: 0 },
      next: this.#before === null ? slot.first : this.#before.next,
    };
    this.#link(slot, made);
    this.#before = made;
    this.items += span;
    return made;
  }

  #dropItemsBehind(slot: MmSlot): void {
    for (;;) {
      const next = this.#before === null ? slot.first : this.#before.next;
      if (next === null) return;
      this.#unlink(slot, next);
    }
  }

  #unlink(slot: MmSlot, item: RmapItem): void {
    this.#link(slot, item.next);
    this.#ksm.drop(item);
    this.items -= item.span;
  }

  #link(slot: MmSlot, item: RmapItem | null): void {
    if (this.#before === null) slot.first = item;
    else this.#before.next = item;
  }

  /** A page that has been looked at often and never merged may wait (should_skip_rmap_item). */
  #isSkipped(item: RmapItem): boolean {
    if (!this.#ksm.settings.isSmartScan || isKsm(this.#m, this.#pfn)) return false;
    const { age } = item;
    if (age < AGE_MAX) item.age += 1;
    if (age < 3) return false;
    if (item.skipsLeft === 0) {
      item.skipsLeft = skipsAt(age);
      return false;
    }
    this.pagesSkipped += 1;
    item.skipsLeft -= 1;
    this.#ksm.drop(item);
    return true;
  }

  /** cmp_and_merge_page. */
  #compareAndMerge(item: RmapItem, pfn: number): void {
    const ksm = this.#ksm;
    const { span } = item;
    const node = ksm.nodeOf(pfn);
    if (node !== null) {
      // Else a relative's page, or a part of a huge one: it has one more owner.
      if (item.head !== node) this.#adopt(item, node);
      return;
    }
    ksm.drop(item);
    const checksum = checksumOf(this.#m, pfn, span);
    if (item.checksum !== checksum) {
      item.checksum = checksum;
      return;
    }
    if (span === 1 && checksum === 0 && ksm.settings.usesZeroPages) {
      if (this.#locate(item)) replaceByZero(this.#m, item.slot.mm, mapped);
      return;
    }
    const found = ksm.treeFor(span).search(pfn, this.#nowNs);
    if (found !== null) {
      this.#mergeInto(item, found);
      return;
    }
    const other = ksm.unstableFor(span).searchInsert(item, pfn, this.scans);
    if (other === null || !this.#locate(item)) return;
    writeProtect(this.#m, mapped, span);
    const made = ksm.create(pfn, span, this.#nowNs);
    ksm.attach(item, made, mapped.vma);
    ksm.drop(other);
    this.#mergeInto(other, made);
  }

  #adopt(item: RmapItem, node: StableNode): void {
    this.#ksm.drop(item);
    if (mapped.find(this.#m, item.slot.mm, item.page)) this.#ksm.attach(item, node, mapped.vma);
  }

  #mergeInto(item: RmapItem, node: StableNode): void {
    if (!this.#locate(item)) return;
    if (mapped.pfn !== node.pfn) {
      writeProtect(this.#m, mapped, item.span);
      replacePage(this.#m, mapped, item.span, node.pfn);
    }
    this.#ksm.attach(item, node, mapped.vma);
  }

  /** Where the item's page is mapped; out of a huge page that is not taken whole it is split. */
  #locate(item: RmapItem): boolean {
    const m = this.#m;
    if (!mapped.find(m, item.slot.mm, item.page)) return false;
    if (item.span > 1) return isHuge(m, mapped.leaf);
    if (folioFrames(m, mapped.pfn) === 1) return true;
    if (isHuge(m, mapped.leaf)) this.hugePagesSplit += 1;
    splitHugePage(m, mapped.pfn);
    // A page of zeros has become the zero page by that.
    return mapped.find(m, item.slot.mm, item.page);
  }
}

const mapped = new Mapped();

/** How often a page of that age is passed over (skip_age). */
function skipsAt(age: number): number {
  if (age <= 3) return 1;
  if (age <= 5) return 2;
  return age <= 8 ? 4 : 8;
}
