import {
  F_INDEX,
  F_MAPCOUNT,
  F_MAPPING,
  F_STAMP,
  F_STATE,
  F_SWAP_SLOT,
  frameRecord,
  TYPE_ANON,
} from '../frames/frame-record.ts';
import { freeAnon } from '../frames/map-count.ts';
import { faultHuge, NOT_HUGE, touchHuge } from '../huge/fault-huge.ts';
import { faultSmall } from '../huge/fault-small.ts';
import { CPU_CLOCK } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { anonVmaPrepare } from '../objects/anon-vma.ts';
import { zeroContents } from '../objects/contents.ts';
import { opsOfWindow } from '../objects/window.ts';
import { C_ANON, C_FAULTS, C_ZERO, MM_LAST_VMA, mmCounters } from '../space/mm.ts';
import { expandStack } from '../space/stack.ts';
import { VM_ACCESS_FLAGS, VM_GROWSDOWN, VM_WINDOW, VM_WRITE } from '../space/vm-flags.ts';
import {
  findVma,
  V_ANON_VMA,
  V_FLAGS,
  V_INDEX_DELTA,
  V_OBJECT,
  vmaEnd,
  vmaStart,
} from '../space/vma.ts';
import {
  ENTRY_ACCESSED,
  ENTRY_DIRTY,
  ENTRY_GUARD,
  ENTRY_NONE,
  ENTRY_SWAP,
  ENTRY_WRITE,
  ENTRY_ZERO,
  isPresent,
  KIND_MASK,
} from '../tables/entry.ts';
import { isHuge } from '../tables/huge-entry.ts';
import { addEntry, changeEntry, entryFlags, entryWord } from '../tables/leaf.ts';
import { isSharedWord, sharedTableAt } from '../tables/shared-entry.ts';
import { FORM_DENSE, FORM_MASK, FORM_RUN, T_CONTENTS, T_COUNT, T_STATE } from '../tables/table.ts';
import { ensureTable, findLeaf, leafWord } from '../tables/walk.ts';
import { MUTANT, MUTANT_NO_UNSHARE } from '../threads/test-switches.ts';
import { copyOnWrite } from './cow.ts';
import { FAULT_DONE, FAULT_NONE, FAULT_OOM, FAULT_SIGSEGV, WRITTEN_PAGE } from './fault-codes.ts';
import { faultOnObject, isBeyondObject, refuseBeyondObject } from './object-fault.ts';
import { allocPageFrame } from './place-page.ts';
import { faultShared } from './shared-fault.ts';
import { swapIn } from './swap-in.ts';

/**
 * The fault handler (handle_mm_fault): what the kernel does when a program touches an address. Every
 * kind of fault but the first touch of anonymous memory is a file of its own.
 */
export function handleFault(
  m: Machine,
  mm: number,
  hi: number,
  lo: number,
  isWrite: boolean,
): number {
  if (m.isShared) return faultShared(m, mm, hi, lo, isWrite);
  const w = m.words;
  const d = m.doubles;
  const page = hi * m.loPages + lo;
  let vma = w[mm + MM_LAST_VMA];
  if (vma === 0 || page < d[vma >> 1] || page >= d[(vma >> 1) + 1]) {
    vma = vmaForFault(m, mm, page);
    if (vma === 0) return FAULT_SIGSEGV;
    w[mm + MM_LAST_VMA] = vma;
  }
  const rights = w[vma + V_FLAGS];
  if ((isWrite ? rights & VM_WRITE : rights & VM_ACCESS_FLAGS) === 0) {
    return (rights & VM_WINDOW) === 0
      ? FAULT_SIGSEGV
      : opsOfWindow(m, vma).fault(m, mm, vma, hi, lo, isWrite);
  }
  if (m.hasHugeFaults && w[vma + V_OBJECT] === 0) {
    const result = faultHuge(m, mm, vma, hi, lo, isWrite);
    if (result !== NOT_HUGE) {
      if (isWrite && result >= 0) m.events.pageWritten?.(m, mm, hi, lo);
      return result;
    }
  }
  const leaf = leafForFault(m, mm, vma, hi, lo, isWrite);
  if (leaf <= 0) return leaf;
  const result = faultOnLeaf(m, mm, vma, leaf, hi, lo, isWrite);
  const { pageAdded, pageWritten } = m.events;
  if ((pageAdded === null && pageWritten === null) || w[vma + V_OBJECT] !== 0) return result;
  // Looked up anew: reclaim inside the fault may have taken the table away.
  if (pageAdded !== null && result === FAULT_DONE) pageAdded(m, mm, findLeaf(m, mm, hi, lo), page);
  if (pageWritten !== null && isWrite && result >= 0) pageWritten(m, mm, hi, lo);
  return result;
}

/** The last-level table of the page, made where missing and remembered; or a FAULT_* code. */
function leafForFault(
  m: Machine,
  mm: number,
  vma: number,
  hi: number,
  lo: number,
  isWrite: boolean,
): number {
  const slot = lo >> m.bits;
  if (m.walkOwner === mm && m.walkHi === hi && m.walkSlot === slot) {
    if (m.walkVma === 0) rememberVma(m, vma, hi, slot);
    return m.walkLeaf;
  }
  let leaf = leafWord(m, mm, hi, lo);
  if (leaf < 0) {
    if (isReadThrough(m, leaf, lo, isWrite)) return FAULT_NONE;
    leaf = findLeaf(m, mm, hi, lo);
  }
  if (leaf === 0) {
    const page = hi * m.loPages + lo;
    if (m.words[vma + V_OBJECT] !== 0 && isBeyondObject(m, vma, page)) {
      return refuseBeyondObject(m, mm, vma, hi, lo, isWrite);
    }
    leaf = ensureTable(m, mm, 0, hi, lo);
    if (leaf === 0) return FAULT_OOM;
  }
  m.walkOwner = mm;
  m.walkHi = hi;
  m.walkSlot = slot;
  m.walkLeaf = leaf;
  rememberVma(m, vma, hi, slot);
  return leaf;
}

/** A read of a present page in a table that others have too: it stays theirs (shared-table.ts). */
function isReadThrough(m: Machine, word: number, lo: number, isWrite: boolean): boolean {
  if (!isSharedWord(word)) return false;
  const table = sharedTableAt(m, word);
  const index = lo & m.mask;
  const flags = entryFlags(m, table, index);
  if (!isPresent(flags)) return false;
  const isLeftOn = MUTANT === MUTANT_NO_UNSHARE && (flags & ENTRY_WRITE) !== 0;
  if (isWrite && !isLeftOn) return false;
  const isRun = (m.words[table + T_STATE] & FORM_MASK) === FORM_RUN;
  if ((flags & ENTRY_ACCESSED) === 0 && !isRun) {
    changeEntry(m, table, index, flags | ENTRY_ACCESSED, entryWord(m, table, index));
  }
  return true;
}

/** Remembers the VMA if first writes anywhere in the slot are plain anonymous ones. */
export function rememberVma(m: Machine, vma: number, hi: number, slot: number): void {
  const w = m.words;
  m.walkVma = 0;
  if (w[vma + V_OBJECT] !== 0 || w[vma + V_ANON_VMA] === 0) return;
  const start = hi * m.loPages + (slot << m.bits);
  if (vmaStart(m, vma) > start || vmaEnd(m, vma) < start + m.entryCount) return;
  m.walkVma = vma;
  m.walkFlags = w[vma + V_FLAGS];
  m.walkAnonVma = w[vma + V_ANON_VMA];
  m.walkIndexBase = (Math.imul(hi, m.loPages) + (slot << m.bits) + w[vma + V_INDEX_DELTA]) | 0;
}

export function vmaForFault(m: Machine, mm: number, page: number): number {
  const vma = findVma(m, mm, page);
  if (vma === 0 || vmaStart(m, vma) <= page) return vma;
  if ((m.words[vma + V_FLAGS] & VM_GROWSDOWN) === 0) return 0;
  return expandStack(m, vma, page) ? vma : 0;
}

/** A fault on an entry of a table; a shared machine holds the table's lock. */
export function faultOnLeaf(
  m: Machine,
  mm: number,
  vma: number,
  leaf: number,
  hi: number,
  lo: number,
  isWrite: boolean,
): number {
  const w = m.words;
  const index = lo & m.mask;
  const isDense = (w[leaf + T_STATE] & FORM_MASK) === FORM_DENSE;
  const contents = w[leaf + T_CONTENTS];
  const flagByte = ((contents + m.entryCount) << 2) + index;
  const flags = isDense ? m.bytes[flagByte] : entryFlags(m, leaf, index);
  if (flags !== ENTRY_NONE || w[vma + V_OBJECT] !== 0) {
    return faultElse(m, mm, vma, leaf, hi, lo, flags, isWrite);
  }
  if (!isWrite) return mapZeroPage(m, mm, leaf, index);
  if (m.sizeOrders !== null) {
    const result = faultSmall(m, mm, vma, leaf, hi, lo);
    if (result !== NOT_HUGE) return result;
  }
  if (w[vma + V_ANON_VMA] === 0) anonVmaPrepare(m, vma);
  const pfn = allocPageFrame(m, vma, leaf, hi, lo);
  if (pfn === 0) return FAULT_OOM;
  if (m.walkOwner === 0 && !m.isShared) {
    // Reclaim ran inside the allocation and freed tables: walk again.
    return mapAfterReclaim(m, mm, vma, hi, lo, pfn);
  }
  formatAnonFrame(m, pfn, vma, hi, lo);
  if (isDense) {
    w[contents + index] = pfn;
    m.bytes[flagByte] = WRITTEN_PAGE;
    w[leaf + T_COUNT] += 1; // the count
  } else {
    addEntry(m, mm, leaf, index, WRITTEN_PAGE, pfn);
  }
  const counters = mmCounters(m, mm);
  w[counters + C_ANON] += 1;
  w[counters + C_FAULTS] += 1;
  return FAULT_DONE;
}

/** Writes the record of an anonymous frame that is mapped once. */
export function formatAnonFrame(
  m: Machine,
  pfn: number,
  vma: number,
  hi: number,
  lo: number,
): void {
  const w = m.words;
  const index = (Math.imul(hi, m.loPages) + lo + w[vma + V_INDEX_DELTA]) | 0;
  formatAnonPage(m, pfn, w[vma + V_ANON_VMA], index);
}

/** The same for the page `index` (F_INDEX) of an anon_vma. The page is zero. */
export function formatAnonPage(m: Machine, pfn: number, anonVma: number, index: number): void {
  const w = m.words;
  const rec = frameRecord(m, pfn);
  w[rec + F_STATE] = TYPE_ANON;
  w[rec + F_MAPCOUNT] = 1;
  w[rec + F_MAPPING] = anonVma;
  w[rec + F_INDEX] = index;
  w[rec + F_STAMP] = w[m.cpuAt + CPU_CLOCK];
  w[rec + F_SWAP_SLOT] = 0;
  zeroContents(m, pfn);
}

export function mapZeroPage(m: Machine, mm: number, leaf: number, index: number): number {
  addEntry(m, mm, leaf, index, ENTRY_ZERO | ENTRY_ACCESSED, 0);
  const counters = mmCounters(m, mm);
  m.words[counters + C_ZERO] += 1;
  m.words[counters + C_FAULTS] += 1;
  return FAULT_DONE;
}

function mapAfterReclaim(
  m: Machine,
  mm: number,
  vma: number,
  hi: number,
  lo: number,
  pfn: number,
): number {
  const leaf = ensureTable(m, mm, 0, hi, lo);
  if (leaf === 0) {
    freeAnon(m, pfn, frameRecord(m, pfn));
    return FAULT_OOM;
  }
  formatAnonFrame(m, pfn, vma, hi, lo);
  addEntry(m, mm, leaf, lo & m.mask, WRITTEN_PAGE, pfn);
  const counters = mmCounters(m, mm);
  m.words[counters + C_ANON] += 1;
  m.words[counters + C_FAULTS] += 1;
  return FAULT_DONE;
}

/** Every fault but the first touch of private anonymous memory. */
function faultElse(
  m: Machine,
  mm: number,
  vma: number,
  leaf: number,
  hi: number,
  lo: number,
  flags: number,
  isWrite: boolean,
): number {
  if (isHuge(m, leaf)) {
    const result = touchHuge(m, mm, vma, leaf, hi, lo, isWrite);
    if (result !== NOT_HUGE) return result;
  }
  switch (flags & KIND_MASK) {
    case ENTRY_NONE:
      return faultOnObject(m, mm, vma, leaf, hi, lo, isWrite);
    case ENTRY_SWAP:
      return swapIn(m, mm, vma, leaf, hi, lo, isWrite);
    case ENTRY_GUARD:
      return FAULT_SIGSEGV;
    default:
      break;
  }
  if (!isWrite || (flags & ENTRY_WRITE) !== 0) {
    // A run keeps one set of flags for all its entries; an accessed bit alone does not break it up.
    const used = flags | ENTRY_ACCESSED | (isWrite ? ENTRY_DIRTY : 0);
    const isRun = (m.words[leaf + T_STATE] & FORM_MASK) === FORM_RUN;
    if (used !== flags && (!isRun || isWrite)) {
      const index = lo & m.mask;
      changeEntry(m, leaf, index, used, entryWord(m, leaf, index));
    }
    return FAULT_NONE;
  }
  return copyOnWrite(m, mm, vma, leaf, hi, lo, flags);
}
