import { allocFrame } from '../frames/alloc.ts';
import { makeRoom } from '../frames/make-room.ts';
import { MIGRATE_MOVABLE } from '../frames/pageblock.ts';
import type { Machine } from '../machine.ts';
import { anonVmaPrepare } from '../objects/anon-vma.ts';
import { C_FRESH, MM_SEQ } from '../space/mm.ts';
import {
  mmapReadLock,
  mmapReadUnlock,
  mmapWriteLock,
  mmapWriteUnlock,
} from '../space/mmap-lock.ts';
import { VM_ACCESS_FLAGS, VM_GROWSDOWN, VM_SHARED, VM_WRITE } from '../space/vm-flags.ts';
import { findVma, V_ANON_VMA, V_FLAGS, V_OBJECT, vmaStart } from '../space/vma.ts';
import { vmaEndRead, vmaStartRead } from '../space/vma-lock.ts';
import { ENTRY_NONE } from '../tables/entry.ts';
import { addEntry, entryFlags } from '../tables/leaf.ts';
import { lockLeaf, unlockLeaf } from '../tables/leaf-lock.ts';
import { FORM_DENSE, FORM_MASK, T_CONTENTS, T_COUNT, T_LOCK, T_STATE } from '../tables/table.ts';
import { ensureTable, findLeaf } from '../tables/walk.ts';
import { enter, leave } from '../threads/world.ts';
import { FAULT_DONE, FAULT_OOM, FAULT_SIGSEGV, WRITTEN_PAGE } from './fault-codes.ts';
import {
  faultOnLeaf,
  formatAnonPage,
  mapZeroPage,
  rememberVma,
  vmaForFault,
} from './handle-fault.ts';
import { isBeyondObject, refuseBeyondObject } from './object-fault.ts';

/**
 * The fault handler of a shared machine, in four steps, each taken where the one before cannot answer:
 *
 *   1. the slot of this thread's last fault, first touch: the table's lock, and the sequence number
 *   2. any fault: the VMA's lock, found without a lock; then the table's
 *   3. the VMA is being changed, or needs an anon_vma: mmap_lock for reading
 *   4. a stack must grow: mmap_lock for writing
 *
 * Whoever found no memory lets go of everything, makes room, and begins again.
 */
export function faultShared(
  m: Machine,
  mm: number,
  hi: number,
  lo: number,
  isWrite: boolean,
): number {
  const wasOffline = enter(m);
  let result = faultOnce(m, mm, hi, lo, isWrite);
  while (result === FAULT_OOM && makeRoom(m)) result = faultOnce(m, mm, hi, lo, isWrite);
  leave(m, wasOffline);
  return result;
}

/** Not for this step: an entry that is not none, an area that cannot be locked, … */
const NOT_HERE = -100;
/** The fault must grow a stack, which only a writer may. */
const NEEDS_WRITER = -101;

function faultOnce(m: Machine, mm: number, hi: number, lo: number, isWrite: boolean): number {
  if (
    m.walkOwner === mm &&
    m.walkHi === hi &&
    m.walkSlot === lo >> m.bits &&
    m.walkVma !== 0 &&
    m.walkSeq === m.words[mm + MM_SEQ]
  ) {
    const result = faultRemembered(m, mm, lo, isWrite);
    if (result !== NOT_HERE) return result;
  }
  if (m.writerOf === mm) return faultUnderMmapLock(m, mm, hi, lo, isWrite);
  const vma = vmaStartRead(m, mm, hi * m.loPages + lo);
  if (vma !== 0) {
    const result = faultInVma(m, mm, vma, hi, lo, isWrite, false);
    vmaEndRead(m, vma);
    if (result !== NOT_HERE) return result;
  }
  mmapReadLock(m, mm);
  const result = faultUnderMmapLock(m, mm, hi, lo, isWrite);
  mmapReadUnlock(m, mm);
  return result === NEEDS_WRITER ? growAndFault(m, mm, hi, lo, isWrite) : result;
}

/** Step 1. All that it needs to know of the VMA was remembered, so the VMA may be changed meanwhile. */
function faultRemembered(m: Machine, mm: number, lo: number, isWrite: boolean): number {
  const w = m.words;
  const leaf = m.walkLeaf;
  if ((m.walkFlags & (isWrite ? VM_WRITE : VM_ACCESS_FLAGS)) === 0) return NOT_HERE;
  if (m.tableRefs === 0) m.lock(leaf + T_LOCK);
  else if (!lockLeaf(m, leaf)) return NOT_HERE;
  // Under the lock it must be read anew, and not a moment earlier.
  if (m.walkSeq !== Atomics.load(w, mm + MM_SEQ)) {
    if (m.tableRefs === 0) m.unlock(leaf + T_LOCK);
    else unlockLeaf(m, mm, leaf);
    return NOT_HERE;
  }
  const index = lo & m.mask;
  const isDense = (w[leaf + T_STATE] & FORM_MASK) === FORM_DENSE;
  const flagByte = ((w[leaf + T_CONTENTS] + m.entryCount) << 2) + index;
  let result = NOT_HERE;
  if ((isDense ? m.bytes[flagByte] : entryFlags(m, leaf, index)) === ENTRY_NONE) {
    result = isWrite ? mapFresh(m, mm, leaf, index, isDense) : mapZeroPage(m, mm, leaf, index);
  }
  if (m.tableRefs === 0) m.unlock(leaf + T_LOCK);
  else unlockLeaf(m, mm, leaf);
  return result;
}

/** A first write in the remembered slot. */
function mapFresh(m: Machine, mm: number, leaf: number, index: number, isDense: boolean): number {
  const w = m.words;
  const pfn = allocFrame(m, MIGRATE_MOVABLE);
  if (pfn === 0) return FAULT_OOM;
  formatAnonPage(m, pfn, m.walkAnonVma, m.walkIndexBase + index);
  if (isDense) {
    const contents = w[leaf + T_CONTENTS];
    w[contents + index] = pfn;
    m.bytes[((contents + m.entryCount) << 2) + index] = WRITTEN_PAGE;
    w[leaf + T_COUNT] += 1; // the count
  } else {
    addEntry(m, mm, leaf, index, WRITTEN_PAGE, pfn);
  }
  w[mm + m.countersAt + C_FRESH] += 1;
  return FAULT_DONE;
}

/** Steps 3 and 4: the mmap_lock is held. */
function faultUnderMmapLock(
  m: Machine,
  mm: number,
  hi: number,
  lo: number,
  isWrite: boolean,
): number {
  const page = hi * m.loPages + lo;
  const vma = findVma(m, mm, page);
  if (vma === 0) return FAULT_SIGSEGV;
  if (vmaStart(m, vma) > page) {
    return (m.words[vma + V_FLAGS] & VM_GROWSDOWN) !== 0 ? NEEDS_WRITER : FAULT_SIGSEGV;
  }
  return faultInVma(m, mm, vma, hi, lo, isWrite, true);
}

function growAndFault(m: Machine, mm: number, hi: number, lo: number, isWrite: boolean): number {
  mmapWriteLock(m, mm);
  const vma = vmaForFault(m, mm, hi * m.loPages + lo);
  mmapWriteUnlock(m, mm);
  return vma === 0 ? FAULT_SIGSEGV : faultOnce(m, mm, hi, lo, isWrite);
}

/** A fault in a VMA that cannot change meanwhile. */
function faultInVma(
  m: Machine,
  mm: number,
  vma: number,
  hi: number,
  lo: number,
  isWrite: boolean,
  hasMmapLock: boolean,
): number {
  const w = m.words;
  const rights = w[vma + V_FLAGS];
  if ((isWrite ? rights & VM_WRITE : rights & VM_ACCESS_FLAGS) === 0) return FAULT_SIGSEGV;
  if (isWrite && (rights & VM_SHARED) === 0 && w[vma + V_ANON_VMA] === 0) {
    // An anon_vma may come from a neighbour, whom the VMA's lock does not hold (vmf_anon_prepare).
    if (!hasMmapLock) return NOT_HERE;
    anonVmaPrepare(m, vma);
  }
  for (;;) {
    const seq = Atomics.load(w, mm + MM_SEQ);
    let leaf = findLeaf(m, mm, hi, lo);
    if (leaf === 0) {
      if (w[vma + V_OBJECT] !== 0 && isBeyondObject(m, vma, hi * m.loPages + lo)) {
        return refuseBeyondObject(m, mm, vma, hi, lo, isWrite);
      }
      leaf = ensureTable(m, mm, 0, hi, lo);
      if (leaf === 0) return FAULT_OOM;
    }
    if (!lockLeaf(m, leaf)) continue;
    const result = faultOnLeaf(m, mm, vma, leaf, hi, lo, isWrite);
    unlockLeaf(m, mm, leaf);
    m.walkOwner = mm;
    m.walkHi = hi;
    m.walkSlot = lo >> m.bits;
    m.walkLeaf = leaf;
    m.walkSeq = seq;
    rememberVma(m, vma, hi, lo >> m.bits);
    return result;
  }
}
