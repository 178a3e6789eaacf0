import type { Machine } from '../machine.ts';
import { contentsOfFrame } from '../objects/contents.ts';
import { opsOfWindow } from '../objects/window.ts';
import { mmapReadLock, mmapReadUnlock } from '../space/mmap-lock.ts';
import { VM_ACCESS_FLAGS, VM_WINDOW, VM_WRITE } from '../space/vm-flags.ts';
import { V_FLAGS, vmaLookup } from '../space/vma.ts';
import { vmaEndRead, vmaStartRead } from '../space/vma-lock.ts';
import {
  ENTRY_ACCESSED,
  ENTRY_DIRTY,
  ENTRY_PAGE,
  ENTRY_WRITE,
  ENTRY_ZERO,
  KIND_MASK,
} from '../tables/entry.ts';
import { changeEntry, entryFlags, entryWord } from '../tables/leaf.ts';
import { lockLeaf, unlockLeaf } from '../tables/leaf-lock.ts';
import { findLeaf, leafToRead } from '../tables/walk.ts';
import { MUTANT, MUTANT_NO_UNSHARE } from '../threads/test-switches.ts';
import { enter, leave } from '../threads/world.ts';
import { FAULT_SIGSEGV } from './fault-codes.ts';
import { handleFault } from './handle-fault.ts';

/**
 * Loads and stores: a touch of a page together with its word of contents (objects/contents.ts), as
 * one step. What a program does with memory, where `fault` is only what it costs.
 */

/** Reads the page's word: 0 or more; or a FAULT_* code. */
export function loadPage(m: Machine, mm: number, page: number): number {
  return access(m, mm, page, -1);
}

/** Writes the page's word (0 or more): the word that stood there, or a FAULT_* code. */
export function storePage(m: Machine, mm: number, page: number, value: number): number {
  return access(m, mm, page, value);
}

/** The translation failed: fault, then try again. */
export const MISS = -200;

function access(m: Machine, mm: number, page: number, value: number): number {
  const hi = Math.floor(page / m.loPages);
  const lo = page - hi * m.loPages;
  for (;;) {
    const wasOffline = enter(m);
    const found = translate(m, mm, page, hi, lo, value);
    leave(m, wasOffline);
    if (found !== MISS) return found;
    const result = handleFault(m, mm, hi, lo, value >= 0);
    if (result < 0) return result;
  }
}

function translate(
  m: Machine,
  mm: number,
  page: number,
  hi: number,
  lo: number,
  value: number,
): number {
  const locked = m.isShared ? vmaStartRead(m, mm, page) : 0;
  if (locked !== 0) {
    const found = accessInVma(m, mm, locked, hi, lo, value);
    vmaEndRead(m, locked);
    return found;
  }
  mmapReadLock(m, mm);
  const vma = vmaLookup(m, mm, page);
  const found = vma === 0 ? MISS : accessInVma(m, mm, vma, hi, lo, value);
  mmapReadUnlock(m, mm);
  return found;
}

function accessInVma(
  m: Machine,
  mm: number,
  vma: number,
  hi: number,
  lo: number,
  value: number,
): number {
  const w = m.words;
  const isWrite = value >= 0;
  const rights = w[vma + V_FLAGS];
  if ((isWrite ? rights & VM_WRITE : rights & VM_ACCESS_FLAGS) === 0) {
    if ((rights & VM_WINDOW) === 0) return FAULT_SIGSEGV;
    return opsOfWindow(m, vma).access(m, mm, vma, hi * m.loPages + lo, value);
  }
  const isRead = !isWrite || MUTANT === MUTANT_NO_UNSHARE;
  const leaf = isRead ? leafToRead(m, mm, hi, lo) : findLeaf(m, mm, hi, lo);
  if (leaf === 0 || !lockLeaf(m, leaf)) return MISS;
  const index = lo & m.mask;
  const flags = entryFlags(m, leaf, index);
  const kind = flags & KIND_MASK;
  let found = MISS;
  if (kind === ENTRY_ZERO && !isWrite) {
    found = 0;
  } else if (kind === ENTRY_PAGE && (!isWrite || (flags & ENTRY_WRITE) !== 0)) {
    const at = contentsOfFrame(m, entryWord(m, leaf, index));
    found = w[at];
    if (isWrite) {
      w[at] = value;
      markWritten(m, leaf, index, flags);
    }
  }
  unlockLeaf(m, mm, leaf);
  return found;
}

/** The processor sets the entry's bits; a page given up by MADV_FREE is wanted again with them. */
function markWritten(m: Machine, leaf: number, index: number, flags: number): void {
  const used = flags | ENTRY_ACCESSED | ENTRY_DIRTY;
  if (used !== flags) changeEntry(m, leaf, index, used, entryWord(m, leaf, index));
}
