import { Errno } from '../../base/index.ts';
import { WRITTEN_PAGE } from '../fault/fault-codes.ts';
import { dropMapping, mapCount } from '../frames/map-count.ts';
import type { Machine } from '../machine.ts';
import {
  contentsOfFrame,
  contentsOfSlot,
  readContents,
  writeContents,
} from '../objects/contents.ts';
import { swapCacheLookup, swapSlotPut } from '../objects/swap.ts';
import { C_ANON, C_COLLAPSES, C_SWAP, C_SWAP_INS, C_ZERO, mmCounters } from '../space/mm.ts';
import { VM_WRITE } from '../space/vm-flags.ts';
import { V_ANON_VMA, V_FLAGS, vmaEnd, vmaStart } from '../space/vma.ts';
import {
  ENTRY_ACCESSED,
  ENTRY_NONE,
  ENTRY_OBJECT,
  ENTRY_PAGE,
  ENTRY_SWAP,
  ENTRY_WRITE,
  ENTRY_ZERO,
  KIND_MASK,
} from '../tables/entry.ts';
import { isHuge, markHuge } from '../tables/huge-entry.ts';
import { entryFlags, entryWord, removeEntry, setRun } from '../tables/leaf.ts';
import { ensureLeaf, findTable, leafWord } from '../tables/walk.ts';
import { couldBeHuge, holdsAnySlot } from './eligible.ts';
import { allocHugeHard, formatHuge } from './huge-frame.ts';
import type { KhugepagedSettings } from './settings.ts';

/**
 * Small pages of a slot made a huge page (collapse_huge_page): 2 MiB are taken, what is there is
 * copied, holes become zero, and the slot's table is kept in reserve.
 */
export type CollapseResult =
  | 'succeeded'
  /** It is one already (SCAN_PMD_MAPPED). */
  | 'mapped'
  /** No PTE table (SCAN_PMD_NONE); not even a PMD table (SCAN_PMD_NULL). */
  | 'no-table'
  | 'no-upper-table'
  /** More empty, swapped or shared entries than khugepaged takes; none was used lately. */
  | 'too-many'
  | 'unused'
  /** Something that is neither a page of ours, a zero page nor in swap. */
  | 'unfit'
  | 'no-memory';

/** MADV_COLLAPSE of a part of one VMA (madvise_collapse): 0 or a negative errno. */
export function madviseCollapse(
  m: Machine,
  mm: number,
  vma: number,
  start: number,
  end: number,
): number {
  const isFit = couldBeHuge(m, vma, true) && holdsAnySlot(m, vma);
  if (!isFit || m.words[vma + V_ANON_VMA] === 0) return -Errno.EINVAL;
  const span = m.entryCount;
  const first = Math.ceil(start / span) * span;
  const last = Math.floor(end / span) * span;
  if (first > last) return -Errno.EINVAL;
  let isAll = true;
  for (let page = first; page < last; page += span) {
    const result = collapseSlot(m, mm, vma, page);
    if (result === 'no-memory') return -Errno.ENOMEM;
    if (result === 'no-table' || result === 'unfit') return -Errno.EINVAL;
    if (result === 'no-upper-table') isAll = false;
  }
  return isAll ? 0 : -Errno.EINVAL;
}

/**
 * Collapses the slot that begins at `page`, which lies in the VMA whole; the VMA has an anon_vma.
 * `alloc` gives 2 MiB in one piece, or 0.
 */
export function collapseSlot(
  m: Machine,
  mm: number,
  vma: number,
  page: number,
  alloc: (m: Machine) => number = allocHugeHard,
): CollapseResult {
  if (page < vmaStart(m, vma) || page + m.entryCount > vmaEnd(m, vma)) return 'unfit';
  const hi = Math.floor(page / m.loPages);
  const lo = page - hi * m.loPages;
  if (findTable(m, mm, 1, hi, lo) === 0) return 'no-upper-table';
  if (findTable(m, mm, 0, hi, lo) === 0) return 'no-table';
  const before = ensureLeaf(m, mm, hi, lo);
  if (before === 0) return 'no-memory';
  if (isHuge(m, before)) return 'mapped';
  if (isUnfit(m, before)) return 'unfit';
  const base = alloc(m);
  if (base === 0) return 'no-memory';
  // Looked up only now: compaction may have moved the table.
  const table = ensureLeaf(m, mm, hi, lo);
  formatHuge(m, base, vma, hi, lo);
  takeEntries(m, mm, table, base);
  setRun(m, mm, table, 0, m.entryCount, base, WRITTEN_PAGE);
  markHuge(m, mm, table);
  m.forgetWalk();
  const counters = mmCounters(m, mm);
  m.words[counters + C_ANON] += m.entryCount;
  m.words[counters + C_COLLAPSES] += 1;
  m.collapses += 1;
  return 'succeeded';
}

/**
 * Whether khugepaged takes a slot (hpage_collapse_scan_pmd): 'succeeded', or why not. At least one
 * page must have been used, and half of them where some are in swap; on older kernels one must be
 * writable.
 */
export function slotFits(
  m: Machine,
  mm: number,
  vma: number,
  page: number,
  limits: KhugepagedSettings,
): CollapseResult {
  const hi = Math.floor(page / m.loPages);
  const lo = page - hi * m.loPages;
  if (findTable(m, mm, 1, hi, lo) === 0) return 'no-upper-table';
  const table = leafWord(m, mm, hi, lo);
  if (table === 0) return 'no-table';
  // Marked or stored by reclaim: khugepaged does not bring it back.
  if (table < 0) return 'unused';
  if (isHuge(m, table)) return 'mapped';
  const found = { none: 0, swapped: 0, shared: 0, used: 0, writable: 0 };
  for (let i = 0; i < m.entryCount; i++) {
    const flags = entryFlags(m, table, i);
    switch (flags & KIND_MASK) {
      case ENTRY_NONE:
      case ENTRY_ZERO:
        found.none++;
        break;
      case ENTRY_SWAP:
        found.swapped++;
        break;
      case ENTRY_PAGE:
        if ((flags & ENTRY_OBJECT) !== 0) return 'unfit';
        if (mapCount(m, entryWord(m, table, i)) > 1) found.shared++;
        if ((flags & ENTRY_ACCESSED) !== 0) found.used++;
        if ((flags & ENTRY_WRITE) !== 0) found.writable++;
        break;
      default:
        return 'unfit';
    }
  }
  const isTooMany =
    found.none > limits.maxPtesNone ||
    found.swapped > limits.maxPtesSwap ||
    found.shared > limits.maxPtesShared;
  if (isTooMany) return 'too-many';
  const isWritable = found.writable > 0 && (m.words[vma + V_FLAGS] & VM_WRITE) !== 0;
  if (m.rules.needsWritableToCollapse && !isWritable) return 'unfit';
  const isUsed = found.used > 0 && (found.swapped === 0 || found.used >= m.entryCount / 2);
  return isUsed ? 'succeeded' : 'unused';
}

function isUnfit(m: Machine, table: number): boolean {
  for (let i = 0; i < m.entryCount; i++) {
    const flags = entryFlags(m, table, i);
    const kind = flags & KIND_MASK;
    const isOurs = kind === ENTRY_NONE || kind === ENTRY_ZERO || kind === ENTRY_SWAP;
    if (!isOurs && (kind !== ENTRY_PAGE || (flags & ENTRY_OBJECT) !== 0)) return true;
  }
  return false;
}

/** Copies what the entries hold to the frames from `base` on, and empties them. */
function takeEntries(m: Machine, mm: number, table: number, base: number): void {
  const w = m.words;
  const counters = mmCounters(m, mm);
  for (let i = 0; i < m.entryCount; i++) {
    const flags = entryFlags(m, table, i);
    if (flags === ENTRY_NONE) continue;
    const word = entryWord(m, table, i);
    removeEntry(m, mm, table, i);
    switch (flags & KIND_MASK) {
      case ENTRY_PAGE:
        writeContents(m, base + i, readContents(m, contentsOfFrame(m, word)));
        w[counters + C_ANON] -= 1;
        dropMapping(m, word);
        break;
      case ENTRY_SWAP:
        writeContents(m, base + i, readContents(m, swappedContents(m, word)));
        w[counters + C_SWAP] -= 1;
        w[counters + C_SWAP_INS] += 1;
        swapSlotPut(m, word);
        break;
      default:
        w[counters + C_ZERO] -= 1;
    }
  }
}

/** Where the contents of a swap entry are: in the swap cache, or in the slot. */
function swappedContents(m: Machine, slot: number): number {
  const cached = swapCacheLookup(m, slot);
  return cached !== 0 ? contentsOfFrame(m, cached) : contentsOfSlot(m, slot);
}
