import { assert, Errno } from '../../../base/index.ts';
import { loadPage, MISS, storePage } from '../../fault/access.ts';
import { FAULT_OOM } from '../../fault/fault-codes.ts';
import { fillPage } from '../../fault/fill.ts';
import { handleFault } from '../../fault/handle-fault.ts';
import { touchRange } from '../../fault/touch.ts';
import { H_CPUS } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { objectSize } from '../../objects/object.ts';
import { eachWindow, objectsOf, type WindowFrames, type WindowOps } from '../../objects/window.ts';
import { C_FAULTS, mmCounters } from '../../space/mm.ts';
import { V_MM, V_OBJECT, vmaEnd, vmaPgoff, vmaStart } from '../../space/vma.ts';
import { isLink, linkForeign, unlinkForeign } from '../../tables/link.ts';
import { OWNER_ROOT, OWNER_ROOT_LEVEL } from '../../tables/owner.ts';
import { T_CONTENTS } from '../../tables/table.ts';
import { ensureTable, findTable, levelIndex } from '../../tables/walk.ts';
import {
  hasOwner,
  hostBasePages,
  linkLevel,
  R_INTERFACE,
  REGION_POSTED,
  regionAlignmentPages,
  regionDestroy,
  regionHost,
} from './region.ts';

/** What windows did; grows, but for `links`. */
export interface MshareWork {
  /** Entries that lead from windows to shared tables now, and the most there were. */
  links: number;
  peakLinks: number;
  /** Faults that made a link, and faults that the host's areas handled. */
  linkFaults: number;
  hostFaults: number;
  detaches: number;
  /** Changes of the host that no processor may miss. */
  flushes: number;
  /** Processors told by them as posted (all of them, each time) and address spaces (as announced). */
  flushedCpus: number;
  flushedSpaces: number;
}

/** Windows onto mshare's regions: the fault, the link, the way back. */
export class MshareWindows implements WindowOps {
  readonly name = 'mshare';
  readonly parts = null;
  readonly work: MshareWork = {
    links: 0,
    peakLinks: 0,
    linkFaults: 0,
    hostFaults: 0,
    detaches: 0,
    flushes: 0,
    flushedCpus: 0,
    flushedSpaces: 0,
  };

  alignmentPages(m: Machine): number {
    return regionAlignmentPages(m);
  }

  /** As posted a window is the whole region; as announced, aligned parts of it too. */
  checkMapping(
    m: Machine,
    region: number,
    pages: number,
    pgoff: number,
    isShared: boolean,
  ): number {
    const regionPages = objectSize(m, region) / 4096;
    if (!isShared || regionPages === 0 || !hasOwner(m, region)) return -Errno.EINVAL;
    if (m.words[region + R_INTERFACE] === REGION_POSTED) {
      return pgoff === 0 && pages === regionPages ? 0 : -Errno.EINVAL;
    }
    const align = regionAlignmentPages(m);
    const isAligned = pgoff % align === 0 && pages % align === 0;
    return isAligned && pgoff + pages <= regionPages ? 0 : -Errno.EINVAL;
  }

  /**
   * find_shared_vma and what follows: where window and host have different entries at the level of links,
   * the window gets the host's and the access is tried again; where they are equal the fault is the
   * host's. So who touches the first page of 512 GiB faults twice (fill, then link), others once.
   */
  fault(m: Machine, mm: number, vma: number, hi: number, lo: number, isWrite: boolean): number {
    const host = regionHost(m, m.words[vma + V_OBJECT]);
    const page = hostPageOf(m, vma, hi * m.loPages + lo);
    let links = this.#link(m, mm, vma, hi, lo);
    if (links < 0) return FAULT_OOM;
    const hostHi = Math.floor(page / m.loPages);
    const result = handleFault(m, host, hostHi, page - hostHi * m.loPages, isWrite);
    if (result > 0) {
      this.work.hostFaults += result;
      const made = this.#link(m, mm, vma, hi, lo);
      if (made < 0) return FAULT_OOM;
      links += made;
    }
    const faults = links + Math.max(0, result);
    m.words[mmCounters(m, mm) + C_FAULTS] += faults;
    return result < 0 ? result : faults;
  }

  touchWhole(
    m: Machine,
    mm: number,
    vma: number,
    page: number,
    count: number,
    isWrite: boolean,
  ): number {
    const align = regionAlignmentPages(m);
    const slotEnd = (Math.floor(page / align) + 1) * align;
    const pages = Math.min(count, vmaEnd(m, vma), slotEnd - page, vmaEnd(m, vma) - page);
    const hi = Math.floor(page / m.loPages);
    const lo = page - hi * m.loPages;
    const host = regionHost(m, m.words[vma + V_OBJECT]);
    // Whole tables at a time: of the rest the caller takes care.
    const whole = pages - (pages % m.entryCount);
    if (whole === 0) return 0;
    const before = this.#link(m, mm, vma, hi, lo);
    if (before < 0) return 0;
    const faults = touchRange(m, host, hostPageOf(m, vma, page), whole, 1, isWrite);
    if (faults < 0) return 0;
    const after = this.#link(m, mm, vma, hi, lo);
    if (after < 0) return 0;
    this.work.hostFaults += faults;
    m.foundIndex = faults + before + after;
    m.words[mmCounters(m, mm) + C_FAULTS] += m.foundIndex;
    return whole;
  }

  access(m: Machine, mm: number, vma: number, page: number, value: number): number {
    const hi = Math.floor(page / m.loPages);
    const lo = page - hi * m.loPages;
    const at = linkPlace(m, mm, hi, lo);
    if (at === 0 || m.words[at] === 0) return MISS;
    const host = regionHost(m, m.words[vma + V_OBJECT]);
    const hostPage = hostPageOf(m, vma, page);
    return value < 0 ? loadPage(m, host, hostPage) : storePage(m, host, hostPage, value);
  }

  fill(m: Machine, vma: number, page: number, content: number): void {
    fillPage(m, regionHost(m, m.words[vma + V_OBJECT]), hostPageOf(m, vma, page), content);
  }

  /** The links go in the zap phase, while the window can still be found from the region. */
  detach(m: Machine, mm: number, vma: number): void {
    const align = regionAlignmentPages(m);
    for (let page = vmaStart(m, vma); page < vmaEnd(m, vma); page += align) {
      const hi = Math.floor(page / m.loPages);
      const table = findTable(m, mm, linkLevel(m), hi, 0);
      const index = levelIndex(m, linkLevel(m), hi, 0);
      if (table === 0 || !isLink(m, table, index)) continue;
      unlinkForeign(m, table, index);
      this.work.links -= 1;
    }
    this.work.detaches += 1;
  }

  gone(m: Machine, region: number): void {
    regionDestroy(m, region);
  }

  /** Links are made by faults. */
  attached(): void {}

  /** Every link leads to the host's table; its pages and tables are an address space's. */
  validate(m: Machine): WindowFrames {
    let links = 0;
    for (const region of objectsOf(m, m.windowOps.indexOf(this))) {
      eachWindow(m, region, (vma) => {
        links += this.#checkLinks(m, regionHost(m, region), vma);
      });
    }
    assert(links === this.work.links, `links of windows: ${links} found, ${this.work.links} kept`);
    return { tables: 0, pages: 0, shared: 0 };
  }

  #checkLinks(m: Machine, host: number, vma: number): number {
    const align = regionAlignmentPages(m);
    let links = 0;
    for (let page = vmaStart(m, vma); page < vmaEnd(m, vma); page += align) {
      const at = linkPlace(m, m.words[vma + V_MM], Math.floor(page / m.loPages), 0);
      const table = at === 0 ? 0 : m.words[at];
      if (table === 0) continue;
      const hostPage = hostPageOf(m, vma, page);
      const here = linkPlace(m, host, Math.floor(hostPage / m.loPages), 0);
      assert(here !== 0 && m.words[here] === table, "a window's link leads to the host's table");
      links++;
    }
    return links;
  }

  /** The host lost entries or rights: whoever may have them in a TLB is told. */
  flush(m: Machine, region: number): void {
    this.work.flushes += 1;
    this.work.flushedCpus += m.words[H_CPUS];
    eachWindow(m, region, (vma) => {
      const at = linkPlace(m, m.words[vma + V_MM], Math.floor(vmaStart(m, vma) / m.loPages), 0);
      if (at !== 0 && m.words[at] !== 0) this.work.flushedSpaces += 1;
    });
  }

  /** Makes the window's entry the host's: 1 if it was another, 0 if it was that, -1 without memory. */
  #link(m: Machine, mm: number, vma: number, hi: number, lo: number): number {
    const w = m.words;
    const level = linkLevel(m);
    const host = regionHost(m, w[vma + V_OBJECT]);
    const hostHi = Math.floor(hostPageOf(m, vma, hi * m.loPages + lo) / m.loPages);
    const there = linkPlace(m, host, hostHi, lo);
    const table = there === 0 ? 0 : w[there];
    if (table === 0) return 0;
    const own = upperTable(m, mm, hi, lo);
    if (own === 0) return -1;
    const index = levelIndex(m, level, hi, lo);
    if (w[w[own + T_CONTENTS] + index] === table) return 0;
    linkForeign(m, own, index, table);
    const { work } = this;
    work.linkFaults += 1;
    work.links += 1;
    work.peakLinks = Math.max(work.peakLinks, work.links);
    return 1;
  }
}

/** The page of the host behind a page of a window. */
export function hostPageOf(m: Machine, vma: number, page: number): number {
  return page - vmaStart(m, vma) + vmaPgoff(m, vma) + hostBasePages(m);
}

/** The table whose entries link, made where missing; 0 without memory. */
function upperTable(m: Machine, mm: number, hi: number, lo: number): number {
  const w = m.words;
  const level = linkLevel(m);
  return w[mm + OWNER_ROOT_LEVEL] === level
    ? w[mm + OWNER_ROOT]
    : ensureTable(m, mm, level, hi, lo);
}

/** Word offset of the entry that could link; 0 where there is no table for it. */
function linkPlace(m: Machine, mm: number, hi: number, lo: number): number {
  const table = findTable(m, mm, linkLevel(m), hi, lo);
  return table === 0 ? 0 : m.words[table + T_CONTENTS] + levelIndex(m, linkLevel(m), hi, lo);
}
