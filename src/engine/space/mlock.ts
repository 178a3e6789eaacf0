import { Errno, MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, MLOCK_ONFAULT } from '../../base/index.ts';
import { clearFrameFlags, FRAME_UNEVICTABLE, setFrameFlags } from '../frames/frame-record.ts';
import { ensureRecord } from '../frames/map-count.ts';
import type { Machine } from '../machine.ts';
import { ENTRY_PAGE, KIND_MASK } from '../tables/entry.ts';
import { entryFlags, entryWord } from '../tables/leaf.ts';
import { lockLeaf, unlockLeaf } from '../tables/leaf-lock.ts';
import { unshareSlots } from '../tables/shared-range.ts';
import { T_COUNT } from '../tables/table.ts';
import { isLeaf, LeafCursor } from '../tables/walk.ts';
import { modifyVma } from './merge.ts';
import { MM_DEF_FLAGS, MM_LOCKED_VM } from './mm.ts';
import { populateRange } from './populate.ts';
import {
  VM_DONTEXPAND,
  VM_LOCKED,
  VM_LOCKED_MASK,
  VM_LOCKONFAULT,
  VM_MIXEDMAP,
  VM_PFNMAP,
} from './vm-flags.ts';
import { findVma, V_FLAGS, vmaAt, vmaEnd, vmaStart } from './vma.ts';

const VM_SPECIAL = VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP;

/** mlock(2), and mlock2(2) with MLOCK_ONFAULT: 0 or a negative errno. */
export function mlock(m: Machine, mm: number, addr: number, len: number, flags: number): number {
  if ((flags & ~MLOCK_ONFAULT) !== 0) return -Errno.EINVAL;
  const lock = VM_LOCKED | ((flags & MLOCK_ONFAULT) !== 0 ? VM_LOCKONFAULT : 0);
  const start = Math.floor(addr / 4096);
  const end = Math.ceil((addr + len) / 4096);
  const error = applyLockFlags(m, mm, start, end, lock);
  return error < 0 ? error : populateRange(m, mm, start, end, false);
}

/** munlock(2). */
export function munlock(m: Machine, mm: number, addr: number, len: number): number {
  return applyLockFlags(m, mm, Math.floor(addr / 4096), Math.ceil((addr + len) / 4096), 0);
}

/** mlockall(2) with MCL_* flags. */
export function mlockall(m: Machine, mm: number, flags: number): number {
  const all = MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT;
  if (flags === 0 || (flags & ~all) !== 0 || flags === MCL_ONFAULT) return -Errno.EINVAL;
  const lock = VM_LOCKED | ((flags & MCL_ONFAULT) !== 0 ? VM_LOCKONFAULT : 0);
  m.words[mm + MM_DEF_FLAGS] = (flags & MCL_FUTURE) !== 0 ? lock : 0;
  if ((flags & MCL_CURRENT) === 0) return 0;
  lockEveryArea(m, mm, lock);
  populateRange(m, mm, 0, m.geometry.userPages, true);
  return 0;
}

/** munlockall(2). */
export function munlockall(m: Machine, mm: number): number {
  m.words[mm + MM_DEF_FLAGS] = 0;
  lockEveryArea(m, mm, 0);
  return 0;
}

function lockEveryArea(m: Machine, mm: number, lock: number): void {
  for (let vma = vmaAt(m, mm, 0), end = 0; vma !== 0; vma = findVma(m, mm, end)) {
    end = vmaEnd(m, vma);
    lockPiece(m, mm, vma, vmaStart(m, vma), end, lock);
  }
}

/** apply_vma_lock_flags: areas in order up to the first hole. */
function applyLockFlags(m: Machine, mm: number, start: number, end: number, lock: number): number {
  if (end < start) return -Errno.EINVAL;
  let at = start;
  while (at < end) {
    const vma = findVma(m, mm, at);
    if (vma === 0 || vmaStart(m, vma) > at) return -Errno.ENOMEM;
    const to = Math.min(end, vmaEnd(m, vma));
    const error = lockPiece(m, mm, vma, at, to, lock);
    if (error < 0) return error;
    at = to;
  }
  return 0;
}

/** mlock_fixup: one piece of one area. */
function lockPiece(
  m: Machine,
  mm: number,
  vma: number,
  start: number,
  end: number,
  lock: number,
): number {
  const old = m.words[vma + V_FLAGS];
  const flags = (old & ~VM_LOCKED_MASK) | lock;
  if (flags === old || (old & VM_SPECIAL) !== 0) return 0;
  // What is locked here must not hang on another's flags (objects/rmap.ts finds a table's owner).
  const isLocked = (lock & VM_LOCKED) !== 0;
  if (isLocked && !unshareSlots(m, mm, start, end)) return -Errno.ENOMEM;
  if (modifyVma(m, vma, start, end, flags) === 0) return -Errno.ENOMEM;
  const pages = end - start;
  const wasLocked = (old & VM_LOCKED) !== 0;
  if (isLocked && !wasLocked) m.doubles[(mm + MM_LOCKED_VM) >> 1] += pages;
  if (!isLocked && wasLocked) m.doubles[(mm + MM_LOCKED_VM) >> 1] -= pages;
  if (!isLocked) setUnevictable(m, mm, start, end, false);
  return 0;
}

/**
 * MREMAP_DONTUNMAP takes the lock off what stays of the old area, but not off its pages: they stay
 * where they are until munlock (dontunmap_complete clears only the flags).
 */
export function pinLockedPages(m: Machine, mm: number, vma: number): void {
  setUnevictable(m, mm, vmaStart(m, vma), vmaEnd(m, vma), true);
}

const cursor = new LeafCursor();

function setUnevictable(
  m: Machine,
  mm: number,
  start: number,
  end: number,
  isPinned: boolean,
): void {
  const w = m.words;
  cursor.begin(mm, start, end, true);
  for (let table = cursor.next(m); table !== 0; table = cursor.next(m)) {
    if (!isLeaf(m, table) || w[table + T_COUNT] === 0 || !lockLeaf(m, table)) continue;
    const first = cursor.start % m.entryCount;
    for (let i = first; i < first + (cursor.end - cursor.start); i++) {
      if ((entryFlags(m, table, i) & KIND_MASK) !== ENTRY_PAGE) continue;
      const rec = ensureRecord(m, entryWord(m, table, i));
      if (isPinned) setFrameFlags(m, rec, FRAME_UNEVICTABLE);
      else clearFrameFlags(m, rec, FRAME_UNEVICTABLE);
    }
    unlockLeaf(m, mm, table);
  }
}
