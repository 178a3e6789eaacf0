import {
  Errno,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_STACK,
} from '../../base/index.ts';
import { isHugetlbObject } from '../hugetlb/area.ts';
import { mmapHugetlb } from '../hugetlb/mmap.ts';
import { H_FRAMES, H_SWAP_SLOTS } from '../layout.ts';
import type { Machine } from '../machine.ts';
import {
  linkObjectVma,
  OBJECT_SHMEM,
  OBJECT_SPECIAL,
  objectCreate,
  objectPut,
  objectType,
} from '../objects/object.ts';
import { lockMappings, unlockMappings } from '../objects/object-lock.ts';
import { isTablesObject } from '../objects/window.ts';
import { mergeNewRange } from './merge.ts';
import { MM_DEF_FLAGS, MM_LOCKED_VM, MM_MMAP_BASE, MM_VMA_COUNT } from './mm.ts';
import { unmapRange } from './munmap.ts';
import { populateRange } from './populate.ts';
import {
  VM_ACCOUNT,
  VM_DONTEXPAND,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_MAY_ALL,
  VM_MAYSHARE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_PFNMAP,
  VM_SHARED,
  VM_WRITE,
  vmFlagsOfProt,
} from './vm-flags.ts';
import {
  findVma,
  findVmaIndex,
  V_FLAGS,
  vmaAt,
  vmaCreate,
  vmaEnd,
  vmaInsert,
  vmaStart,
} from './vma.ts';
import { mapWindow } from './window.ts';

/** stack_guard_gap in pages. */
const GUARD_GAP = 256;
const MAP_TYPE = 0xf;

/**
 * mmap(2). Bytes in, address out; a negative result is an errno. `object` is what `fd` stands for,
 * 0 with MAP_ANONYMOUS.
 */
export function mmap(
  m: Machine,
  mm: number,
  addr: number,
  len: number,
  prot: number,
  flags: number,
  object: number,
  off: number,
): number {
  if (off % 4096 !== 0) return -Errno.EINVAL;
  const isAnon = (flags & MAP_ANONYMOUS) !== 0;
  if ((flags & MAP_HUGETLB) !== 0 || (object !== 0 && isHugetlbObject(m, object))) {
    return mmapHugetlb(m, mm, addr, len, prot, flags, isAnon ? 0 : object, off);
  }
  if (len === 0) return -Errno.EINVAL;
  const pages = Math.ceil(len / 4096);
  if (pages > m.geometry.userPages) return -Errno.ENOMEM;
  if (m.words[mm + MM_VMA_COUNT] > m.rules.maxMapCount) return -Errno.ENOMEM;
  if (!isAnon && object !== 0 && isTablesObject(m, object)) {
    const isSharing =
      (flags & MAP_TYPE) === MAP_SHARED || (flags & MAP_TYPE) === MAP_SHARED_VALIDATE;
    const window = mapWindow(m, mm, addr, pages, flags, isSharing, object, off / 4096);
    return window < 0 ? window : window * 4096;
  }
  const start = chooseAddress(m, mm, addr, pages, flags);
  if (start < 0) return start;
  if ((flags & MAP_FIXED_NOREPLACE) !== 0 && intersects(m, mm, start, start + pages)) {
    return -Errno.EEXIST;
  }
  const vmFlags = flagsOfMapping(m, mm, prot, flags, isAnon ? 0 : object);
  if (vmFlags < 0) return vmFlags;
  const isShared = (vmFlags & VM_SHARED) !== 0;
  const pgoff = isAnon ? (isShared ? 0 : start) : off / 4096;
  const mapped = isAnon
    ? isShared
      ? mapSharedAnonymous(m, mm, start, pages, vmFlags)
      : mapRegion(m, mm, start, pages, pgoff, vmFlags, 0)
    : mapRegion(m, mm, start, pages, pgoff, vmFlags, object);
  if (mapped < 0) return mapped;
  const isPopulate = (flags & (MAP_POPULATE | MAP_NONBLOCK)) === MAP_POPULATE;
  if (isPopulate || (vmFlags & VM_LOCKED) !== 0) populateRange(m, mm, start, start + pages, true);
  return start * 4096;
}

/** The page where the mapping goes (__get_unmapped_area), or a negative errno. */
function chooseAddress(m: Machine, mm: number, addr: number, pages: number, flags: number): number {
  const top = m.geometry.userPages;
  if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0) {
    if (Math.floor(addr / 4096) > top - pages) return -Errno.ENOMEM;
    return addr % 4096 === 0 ? addr / 4096 : -Errno.EINVAL;
  }
  const hint = Math.floor(addr / 4096);
  if (hint > 0 && hint + pages <= top && !intersects(m, mm, hint, hint + pages)) return hint;
  const found = findGapTopDown(m, mm, pages);
  return found < 0 ? -Errno.ENOMEM : found;
}

/** The highest free room of `pages` below the mmap base; -1 if there is none. */
export function findGapTopDown(m: Machine, mm: number, pages: number): number {
  let high = m.doubles[(mm + MM_MMAP_BASE) >> 1];
  for (let at = findVmaIndex(m, mm, high) - 1; ; at--) {
    const vma = vmaAt(m, mm, at);
    const above = vmaAt(m, mm, at + 1);
    if (above !== 0 && vmaStart(m, above) < high + GUARD_GAP) {
      const gap = (m.words[above + V_FLAGS] & VM_GROWSDOWN) !== 0 ? GUARD_GAP : 0;
      high = Math.min(high, vmaStart(m, above) - gap);
    }
    const low = vma === 0 ? 16 : vmaEnd(m, vma);
    if (high - low >= pages) return high - pages;
    if (vma === 0) return -1;
    high = Math.min(high, vmaStart(m, vma));
  }
}

export function intersects(m: Machine, mm: number, start: number, end: number): boolean {
  const vma = findVma(m, mm, start);
  return vma !== 0 && vmaStart(m, vma) < end;
}

/** The VM_* flags of a new mapping, or -EINVAL for flags that do not go together (do_mmap). */
function flagsOfMapping(
  m: Machine,
  mm: number,
  prot: number,
  flags: number,
  object: number,
): number {
  let vmFlags = vmFlagsOfProt(prot) | VM_MAY_ALL | m.words[mm + MM_DEF_FLAGS];
  if ((flags & MAP_GROWSDOWN) !== 0) vmFlags |= VM_GROWSDOWN;
  if ((flags & MAP_LOCKED) !== 0) vmFlags |= VM_LOCKED;
  if ((flags & MAP_NORESERVE) !== 0) vmFlags |= VM_NORESERVE;
  if ((flags & MAP_STACK) !== 0 && m.rules.hasStackNoHugepage) vmFlags |= VM_NOHUGEPAGE;
  const type = flags & MAP_TYPE;
  if (type === MAP_SHARED || (type === MAP_SHARED_VALIDATE && object !== 0)) {
    if ((flags & MAP_GROWSDOWN) !== 0) return -Errno.EINVAL;
    vmFlags |= VM_SHARED | VM_MAYSHARE;
  } else if (type !== MAP_PRIVATE) {
    return -Errno.EINVAL;
  } else if (object !== 0 && (flags & MAP_GROWSDOWN) !== 0) {
    return -Errno.EINVAL;
  }
  if (object !== 0 && objectType(m, object) === OBJECT_SPECIAL) {
    vmFlags |= VM_PFNMAP | VM_DONTEXPAND;
  }
  return vmFlags;
}

function mapSharedAnonymous(
  m: Machine,
  mm: number,
  start: number,
  pages: number,
  vmFlags: number,
): number {
  const object = objectCreate(m, OBJECT_SHMEM, pages * 4096);
  const result = mapRegion(m, mm, start, pages, 0, vmFlags, object);
  objectPut(m, object);
  return result;
}

/** mmap_region: what was there goes, then a neighbour grows over the range or a new area is made. */
export function mapRegion(
  m: Machine,
  mm: number,
  start: number,
  pages: number,
  pgoff: number,
  vmFlags: number,
  object: number,
): number {
  const end = start + pages;
  let flags = vmFlags;
  if ((vmFlags & (VM_NORESERVE | VM_SHARED | VM_WRITE)) === VM_WRITE) {
    if (!hasMemoryFor(m, pages)) return -Errno.ENOMEM;
    flags |= VM_ACCOUNT;
  }
  const error = unmapRange(m, mm, start, end);
  if (error < 0) return error;
  if ((flags & VM_LOCKED) !== 0) m.doubles[(mm + MM_LOCKED_VM) >> 1] += pages;
  if (mergeNewRange(m, mm, start, end, pgoff, flags, object, 0, false) !== 0) return start;
  const vma = vmaCreate(m, mm, start, end, pgoff, flags);
  vmaInsert(m, vma);
  if (object !== 0) {
    lockMappings(m, object);
    linkObjectVma(m, object, vma);
    unlockMappings(m, object);
  }
  return start;
}

/** __vm_enough_memory in the heuristic mode: only what could never fit is refused. */
export function hasMemoryFor(m: Machine, pages: number): boolean {
  return pages <= m.words[H_FRAMES] + m.words[H_SWAP_SLOTS];
}

/** munmap(2): 0 or a negative errno. */
export function munmap(m: Machine, mm: number, addr: number, len: number): number {
  const start = addr / 4096;
  if (addr % 4096 !== 0 || start > m.geometry.userPages) return -Errno.EINVAL;
  const pages = Math.ceil(len / 4096);
  if (pages === 0 || pages > m.geometry.userPages - start) return -Errno.EINVAL;
  return unmapRange(m, mm, start, start + pages);
}
