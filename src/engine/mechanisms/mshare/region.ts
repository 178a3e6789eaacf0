import {
  Errno,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_GUARD_INSTALL,
  MADV_PAGEOUT,
  MADV_REMOVE,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
} from '../../../base/index.ts';
import type { Machine } from '../../machine.ts';
import { objectPut, objectSize, setObjectSize } from '../../objects/object.ts';
import {
  createTablesObject,
  isTablesObject,
  O_OWN,
  objectsOf,
  opsOfObject,
} from '../../objects/window.ts';
import { exitMm } from '../../space/exit.ts';
import { madvise } from '../../space/madvise.ts';
import { MM_CGROUP, MM_MMAP_BASE, MM_REGION, mmCreate, setMmDouble } from '../../space/mm.ts';
import { intersects, mmap, munmap } from '../../space/mmap.ts';
import { mprotect } from '../../space/mprotect.ts';
import { entrySpan } from '../../tables/walk.ts';
import type { MshareWindows } from './window-ops.ts';

/**
 * mshare's region: the core under both interfaces (posted.ts, announced.ts), after mm/mshare.c of the
 * third posting (20 August 2025) where the two agree, which is nearly everywhere.
 *
 * A region is an object that has an address space of its own, the host. Whatever is mapped into the
 * region is an ordinary area of the host, at the region's offset plus one alignment unit; faults fill the
 * host's tables. A process that maps the region has one area, the window, and links its own top entries
 * to the host's tables (window-ops.ts).
 */
/** The host address space. */
export const R_HOST: number = O_OWN;
/** The process that made the region, plus 1; 0 once it is gone. */
export const R_OWNER: number = O_OWN + 1;
/** Which interface made it (REGION_*): the rules differ at a few places. */
export const R_INTERFACE: number = O_OWN + 2;

export const REGION_POSTED = 0;
export const REGION_ANNOUNCED = 1;

/** Mapped or asked for inside a region: bytes, PROT_* and MAP_* bits, an object or 0 for anonymous memory. */
export interface RegionMapping {
  readonly regionOffset: number;
  readonly size: number;
  readonly offset: number;
  readonly prot: number;
  readonly flags: number;
  readonly object: number;
}

/** Level of the entries that link: P4D, which four-level tables fold into the top one. */
export function linkLevel(m: Machine): number {
  return Math.min(3, m.geometry.levels - 1);
}

/** A region begins and ends at multiples of this, and so does every window (P4D_SIZE: 512 GiB). */
export function regionAlignmentPages(m: Machine): number {
  return entrySpan(m, linkLevel(m));
}

/** First page of the region in the host. */
export function hostBasePages(m: Machine): number {
  return regionAlignmentPages(m);
}

export function regionHost(m: Machine, region: number): number {
  return m.words[region + R_HOST];
}

export function hasOwner(m: Machine, region: number): boolean {
  return m.words[region + R_OWNER] !== 0;
}

/** A region of no size yet, charged to the cgroup of its maker; or -ENOMEM. */
export function regionCreate(
  m: Machine,
  flavor: number,
  ownerPid: number,
  ownerMm: number,
  how: number,
): number {
  const host = mmCreate(m, 0);
  if (host === 0) return -Errno.ENOMEM;
  const region = createTablesObject(m, flavor, 0);
  const w = m.words;
  w[host + MM_REGION] = region;
  w[host + MM_CGROUP] = w[ownerMm + MM_CGROUP];
  w[region + R_HOST] = host;
  w[region + R_OWNER] = ownerPid + 1;
  w[region + R_INTERFACE] = how;
  return region;
}

/** Once, a multiple of the alignment and not 0; else -EINVAL. */
export function regionSetSize(m: Machine, region: number, bytes: number): number {
  const align = regionAlignmentPages(m) * 4096;
  if (bytes <= 0 || bytes % align !== 0 || objectSize(m, region) !== 0) return -Errno.EINVAL;
  const end = bytes / 4096 + hostBasePages(m);
  if (end > m.geometry.userPages) return -Errno.EINVAL;
  setObjectSize(m, region, bytes);
  setMmDouble(m, regionHost(m, region), MM_MMAP_BASE, end);
  return 0;
}

/** True for whole pages inside the region. */
function isInside(m: Machine, region: number, offset: number, size: number): boolean {
  const isAligned = offset % 4096 === 0 && offset >= 0 && size > 0;
  return isAligned && offset + Math.ceil(size / 4096) * 4096 <= objectSize(m, region);
}

function hostAddr(m: Machine, offset: number): number {
  return hostBasePages(m) * 4096 + offset;
}

/** Maps a file or anonymous memory into the region for all who map it; 0 or a negative errno. */
export function regionMap(m: Machine, region: number, what: RegionMapping): number {
  const { regionOffset, size, offset, prot, object } = what;
  const wanted = MAP_SHARED | MAP_FIXED;
  if ((what.flags & wanted) !== wanted || (what.flags & MAP_PRIVATE) !== 0) return -Errno.EINVAL;
  if (!hasOwner(m, region) || !isInside(m, region, regionOffset, size)) return -Errno.EINVAL;
  // No region inside a region.
  if (object !== 0 && isTablesObject(m, object)) return -Errno.EINVAL;
  const host = regionHost(m, region);
  const at = hostAddr(m, regionOffset);
  const first = at / 4096;
  // What it takes the place of goes from everybody's tables.
  const isReplaced = intersects(m, host, first, first + Math.ceil(size / 4096));
  const result = mmap(m, host, at, size, prot, what.flags, object, offset);
  if (result < 0) return result;
  return isReplaced ? flushed(m, region, 0) : 0;
}

/** Takes mappings out of the region, any part of them; later accesses are SIGSEGV for everybody. */
export function regionUnmap(m: Machine, region: number, offset: number, size: number): number {
  if (!isInside(m, region, offset, size)) return -Errno.EINVAL;
  return flushed(m, region, munmap(m, regionHost(m, region), hostAddr(m, offset), size));
}

/** Changes rights for everybody. */
export function regionProtect(
  m: Machine,
  region: number,
  offset: number,
  size: number,
  prot: number,
): number {
  if (!isInside(m, region, offset, size)) return -Errno.EINVAL;
  const host = regionHost(m, region);
  return flushed(m, region, mprotect(m, host, hostAddr(m, offset), size, prot));
}

/** madvise(2) of a part of the region. */
export function regionAdvise(
  m: Machine,
  region: number,
  offset: number,
  size: number,
  advice: number,
): number {
  if (!isInside(m, region, offset, size)) return -Errno.EINVAL;
  const result = madvise(m, regionHost(m, region), hostAddr(m, offset), size, advice);
  return TAKES_ENTRIES.has(advice) ? flushed(m, region, result) : result;
}

/** Advice after which the host may lack entries that it had. */
const TAKES_ENTRIES: ReadonlySet<number> = new Set([
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_REMOVE,
  MADV_PAGEOUT,
  MADV_GUARD_INSTALL,
]);

/**
 * The host lost entries or rights: all who may have them in a TLB are told. ENOMEM may be for a hole
 * behind areas that were changed.
 */
function flushed(m: Machine, region: number, result: number): number {
  if (result >= 0 || result === -Errno.ENOMEM)
    (opsOfObject(m, region) as MshareWindows).flush(m, region);
  return result;
}

/**
 * The owner is gone: nothing can be mapped any more and what was mapped goes, so whoever still has a
 * window gets SIGSEGV. The tables that windows link to stay until those go.
 */
export function regionOrphan(m: Machine, region: number): void {
  m.words[region + R_OWNER] = 0;
  const bytes = objectSize(m, region);
  if (bytes > 0) flushed(m, region, munmap(m, regionHost(m, region), hostAddr(m, 0), bytes));
}

/** The regions of a flavor that a process owns. */
export function regionsOf(m: Machine, flavor: number, ownerPid: number): number[] {
  return objectsOf(m, flavor).filter((region) => m.words[region + R_OWNER] === ownerPid + 1);
}

/** The last window and the last name are gone. */
export function regionDestroy(m: Machine, region: number): void {
  exitMm(m, regionHost(m, region));
}

/** Drops a reference that `regionCreate` gave. */
export function regionPut(m: Machine, region: number): void {
  objectPut(m, region);
}
