import {
  Errno,
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
} from '../../src/base/index.ts';
import { newAnon } from './faults.ts';
import { populate } from './populate.ts';
import type { Space } from './space.ts';
import { GUARD, SLOT_PAGES, spansOf } from './tables.ts';
import {
  isAnonymous,
  type MemoryFile,
  pgoffAt,
  sameFlags,
  type Vma,
  type VmaFlags,
} from './vma.ts';

/** What the advices need beyond their own process. */
export interface AdviceHost {
  /** Takes pages out of a file and out of every process that maps them. */
  punch(file: MemoryFile, from: number, to: number): void;
}

/** madvise over [start, end); 0 or negative errno. */
export function madvise(
  host: AdviceHost,
  space: Space,
  start: number,
  end: number,
  advice: number,
): number {
  if (advice === MADV_POPULATE_READ) return populate(space, start, end, false);
  if (advice === MADV_POPULATE_WRITE) return populate(space, start, end, true);
  let isHoled = false;
  let at = start;
  while (at < end) {
    const vma = space.findAbove(at);
    if (vma === null || vma.start >= end) break;
    if (vma.start > at) isHoled = true;
    const from = Math.max(at, vma.start);
    const to = Math.min(end, vma.end);
    const error = adviseVma(host, space, vma, from, to, advice);
    if (error < 0) return error;
    at = to;
  }
  return isHoled || at < end ? -Errno.ENOMEM : 0;
}

function adviseVma(
  host: AdviceHost,
  space: Space,
  vma: Vma,
  from: number,
  to: number,
  advice: number,
): number {
  const isLocked = vma.flags.locked !== 'no';
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
      if (isLocked && advice === MADV_DONTNEED) return -Errno.EINVAL;
      dropPages(space, from, to);
      return 0;
    case MADV_FREE:
      if (isLocked || !isAnonymous(vma)) return -Errno.EINVAL;
      markLazyFree(space, from, to);
      return 0;
    case MADV_COLD:
      return isLocked ? -Errno.EINVAL : 0;
    case MADV_PAGEOUT:
      if (isLocked) return -Errno.EINVAL;
      pageOut(space, vma, from, to);
      return 0;
    case MADV_WILLNEED:
      return 0;
    case MADV_COLLAPSE:
      return collapse(space, vma, from, to);
    case MADV_REMOVE:
      return remove(host, vma, from, to);
    case MADV_GUARD_INSTALL:
      if (isLocked) return -Errno.EINVAL;
      installGuards(space, vma, from, to);
      return 0;
    case MADV_GUARD_REMOVE:
      for (const [page, entry] of space.tables.entriesIn(from, to)) {
        if (entry.kind === 'guard') space.tables.delete(page);
      }
      return 0;
    default:
      return changeFlags(space, vma, from, to, advice);
  }
}

/** Pages go, guard markers stay; a slot's table goes iff the piece covers the slot and nothing is left. */
function dropPages(space: Space, from: number, to: number): void {
  const { tables } = space;
  for (const [page, entry] of tables.entriesIn(from, to)) {
    if (entry.kind !== 'guard') tables.delete(page);
  }
  for (const slot of spansOf(from, to, SLOT_PAGES)) {
    const isCovered = slot >= from && slot + SLOT_PAGES <= to;
    if (isCovered && tables.isEmptyPte(slot)) tables.freePte(slot);
  }
}

function markLazyFree(space: Space, from: number, to: number): void {
  for (const [, entry] of space.tables.entriesIn(from, to)) {
    if (entry.kind !== 'anon') continue;
    entry.page.isLazyFree = true;
    entry.isDirty = false;
  }
}

/**
 * Pageout without swap. Of pages that nobody else maps it drops those that MADV_FREE left, unmaps
 * page-cache pages that were written (there is nowhere to write them to), and takes page-cache
 * pages that were never written out of the file (shrink_folio_list).
 */
function pageOut(space: Space, vma: Vma, from: number, to: number): void {
  for (const [page, entry] of space.tables.entriesIn(from, to)) {
    if (!('page' in entry) || entry.page.mapCount !== 1 || entry.page.isStuckLocked) continue;
    if (entry.kind === 'file') {
      space.tables.delete(page);
      if (!entry.page.isDirty) vma.file!.cached.delete(pgoffAt(vma, page));
    } else if (entry.page.isLazyFree) {
      if (entry.isDirty) entry.page.isLazyFree = false;
      else space.tables.delete(page);
    }
  }
}

/** Every slot with a table becomes a huge page, whatever is in it (madvise_collapse). */
function collapse(space: Space, vma: Vma, from: number, to: number): number {
  const { tables } = space;
  const slotUp = (page: number): number => Math.ceil(page / SLOT_PAGES) * SLOT_PAGES;
  const slotDown = (page: number): number => Math.floor(page / SLOT_PAGES) * SLOT_PAGES;
  const hasSlot = slotUp(vma.start) < slotDown(vma.end);
  const isOn = space.hasHugePages && space.hugeOff !== 'all';
  const isAllowed = isOn && vma.flags.huge !== 'no' && vma.anonVma !== null;
  if (!isAllowed || !hasSlot || slotUp(from) > slotDown(to)) return -Errno.EINVAL;
  let result = 0;
  for (let slot = slotUp(from); slot < slotDown(to); slot += SLOT_PAGES) {
    const hasGuards = tables.countsIn(slot, slot + SLOT_PAGES).guards > 0;
    if (tables.hasPte(slot) && !hasGuards) {
      if (!tables.isHuge(slot)) tables.fillHuge(slot, newAnon);
      continue;
    }
    result = -Errno.EINVAL;
    // A GB without any table is only passed over; a missing table or a guard ends it.
    if (tables.hasPmd(slot)) break;
  }
  return result;
}

function remove(host: AdviceHost, vma: Vma, from: number, to: number): number {
  if (vma.flags.locked !== 'no' || vma.file === null) return -Errno.EINVAL;
  if (!vma.flags.isShared) return -Errno.EACCES;
  host.punch(vma.file, pgoffAt(vma, from), pgoffAt(vma, to));
  return 0;
}

/** Guard markers need tables; the VMA is marked so that fork copies them (madvise_guard_install). */
function installGuards(space: Space, vma: Vma, from: number, to: number): void {
  vma.mayHaveGuards = true;
  if (isAnonymous(vma)) space.prepareAnonVma(vma);
  for (let page = from; page < to; page++) space.tables.set(page, GUARD);
}

function changeFlags(space: Space, vma: Vma, from: number, to: number, advice: number): number {
  const flags = advisedFlags(vma, advice);
  if (flags === null) return -Errno.EINVAL;
  if (!sameFlags(flags, vma.flags)) space.modify(vma, from, to, flags);
  return 0;
}

function advisedFlags(vma: Vma, advice: number): VmaFlags | null {
  switch (advice) {
    case MADV_NORMAL:
      return { ...vma.flags, readAhead: 'normal' };
    case MADV_RANDOM:
      return { ...vma.flags, readAhead: 'random' };
    case MADV_SEQUENTIAL:
      return { ...vma.flags, readAhead: 'sequential' };
    case MADV_DONTDUMP:
      return { ...vma.flags, dontDump: true };
    case MADV_DODUMP:
      return { ...vma.flags, dontDump: false };
    case MADV_MERGEABLE:
      return vma.flags.isShared ? vma.flags : { ...vma.flags, mergeable: true };
    case MADV_UNMERGEABLE:
      return { ...vma.flags, mergeable: false };
    case MADV_HUGEPAGE:
      return { ...vma.flags, huge: 'yes' };
    case MADV_NOHUGEPAGE:
      return { ...vma.flags, huge: 'no' };
    case MADV_DONTFORK:
      return { ...vma.flags, dontFork: true };
    case MADV_DOFORK:
      return { ...vma.flags, dontFork: false };
    case MADV_WIPEONFORK:
      if (vma.file !== null) return null;
      return { ...vma.flags, wipeOnFork: true };
    case MADV_KEEPONFORK:
      return { ...vma.flags, wipeOnFork: false };
    default:
      return null;
  }
}
