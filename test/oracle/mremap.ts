import { Errno, MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from '../../src/base/index.ts';
import { dropAnonVma } from './anon-vma.ts';
import { populateRange } from './populate.ts';
import type { Space } from './space.ts';
import { GIB_PAGES, SLOT_PAGES } from './tables.ts';
import { isAnonymous, pgoffAt, type Vma } from './vma.ts';

/** The call's arguments; pages. */
export interface MremapCall {
  readonly addr: number;
  readonly oldLen: number;
  readonly newLen: number;
  readonly flags: number;
  readonly newAddr: number;
}

/** Negative errno, or the page where the mapping is now. */
export function mremap(space: Space, call: MremapCall): number {
  const isFixed = (call.flags & MREMAP_FIXED) !== 0;
  const impliesNewAddr = (call.flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0;
  if (call.newLen === 0) return -Errno.EINVAL;
  if (impliesNewAddr) {
    if ((call.flags & MREMAP_MAYMOVE) === 0) return -Errno.EINVAL;
    if ((call.flags & MREMAP_DONTUNMAP) !== 0 && call.oldLen !== call.newLen) return -Errno.EINVAL;
    const isOverlapping =
      call.addr + call.oldLen > call.newAddr && call.newAddr + call.newLen > call.addr;
    if (isOverlapping) return -Errno.EINVAL;
  }
  if (isFixed && call.oldLen === call.newLen) return moveAll(space, call);
  const vma = space.find(call.addr);
  const refused = refusal(vma, call);
  if (refused !== 0) return refused;
  const willPopulate = call.newLen > call.oldLen && vma!.flags.locked !== 'no';
  const result = impliesNewAddr ? moveTo(space, call) : resizeInPlace(space, vma!, call);
  if (result >= 0 && willPopulate) {
    populateRange(space, result + call.oldLen, result + call.newLen, { ignoreErrors: true });
  }
  return result;
}

/** Checks that need the VMA, before anything is changed (check_prep_vma). */
function refusal(vma: Vma | null, call: MremapCall): number {
  if (vma === null) return -Errno.EFAULT;
  const impliesNewAddr = (call.flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0;
  if (call.newLen <= call.oldLen && !impliesNewAddr) return 0;
  if (call.oldLen === 0 && !vma.flags.isShared) return -Errno.EINVAL;
  const neededLen = Math.min(call.oldLen, call.newLen);
  return neededLen > vma.end - call.addr ? -Errno.EFAULT : 0;
}

/** Equal lengths: every VMA piece of the range on its own (remap_move). */
function moveAll(space: Space, call: MremapCall): number {
  const end = call.addr + call.oldLen;
  if (space.find(call.addr) === null) return -Errno.EFAULT;
  let at = call.addr;
  while (at < end) {
    const vma = space.findAbove(at);
    if (vma === null || vma.start >= end) break;
    const addr = Math.max(at, vma.start);
    const len = Math.min(end, vma.end) - addr;
    const newAddr = call.newAddr + (addr - call.addr);
    const result = moveTo(space, { ...call, addr, oldLen: len, newLen: len, newAddr });
    if (result < 0) return result;
    at = addr + len;
  }
  return call.newAddr;
}

/** To a given place: unmap it, unmap what is cut off, move (mremap_to). */
function moveTo(space: Space, call: MremapCall): number {
  if ((call.flags & MREMAP_FIXED) !== 0) space.unmap(call.newAddr, call.newAddr + call.newLen);
  if (call.newLen < call.oldLen) space.unmap(call.addr + call.newLen, call.addr + call.oldLen);
  return moveVma(space, { ...call, oldLen: Math.min(call.oldLen, call.newLen) });
}

function moveVma(space: Space, call: MremapCall): number {
  const { addr, oldLen, newAddr, newLen } = call;
  const source = space.find(addr)!;
  // Anonymous memory that was never written has no pages whose offset must be kept.
  const isFresh = isAnonymous(source) && source.anonVma === null;
  const target = space.place({
    start: newAddr,
    end: newAddr + newLen,
    pgoff: isFresh ? newAddr : pgoffAt(source, addr),
    flags: source.flags,
    file: source.file,
    source,
  });
  moveTables(space, { source: space.find(addr)!, target, from: addr, to: newAddr, len: oldLen });
  // Length 0 duplicates a shared mapping: nothing is taken away.
  if (oldLen === 0) return newAddr;
  if ((call.flags & MREMAP_DONTUNMAP) === 0) space.unmap(addr, addr + oldLen);
  else dontUnmap(space, { source: space.find(addr)!, target, start: addr, end: addr + oldLen });
  return newAddr;
}

/** What stays at the source is not locked, and, if it is a whole VMA, counts as never written (dontunmap_complete). */
function dontUnmap(
  space: Space,
  move: { source: Vma; target: Vma; start: number; end: number },
): void {
  const { source, target, start, end } = move;
  if (source.flags.locked !== 'no') {
    for (const [, entry] of space.tables.entriesIn(source.start, source.end)) {
      if ('page' in entry) entry.page.isStuckLocked = true;
    }
  }
  source.flags = { ...source.flags, locked: 'no' };
  if (source !== target && source.start === start && source.end === end) dropAnonVma(source);
}

interface TableMove {
  readonly source: Vma;
  readonly target: Vma;
  readonly from: number;
  readonly to: number;
  readonly len: number;
}

/**
 * Cuts the range at the slot borders of both sides. A piece whose source slot has a PTE table gives
 * the destination its tables, even without entries; one that has only a PMD table gives the
 * destination a PUD table (move_page_tables). A whole slot, and a whole GB, moves as a table: that
 * shows where the source VMA stays (DONTUNMAP), for the source then has no table any more.
 */
function moveTables(space: Space, move: TableMove): void {
  const { tables } = space;
  const end = move.from + move.len;
  const shift = move.to - move.from;
  let at = move.from - realignedBy(space, move);
  while (at < end) {
    const isWholeGib = at % GIB_PAGES === 0 && shift % GIB_PAGES === 0 && end - at >= GIB_PAGES;
    const toBorder = (page: number): number => SLOT_PAGES - (page % SLOT_PAGES);
    const pages = Math.min(toBorder(at), toBorder(at + shift), end - at);
    moveTable(space, at, at + shift, pages);
    if (isWholeGib && tables.hasPmd(at)) {
      for (let slot = at; slot < at + GIB_PAGES; slot += SLOT_PAGES) {
        moveTable(space, slot, slot + shift, SLOT_PAGES);
      }
      tables.makePmd(at + shift);
      tables.freePmd(at);
      at += GIB_PAGES;
    } else {
      at += pages;
    }
  }
}

function moveTable(space: Space, from: number, to: number, pages: number): void {
  const { tables } = space;
  const isHuge = tables.isHuge(from);
  if (tables.hasPte(from)) tables.makePte(to);
  else if (tables.hasPmd(from)) tables.makePud(to);
  for (const [page, entry] of tables.entriesIn(from, from + pages)) {
    // First the new entry, so that the page is never without one.
    tables.set(page - from + to, entry);
    tables.delete(page);
  }
  if (pages === SLOT_PAGES) {
    tables.freePte(from);
    tables.markHuge(to, isHuge);
  }
}

/**
 * How far the start is moved down to the slot border, so that the first slot moves as a table too
 * (try_realign_addr): both VMAs start there, in the same place of a slot, with nothing below them in
 * it, and the range reaches the slot's end.
 */
function realignedBy(space: Space, move: TableMove): number {
  const { source, target, from, to, len } = move;
  const offset = from % SLOT_PAGES;
  const isFreeBelow = (vma: Vma, start: number): boolean =>
    vma.start === start && space.overlapping(start - offset, start).length === 0;
  const canAlign =
    offset === to % SLOT_PAGES &&
    len >= SLOT_PAGES - offset &&
    isFreeBelow(source, from) &&
    isFreeBelow(target, to);
  return canAlign ? offset : 0;
}

/** Without a given place (mremap_at): shrink, do nothing, grow into the hole behind, or move. */
function resizeInPlace(space: Space, vma: Vma, call: MremapCall): number {
  const { addr, oldLen, newLen } = call;
  if (newLen === oldLen) return addr;
  if (newLen < oldLen) {
    space.unmap(addr + newLen, addr + oldLen);
    return addr;
  }
  const grownEnd = vma.end + (newLen - oldLen);
  const isFreeBehind = space.overlapping(vma.end, grownEnd).length === 0;
  if (addr + oldLen === vma.end && isFreeBehind) {
    space.place({
      start: vma.end,
      end: grownEnd,
      pgoff: pgoffAt(vma, vma.end),
      flags: vma.flags,
      file: vma.file,
      source: vma,
    });
    return addr;
  }
  if ((call.flags & MREMAP_MAYMOVE) === 0) return -Errno.ENOMEM;
  return moveVma(space, call);
}
