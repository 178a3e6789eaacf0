import { FAULT_DONE, FAULT_NONE, FAULT_OOM, WRITTEN_PAGE } from '../fault/fault-codes.ts';
import { freeExtent } from '../frames/alloc.ts';
import {
  blockOf,
  F_INDEX,
  F_MAPCOUNT,
  F_MAPPING,
  F_STATE,
  F_SWAP_SLOT,
  FRAME_KSM,
  FRAME_WORDS,
} from '../frames/frame-record.ts';
import { B_CHUNK, B_INDEX, B_MAPCOUNT, B_MAPPING, BLOCK_FRAMES } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { anonVmaPrepare } from '../objects/anon-vma.ts';
import { C_ANON, C_FAULTS, C_HUGE_FAULTS, C_ZERO, mmCounters } from '../space/mm.ts';
import { V_ANON_VMA, V_INDEX_DELTA } from '../space/vma.ts';
import {
  ENTRY_ACCESSED,
  ENTRY_DIRTY,
  ENTRY_WRITE,
  ENTRY_ZERO,
  KIND_MASK,
} from '../tables/entry.ts';
import { markHuge, splitHuge, unmarkHuge } from '../tables/huge-entry.ts';
import { runFlags, setRun, setRunFlags } from '../tables/leaf.ts';
import { T_CONTENTS, T_RULE } from '../tables/table.ts';
import { ensureTable, findTable } from '../tables/walk.ts';
import { holdsSlot, wantsHuge } from './eligible.ts';
import { allocHugeForFault, formatHuge } from './huge-frame.ts';

/** Not for a huge page: the small ones' way. */
export const NOT_HUGE = -200;

const HUGE_ZERO = ENTRY_ZERO | ENTRY_ACCESSED;

/**
 * A fault in a slot of private anonymous memory that has no table yet (do_huge_pmd_anonymous_page):
 * a write gets 2 MiB, a read the huge zero page. NOT_HUGE where the slot has a table, even an empty
 * one, does not lie in the VMA whole, or there are no 2 MiB in one piece.
 */
export function faultHuge(
  m: Machine,
  mm: number,
  vma: number,
  hi: number,
  lo: number,
  isWrite: boolean,
): number {
  if (!wantsHuge(m, vma)) return NOT_HUGE;
  const first = lo - (lo & m.mask);
  if (!holdsSlot(m, vma, hi * m.loPages + first)) return NOT_HUGE;
  if (findTable(m, mm, 0, hi, lo) !== 0) return NOT_HUGE;
  const w = m.words;
  if (w[vma + V_ANON_VMA] === 0) anonVmaPrepare(m, vma);
  const isZero = !isWrite && m.huge.usesZeroPage;
  const base = isZero ? 0 : allocHugeForFault(m, vma);
  if (base === 0 && !isZero) {
    m.hugeFallbacks += 1;
    return NOT_HUGE;
  }
  const table = ensureTable(m, mm, 0, hi, lo);
  if (table === 0) {
    if (base !== 0) freeExtent(m, base);
    return FAULT_OOM;
  }
  if (base !== 0) formatHuge(m, base, vma, hi, first);
  setRun(m, mm, table, 0, m.entryCount, base, isZero ? HUGE_ZERO : WRITTEN_PAGE);
  markHuge(m, mm, table);
  const counters = mmCounters(m, mm);
  w[counters + (isZero ? C_ZERO : C_ANON)] += m.entryCount;
  w[counters + C_FAULTS] += 1;
  if (!isZero) {
    w[counters + C_HUGE_FAULTS] += 1;
    m.events.hugeAdded?.(m, mm, base);
  }
  return FAULT_DONE;
}

/**
 * A touch of what a huge page maps already. A write without the right to write (do_huge_pmd_wp_page)
 * takes over a page that nobody else maps, and gives 2 MiB for the huge zero page; else the mapping
 * is split, and NOT_HUGE says that one small page is to be copied.
 */
export function touchHuge(
  m: Machine,
  mm: number,
  vma: number,
  leaf: number,
  hi: number,
  lo: number,
  isWrite: boolean,
): number {
  const w = m.words;
  const flags = runFlags(w[leaf + T_RULE]);
  if (!isWrite || (flags & ENTRY_WRITE) !== 0) {
    setRunFlags(m, leaf, flags | ENTRY_ACCESSED | (isWrite ? ENTRY_DIRTY : 0));
    return FAULT_NONE;
  }
  const counters = mmCounters(m, mm);
  const first = lo - (lo & m.mask);
  if ((flags & KIND_MASK) === ENTRY_ZERO) {
    const base = m.rules.hasHugeZeroCow ? allocHugeForFault(m, vma) : 0;
    if (base === 0) {
      splitHuge(m, leaf);
      return NOT_HUGE;
    }
    formatHuge(m, base, vma, hi, first);
    unmarkHuge(m, leaf);
    w[leaf + T_CONTENTS] = base;
    setRunFlags(m, leaf, WRITTEN_PAGE);
    markHuge(m, mm, leaf);
    w[counters + C_ZERO] -= m.entryCount;
    w[counters + C_ANON] += m.entryCount;
    w[counters + C_HUGE_FAULTS] += 1;
    m.events.hugeAdded?.(m, mm, base);
  } else {
    const base = w[leaf + T_CONTENTS];
    if (!isMappedOnce(m, base)) {
      splitHuge(m, leaf);
      return NOT_HUGE;
    }
    takeOver(m, base, vma, hi, first);
    setRunFlags(m, leaf, WRITTEN_PAGE);
  }
  w[counters + C_FAULTS] += 1;
  return FAULT_DONE;
}

/** True if this mapping is the only one of any of the 512 frames, and swap has none of them. */
function isMappedOnce(m: Machine, base: number): boolean {
  const w = m.words;
  const block = blockOf(m, base);
  const chunk = w[block + B_CHUNK];
  if (chunk === 0) return w[block + B_MAPCOUNT] === 1;
  for (let i = 0, rec = chunk; i < BLOCK_FRAMES; i++, rec += FRAME_WORDS) {
    if (w[rec + F_MAPCOUNT] !== 1 || w[rec + F_SWAP_SLOT] !== 0) return false;
    if ((w[rec + F_STATE] & FRAME_KSM) !== 0) return false;
  }
  return true;
}

/** The pages become this VMA's alone (folio_move_anon_rmap). */
function takeOver(m: Machine, base: number, vma: number, hi: number, lo: number): void {
  const w = m.words;
  const block = blockOf(m, base);
  const index = (Math.imul(hi, m.loPages) + lo + w[vma + V_INDEX_DELTA]) | 0;
  const chunk = w[block + B_CHUNK];
  if (chunk === 0) {
    w[block + B_MAPPING] = w[vma + V_ANON_VMA];
    w[block + B_INDEX] = index;
    return;
  }
  for (let i = 0, rec = chunk; i < BLOCK_FRAMES; i++, rec += FRAME_WORDS) {
    w[rec + F_MAPPING] = w[vma + V_ANON_VMA];
    w[rec + F_INDEX] = (index + i) | 0;
  }
}
