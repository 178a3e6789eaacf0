import {
  FAULT_DONE,
  FAULT_NONE,
  FAULT_OOM,
  FAULT_SIGBUS,
  FAULT_SIGSEGV,
} from '../fault/fault-codes.ts';
import { BLOCK_FRAMES } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { anonVmaPrepare } from '../objects/anon-vma.ts';
import { objectSize } from '../objects/object.ts';
import { eachWindow } from '../objects/window.ts';
import { C_COW, C_FAULTS, MM_HUGETLB, mmCounters } from '../space/mm.ts';
import { VM_HUGETLB_LOST, VM_HUGETLB_OWNER, VM_HUGETLB_WRITE } from '../space/vm-flags.ts';
import { V_ANON_VMA, V_FLAGS, V_MM, V_OBJECT, vmaEnd, vmaPgoff, vmaStart } from '../space/vma.ts';
import { indexOfPage, isSharedArea, VM_HUGETLB_ACCESS } from './area.ts';
import { frameOfEntry, HUGE_OF_FILE, HUGE_WRITE, hugeEntry, setHugeEntry } from './entries.ts';
import { fileOf, RESERVED, setSlot, slotOf } from './file.ts';
import { ensurePmdTable, findPmdTable } from './pmd-share.ts';
import { addPageMapping, pageMappings } from './pool.ts';
import { dropMapping } from './range.ts';
import type { Hugetlb } from './window-ops.ts';

/** hugetlb_fault: as `handleFault`. */
export function hugetlbFault(
  m: Machine,
  hugetlb: Hugetlb,
  vma: number,
  hi: number,
  lo: number,
  isWrite: boolean,
): number {
  const flags = m.words[vma + V_FLAGS];
  if ((flags & (isWrite ? VM_HUGETLB_WRITE : VM_HUGETLB_ACCESS)) === 0) return FAULT_SIGSEGV;
  const mm = m.words[vma + V_MM];
  const page = hi * m.loPages + lo;
  const hadTable = findPmdTable(m, mm, page) !== 0;
  const table = ensurePmdTable(m, hugetlb, vma, page);
  if (table === 0) return FAULT_OOM;
  const index = lo >> m.bits;
  const entry = hugeEntry(m, table, index);
  let result = hadTable ? FAULT_NONE : FAULT_DONE;
  if (entry === 0) result = noPage(m, hugetlb, vma, table, index, page, isWrite);
  else if (isWrite && (entry & HUGE_WRITE) === 0) {
    result = writeProtected(m, hugetlb, vma, table, index, page);
  }
  if (result > 0) m.words[mmCounters(m, mm) + C_FAULTS] += result;
  return result;
}

/** hugetlb_no_page: a promised page, or one that nobody was promised, or SIGBUS. */
function noPage(
  m: Machine,
  hugetlb: Hugetlb,
  vma: number,
  table: number,
  index: number,
  page: number,
  isWrite: boolean,
): number {
  const w = m.words;
  const flags = w[vma + V_FLAGS];
  if ((flags & VM_HUGETLB_LOST) !== 0) return FAULT_SIGBUS;
  const object = w[vma + V_OBJECT];
  const file = fileOf(m, object);
  const at = indexOfPage(m, vma, page);
  const slot = slotOf(m, file, at);
  if (slot <= RESERVED && at >= Math.floor(objectSize(m, file) / 4096 / m.entryCount)) {
    return FAULT_SIGBUS;
  }
  let entry = 0;
  if (isSharedArea(m, vma)) {
    const pfn = slot > RESERVED ? slot : hugetlb.pool.take(m, slot === RESERVED);
    if (pfn === 0) return FAULT_SIGBUS;
    if (slot <= RESERVED) setSlot(m, file, at, pfn);
    entry = pfn | HUGE_OF_FILE | ((flags & VM_HUGETLB_WRITE) !== 0 ? HUGE_WRITE : 0);
  } else if (slot > RESERVED) {
    entry = slot | HUGE_OF_FILE;
  } else {
    if (w[vma + V_ANON_VMA] === 0) anonVmaPrepare(m, vma);
    const pfn = takePrivate(m, hugetlb, vma, at);
    if (pfn === 0) return FAULT_SIGBUS;
    entry = pfn | (isWrite ? HUGE_WRITE : 0);
  }
  setHugeEntry(m, table, index, entry);
  addPageMapping(m, frameOfEntry(entry), 1);
  w[w[vma + V_MM] + MM_HUGETLB] += 1;
  hugetlb.work.faults += 1;
  // A private write to the file's page: mapped first, then copied; a copy that fails leaves the mapping.
  const isCopied = isWrite && slot > RESERVED && !isSharedArea(m, vma);
  return isCopied ? writeProtected(m, hugetlb, vma, table, index, page) : FAULT_DONE;
}

/** A page for a private area: one that it was promised, if it still has that for this place. */
function takePrivate(m: Machine, hugetlb: Hugetlb, vma: number, at: number): number {
  const view = m.words[vma + V_OBJECT];
  const isOwner = (m.words[vma + V_FLAGS] & VM_HUGETLB_OWNER) !== 0;
  const isPromised = isOwner && slotOf(m, view, at) === 0;
  const pfn = hugetlb.pool.take(m, isPromised);
  if (pfn !== 0 && isPromised) setSlot(m, view, at, 1);
  return pfn;
}

/** hugetlb_wp: the page is taken over if nobody else maps it, else copied. */
function writeProtected(
  m: Machine,
  hugetlb: Hugetlb,
  vma: number,
  table: number,
  index: number,
  page: number,
): number {
  const entry = hugeEntry(m, table, index);
  const pfn = frameOfEntry(entry);
  const isFile = (entry & HUGE_OF_FILE) !== 0;
  const isAlone = !isFile && pageMappings(m, pfn) === 1;
  if (isAlone || isSharedArea(m, vma)) {
    setHugeEntry(m, table, index, entry | HUGE_WRITE);
    return FAULT_DONE;
  }
  const at = indexOfPage(m, vma, page);
  // Its own promise was used for the page that it is about to leave: another must come beyond all promises.
  const isOwner = (m.words[vma + V_FLAGS] & VM_HUGETLB_OWNER) !== 0;
  const isFromOwner = isOwner && !isFile;
  const copy = isFromOwner ? hugetlb.pool.take(m, false) : takePrivate(m, hugetlb, vma, at);
  if (copy === 0) {
    if (!isFromOwner) return FAULT_SIGBUS;
    takeFromOthers(m, hugetlb, vma, at, pfn);
    setHugeEntry(m, table, index, entry | HUGE_WRITE);
    return FAULT_DONE;
  }
  if (m.words[vma + V_ANON_VMA] === 0) anonVmaPrepare(m, vma);
  copyContents(m, pfn, copy);
  setHugeEntry(m, table, index, copy | HUGE_WRITE);
  addPageMapping(m, copy, 1);
  dropMapping(m, hugetlb, entry);
  hugetlb.work.copies += 1;
  m.words[mmCounters(m, m.words[vma + V_MM]) + C_COW] += 1;
  return FAULT_DONE;
}

/** unmap_ref_private: the process that was promised the page keeps it, its children lose it. */
function takeFromOthers(m: Machine, hugetlb: Hugetlb, vma: number, at: number, pfn: number): void {
  const w = m.words;
  eachWindow(m, w[vma + V_OBJECT], (other) => {
    if (other === vma || (w[other + V_FLAGS] & VM_HUGETLB_OWNER) !== 0) return;
    const page = at * m.entryCount - vmaPgoff(m, other) + vmaStart(m, other);
    if (page < vmaStart(m, other) || page >= vmaEnd(m, other)) return;
    const mm = w[other + V_MM];
    const table = findPmdTable(m, mm, page);
    const index = Math.floor((page % m.loPages) / m.entryCount);
    const entry = table === 0 ? 0 : hugeEntry(m, table, index);
    if (frameOfEntry(entry) !== pfn) return;
    setHugeEntry(m, table, index, 0);
    w[mm + MM_HUGETLB] -= 1;
    w[other + V_FLAGS] |= VM_HUGETLB_LOST;
    dropMapping(m, hugetlb, entry);
    hugetlb.work.pagesLost += 1;
  });
}

function copyContents(m: Machine, from: number, to: number): void {
  if (m.contentsAt === 0) return;
  const at = m.contentsAt + from;
  m.words.copyWithin(m.contentsAt + to, at, at + BLOCK_FRAMES);
}
