import { Errno } from '../../base/index.ts';
import { arenaAllocZeroed, arenaFree, classFor } from '../arena.ts';
import type { Machine } from '../machine.ts';
import { objectGet, objectPut, objectSize, setObjectSize } from '../objects/object.ts';
import { createTablesObject, eachWindow, O_OWN, objectsOf } from '../objects/window.ts';
import { VM_HUGETLB_OWNER } from '../space/vm-flags.ts';
import { V_FLAGS, V_MM, vmaEnd, vmaPgoff, vmaStart } from '../space/vma.ts';
import { indexOfPage } from './area.ts';
import { zapPart } from './range.ts';
import type { Hugetlb } from './window-ops.ts';

/**
 * Files of huge pages (hugetlbfs; every anonymous mapping has one of its own), and *views* of them: a
 * private mapping has a view, which knows which of the mapping's reservations were used. Both are objects
 * with one array, a word for each huge page:
 *
 *   file: 0, RESERVED (promised, no page yet), or the page's first frame (resv_map and page cache)
 *   view: 0, or 1 where the reservation was used (the resv_map of a private area, whose sense is the other)
 */
const H_SLOTS: number = O_OWN;
const H_CAPACITY: number = O_OWN + 1;
/** Of a view: its file. */
export const H_FILE: number = O_OWN + 2;
export const RESERVED = 1;

/** A file of huge pages; the caller holds one reference. */
export function createHugetlbFile(m: Machine, hugetlb: Hugetlb, sizeBytes: number): number {
  return createTablesObject(m, hugetlb.flavor, sizeBytes);
}

/** A private mapping's view of a file. */
export function createView(m: Machine, hugetlb: Hugetlb, file: number): number {
  const view = createTablesObject(m, hugetlb.flavor, 0);
  m.words[view + H_FILE] = file;
  objectGet(m, file);
  return view;
}

/** The file behind an object: itself, or what it is a view of. */
export function fileOf(m: Machine, object: number): number {
  const file = m.words[object + H_FILE];
  return file === 0 ? object : file;
}

export function slotOf(m: Machine, object: number, index: number): number {
  return index < m.words[object + H_CAPACITY] ? m.words[m.words[object + H_SLOTS] + index] : 0;
}

export function setSlot(m: Machine, object: number, index: number, word: number): void {
  if (index >= m.words[object + H_CAPACITY]) growSlots(m, object, index + 1);
  m.words[m.words[object + H_SLOTS] + index] = word;
}

/** Huge pages that the object's array has room for. */
export function slotCount(m: Machine, object: number): number {
  return m.words[object + H_CAPACITY];
}

function growSlots(m: Machine, object: number, slots: number): void {
  const w = m.words;
  const sizeClass = classFor(Math.max(8, slots));
  const grown = arenaAllocZeroed(m, sizeClass);
  const old = w[object + H_SLOTS];
  const capacity = w[object + H_CAPACITY];
  if (capacity > 0) {
    w.copyWithin(grown, old, old + capacity);
    arenaFree(m, classFor(capacity), old);
  }
  w[object + H_SLOTS] = grown;
  w[object + H_CAPACITY] = 2 ** sizeClass;
}

/**
 * Promises the pages of a shared mapping that are neither there nor promised (hugetlb_reserve_pages);
 * false: the pool has not as many, and nothing changed.
 */
export function reserveFile(
  m: Machine,
  hugetlb: Hugetlb,
  file: number,
  from: number,
  to: number,
): boolean {
  let needed = 0;
  for (let i = from; i < to; i++) if (slotOf(m, file, i) === 0) needed++;
  if (!hugetlb.pool.reserve(needed)) return false;
  for (let i = from; i < to && needed > 0; i++) {
    if (slotOf(m, file, i) === 0) setSlot(m, file, i, RESERVED);
  }
  return true;
}

/** An owner's area goes: what it was promised and did not use is free again (hugetlb_vm_op_close). */
export function releaseReservations(m: Machine, hugetlb: Hugetlb, vma: number, view: number): void {
  if ((m.words[vma + V_FLAGS] & VM_HUGETLB_OWNER) === 0) return;
  const from = indexOfPage(m, vma, vmaStart(m, vma));
  const to = indexOfPage(m, vma, vmaEnd(m, vma));
  let left = 0;
  for (let i = from; i < to; i++) if (slotOf(m, view, i) === 0) left++;
  hugetlb.pool.unreserve(left);
}

/** The last reference to a file or a view is gone: no area has it. */
export function dropObject(m: Machine, hugetlb: Hugetlb, object: number): void {
  const w = m.words;
  const capacity = w[object + H_CAPACITY];
  const file = w[object + H_FILE];
  if (file === 0) dropFilePages(m, hugetlb, object, 0, capacity, true);
  if (capacity > 0) arenaFree(m, classFor(capacity), w[object + H_SLOTS]);
  w[object + H_CAPACITY] = 0;
  if (file !== 0) objectPut(m, file);
}

/**
 * Pages go from the file, which nothing maps any more (remove_inode_hugepages); with `isTruncate` the
 * promises of pages that are not there too. A hole keeps those, and a page that it frees is promised no more.
 */
function dropFilePages(
  m: Machine,
  hugetlb: Hugetlb,
  file: number,
  from: number,
  to: number,
  isTruncate: boolean,
): void {
  for (let i = from; i < Math.min(to, slotCount(m, file)); i++) {
    const slot = slotOf(m, file, i);
    if (slot === 0 || (slot === RESERVED && !isTruncate)) continue;
    if (slot === RESERVED) hugetlb.pool.unreserve(1);
    else hugetlb.pool.put(m, slot);
    setSlot(m, file, i, 0);
  }
}

/** hugetlb_vmtruncate: 0, or -EINVAL for a size that is no multiple of the page. */
export function truncateFile(
  m: Machine,
  hugetlb: Hugetlb,
  file: number,
  sizeBytes: number,
): number {
  const hugeBytes = m.entryCount * 4096;
  if (sizeBytes % hugeBytes !== 0) return -Errno.EINVAL;
  const isShorter = sizeBytes < objectSize(m, file);
  setObjectSize(m, file, sizeBytes);
  if (isShorter) removePages(m, hugetlb, file, sizeBytes / hugeBytes, slotCount(m, file), true);
  return 0;
}

/** hugetlbfs_punch_hole: whole huge pages of [start, end) pages. */
export function punchFile(
  m: Machine,
  hugetlb: Hugetlb,
  file: number,
  start: number,
  end: number,
): void {
  const from = Math.ceil(start / m.entryCount);
  const to = Math.floor(end / m.entryCount);
  if (to > from) removePages(m, hugetlb, file, from, to, false);
}

/** Out of all mappings, private ones and their copies included (hugetlb_vmdelete_list), then out of the file. */
function removePages(
  m: Machine,
  hugetlb: Hugetlb,
  file: number,
  from: number,
  to: number,
  isTruncate: boolean,
): void {
  objectGet(m, file);
  for (const vma of areasInOrder(m, hugetlb, file)) {
    const shift = vmaPgoff(m, vma) - vmaStart(m, vma);
    const start = Math.max(vmaStart(m, vma), from * m.entryCount - shift);
    const end = Math.min(vmaEnd(m, vma), isTruncate ? Infinity : to * m.entryCount - shift);
    if (start < end) zapPart(m, hugetlb, m.words[vma + V_MM], start, end);
  }
  dropFilePages(m, hugetlb, file, from, to, isTruncate);
  objectPut(m, file);
}

/** All areas of a file by offset, the oldest first (i_mmap): the last one empties a table that several have. */
function areasInOrder(m: Machine, hugetlb: Hugetlb, file: number): number[] {
  const areas: number[] = [];
  for (const object of objectsOf(m, hugetlb.flavor)) {
    if (fileOf(m, object) === file) eachWindow(m, object, (vma) => areas.unshift(vma));
  }
  return areas.sort((a, b) => vmaPgoff(m, a) - vmaPgoff(m, b));
}
