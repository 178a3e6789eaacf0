import { allocExtent, allocExtents, freeExtent } from '../frames/alloc.ts';
import { blockOf } from '../frames/frame-record.ts';
import { changeRunMappings } from '../frames/map-count.ts';
import { EXTENT_ANON, EXTENT_OBJECT, formatExtent } from '../frames/pageblock.ts';
import { wantsHuge } from '../huge/eligible.ts';
import * as L from '../layout.ts';
import type { Machine } from '../machine.ts';
import { anonVmaPrepare } from '../objects/anon-vma.ts';
import {
  isShmem,
  O_PAGES,
  OBJECT_FILE,
  OBJECT_SHMEM,
  objectPages,
  objectType,
} from '../objects/object.ts';
import { opsOfWindow } from '../objects/window.ts';
import { C_ANON, C_FAULTS, C_FILE, C_SHMEM, mmCounters } from '../space/mm.ts';
import { VM_ACCESS_FLAGS, VM_SHARED, VM_WINDOW, VM_WRITE } from '../space/vm-flags.ts';
import {
  V_ANON_VMA,
  V_FLAGS,
  V_OBJECT,
  vmaEnd,
  vmaLookup,
  vmaPgoff,
  vmaStart,
} from '../space/vma.ts';
import {
  ENTRY_ACCESSED,
  ENTRY_DIRTY,
  ENTRY_OBJECT,
  ENTRY_PAGE,
  ENTRY_WRITE,
  KIND_MASK,
} from '../tables/entry.ts';
import { isHuge } from '../tables/huge-entry.ts';
import { runFlags, runHigh, runLow, setRun } from '../tables/leaf.ts';
import {
  FORM_RUN,
  linkTable,
  T_CONTENTS,
  T_COUNT,
  T_RULE,
  tableCreate,
  tableDestroy,
  tableForm,
} from '../tables/table.ts';
import {
  makeUniform,
  UNIFORM_RUN,
  uniformBase,
  uniformFlags,
  uniformKind,
} from '../tables/uniform.ts';
import { ensureTable, findTable, isUniform } from '../tables/walk.ts';
import { WRITTEN_PAGE } from './fault-codes.ts';

/**
 * Touches every page of a whole empty table (512 pages), or of a whole GiB of them, in one step:
 * frames come as extents, the table becomes a run, the GiB a uniform table.
 */
const SLOT_PAGES = 512;
const GIB_PAGES = 512 * 512;

/**
 * Takes as much as can be taken whole at `page` (a multiple of 512): 2^18 or 512 pages, or 0 if this
 * place must be touched page by page. The number of faults is in `m.foundIndex`.
 */
export function touchWhole(
  m: Machine,
  mm: number,
  page: number,
  count: number,
  isWrite: boolean,
): number {
  const w = m.words;
  const vma = vmaLookup(m, mm, page);
  if (vma === 0) return 0;
  const flags = w[vma + V_FLAGS];
  if ((flags & (isWrite ? VM_WRITE : VM_ACCESS_FLAGS)) === 0) {
    if ((flags & VM_WINDOW) === 0) return 0;
    return opsOfWindow(m, vma).touchWhole(m, mm, vma, page, count, isWrite);
  }
  const object = w[vma + V_OBJECT];
  const isPrivate = (flags & VM_SHARED) === 0;
  // Zero pages, and copies of an object's pages, are for the page-by-page way.
  if (object === 0 ? !isWrite : isPrivate && isWrite) return 0;
  const room = Math.min(count, vmaEnd(m, vma) - page);
  // A huge page comes by an ordinary fault.
  if (object === 0 && wantsHuge(m, vma)) return 0;
  if (page % GIB_PAGES === 0 && room >= GIB_PAGES) {
    const taken = takeWhole(m, mm, vma, object, page, GIB_PAGES, isWrite);
    if (taken > 0) return taken;
  }
  if (room < SLOT_PAGES) return 0;
  return takeWhole(m, mm, vma, object, page, SLOT_PAGES, isWrite);
}

/** The pages that were taken: all, of a GiB without room for its tables in one piece some, or 0. */
function takeWhole(
  m: Machine,
  mm: number,
  vma: number,
  object: number,
  page: number,
  pages: number,
  isWrite: boolean,
): number {
  const w = m.words;
  const level = pages === GIB_PAGES ? 1 : 0;
  const hi = Math.floor(page / m.loPages);
  const lo = page - hi * m.loPages;
  const present = findTable(m, mm, level, hi, lo);
  // Marked or stored: the page-by-page way brings it back.
  if (present < 0) return 0;
  if (present !== 0 && w[present + T_COUNT] !== 0) {
    m.foundIndex = 0;
    return isTouched(m, present, level, isWrite) ? pages : 0;
  }
  const index = page - vmaStart(m, vma) + vmaPgoff(m, vma);
  let base = 0;
  if (object === 0) {
    base = takeFrames(m, pages, EXTENT_ANON);
    if (base === 0) return 0;
    if (w[vma + V_ANON_VMA] === 0) anonVmaPrepare(m, vma);
    formatExtents(m, base, pages, w[vma + V_ANON_VMA], index);
  } else {
    base = objectRun(m, object, index, pages);
    if (base === 0) return 0;
  }
  const table = ensureTable(m, mm, level, hi, lo);
  const entryFlags = object === 0 ? WRITTEN_PAGE : objectEntryFlags(m, vma, object, isWrite);
  let mapped = 0;
  if (table !== 0) {
    if (mapRun(m, mm, table, level, base, entryFlags)) mapped = pages;
    else if (object !== 0) mapped = mapTables(m, mm, table, base, entryFlags);
  }
  if (mapped === 0) {
    if (object === 0) freeFrames(m, base, pages);
    return 0;
  }
  changeRunMappings(m, base, mapped, 1);
  const counters = mmCounters(m, mm);
  w[counters + (object === 0 ? C_ANON : isShmem(m, object) ? C_SHMEM : C_FILE)] += mapped;
  const isAround =
    object !== 0 && !isWrite && (m.foundFrame === 0 || objectType(m, object) === OBJECT_FILE);
  m.foundIndex = isAround ? mapped / m.rules.faultAroundPages : mapped;
  w[counters + C_FAULTS] += m.foundIndex;
  return mapped;
}

/** The runs of a GiB in tables of their own, as far as memory goes; the pages mapped. */
function mapTables(m: Machine, mm: number, upper: number, base: number, flags: number): number {
  const { reclaims } = m;
  let i = 0;
  for (; i < m.entryCount; i++) {
    const leaf = tableCreate(m, mm, 0);
    if (leaf === 0) break;
    if (m.reclaims !== reclaims) {
      // What was found before may be gone.
      tableDestroy(m, mm, leaf);
      break;
    }
    linkTable(m, upper, i, leaf);
    setRun(m, mm, leaf, 0, SLOT_PAGES, base + i * SLOT_PAGES, flags);
  }
  return i * SLOT_PAGES;
}

/** Every page of the table is there and would take the touch without a fault or a changed bit. */
function isTouched(m: Machine, table: number, level: number, isWrite: boolean): boolean {
  const bits = isWrite ? ENTRY_WRITE | ENTRY_ACCESSED | ENTRY_DIRTY : ENTRY_ACCESSED;
  if (level === 1) {
    if (!isUniform(m, table) || uniformKind(m, table) !== UNIFORM_RUN) return false;
    const flags = uniformFlags(m, table);
    return (flags & KIND_MASK) === ENTRY_PAGE && (flags & bits) === bits;
  }
  if (tableForm(m, table) !== FORM_RUN || isHuge(m, table)) return false;
  const rule = m.words[table + T_RULE];
  const flags = runFlags(rule);
  const isWhole = runLow(rule) === 0 && runHigh(rule) === SLOT_PAGES;
  return isWhole && (flags & KIND_MASK) === ENTRY_PAGE && (flags & bits) === bits;
}

function mapRun(
  m: Machine,
  mm: number,
  table: number,
  level: number,
  base: number,
  flags: number,
): boolean {
  if (level === 1) return makeUniform(m, mm, table, UNIFORM_RUN, base, flags);
  setRun(m, mm, table, 0, SLOT_PAGES, base, flags);
  return true;
}

function objectEntryFlags(m: Machine, vma: number, object: number, isWrite: boolean): number {
  const flags = ENTRY_PAGE | ENTRY_OBJECT | ENTRY_ACCESSED;
  if (isWrite) return flags | ENTRY_WRITE | ENTRY_DIRTY;
  const both = VM_SHARED | VM_WRITE;
  const isWritable = isShmem(m, object) && (m.words[vma + V_FLAGS] & both) === both;
  return isWritable ? flags | ENTRY_WRITE : flags;
}

function takeFrames(m: Machine, pages: number, extent: number): number {
  if (pages === SLOT_PAGES) return allocExtent(m, extent);
  return allocExtents(m, pages / L.BLOCK_FRAMES, extent);
}

function freeFrames(m: Machine, base: number, pages: number): void {
  for (let pfn = base; pfn < base + pages; pfn += L.BLOCK_FRAMES) freeExtent(m, pfn);
}

/** The blocks' records of extents that nothing maps yet. */
function formatExtents(
  m: Machine,
  base: number,
  pages: number,
  mapping: number,
  index: number,
): void {
  for (let i = 0; i < pages; i += L.BLOCK_FRAMES) {
    formatExtent(m, blockOf(m, base + i), mapping, ((index + i) % 4294967296) | 0, 0);
  }
}

/**
 * First frame of an object's pages [index, index + pages) where they are one run: already cached
 * as such, or not there at all and made so. 0 otherwise. `m.foundFrame` is 0 if they were cached.
 */
function objectRun(m: Machine, object: number, index: number, pages: number): number {
  const type = objectType(m, object);
  if (type !== OBJECT_SHMEM && type !== OBJECT_FILE) return 0;
  if (index % pages !== 0 || index + pages > objectPages(m, object)) return 0;
  const w = m.words;
  const level = pages === GIB_PAGES ? 1 : 0;
  const hi = Math.floor(index / m.loPages);
  const lo = index - hi * m.loPages;
  const present = findTable(m, object, level, hi, lo);
  m.foundFrame = 0;
  if (present !== 0 && w[present + T_COUNT] !== 0) {
    if (level === 1) {
      const isRun = isUniform(m, present) && uniformKind(m, present) === UNIFORM_RUN;
      return isRun ? uniformBase(m, present) : 0;
    }
    if (tableForm(m, present) !== FORM_RUN) return 0;
    const rule = w[present + T_RULE];
    return runLow(rule) === 0 && runHigh(rule) === SLOT_PAGES ? w[present + T_CONTENTS] : 0;
  }
  const base = takeFrames(m, pages, EXTENT_OBJECT);
  if (base === 0) return 0;
  const table = ensureTable(m, object, level, hi, lo);
  if (table === 0 || !mapRun(m, object, table, level, base, ENTRY_PAGE)) {
    freeFrames(m, base, pages);
    return 0;
  }
  formatExtents(m, base, pages, object, index);
  w[object + O_PAGES] += pages;
  m.foundFrame = base;
  return base;
}
