import { allocFrame } from '../frames/alloc.ts';
import { frameRecord } from '../frames/frame-record.ts';
import { addMapping } from '../frames/map-count.ts';
import { MIGRATE_MOVABLE } from '../frames/pageblock.ts';
import { freeToPcp } from '../frames/pcp.ts';
import type { Machine } from '../machine.ts';
import { anonVmaPrepare } from '../objects/anon-vma.ts';
import { contentsOfFrame, readContents, writeContents } from '../objects/contents.ts';
import {
  isShmem,
  isShmemVma,
  OBJECT_FILE,
  OBJECT_KERNEL,
  OBJECT_SPECIAL,
  objectAddPage,
  objectGetPage,
  objectPages,
  objectType,
} from '../objects/object.ts';
import { lockPages, unlockPages } from '../objects/object-lock.ts';
import { C_ANON, C_FAULTS, C_FILE, C_SHMEM, C_SPECIAL, mmCounters } from '../space/mm.ts';
import { VM_SHARED, VM_WRITE } from '../space/vm-flags.ts';
import { V_ANON_VMA, V_FLAGS, V_OBJECT, vmaEnd, vmaPgoff, vmaStart } from '../space/vma.ts';
import {
  ENTRY_ACCESSED,
  ENTRY_DIRTY,
  ENTRY_NONE,
  ENTRY_OBJECT,
  ENTRY_PAGE,
  ENTRY_SPECIAL,
  ENTRY_WRITE,
  KIND_MASK,
} from '../tables/entry.ts';
import { addEntry, addPages, entryFlags, entryWord } from '../tables/leaf.ts';
import { lockLeaf, unlockLeaf } from '../tables/leaf-lock.ts';
import { ensureTable, findLeaf } from '../tables/walk.ts';
import { FAULT_DONE, FAULT_OOM, FAULT_SIGBUS, WRITTEN_PAGE } from './fault-codes.ts';
import { formatAnonFrame } from './handle-fault.ts';

/**
 * A first touch in the mapping of an object (do_fault): a read maps the object's page and its
 * neighbours, a write to a private mapping copies it, a write to a shared one maps it writable.
 */
export function faultOnObject(
  m: Machine,
  mm: number,
  vma: number,
  leaf: number,
  hi: number,
  lo: number,
  isWrite: boolean,
): number {
  const w = m.words;
  const object = w[vma + V_OBJECT];
  const index = lo & m.mask;
  if (objectType(m, object) === OBJECT_SPECIAL) {
    addEntry(m, mm, leaf, index, ENTRY_SPECIAL | ENTRY_ACCESSED, 0);
    w[mmCounters(m, mm) + C_SPECIAL] += 1;
    w[mmCounters(m, mm) + C_FAULTS] += 1;
    return FAULT_DONE;
  }
  lockPages(m, object);
  const result = faultOnPage(m, mm, vma, object, leaf, hi, lo, isWrite);
  unlockPages(m, object);
  return result;
}

/** The object's page lock is held, so no truncation comes between the look-up and the mapping. */
function faultOnPage(
  m: Machine,
  mm: number,
  vma: number,
  object: number,
  leaf: number,
  hi: number,
  lo: number,
  isWrite: boolean,
): number {
  const w = m.words;
  const index = lo & m.mask;
  const address = hi * m.loPages + lo;
  if (isBeyondObject(m, vma, address)) {
    if (!isWrite) faultAround(m, mm, vma, hi, lo);
    else if ((w[vma + V_FLAGS] & VM_SHARED) === 0 && w[vma + V_ANON_VMA] === 0) {
      anonVmaPrepare(m, vma);
    }
    return FAULT_SIGBUS;
  }
  const page = address - vmaStart(m, vma) + vmaPgoff(m, vma);
  w[mmCounters(m, mm) + C_FAULTS] += 1;
  if (isWrite && (w[vma + V_FLAGS] & VM_SHARED) === 0) {
    return copyObjectPage(m, mm, vma, object, page, hi, lo);
  }
  if (!isWrite) faultAround(m, mm, vma, hi, lo);
  let pfn = objectGetPage(m, object, page);
  if (pfn === 0) return FAULT_OOM;
  let table = leaf;
  while (m.walkOwner !== mm && !m.isShared) {
    // Memory was short: the table may be gone. Making it anew may cost the page, which nobody maps.
    const { reclaims } = m;
    table = ensureTable(m, mm, 0, hi, lo);
    if (table === 0) return FAULT_OOM;
    if (m.reclaims === reclaims) break;
    pfn = objectGetPage(m, object, page);
    if (pfn === 0) return FAULT_OOM;
  }
  if (entryFlags(m, table, index) !== ENTRY_NONE) return FAULT_DONE;
  mapObjectPage(m, mm, vma, object, table, index, pfn, isWrite);
  return FAULT_DONE;
}

/** True for a page of the mapping that lies beyond the object's end: SIGBUS. */
export function isBeyondObject(m: Machine, vma: number, page: number): boolean {
  const object = m.words[vma + V_OBJECT];
  if (objectType(m, object) === OBJECT_SPECIAL) return false;
  return page - vmaStart(m, vma) + vmaPgoff(m, vma) >= objectPages(m, object);
}

/**
 * A touch beyond the object's end. The page is asked for before there is a PTE table, so upper
 * tables appear only; but a read has mapped the cached pages around by then, and a write to a
 * private mapping has got its anon_vma (do_read_fault, do_cow_fault).
 */
export function refuseBeyondObject(
  m: Machine,
  mm: number,
  vma: number,
  hi: number,
  lo: number,
  isWrite: boolean,
): number {
  if (ensureTable(m, mm, 1, hi, lo) === 0) return FAULT_OOM;
  const isPrivate = (m.words[vma + V_FLAGS] & VM_SHARED) === 0;
  if (isWrite && isPrivate && m.words[vma + V_ANON_VMA] === 0) anonVmaPrepare(m, vma);
  if (!isWrite) aroundBeyond(m, mm, vma, hi, lo);
  return FAULT_SIGBUS;
}

/** On a shared machine the table must be there and locked before pages are looked up. */
function aroundBeyond(m: Machine, mm: number, vma: number, hi: number, lo: number): void {
  if (!m.isShared) {
    faultAround(m, mm, vma, hi, lo);
    return;
  }
  const object = m.words[vma + V_OBJECT];
  for (;;) {
    const leaf = ensureTable(m, mm, 0, hi, lo);
    if (leaf === 0) return;
    if (!lockLeaf(m, leaf)) continue;
    lockPages(m, object);
    faultAround(m, mm, vma, hi, lo);
    unlockPages(m, object);
    unlockLeaf(m, mm, leaf);
    return;
  }
}

/** Puts an object's page into an empty entry (set_pte_range). */
function mapObjectPage(
  m: Machine,
  mm: number,
  vma: number,
  object: number,
  leaf: number,
  index: number,
  pfn: number,
  isWrite: boolean,
): void {
  const w = m.words;
  addMapping(m, pfn);
  addEntry(m, mm, leaf, index, mappedFlags(m, vma, isWrite), pfn);
  w[mmCounters(m, mm) + (isShmem(m, object) ? C_SHMEM : C_FILE)] += 1;
}

/** Flags of an object's page that a fault maps into a VMA. */
function mappedFlags(m: Machine, vma: number, isWrite: boolean): number {
  const flags = ENTRY_PAGE | ENTRY_OBJECT | ENTRY_ACCESSED;
  if (isWrite) return flags | ENTRY_WRITE | ENTRY_DIRTY;
  // Shared memory keeps no track of first writes, so a read already maps it writable; a file's
  // page must fault again to be marked dirty (vma_wants_writenotify).
  return isShmemVma(m, vma) && isSharedWritable(m, vma) ? flags | ENTRY_WRITE : flags;
}

function isSharedWritable(m: Machine, vma: number): boolean {
  const both = VM_SHARED | VM_WRITE;
  return (m.words[vma + V_FLAGS] & both) === both;
}

/** Frames that a fault maps beside its own page, by index in the table; 0 for none. */
const frames = new Int32Array(512);

/**
 * Maps the pages around a read fault that the object already has: up to 16 pages, aligned, within
 * the VMA and the table (do_fault_around). A file's pages count as cached: who replays a recording
 * does not know what was in the page cache, and for programs and libraries that is the rule.
 */
function faultAround(m: Machine, mm: number, vma: number, hi: number, lo: number): void {
  const w = m.words;
  const object = w[vma + V_OBJECT];
  const around = Math.min(m.rules.faultAroundPages, m.entryCount);
  if (around <= 1 || objectType(m, object) === OBJECT_KERNEL) return;
  const index = lo & m.mask;
  const intoVma = hi * m.loPages + lo - vmaStart(m, vma);
  const from = Math.max(index - (index % around), index - Math.min(index, intoVma));
  const vmaLeft = vmaEnd(m, vma) - vmaStart(m, vma) - intoVma;
  // The index of the object's page 0 relative to the table's entry 0.
  const shift = intoVma + vmaPgoff(m, vma) - index;
  const sizeLeft = objectPages(m, object) - shift;
  const to = Math.min(from + around, m.entryCount, index + vmaLeft, sizeLeft);
  let leaf = findLeaf(m, mm, hi, lo);
  const found = from < to ? findCached(m, object, leaf, from, to, shift) : 0;
  if (found === 0) return;
  // A table comes with the first page that is found.
  const { reclaims } = m;
  if (leaf === 0) leaf = ensureTable(m, mm, 0, hi, lo);
  // Where memory is short the pages may have gone for it: they are not mapped yet.
  if (leaf === 0 || m.reclaims !== reclaims) return;
  addPages(m, mm, leaf, from, to, frames, found, mappedFlags(m, vma, false));
  w[mmCounters(m, mm) + (isShmem(m, object) ? C_SHMEM : C_FILE)] += found;
}

/**
 * Writes into `frames` what is cached of the object for the empty entries [from, to) of a table (0:
 * no table yet) whose entry 0 is page `shift` of the object; the number of frames, 0 if memory
 * became short on the way: what was found before may be gone then.
 */
function findCached(
  m: Machine,
  object: number,
  leaf: number,
  from: number,
  to: number,
  shift: number,
): number {
  const isCached = objectType(m, object) === OBJECT_FILE;
  const reclaims = m.reclaims;
  let hi = Math.floor((shift + from) / m.loPages);
  let lo = shift + from - hi * m.loPages;
  let indexLeaf = findLeaf(m, object, hi, lo);
  let found = 0;
  for (let i = from; i < to; i++, lo++) {
    frames[i] = 0;
    if ((lo & m.mask) === 0) {
      if (lo === m.loPages) {
        lo = 0;
        hi++;
      }
      indexLeaf = findLeaf(m, object, hi, lo);
    }
    if (leaf !== 0 && entryFlags(m, leaf, i) !== ENTRY_NONE) continue;
    const index = lo & m.mask;
    if (indexLeaf !== 0 && (entryFlags(m, indexLeaf, index) & KIND_MASK) === ENTRY_PAGE) {
      frames[i] = entryWord(m, indexLeaf, index);
    } else if (isCached) {
      const pfn = objectAddPage(m, object, hi, lo, indexLeaf);
      if (pfn === 0 || m.reclaims !== reclaims) return 0;
      if (indexLeaf === 0) indexLeaf = findLeaf(m, object, hi, lo);
      frames[i] = pfn;
    } else {
      continue;
    }
    found++;
  }
  return found;
}

/** A write to a private mapping: the object's page is read in, a copy of it mapped (do_cow_fault). */
function copyObjectPage(
  m: Machine,
  mm: number,
  vma: number,
  object: number,
  page: number,
  hi: number,
  lo: number,
): number {
  const w = m.words;
  if (w[vma + V_ANON_VMA] === 0) anonVmaPrepare(m, vma);
  const source = objectGetPage(m, object, page);
  if (source === 0) return FAULT_OOM;
  const contents = readContents(m, contentsOfFrame(m, source));
  const copy = allocFrame(m, MIGRATE_MOVABLE);
  if (copy === 0) return FAULT_OOM;
  const leaf = ensureTable(m, mm, 0, hi, lo);
  if (leaf === 0) {
    freeToPcp(m, copy, frameRecord(m, copy));
    return FAULT_OOM;
  }
  formatAnonFrame(m, copy, vma, hi, lo);
  writeContents(m, copy, contents);
  addEntry(m, mm, leaf, lo & m.mask, WRITTEN_PAGE, copy);
  w[mmCounters(m, mm) + C_ANON] += 1;
  return FAULT_DONE;
}
