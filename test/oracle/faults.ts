import { PROT_NONE, PROT_WRITE } from '../../src/base/index.ts';
import type { Space } from './space.ts';
import { type AnonPage, type Entry, type FilePage, SLOT_PAGES, ZERO } from './tables.ts';
import { type MemoryFile, pgoffAt, type Vma } from './vma.ts';

/** How a fault ends: the page is there, or the signal that the process gets. */
export type FaultResult = 'ok' | 'SIGSEGV' | 'SIGBUS';

/** Pages that a read fault maps together, if the page cache has them (fault_around_bytes). */
const FAULT_AROUND_PAGES = 16;
/** vm.stack_guard_gap and RLIMIT_STACK (8 MB), in pages. */
const GUARD_GAP_PAGES = 256;
const STACK_LIMIT_PAGES = 2048;

/** A load or store of the program (do_user_addr_fault). */
export function touch(space: Space, page: number, isWrite: boolean): FaultResult {
  const vma = space.find(page) ?? growDown(space, page);
  if (vma === null) return 'SIGSEGV';
  const isAllowed = isWrite ? (vma.flags.prot & PROT_WRITE) !== 0 : vma.flags.prot !== PROT_NONE;
  return isAllowed ? fault(space, vma, page, isWrite) : 'SIGSEGV';
}

/** Makes the page present (handle_mm_fault); permissions have been checked. */
export function fault(space: Space, vma: Vma, page: number, isWrite: boolean): FaultResult {
  const entry = space.tables.get(page);
  if (entry === undefined) {
    if (takesHugePage(space, vma, page)) return hugeFault(space, vma, page, isWrite);
    return vma.file === null
      ? anonymousFault(space, vma, page, isWrite)
      : fileFault(space, vma, vma.file, page, isWrite);
  }
  if (entry.kind === 'guard') return 'SIGSEGV';
  if (isWrite && vma.flags.isShared && entry.kind === 'file') entry.page.isDirty = true;
  if (isWrite && !vma.flags.isShared) writeToPrivate(space, vma, page, entry);
  return 'ok';
}

/** An empty table is enough to get a small page (__handle_mm_fault, thp_vma_suitable_order). */
function takesHugePage(space: Space, vma: Vma, page: number): boolean {
  const slotStart = Math.floor(page / SLOT_PAGES) * SLOT_PAGES;
  const isSuitable = slotStart >= vma.start && slotStart + SLOT_PAGES <= vma.end;
  const isAsked = vma.file === null && vma.flags.huge === 'yes' && space.hasHugePages;
  if (space.hugeOff === 'all') return false;
  return isAsked && isSuitable && !space.tables.hasPte(page);
}

/** The anon_vma comes first, for the huge zero page too (do_huge_pmd_anonymous_page). */
function hugeFault(space: Space, vma: Vma, page: number, isWrite: boolean): FaultResult {
  space.prepareAnonVma(vma);
  space.tables.fillHuge(page, isWrite ? newAnon : () => ZERO);
  return 'ok';
}

function anonymousFault(space: Space, vma: Vma, page: number, isWrite: boolean): FaultResult {
  if (isWrite) {
    space.prepareAnonVma(vma);
    space.tables.set(page, newAnon());
  } else {
    space.tables.set(page, ZERO);
  }
  return 'ok';
}

/** A write to a page that is present: zero page, page-cache page and shared page are copied. */
function writeToPrivate(space: Space, vma: Vma, page: number, entry: Entry): void {
  if (entry.kind === 'anon' && entry.page.mapCount === 1) {
    entry.isDirty = true;
    return;
  }
  space.prepareAnonVma(vma);
  if (entry.kind === 'zero' && space.tables.isHuge(page)) space.tables.fillHuge(page, newAnon);
  else space.tables.set(page, newAnon());
}

/** do_read_fault, do_cow_fault, do_shared_fault. */
function fileFault(
  space: Space,
  vma: Vma,
  file: MemoryFile,
  page: number,
  isWrite: boolean,
): FaultResult {
  const { tables } = space;
  const offset = pgoffAt(vma, page);
  const isCow = isWrite && !vma.flags.isShared;
  tables.makePmd(page);
  if (!isWrite) faultAround(space, vma, file, page);
  // The anon_vma comes before the file is asked for the page.
  if (isCow) space.prepareAnonVma(vma);
  if (offset >= file.sizePages) return 'SIGBUS';
  const cached = file.cached.get(offset) ?? { mapCount: 0, isDirty: false };
  file.cached.set(offset, cached);
  if (isWrite && !isCow) cached.isDirty = true;
  // Fault-around may have mapped it already.
  if (isCow) tables.set(page, newAnon());
  else if (tables.get(page) === undefined) tables.set(page, fileEntry(cached));
  return 'ok';
}

/** Maps what the page cache has around the page: within the VMA and the page's table (do_fault_around). */
function faultAround(space: Space, vma: Vma, file: MemoryFile, page: number): void {
  const slotStart = Math.floor(page / SLOT_PAGES) * SLOT_PAGES;
  const aligned = Math.floor(page / FAULT_AROUND_PAGES) * FAULT_AROUND_PAGES;
  const from = Math.max(aligned, vma.start);
  const to = Math.min(from + FAULT_AROUND_PAGES, slotStart + SLOT_PAGES, vma.end);
  for (let at = from; at < to; at++) {
    const offset = pgoffAt(vma, at);
    const cached = file.cached.get(offset);
    if (cached !== undefined && space.tables.get(at) === undefined) {
      space.tables.set(at, fileEntry(cached));
    }
  }
}

/** A touch below a MAP_GROWSDOWN mapping extends it (expand_downwards); the VMA, or null. */
function growDown(space: Space, page: number): Vma | null {
  const vma = space.findAbove(page);
  if (vma === null || !vma.flags.growsDown) return null;
  const previous = space.before(page);
  const isTooNear =
    previous !== null &&
    !previous.flags.growsDown &&
    previous.flags.prot !== PROT_NONE &&
    page - previous.end < GUARD_GAP_PAGES;
  if (isTooNear) return null;
  space.prepareAnonVma(vma);
  const grownBy = vma.start - page;
  if (grownBy > vma.pgoff || vma.end - page > STACK_LIMIT_PAGES) return null;
  vma.start = page;
  vma.pgoff -= grownBy;
  return vma;
}

function fileEntry(page: FilePage): Entry {
  return { kind: 'file', page, isShmem: true };
}

/** A page that only this entry maps. */
export function newAnon(): Entry {
  const page: AnonPage = { mapCount: 0, isLazyFree: false };
  return { kind: 'anon', page, isDirty: true };
}
