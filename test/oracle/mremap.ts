import { Errno, MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from '../../src/base/index.ts';
import { detach } from './anon-vma.ts';
import { populateRange } from './populate.ts';
import type { Space } from './space.ts';
import { SLOT_PAGES } from './tables.ts';
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
  moveTables(space, addr, newAddr, oldLen);
  if ((call.flags & MREMAP_DONTUNMAP) === 0) space.unmap(addr, addr + oldLen);
  else dontUnmap(space.find(addr)!, target, addr, addr + oldLen);
  return newAddr;
}

/** What stays at the source is neither locked nor accounted, and, if whole, never written (dontunmap_complete). */
function dontUnmap(source: Vma, target: Vma, start: number, end: number): void {
  source.flags = { ...source.flags, locked: 'no', account: false };
  if (source !== target && source.start === start && source.end === end) detach(source);
}

/**
 * Cuts the range at the slot borders of both sides. A piece whose source slot has a PTE table gives
 * the destination its tables, even without entries; one that has only a PUD table gives the
 * destination that (move_page_tables).
 */
function moveTables(space: Space, from: number, to: number, len: number): void {
  const { tables } = space;
  let done = 0;
  while (done < len) {
    const source = from + done;
    const target = to + done;
    const room = (page: number): number => SLOT_PAGES - (page % SLOT_PAGES);
    const pages = Math.min(room(source), room(target), len - done);
    if (tables.hasPte(source)) tables.makePte(target);
    else if (tables.hasPmd(source)) tables.makePud(target);
    for (const [page, entry] of tables.entriesIn(source, source + pages)) {
      // First the new entry, so that the page is never without one.
      tables.set(page - source + target, entry);
      tables.delete(page);
    }
    done += pages;
  }
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
