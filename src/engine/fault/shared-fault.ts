import { allocFrame } from '../frames/alloc.ts';
import {
  F_INDEX,
  F_MAPCOUNT,
  F_MAPPING,
  F_STAMP,
  F_STATE,
  F_SWAP_SLOT,
  FRAME_SHIFT,
  TYPE_ANON,
} from '../frames/frame-record.ts';
import { makeRoom } from '../frames/make-room.ts';
import { MIGRATE_MOVABLE } from '../frames/pageblock.ts';
import { PCP_TOPS } from '../frames/pcp.ts';
import { B_CHUNK, BLOCK_FRAMES, BLOCK_SHIFT, CPU_CLOCK } from '../layout.ts';
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
  let result = isWrite ? writeFresh(m, mm, hi, lo) : NOT_HERE;
  if (result === NOT_HERE) {
    result = faultOnce(m, mm, hi, lo, isWrite);
    while (result === FAULT_OOM && makeRoom(m)) result = faultOnce(m, mm, hi, lo, isWrite);
  }
  leave(m, wasOffline);
  return result;
}

/** Not for this step: an entry that is not none, an area that cannot be locked, … */
const NOT_HERE = -100;
/** The fault must grow a stack, which only a writer may. */
const NEEDS_WRITER = -101;

/**
 * Step 1 for a write in a table with an array, written out as in fault.ts: but for the locks no call,
 * so that the compiler has nothing to choose.
 */
function writeFresh(m: Machine, mm: number, hi: number, lo: number): number {
  const w = m.words;
  if (
    m.walkOwner !== mm ||
    m.walkHi !== hi ||
    m.walkSlot !== lo >> m.bits ||
    m.walkVma === 0 ||
    m.walkSeq !== w[mm + MM_SEQ] ||
    (m.walkFlags & VM_WRITE) === 0
  ) {
    return NOT_HERE;
  }
  const topAt = m.preferredPcp + PCP_TOPS + MIGRATE_MOVABLE;
  const top = w[topAt] - 1;
  const pfn = w[top];
  if (pfn === 0) return NOT_HERE;
  const leaf = m.walkLeaf;
  const isCounted = m.tableRefs !== 0;
  if (!isCounted) m.lock(leaf + T_LOCK);
  else if (!lockLeaf(m, leaf)) return NOT_HERE;
  const index = lo & m.mask;
  const contents = w[leaf + T_CONTENTS];
  const flagByte = ((contents + m.entryCount) << 2) + index;
  let result = NOT_HERE;
  if (
    // Under the lock it must be read anew, and not a moment earlier.
    m.walkSeq === Atomics.load(w, mm + MM_SEQ) &&
    (w[leaf + T_STATE] & FORM_MASK) === FORM_DENSE &&
    m.bytes[flagByte] === ENTRY_NONE
  ) {
    const rec =
      w[m.blocksAt + ((pfn >> BLOCK_SHIFT) << 3) + B_CHUNK] +
      ((pfn & (BLOCK_FRAMES - 1)) << FRAME_SHIFT);
    w[topAt] = top;
    w[rec + F_STATE] = TYPE_ANON;
    w[rec + F_MAPCOUNT] = 1;
    w[rec + F_MAPPING] = m.walkAnonVma;
    w[rec + F_INDEX] = m.walkIndexBase + index;
    w[rec + F_STAMP] = w[m.cpuAt + CPU_CLOCK];
    w[rec + F_SWAP_SLOT] = 0;
    if (m.contentsAt !== 0) w[m.contentsAt + pfn] = 0;
    w[contents + index] = pfn;
    m.bytes[flagByte] = WRITTEN_PAGE;
    w[leaf + T_COUNT] += 1; // the count
    w[mm + m.countersAt + C_FRESH] += 1;
    result = FAULT_DONE;
  }
  if (!isCounted) m.unlock(leaf + T_LOCK);
  else unlockLeaf(m, mm, leaf);
  return result;
}

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

/**
 * Step 1. All that it needs to know of the VMA was remembered, so the VMA may be changed meanwhile;
 * and the sequence number tells of a table that went, so no second look at the table is needed.
 */
function faultRemembered(m: Machine, mm: number, lo: number, isWrite: boolean): number {
  const leaf = m.walkLeaf;
  if ((m.walkFlags & (isWrite ? VM_WRITE : VM_ACCESS_FLAGS)) === 0) return NOT_HERE;
  const isCounted = m.tableRefs !== 0;
  if (!isCounted) m.lock(leaf + T_LOCK);
  else if (!lockLeaf(m, leaf)) return NOT_HERE;
  const index = lo & m.mask;
  let result = NOT_HERE;
  if (
    m.walkSeq === Atomics.load(m.words, mm + MM_SEQ) &&
    entryFlags(m, leaf, index) === ENTRY_NONE
  ) {
    result = isWrite ? mapFresh(m, mm, leaf, index) : mapZeroPage(m, mm, leaf, index);
  }
  if (!isCounted) m.unlock(leaf + T_LOCK);
  else unlockLeaf(m, mm, leaf);
  return result;
}

/** A first write in the remembered slot. */
function mapFresh(m: Machine, mm: number, leaf: number, index: number): number {
  const pfn = allocFrame(m, MIGRATE_MOVABLE);
  if (pfn === 0) return FAULT_OOM;
  formatAnonPage(m, pfn, m.walkAnonVma, m.walkIndexBase + index);
  addEntry(m, mm, leaf, index, WRITTEN_PAGE, pfn);
  m.words[mm + m.countersAt + C_FRESH] += 1;
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
