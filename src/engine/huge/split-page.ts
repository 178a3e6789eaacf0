import { folioFrames, splitFolioOf } from '../frames/folio.ts';
import {
  blockOf,
  F_MAPCOUNT,
  F_STATE,
  FRAME_KSM,
  frameRecord,
  TYPE_ANON,
  TYPE_MASK,
} from '../frames/frame-record.ts';
import { ensureRecord, freeAnon } from '../frames/map-count.ts';
import { B_CHUNK } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { RmapWalk } from '../objects/rmap.ts';
import { C_ANON, C_ZERO, mmCounters } from '../space/mm.ts';
import { VM_LOCKED } from '../space/vm-flags.ts';
import { V_FLAGS, vmaEnd } from '../space/vma.ts';
import { ENTRY_ACCESSED, ENTRY_ZERO } from '../tables/entry.ts';
import { isHuge } from '../tables/huge-entry.ts';
import { changeEntry, makeDense } from '../tables/leaf.ts';

const walk = new RmapWalk();

/**
 * The page of 2 MiB, or of a smaller size above 4 KiB, that the frame belongs to becomes single pages
 * in everyone who maps it (split_huge_page_to_list): what nobody maps of it is free, and where contents
 * are known, entries of pages of zeros become the zero page's (try_to_map_unused_to_zeropage), unless
 * they are locked. How many frames came free; the given one may be among them. 0 for a frame of no
 * huge page.
 */
export function splitHugePage(m: Machine, pfn: number): number {
  // What changes its entries afterwards splits the mappings one by one.
  if (m.contentsAt === 0) return splitFolioOf(m, pfn);
  const frames = folioFrames(m, pfn);
  if (frames === 1) return 0;
  ensureRecord(m, pfn);
  const base = pfn & -frames;
  const isLocked = isLockedHuge(m, base);
  splitMappings(m, base);
  const freed = splitFolioOf(m, pfn);
  return isLocked || !m.rules.hasUnderusedSplit ? freed : freed + dropZeros(m, base, frames);
}

/** False for a frame that was freed, as `splitHugePage` may have done. */
export function isAnonFrame(m: Machine, pfn: number): boolean {
  if (m.words[blockOf(m, pfn) + B_CHUNK] === 0) return false;
  return (m.words[frameRecord(m, pfn) + F_STATE] & TYPE_MASK) === TYPE_ANON;
}

/**
 * A locked area holds the whole page that begins at the frame (folio_test_mlocked): one that is
 * locked in part does not count as locked (mlock_pte_range).
 */
export function isLockedHuge(m: Machine, base: number): boolean {
  ensureRecord(m, base);
  if (!isAnonFrame(m, base)) return false;
  const frames = folioFrames(m, base);
  walk.begin(m, base);
  while (walk.next(m)) {
    const hasSlot = walk.page + frames <= vmaEnd(m, walk.vma);
    if (hasSlot && (m.words[walk.vma + V_FLAGS] & VM_LOCKED) !== 0) return true;
  }
  return false;
}

/** Splits each mapping of a huge page, of which some frames may be unmapped. */
function splitMappings(m: Machine, base: number): void {
  // Who maps it as one page maps the first frame, too.
  if (!isAnonFrame(m, base)) return;
  walk.begin(m, base);
  while (walk.next(m)) if (isHuge(m, walk.leaf)) makeDense(m, walk.leaf);
}

function dropZeros(m: Machine, base: number, frames: number): number {
  let freed = 0;
  for (let pfn = base; pfn < base + frames; pfn++) {
    if (m.words[m.contentsAt + pfn] === 0 && isAnon(m, pfn) && mapZero(m, pfn)) freed++;
  }
  return freed;
}

/** A mapped page of its own kind: merged ones have owners that the split knows nothing of. */
function isAnon(m: Machine, pfn: number): boolean {
  const state = m.words[frameRecord(m, pfn) + F_STATE];
  return (state & TYPE_MASK) === TYPE_ANON && (state & FRAME_KSM) === 0;
}

/** True if nobody maps the frame any more. */
function mapZero(m: Machine, pfn: number): boolean {
  const w = m.words;
  const rec = frameRecord(m, pfn);
  walk.begin(m, pfn);
  while (walk.next(m)) {
    if ((w[walk.vma + V_FLAGS] & VM_LOCKED) !== 0) continue;
    const counters = mmCounters(m, walk.mm);
    changeEntry(m, walk.leaf, walk.index, ENTRY_ZERO | ENTRY_ACCESSED, 0);
    w[counters + C_ANON] -= 1;
    w[counters + C_ZERO] += 1;
    w[rec + F_MAPCOUNT] -= 1;
  }
  if (w[rec + F_MAPCOUNT] !== 0) return false;
  freeAnon(m, pfn, rec);
  return true;
}
