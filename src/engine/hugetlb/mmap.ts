import {
  Errno,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
} from '../../base/index.ts';
import type { Machine } from '../machine.ts';
import { objectGet, objectPut, objectSize, setObjectSize } from '../objects/object.ts';
import { MM_DEF_FLAGS, MM_VMA_COUNT } from '../space/mm.ts';
import { findGapTopDown, intersects, mapRegion } from '../space/mmap.ts';
import { unmapRange } from '../space/munmap.ts';
import { populateRange } from '../space/populate.ts';
import {
  VM_DONTEXPAND,
  VM_HUGETLB,
  VM_HUGETLB_OWNER,
  VM_LOCKED,
  VM_MAY_ALL,
  VM_MAYSHARE,
  VM_NORESERVE,
  VM_SHARED,
  VM_WINDOW,
} from '../space/vm-flags.ts';
import { findVma, V_OBJECT, vmaEnd, vmaStart } from '../space/vma.ts';
import { hugetlbRights, isHugetlb, isHugetlbObject, isSharedArea } from './area.ts';
import { createHugetlbFile, createView, reserveFile } from './file.ts';
import type { Hugetlb } from './window-ops.ts';

const MAP_TYPE = 0xf;

/**
 * mmap(2) with MAP_HUGETLB, or of a file of huge pages (ksys_mmap_pgoff, hugetlb_get_unmapped_area,
 * hugetlbfs_file_mmap). Bytes; the address, or a negative errno. A length is rounded up to 2 MiB.
 */
export function mmapHugetlb(
  m: Machine,
  mm: number,
  addr: number,
  len: number,
  prot: number,
  flags: number,
  object: number,
  off: number,
): number {
  const { hugetlb } = m;
  // No such page size; and MAP_HUGETLB of a file that has none.
  if (hugetlb === null || (object !== 0 && !isHugetlbObject(m, object))) return -Errno.EINVAL;
  const pages = Math.ceil(len / 4096 / m.entryCount) * m.entryCount;
  if (pages === 0) return -Errno.EINVAL;
  if (pages > m.geometry.userPages) return -Errno.ENOMEM;
  if (m.words[mm + MM_VMA_COUNT] > m.rules.maxMapCount) return -Errno.ENOMEM;
  const start = chooseAligned(m, mm, addr, pages, flags);
  if (start < 0) return start;
  const type = flags & MAP_TYPE;
  const isShared = type === MAP_SHARED || type === MAP_SHARED_VALIDATE;
  if (!isShared && type !== MAP_PRIVATE) return -Errno.EINVAL;
  if ((flags & MAP_GROWSDOWN) !== 0) return -Errno.EINVAL;
  // What is there goes first, also where the reservation then fails (vms_clean_up_area).
  // But the files of what was there are held until then (vms_complete_munmap_vmas).
  const held = sharedFilesIn(m, mm, start, start + pages);
  const error = unmapRange(m, mm, start, start + pages);
  const file = object !== 0 ? object : createHugetlbFile(m, hugetlb, pages * 4096);
  const mapped =
    error < 0
      ? error
      : mapFile(m, hugetlb, mm, file, start, pages, off / 4096, prot, flags, isShared);
  if (object === 0) objectPut(m, file);
  for (const one of held) objectPut(m, one);
  if (mapped < 0) return mapped;
  const isLocked = (flags & MAP_LOCKED) !== 0 || (m.words[mm + MM_DEF_FLAGS] & VM_LOCKED) !== 0;
  const isPopulate = (flags & (MAP_POPULATE | MAP_NONBLOCK)) === MAP_POPULATE;
  if (isLocked || isPopulate) populateRange(m, mm, start, start + pages, true);
  return start * 4096;
}

/** The files of shared hugetlb areas in a range, each with one more reference. */
function sharedFilesIn(m: Machine, mm: number, start: number, end: number): number[] {
  const files: number[] = [];
  for (let vma = findVma(m, mm, start); vma !== 0; vma = findVma(m, mm, vmaEnd(m, vma))) {
    if (vmaStart(m, vma) >= end) break;
    if (!isHugetlb(m, vma) || !isSharedArea(m, vma)) continue;
    objectGet(m, m.words[vma + V_OBJECT]);
    files.push(m.words[vma + V_OBJECT]);
  }
  return files;
}

/** hugetlb_get_unmapped_area, and what __get_unmapped_area checks around it. */
function chooseAligned(m: Machine, mm: number, addr: number, pages: number, flags: number): number {
  const top = m.geometry.userPages;
  const huge = m.entryCount;
  if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0) {
    const page = addr / 4096;
    if (page % huge !== 0) return -Errno.EINVAL;
    if (page > top - pages) return -Errno.ENOMEM;
    const isTaken = (flags & MAP_FIXED_NOREPLACE) !== 0 && intersects(m, mm, page, page + pages);
    return isTaken ? -Errno.EEXIST : page;
  }
  const hint = Math.ceil(addr / 4096 / huge) * huge;
  if (hint > 0 && hint + pages <= top && !intersects(m, mm, hint, hint + pages)) return hint;
  const found = findGapTopDown(m, mm, pages + huge - 1);
  return found < 0 ? -Errno.ENOMEM : Math.floor((found + huge - 1) / huge) * huge;
}

/** hugetlbfs_file_mmap: reserves, and makes the area. */
function mapFile(
  m: Machine,
  hugetlb: Hugetlb,
  mm: number,
  file: number,
  start: number,
  pages: number,
  pgoff: number,
  prot: number,
  flags: number,
  isShared: boolean,
): number {
  const huge = m.entryCount;
  if (pgoff % huge !== 0) return -Errno.EINVAL;
  const isReserving = (flags & MAP_NORESERVE) === 0;
  let vmFlags = VM_WINDOW | VM_HUGETLB | VM_DONTEXPAND | VM_MAY_ALL | hugetlbRights(prot);
  if (isShared) vmFlags |= VM_SHARED | VM_MAYSHARE;
  if (!isReserving) vmFlags |= VM_NORESERVE;
  if (isReserving) {
    const isReserved = isShared
      ? reserveFile(m, hugetlb, file, pgoff / huge, (pgoff + pages) / huge)
      : hugetlb.pool.reserve(pages / huge);
    if (!isReserved) return -Errno.ENOMEM;
    if (!isShared) vmFlags |= VM_HUGETLB_OWNER;
  }
  const bytes = (pgoff + pages) * 4096;
  if ((prot & 2) !== 0 && objectSize(m, file) < bytes) setObjectSize(m, file, bytes);
  const object = isShared ? file : createView(m, hugetlb, file);
  const mapped = mapRegion(m, mm, start, pages, pgoff, vmFlags, object);
  if (!isShared) objectPut(m, object);
  return mapped;
}
