import { Errno } from '../../../base/index.ts';
import { MISS } from '../../fault/access.ts';
import { FAULT_OOM, FAULT_SIGSEGV } from '../../fault/fault-codes.ts';
import type { Machine } from '../../machine.ts';
import { contentsOfFrame } from '../../objects/contents.ts';
import { objectPut } from '../../objects/object.ts';
import type { WindowFrames, WindowOps } from '../../objects/window.ts';
import { C_COW, C_FAULTS, mmCounters } from '../../space/mm.ts';
import { V_OBJECT, vmaEnd, vmaPgoff, vmaStart } from '../../space/vma.ts';
import { ENTRY_PAGE, ENTRY_WRITE, ENTRY_ZERO, KIND_MASK } from '../../tables/entry.ts';
import { entryFlags, entryWord } from '../../tables/leaf.ts';
import { entrySpan } from '../../tables/walk.ts';
import { ownPath, readEntry, writeEntry } from './copy.ts';
import {
  isFrozen,
  isRootBorrowed,
  M_BASE,
  M_LEVEL,
  M_PAGE_LEVEL,
  M_ROOT,
  type MorselStore,
  spanPages,
} from './morsel.ts';
import { touchTables } from './populate.ts';
import { releaseTable } from './release.ts';
import { linkedTable, linkWindow, relinkWindows, unlinkWindow } from './relink.ts';
import { ensurePath, indexAt, isPathOwn, pageTableFor } from './tree.ts';
import { validateMorsels } from './validate.ts';

/** Windows onto Morsels: mapping is one entry, a fault is the object's. */
export class MorselWindows implements WindowOps {
  readonly name = 'morsels';
  readonly parts = null;
  readonly store: MorselStore;

  constructor(store: MorselStore) {
    this.store = store;
  }

  /** A subtree of the hardware's tree: as large as it is, so aligned. */
  alignmentPages(_m: Machine, _morsel: number, pages: number): number {
    return pages;
  }

  /** All of the object, or a part that is one table. */
  checkMapping(
    m: Machine,
    morsel: number,
    pages: number,
    pgoff: number,
    isShared: boolean,
  ): number {
    const w = m.words;
    if (!isShared || pgoff % pages !== 0 || pgoff + pages > spanPages(m, morsel)) {
      return -Errno.EINVAL;
    }
    for (let level = w[morsel + M_PAGE_LEVEL]; level <= w[morsel + M_LEVEL]; level++) {
      if (entrySpan(m, level + 1) === pages) return 0;
    }
    return -Errno.EINVAL;
  }

  /** The entry that maps the object. Without memory for the tables above it a fault tries again. */
  attached(m: Machine, _mm: number, vma: number): void {
    this.store.work.maps += 1;
    linkWindow(m, this.store, m.words[vma + V_OBJECT], vma);
  }

  detach(m: Machine, _mm: number, vma: number): void {
    unlinkWindow(m, this.store, vma);
  }

  fault(m: Machine, mm: number, vma: number, hi: number, lo: number, isWrite: boolean): number {
    const { store } = this;
    const w = m.words;
    const morsel = w[vma + V_OBJECT];
    const before = store.work.pageCopies;
    const page = hi * m.loPages + lo - vmaStart(m, vma) + vmaPgoff(m, vma);
    let result = this.#faultAt(m, morsel, page, isWrite);
    relinkWindows(m, store, morsel);
    if (result < 0) return result;
    if (linkedTable(m, vma) === 0) {
      if (!linkWindow(m, store, morsel, vma)) return FAULT_OOM;
      result = 1;
    }
    const counters = mmCounters(m, mm);
    w[counters + C_FAULTS] += result;
    w[counters + C_COW] += store.work.pageCopies - before;
    store.work.faults += result;
    return result;
  }

  #faultAt(m: Machine, morsel: number, page: number, isWrite: boolean): number {
    const { store } = this;
    if (isWrite && isFrozen(m, morsel)) return FAULT_SIGSEGV;
    const pageLevel = m.words[morsel + M_PAGE_LEVEL];
    const index = indexAt(m, pageLevel, page);
    const table = isWrite
      ? ownPath(m, store, morsel, page, pageLevel)
      : ensurePath(m, store, morsel, page, pageLevel);
    if (table === 0) return FAULT_OOM;
    if (!isWrite) return readEntry(m, store, table, index);
    return writeEntry(m, store, pageLevel, table, index);
  }

  touchWhole(
    m: Machine,
    mm: number,
    vma: number,
    page: number,
    count: number,
    isWrite: boolean,
  ): number {
    const { store } = this;
    const morsel = m.words[vma + V_OBJECT];
    if (isFrozen(m, morsel) || m.words[morsel + M_PAGE_LEVEL] !== 0) return 0;
    const pages = Math.min(count, vmaEnd(m, vma) - page);
    const from = page - vmaStart(m, vma) + vmaPgoff(m, vma);
    const taken = touchTables(m, store, morsel, from, pages, isWrite);
    relinkWindows(m, store, morsel);
    if (taken === 0) return 0;
    if (linkedTable(m, vma) === 0 && linkWindow(m, store, morsel, vma)) m.foundIndex += 1;
    m.words[mmCounters(m, mm) + C_FAULTS] += m.foundIndex;
    store.work.faults += m.foundIndex;
    return taken;
  }

  access(m: Machine, _mm: number, vma: number, page: number, value: number): number {
    if (linkedTable(m, vma) === 0) return MISS;
    const morsel = m.words[vma + V_OBJECT];
    const pageLevel = m.words[morsel + M_PAGE_LEVEL];
    const at = page - vmaStart(m, vma) + vmaPgoff(m, vma);
    const table = pageTableFor(m, morsel, at);
    const isWrite = value >= 0;
    if (isWrite && isFrozen(m, morsel)) return FAULT_SIGSEGV;
    if (table === 0) return MISS;
    const index = indexAt(m, pageLevel, at);
    const flags = entryFlags(m, table, index);
    const kind = flags & KIND_MASK;
    if (!isWrite && kind === ENTRY_ZERO) return 0;
    if (kind !== ENTRY_PAGE) return MISS;
    if (isWrite && ((flags & ENTRY_WRITE) === 0 || !isPathOwn(m, this.store, morsel, at))) {
      return MISS;
    }
    const pfn = entryWord(m, table, index) + (at % entrySpan(m, pageLevel));
    const place = contentsOfFrame(m, pfn);
    const found = m.words[place];
    if (isWrite) m.words[place] = value;
    return found;
  }

  fill(m: Machine, vma: number, page: number, content: number): void {
    const morsel = m.words[vma + V_OBJECT];
    const pageLevel = m.words[morsel + M_PAGE_LEVEL];
    const at = page - vmaStart(m, vma) + vmaPgoff(m, vma);
    const table = pageTableFor(m, morsel, at);
    const index = indexAt(m, pageLevel, at);
    if (table === 0 || (entryFlags(m, table, index) & KIND_MASK) !== ENTRY_PAGE) return;
    const pfn = entryWord(m, table, index) + (at % entrySpan(m, pageLevel));
    m.words[contentsOfFrame(m, pfn)] = content;
  }

  /** The last reference to the object went: its root has one object less. */
  gone(m: Machine, morsel: number): void {
    const w = m.words;
    const { store } = this;
    store.work.objects -= 1;
    const root = w[morsel + M_ROOT];
    const base = w[morsel + M_BASE];
    if (root !== 0 && !isRootBorrowed(m, morsel)) {
      releaseTable(m, store, root, w[morsel + M_PAGE_LEVEL]);
    }
    w[morsel + M_ROOT] = 0;
    if (base !== 0) objectPut(m, base);
  }

  validate(m: Machine): WindowFrames {
    return validateMorsels(m, this.store);
  }
}
