import {
  F_INDEX,
  F_MAPCOUNT,
  F_MAPPING,
  F_STATE,
  FRAME_DIRTY,
  FRAME_LAZYFREE,
  FRAME_PINNED,
  FRAME_UNEVICTABLE,
  TYPE_ANON,
  TYPE_MASK,
} from '../frames/frame-record.ts';
import { freeAnon } from '../frames/map-count.ts';
import { freeToPcp } from '../frames/pcp.ts';
import { isAnonFrame, splitHugePage } from '../huge/split-page.ts';
import type { Machine } from '../machine.ts';
import { saveContents } from '../objects/contents.ts';
import { isShmem, isShmemVma, O_PAGES, O_SWAPPED, objectPageOf } from '../objects/object.ts';
import { RmapWalk } from '../objects/rmap.ts';
import {
  swapCacheAdd,
  swapSlotAlloc,
  swapSlotFree,
  swapSlotGet,
  swapSlotUsers,
} from '../objects/swap.ts';
import { C_SWAP, mmCounters } from '../space/mm.ts';
import { VM_LOCKED } from '../space/vm-flags.ts';
import { V_FLAGS } from '../space/vma.ts';
import { tableLostEntries } from '../tables/emptied.ts';
import { ENTRY_DIRTY, ENTRY_SWAP } from '../tables/entry.ts';
import { changeEntry, entryFlags, removeEntry } from '../tables/leaf.ts';
import { T_COUNT } from '../tables/table.ts';
import { putEntry } from '../tables/table-refs.ts';
import { findLeaf, freeTable } from '../tables/walk.ts';
import { rssCounter } from '../tables/zap.ts';

/**
 * Takes one page out of memory (shrink_folio_list for a page that is to go): anonymous pages and
 * shared memory to swap, a file's pages out of its cache, pages given up by MADV_FREE into nothing.
 * Frees the frame and returns true; false if the page must stay: it is locked, or swap is full.
 *
 * `busyTable`: a table that the caller goes through; it stays even if it becomes empty.
 */
export function pageOut(m: Machine, pfn: number, rec: number, busyTable: number): boolean {
  const w = m.words;
  if ((w[rec + F_STATE] & (FRAME_UNEVICTABLE | FRAME_PINNED)) !== 0 || isLocked(m, pfn))
    return false;
  const isAnon = (w[rec + F_STATE] & TYPE_MASK) === TYPE_ANON;
  if (!isAnon) return pageOutObject(m, pfn, rec, busyTable);
  // One page of it is to go (split_folio_to_list); if it holds zeros, it went with that.
  if (splitHugePage(m, pfn) > 0 && !isAnonFrame(m, pfn)) return true;
  if ((w[rec + F_STATE] & FRAME_LAZYFREE) !== 0) {
    if (!wasWrittenSince(m, pfn)) {
      unmapEverywhere(m, pfn, rec, 0, busyTable);
      if (w[rec + F_MAPCOUNT] !== 0) return false;
      freeAnon(m, pfn, rec);
      return true;
    }
    w[rec + F_STATE] &= ~FRAME_LAZYFREE;
  }
  const slot = swapSlotAlloc(m);
  if (slot === 0) return false;
  saveContents(m, pfn, slot);
  m.vmstat.pswpout += 1;
  unmapEverywhere(m, pfn, rec, slot, busyTable);
  const isStillMapped = w[rec + F_MAPCOUNT] !== 0;
  if (swapSlotUsers(m, slot) === 0) swapSlotFree(m, slot);
  else if (isStillMapped) swapCacheAdd(m, pfn, slot);
  // A mapping that the walk does not find keeps the page (try_to_unmap fails).
  if (isStillMapped) return false;
  freeAnon(m, pfn, rec);
  return true;
}

function pageOutObject(m: Machine, pfn: number, rec: number, busyTable: number): boolean {
  const w = m.words;
  const object = w[rec + F_MAPPING];
  const shmem = isShmem(m, object);
  unmapEverywhere(m, pfn, rec, 0, busyTable);
  if (w[rec + F_MAPCOUNT] !== 0) return false;
  // Shared memory that was never written is zeros: it needs no slot. Written pages without one stay,
  // unmapped.
  const slot = shmem && (w[rec + F_STATE] & FRAME_DIRTY) !== 0 ? swapSlotAlloc(m) : 0;
  if (shmem && slot === 0 && (w[rec + F_STATE] & FRAME_DIRTY) !== 0) return false;
  const page = objectPageOf(m, object, pfn, w[rec + F_INDEX] >>> 0);
  const hi = Math.floor(page / m.loPages);
  const lo = page - hi * m.loPages;
  const leaf = findLeaf(m, object, hi, lo);
  if (slot !== 0) {
    saveContents(m, pfn, slot);
    m.vmstat.pswpout += 1;
    changeEntry(m, leaf, lo & m.mask, ENTRY_SWAP, slot);
    swapSlotGet(m, slot);
    w[object + O_SWAPPED] += 1;
  } else {
    removeEntry(m, object, leaf, lo & m.mask);
    if (w[leaf + T_COUNT] === 0) freeTable(m, object, leaf);
  }
  w[object + O_PAGES] -= 1;
  freeToPcp(m, pfn, rec);
  return true;
}

const walk = new RmapWalk();

function isLocked(m: Machine, pfn: number): boolean {
  walk.begin(m, pfn);
  while (walk.next(m)) {
    if ((m.words[walk.vma + V_FLAGS] & VM_LOCKED) !== 0) return true;
  }
  return false;
}

/** A lazily freed page that was written again must be kept. */
function wasWrittenSince(m: Machine, pfn: number): boolean {
  walk.begin(m, pfn);
  while (walk.next(m)) {
    if ((entryFlags(m, walk.leaf, walk.index) & ENTRY_DIRTY) !== 0) return true;
  }
  return false;
}

/** Replaces every entry that maps the frame by the swap slot, or empties it for slot 0. */
function unmapEverywhere(
  m: Machine,
  pfn: number,
  rec: number,
  slot: number,
  busyTable: number,
): void {
  const w = m.words;
  walk.begin(m, pfn);
  while (walk.next(m)) {
    const { leaf, index, mm } = walk;
    const flags = entryFlags(m, leaf, index);
    const counters = mmCounters(m, mm);
    w[counters + rssCounter(flags, isShmemVma(m, walk.vma))] -= 1;
    w[rec + F_MAPCOUNT] -= 1;
    if ((flags & ENTRY_DIRTY) !== 0) w[rec + F_STATE] |= FRAME_DIRTY;
    if (slot !== 0) {
      swapSlotGet(m, slot);
      changeEntry(m, leaf, index, ENTRY_SWAP, slot);
      w[counters + C_SWAP] += 1;
      continue;
    }
    removeEntry(m, mm, leaf, index);
    if (m.tableRefs !== 0 && leaf !== busyTable) putEntry(m, leaf);
    if (leaf !== busyTable) tableLostEntries(m, mm, leaf);
  }
}
