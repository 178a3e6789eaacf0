import { Errno } from '../../../base/index.ts';
import { arenaAllocZeroed, CLASS_16 } from '../../arena.ts';
import type { CountKind, CountTable } from '../../counts/count-table.ts';
import { shareCountsOf } from '../../counts/share-counts.ts';
import { allocBareFrame, allocExtent, allocExtents, freeExtent } from '../../frames/alloc.ts';
import {
  blockOf,
  F_MAPCOUNT,
  F_STATE,
  frameRecord,
  TYPE_MORSEL,
  TYPE_MORSEL_TABLE,
} from '../../frames/frame-record.ts';
import { ensureRecord } from '../../frames/map-count.ts';
import {
  blockExtent,
  EXTENT_MORSEL,
  MIGRATE_MOVABLE,
  MIGRATE_UNMOVABLE,
} from '../../frames/pageblock.ts';
import { freeToPcp } from '../../frames/pcp.ts';
import { TAKEN_BARE } from '../../frames/taken-as.ts';
import type { Machine } from '../../machine.ts';
import { zeroContents } from '../../objects/contents.ts';
import { createTablesObject, O_OWN } from '../../objects/window.ts';
import { OWNER_KIND, OWNER_OBJECT } from '../../tables/owner.ts';
import { dropContents, formatTable, T_PFN, tableLevel } from '../../tables/table.ts';
import { entrySpan } from '../../tables/walk.ts';

/**
 * A Morsel (Halbuer et al., "Morsels: Explicit Virtual Memory Objects", DIMES 2023): an object that is
 * nothing but a subtree of page tables. All there is to know of it stands in its entries; there are no
 * areas, no records of its pages, no way back from a frame. Map, transfer and clone are one entry each,
 * whatever the object's size.
 *
 * How many entries lead to a table or to a page is in the machine's share counts (counts/): no entry means
 * one. The roots are counted too: a clone begins as a second object with the same root.
 *
 * Files: this one has the object, its tables and frames; tree.ts walks and writes, copy.ts copies on write,
 * clone.ts clones, freezes, splits off and embeds, window-ops.ts maps.
 */
/** Table of the highest level. */
export const M_ROOT: number = O_OWN;
/** Level of the root: 0 for 2 MiB, 1 for 1 GiB, 2 for 512 GiB. */
export const M_LEVEL: number = O_OWN + 1;
/** Level whose entries are pages: 0 for 4 KiB, 1 for 2 MiB, 2 for 1 GiB. */
export const M_PAGE_LEVEL: number = O_OWN + 2;
/** 1: a base that may no longer be written (clone.ts). */
export const M_IS_FROZEN: number = O_OWN + 3;
/** The frozen base whose tables and pages this object borrows; 0 for none. */
export const M_BASE: number = O_OWN + 4;

/** What Morsels did; grows, but for the first four. */
export interface MorselWork {
  objects: number;
  tables: number;
  pages: number;
  links: number;
  peakTables: number;
  peakPages: number;
  maps: number;
  clones: number;
  faults: number;
  /** Shared tables that a write copied; shared pages; tables and pages found to be shared no more. */
  tableCopies: number;
  pageCopies: number;
  takeOvers: number;
  /** Entries written by copies of tables, and counts changed by them. */
  entriesCopied: number;
  countsChanged: number;
}

/** Where leaf.ts keeps counters of the tables that it changes; nobody reads those of Morsels. */
export class MorselStore {
  readonly work: MorselWork = {
    objects: 0,
    tables: 0,
    pages: 0,
    links: 0,
    peakTables: 0,
    peakPages: 0,
    maps: 0,
    clones: 0,
    faults: 0,
    tableCopies: 0,
    pageCopies: 0,
    takeOvers: 0,
    entriesCopied: 0,
    countsChanged: 0,
  };
  readonly counts: CountTable;
  /** Stands for an owner of tables (tables/owner.ts). */
  readonly owner: number;
  flavor = -1;
  /** Set by whoever gives a table another place (copy.ts); cleared by who has led the windows there. */
  hasMoved = false;

  constructor(m: Machine, kind: CountKind | undefined) {
    this.counts = shareCountsOf(m, kind);
    this.owner = arenaAllocZeroed(m, CLASS_16);
    m.words[this.owner + OWNER_KIND] = OWNER_OBJECT;
  }
}

/** Pages (4 KiB) that a Morsel spans. */
export function spanPages(m: Machine, morsel: number): number {
  return entrySpan(m, m.words[morsel + M_LEVEL] + 1);
}

/** True while a child of a frozen base has not written: it still has the base's root. */
export function isRootBorrowed(m: Machine, morsel: number): boolean {
  const w = m.words;
  const base = w[morsel + M_BASE];
  return base !== 0 && w[base + M_ROOT] === w[morsel + M_ROOT];
}

export function isFrozen(m: Machine, morsel: number): boolean {
  return m.words[morsel + M_IS_FROZEN] !== 0;
}

/** An empty Morsel with one reference, or -EINVAL, -ENOMEM. Its page size is for ever. */
export function morselCreate(
  m: Machine,
  store: MorselStore,
  level: number,
  pageLevel: number,
): number {
  const isLevel = level >= 0 && level < Math.min(3, m.geometry.levels - 1);
  if (!isLevel || pageLevel < 0 || pageLevel > level) return -Errno.EINVAL;
  if (pageLevel > 0 && m.entryCount !== 512) return -Errno.EINVAL;
  const root = tableNew(m, store, level);
  return root === 0 ? -Errno.ENOMEM : morselOf(m, store, root, pageLevel);
}

/** A new object around a root, whose reference it takes over. */
export function morselOf(m: Machine, store: MorselStore, root: number, pageLevel: number): number {
  const level = tableLevel(m, root);
  const morsel = createTablesObject(m, store.flavor, entrySpan(m, level + 1) * 4096);
  m.words[morsel + M_ROOT] = root;
  m.words[morsel + M_LEVEL] = level;
  m.words[morsel + M_PAGE_LEVEL] = pageLevel;
  store.work.objects += 1;
  return morsel;
}

/** An empty table in a frame of its own; 0 when memory is out. */
export function tableNew(m: Machine, store: MorselStore, level: number): number {
  const pfn = allocBareFrame(m, MIGRATE_UNMOVABLE);
  if (pfn === 0) return 0;
  const table = frameRecord(m, pfn);
  formatTable(m, table, pfn, TYPE_MORSEL_TABLE, level);
  const { work } = store;
  work.tables += 1;
  if (work.tables > work.peakTables) work.peakTables = work.tables;
  return table;
}

/** Gives a table's frame back; its entries are gone or belong to others. */
export function tableFree(m: Machine, store: MorselStore, table: number): void {
  dropContents(m, table);
  freeToPcp(m, m.words[table + T_PFN], table);
  store.work.tables -= 1;
}

/** A zeroed page of 4 KiB, 2 MiB or 1 GiB: its first frame; 0 when memory is out. */
export function pageNew(m: Machine, store: MorselStore, pageLevel: number): number {
  const frames = entrySpan(m, pageLevel);
  let pfn = 0;
  if (pageLevel === 0) pfn = allocBareFrame(m, MIGRATE_UNMOVABLE);
  else if (pageLevel === 1) pfn = allocExtent(m, EXTENT_MORSEL, MIGRATE_MOVABLE, TAKEN_BARE);
  else pfn = allocExtents(m, m.entryCount, EXTENT_MORSEL, TAKEN_BARE);
  if (pfn === 0) return 0;
  if (pageLevel === 0) {
    const rec = frameRecord(m, pfn);
    m.words[rec + F_STATE] = TYPE_MORSEL;
    m.words[rec + F_MAPCOUNT] = 0;
  }
  if (m.contentsAt !== 0) for (let i = 0; i < frames; i++) zeroContents(m, pfn + i);
  countPages(store, frames);
  return pfn;
}

/** 512 zeroed pages of 4 KiB one after the other, without records; 0 where there are none. */
export function pagesNew(m: Machine, store: MorselStore): number {
  const pfn = allocExtent(m, EXTENT_MORSEL, MIGRATE_MOVABLE, TAKEN_BARE);
  if (pfn !== 0) countPages(store, m.entryCount);
  return pfn;
}

export function pageFree(m: Machine, store: MorselStore, pageLevel: number, pfn: number): void {
  const frames = entrySpan(m, pageLevel);
  countPages(store, -frames);
  if (pageLevel === 0) {
    freeToPcp(m, pfn, ensureRecord(m, pfn));
    return;
  }
  for (let p = pfn; p < pfn + frames; p += m.entryCount) freeExtent(m, p);
}

/** 512 pages that came as one piece and are still one. */
export function isWholeExtent(m: Machine, pfn: number): boolean {
  return pfn % m.entryCount === 0 && blockExtent(m, blockOf(m, pfn)) === EXTENT_MORSEL;
}

export function pagesFree(m: Machine, store: MorselStore, pfn: number): void {
  countPages(store, -m.entryCount);
  freeExtent(m, pfn);
}

function countPages(store: MorselStore, frames: number): void {
  const { work } = store;
  work.pages += frames;
  if (work.pages > work.peakPages) work.peakPages = work.pages;
}
