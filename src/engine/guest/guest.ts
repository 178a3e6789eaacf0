import { assert } from '../../base/index.ts';
import { arenaAllocZeroed, arenaFree } from '../arena.ts';
import { FAULT_DONE, FAULT_NONE, FAULT_OOM, FAULT_SIGBUS } from '../fault/fault-codes.ts';
import { F_STATE, FRAME_PINNED } from '../frames/frame-record.ts';
import { addMapping, dropMapping, ensureRecord } from '../frames/map-count.ts';
import { H_GUESTS } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { objectGet, objectGetPage, objectPages, objectPut } from '../objects/object.ts';
import { MM_CGROUP, MM_NEXT, MM_PREV, mmClass } from '../space/mm.ts';
import {
  ENTRY_ACCESSED,
  ENTRY_DIRTY,
  ENTRY_NONE,
  ENTRY_OBJECT,
  ENTRY_PAGE,
  ENTRY_WRITE,
} from '../tables/entry.ts';
import { freeAllTables } from '../tables/free-range.ts';
import { addEntry, changeEntry, entryFlags, entryWord, removeEntry } from '../tables/leaf.ts';
import { OWNER_GUEST, OWNER_KIND, OWNER_TABLES } from '../tables/owner.ts';
import { setRoot, tableCreate } from '../tables/table.ts';
import { ensureTable, LeafCursor } from '../tables/walk.ts';

/**
 * A virtual machine as its host's memory manager sees it: guest memory is an object (a memfd, one
 * memslot), and second-level tables say which frame each guest page is. A guest's access that finds
 * no entry is a violation, which the host answers from the memslot (kvm_mmu_page_fault).
 *
 * Guest pages are pinned once they are mapped, as for a device that is passed through (VFIO): page
 * reclaim and migration leave them alone, so no notifier has to empty second-level entries. Their
 * tables are then always full of valid entries, which is the case that the talk names.
 *
 * The record is that of an address space (space/mm.ts) without areas, on a list of its own. For
 * exclusive machines.
 */
const G_OBJECT = 12; // a word that an address space uses for its areas
/** Violations that the host answered. */
const G_FAULTS = 13;

/** A guest whose memory is the object; charged to the cgroup (0: root). 0 when memory is out. */
export function guestCreate(m: Machine, object: number, cgroup: number): number {
  assert(!m.isShared, 'guests are on machines of one thread');
  const w = m.words;
  const guest = arenaAllocZeroed(m, mmClass(m));
  w[guest + OWNER_KIND] = OWNER_GUEST;
  w[guest + MM_CGROUP] = cgroup;
  const root = tableCreate(m, guest, m.geometry.levels - 1);
  if (root === 0) {
    arenaFree(m, mmClass(m), guest);
    return 0;
  }
  setRoot(m, guest, root);
  objectGet(m, object);
  w[guest + G_OBJECT] = object;
  const next = w[H_GUESTS];
  w[guest + MM_NEXT] = next;
  if (next !== 0) w[next + MM_PREV] = guest;
  w[H_GUESTS] = guest;
  return guest;
}

/** An access of the guest to one of its pages: a FAULT_* code. */
export function guestTouch(m: Machine, guest: number, page: number, isWrite: boolean): number {
  const w = m.words;
  const object = w[guest + G_OBJECT];
  if (page >= objectPages(m, object)) return FAULT_SIGBUS;
  const hi = Math.floor(page / m.loPages);
  const lo = page - hi * m.loPages;
  const index = lo & m.mask;
  let leaf = leafOf(m, guest, hi, lo);
  if (leaf === 0) return FAULT_OOM;
  const used = ENTRY_ACCESSED | (isWrite ? ENTRY_DIRTY : 0);
  const flags = entryFlags(m, leaf, index);
  if (flags !== ENTRY_NONE) {
    changeEntry(m, leaf, index, flags | used, entryWord(m, leaf, index));
    return FAULT_NONE;
  }
  const pfn = objectGetPage(m, object, page);
  if (pfn === 0) return FAULT_OOM;
  w[ensureRecord(m, pfn) + F_STATE] |= FRAME_PINNED;
  // Reclaim inside may have taken the table; the page it cannot take any more.
  leaf = leafOf(m, guest, hi, lo);
  if (leaf === 0) return FAULT_OOM;
  addMapping(m, pfn);
  addEntry(m, guest, leaf, index, ENTRY_PAGE | ENTRY_OBJECT | ENTRY_WRITE | used, pfn);
  w[guest + G_FAULTS] += 1;
  return FAULT_DONE;
}

/** Remembered as the table that is worked on, which reclaim leaves alone. */
function leafOf(m: Machine, guest: number, hi: number, lo: number): number {
  const leaf = ensureTable(m, guest, 0, hi, lo);
  m.forgetWalk();
  m.walkLeaf = leaf;
  return leaf;
}

const cursor = new LeafCursor();

/** The end of the guest: its tables go, and its reference to the object. */
export function guestDestroy(m: Machine, guest: number): void {
  const w = m.words;
  cursor.begin(guest, 0, m.entryCount ** m.geometry.levels);
  for (let table = cursor.next(m); table !== 0; table = cursor.next(m)) {
    for (let i = 0; i < m.entryCount; i++) {
      if (entryFlags(m, table, i) === ENTRY_NONE) continue;
      const pfn = entryWord(m, table, i);
      removeEntry(m, guest, table, i);
      w[ensureRecord(m, pfn) + F_STATE] &= ~FRAME_PINNED;
      dropMapping(m, pfn);
    }
  }
  freeAllTables(m, guest);
  const next = w[guest + MM_NEXT];
  const prev = w[guest + MM_PREV];
  if (next !== 0) w[next + MM_PREV] = prev;
  if (prev !== 0) w[prev + MM_NEXT] = next;
  else w[H_GUESTS] = next;
  w[guest + OWNER_KIND] = 0;
  objectPut(m, w[guest + G_OBJECT]);
  arenaFree(m, mmClass(m), guest);
}

/** Violations so far. */
export function guestFaults(m: Machine, guest: number): number {
  return m.words[guest + G_FAULTS];
}

/** Second-level tables of a guest, of all levels (SecPageTables, in tables). */
export function guestTables(m: Machine, guest: number): number {
  let tables = 0;
  for (let level = 0; level < m.geometry.levels; level++) {
    tables += m.words[guest + OWNER_TABLES + level];
  }
  return tables;
}

/** SecPageTables of /proc/meminfo: second-level tables of all guests, KiB. */
export function secPageTablesKiB(m: Machine): number {
  let tables = 0;
  for (let guest = m.words[H_GUESTS]; guest !== 0; guest = m.words[guest + MM_NEXT]) {
    tables += guestTables(m, guest);
  }
  return tables * 4;
}
