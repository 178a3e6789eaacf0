import type { Machine } from '../machine.ts';
import { C_ANON, C_FILE, C_HUGE, C_SHMEM, mmCounter } from '../space/mm.ts';
import { VM_MERGEABLE } from '../space/vm-flags.ts';
import { V_ANON_VMA, V_FLAGS, vmaLookup } from '../space/vma.ts';
import { ENTRY_OBJECT, ENTRY_PAGE, KIND_MASK } from '../tables/entry.ts';
import { isHuge, isHugeZero } from '../tables/huge-entry.ts';
import { entryFlags, entryWord } from '../tables/leaf.ts';
import { leafWord } from '../tables/walk.ts';
import type { Ksm } from './ksm.ts';
import type { RmapItem } from './rmap-item.ts';

/** How ksmd takes what a table maps: not at all, as one huge page, or page by page. */
export type Unit = 'none' | 'whole' | 'pages';

/** By the mode for huge pages (settings.ts). */
export function unitOf(ksm: Ksm, m: Machine, mm: number, table: number): Unit {
  if (!isHuge(m, table)) return 'pages';
  if (isHugeZero(m, table)) return 'none';
  switch (ksm.settings.hugePages) {
    case 'skip':
      return 'none';
    case 'split':
      return 'pages';
    case 'whole':
      return 'whole';
    case 'preserve':
      return isMostlyHuge(ksm, m, mm) ? 'pages' : 'whole';
    default:
      return m.events.isHugeHot?.(m, mm, table) === true ? 'whole' : 'pages';
  }
}

/** More of the process is in huge pages than is to be preserved. */
function isMostlyHuge(ksm: Ksm, m: Machine, mm: number): boolean {
  const rss = mmCounter(m, mm, C_ANON) + mmCounter(m, mm, C_FILE) + mmCounter(m, mm, C_SHMEM);
  const huge = mmCounter(m, mm, C_HUGE) * m.entryCount;
  return huge * 100 > ksm.settings.preservePercent * rss;
}

/** Where an item's page is mapped: valid until the next look. */
export class Mapped {
  vma = 0;
  leaf = 0;
  index = 0;
  pfn = 0;

  /** False where there is no anonymous page in a mergeable area. */
  find(m: Machine, mm: number, page: number): boolean {
    this.vma = vmaLookup(m, mm, page);
    if (this.vma === 0 || (m.words[this.vma + V_FLAGS] & VM_MERGEABLE) === 0) return false;
    if (m.words[this.vma + V_ANON_VMA] === 0) return false;
    const hi = Math.floor(page / m.loPages);
    const lo = page - hi * m.loPages;
    this.leaf = leafWord(m, mm, hi, lo);
    if (this.leaf <= 0) return false;
    this.index = lo & m.mask;
    if (!isAnonPage(entryFlags(m, this.leaf, this.index))) return false;
    this.pfn = entryWord(m, this.leaf, this.index);
    return true;
  }
}

export function isAnonPage(flags: number): boolean {
  return (flags & (KIND_MASK | ENTRY_OBJECT)) === ENTRY_PAGE;
}

const mapped = new Mapped();

/**
 * The frame of an item's page, 0 where it is gone (get_mergeable_page), or has become a part of a huge
 * page that is taken whole; or the other way round.
 */
export function mergeablePage(ksm: Ksm, m: Machine, item: RmapItem): number {
  const { mm } = item.slot;
  if (mm === 0 || !mapped.find(m, mm, item.page)) return 0;
  const isWhole = unitOf(ksm, m, mm, mapped.leaf) === 'whole';
  if (isHuge(m, mapped.leaf) && isWhole !== item.span > 1) return 0;
  return item.span > 1 && !isHuge(m, mapped.leaf) ? 0 : mapped.pfn;
}
