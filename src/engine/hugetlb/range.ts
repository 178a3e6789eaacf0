import {
  Errno,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_REMOVE,
  MADV_WILLNEED,
} from '../../base/index.ts';
import type { Machine } from '../machine.ts';
import { anonVmaFork } from '../objects/anon-vma.ts';
import { modifyVma } from '../space/merge.ts';
import { MM_HUGETLB } from '../space/mm.ts';
import { VM_HUGETLB_OWNER, VM_HUGETLB_WRITE, VM_MAYWRITE, VM_SHARED } from '../space/vm-flags.ts';
import { V_ANON_VMA, V_FLAGS, V_MM, V_OBJECT, vmaEnd, vmaPgoff, vmaStart } from '../space/vma.ts';
import { checkCuts } from '../space/window.ts';
import { coversTable, hugetlbRights, isSharedArea, VM_HUGETLB_ACCESS } from './area.ts';
import {
  frameOfEntry,
  HUGE_OF_FILE,
  HUGE_WRITE,
  hugeEntry,
  setHugeEntry,
  trimHugeEntries,
} from './entries.ts';
import { punchFile, releaseReservations } from './file.ts';
import {
  adoptPmd,
  ensurePmdTable,
  findPmdTable,
  freePmd,
  hasLink,
  unsharePmd,
} from './pmd-share.ts';
import { addPageMapping } from './pool.ts';
import type { Hugetlb } from './window-ops.ts';

/** What calls do to parts of hugetlb areas: pages, [start, end). */

/** One entry less maps the page; a private one that nothing maps goes back to the pool. */
export function dropMapping(m: Machine, hugetlb: Hugetlb, entry: number): void {
  const pfn = frameOfEntry(entry);
  const left = addPageMapping(m, pfn, -1);
  if (left === 0 && (entry & HUGE_OF_FILE) === 0) hugetlb.pool.put(m, pfn);
}

/** Visits the GiB of a range, each with the part of the range that lies in it. */
function eachTable(
  m: Machine,
  start: number,
  end: number,
  visit: (from: number, to: number) => void,
): void {
  for (let from = start; from < end; ) {
    const to = Math.min(end, (Math.floor(from / m.loPages) + 1) * m.loPages);
    visit(from, to);
    from = to;
  }
}

/** Index in its table of level 1 of the entry that maps a page. */
function indexOf(m: Machine, page: number): number {
  return Math.floor((page % m.loPages) / m.entryCount);
}

/**
 * __unmap_hugepage_range. A table that others have too is taken out whole, whatever part of it was asked
 * for: what they see of it must stay.
 */
export function zapPart(
  m: Machine,
  hugetlb: Hugetlb,
  mm: number,
  start: number,
  end: number,
): void {
  eachTable(m, start, end, (from, to) => {
    const table = findPmdTable(m, mm, from);
    if (table === 0 || unsharePmd(m, hugetlb, mm, from)) return;
    for (let i = indexOf(m, from), left = (to - from) / m.entryCount; left > 0; i++, left--) {
      const entry = hugeEntry(m, table, i);
      if (entry === 0) continue;
      setHugeEntry(m, table, i, 0);
      m.words[mm + MM_HUGETLB] -= 1;
      dropMapping(m, hugetlb, entry);
    }
  });
}

/** The area goes: its entries, tables that were never an address space's own, its reservations. */
export function detachArea(m: Machine, hugetlb: Hugetlb, mm: number, vma: number): void {
  const start = vmaStart(m, vma);
  zapPart(m, hugetlb, mm, start, vmaEnd(m, vma));
  eachTable(m, start, vmaEnd(m, vma), (from) => {
    const table = findPmdTable(m, mm, from);
    if (table === 0) return;
    if (hasLink(m, mm, from)) freePmd(m, hugetlb, mm, from);
    else trimHugeEntries(m, table);
  });
  const isMoved = hugetlb.movedFrom === start;
  hugetlb.movedFrom = -1;
  if (!isMoved) releaseReservations(m, hugetlb, vma, m.words[vma + V_OBJECT]);
}

/** hugetlb_vm_op_split: an area that is cut within a GiB covers that one no more. */
export function cutArea(m: Machine, hugetlb: Hugetlb, vma: number, page: number): void {
  const mm = m.words[vma + V_MM];
  if (page % m.loPages === 0 || !coversTable(m, vma, page) || !hasLink(m, mm, page)) return;
  if (!unsharePmd(m, hugetlb, mm, page)) adoptPmd(m, hugetlb, mm, page);
}

/** hugetlb_change_protection, and what mprotect_fixup does before it. `rights` are VM_* bits. */
export function protectPart(
  m: Machine,
  hugetlb: Hugetlb,
  vma: number,
  start: number,
  end: number,
  rights: number,
): number {
  const old = m.words[vma + V_FLAGS];
  if ((rights & ~(old >> 4) & 7) !== 0) return -Errno.EACCES;
  const flags = (old & ~VM_HUGETLB_ACCESS) | hugetlbRights(rights);
  if (flags === old) return 0;
  const refused = checkCuts(m, vma, start, end);
  if (refused < 0) return refused;
  const changed = modifyVma(m, vma, start, end, flags);
  if (changed === 0) return -Errno.ENOMEM;
  const mm = m.words[vma + V_MM];
  const mayWrite = isSharedArea(m, changed) && (flags & VM_HUGETLB_WRITE) !== 0;
  eachTable(m, start, end, (from, to) => {
    const table = findPmdTable(m, mm, from);
    if (table === 0 || unsharePmd(m, hugetlb, mm, from)) return;
    for (let i = indexOf(m, from), left = (to - from) / m.entryCount; left > 0; i++, left--) {
      const entry = hugeEntry(m, table, i);
      if (entry === 0) continue;
      // As huge_pte_modify: a private page's right comes back by a fault.
      setHugeEntry(m, table, i, mayWrite ? entry | HUGE_WRITE : entry & ~HUGE_WRITE);
    }
  });
  return 0;
}

/** Advice about contents (madvise_dontneed_free_valid_vma, can_madv_lru_vma, is_valid_guard_vma). */
export function advisePart(
  m: Machine,
  hugetlb: Hugetlb,
  vma: number,
  start: number,
  end: number,
  advice: number,
): number {
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED: {
      if (start % m.entryCount !== 0) return -Errno.EINVAL;
      const to = end - (end % m.entryCount);
      if (start < to) zapPart(m, hugetlb, m.words[vma + V_MM], start, to);
      return 0;
    }
    case MADV_REMOVE: {
      const both = VM_SHARED | VM_MAYWRITE;
      if ((m.words[vma + V_FLAGS] & both) !== both) return -Errno.EACCES;
      const shift = vmaPgoff(m, vma) - vmaStart(m, vma);
      punchFile(m, hugetlb, m.words[vma + V_OBJECT], start + shift, end + shift);
      return 0;
    }
    case MADV_WILLNEED:
      return 0;
    default:
      return -Errno.EINVAL;
  }
}

/**
 * copy_hugetlb_page_range: a private area's pages are the child's too until somebody writes; it was
 * promised none of them. A shared area's come by faults. False: no memory for a table.
 */
export function forkArea(m: Machine, hugetlb: Hugetlb, vma: number, copy: number): boolean {
  const w = m.words;
  w[copy + V_FLAGS] &= ~VM_HUGETLB_OWNER;
  // vma_needs_copy: pages of the file alone can be faulted in again.
  if (w[vma + V_ANON_VMA] === 0) return true;
  anonVmaFork(m, copy, vma);
  const [parent, child] = [w[vma + V_MM], w[copy + V_MM]];
  let isDone = true;
  eachTable(m, vmaStart(m, vma), vmaEnd(m, vma), (from, to) => {
    const table = findPmdTable(m, parent, from);
    if (table === 0 || !isDone) return;
    const other = ensurePmdTable(m, hugetlb, copy, from);
    isDone = other !== 0;
    if (!isDone) return;
    for (let i = indexOf(m, from), left = (to - from) / m.entryCount; left > 0; i++, left--) {
      const entry = hugeEntry(m, table, i) & ~HUGE_WRITE;
      if (entry === 0) continue;
      setHugeEntry(m, table, i, entry);
      setHugeEntry(m, other, i, entry);
      addPageMapping(m, frameOfEntry(entry), 1);
      w[child + MM_HUGETLB] += 1;
    }
  });
  return isDone;
}

/** move_hugetlb_page_tables, to where nothing is mapped; what was promised moves along. */
export function movePart(
  m: Machine,
  hugetlb: Hugetlb,
  made: number,
  start: number,
  target: number,
  pages: number,
): boolean {
  const moved = moveEntries(m, hugetlb, made, start, target, pages);
  const isDone = moved === pages;
  // As the kernel: what was moved goes back. Whichever place is unmapped next keeps no promises.
  if (!isDone) moveEntries(m, hugetlb, made, target, start, moved);
  hugetlb.movedFrom = isDone ? start : target;
  return isDone;
}

/** Pages that were moved: fewer than asked for where memory for a table is out. */
function moveEntries(
  m: Machine,
  hugetlb: Hugetlb,
  area: number,
  start: number,
  target: number,
  pages: number,
): number {
  const mm = m.words[area + V_MM];
  for (let at = 0; at < pages; at += m.entryCount) {
    const table = findPmdTable(m, mm, start + at);
    if (table === 0) continue;
    const entry = hugeEntry(m, table, indexOf(m, start + at));
    if (entry === 0 || unsharePmd(m, hugetlb, mm, start + at)) continue;
    const present = findPmdTable(m, mm, target + at);
    const other = present !== 0 ? present : ensurePmdTable(m, hugetlb, area, target + at);
    if (other === 0) return at;
    setHugeEntry(m, other, indexOf(m, target + at), entry);
    setHugeEntry(m, table, indexOf(m, start + at), 0);
  }
  return pages;
}
