import { F_INDEX, F_MAPCOUNT, F_MAPPING, F_SWAP_SLOT } from '../frames/frame-record.ts';
import { dropMapping, ensureRecord, mapCount } from '../frames/map-count.ts';
import { isKsm } from '../ksm/ksm-page.ts';
import type { Machine } from '../machine.ts';
import { anonVmaPrepare } from '../objects/anon-vma.ts';
import { contentsOfFrame, readContents, writeContents } from '../objects/contents.ts';
import { isShmemVma } from '../objects/object.ts';
import { isSharedWithSwap, swapCacheForget } from '../objects/swap.ts';
import { C_ANON, C_COW, C_FAULTS, C_ZERO, mmCounters } from '../space/mm.ts';
import { VM_SHARED } from '../space/vm-flags.ts';
import { V_ANON_VMA, V_FLAGS, V_INDEX_DELTA } from '../space/vma.ts';
import { ENTRY_DIRTY, ENTRY_OBJECT, ENTRY_PAGE, ENTRY_ZERO, KIND_MASK } from '../tables/entry.ts';
import { addEntry, changeEntry, entryFlags, entryWord, removeEntry } from '../tables/leaf.ts';
import { ensureTable } from '../tables/walk.ts';
import { releaseEntry, rssCounter } from '../tables/zap.ts';
import { FAULT_DONE, FAULT_OOM, FAULT_SIGSEGV, WRITTEN_PAGE } from './fault-codes.ts';
import { formatAnonFrame } from './handle-fault.ts';
import { allocPageFrame } from './place-page.ts';

/**
 * A write to a present entry without write permission (do_wp_page): a shared mapping just gets it;
 * an anonymous page that nobody else maps is taken over; everything else is copied.
 */
export function copyOnWrite(
  m: Machine,
  mm: number,
  vma: number,
  leaf: number,
  hi: number,
  lo: number,
  flags: number,
): number {
  const w = m.words;
  const index = lo & m.mask;
  const counters = mmCounters(m, mm);
  const kind = flags & KIND_MASK;
  if (kind !== ENTRY_PAGE && kind !== ENTRY_ZERO) return FAULT_SIGSEGV;
  const pfn = entryWord(m, leaf, index);
  if ((w[vma + V_FLAGS] & VM_SHARED) !== 0) {
    changeEntry(m, leaf, index, WRITTEN_PAGE | (flags & ENTRY_OBJECT), pfn);
    w[counters + C_FAULTS] += 1;
    return FAULT_DONE;
  }
  if (w[vma + V_ANON_VMA] === 0) anonVmaPrepare(m, vma);
  if (kind === ENTRY_PAGE && (flags & ENTRY_OBJECT) === 0 && canReuse(m, pfn)) {
    takeOver(m, pfn, vma, hi, lo);
    changeEntry(m, leaf, index, WRITTEN_PAGE, pfn);
    w[counters + C_FAULTS] += 1;
    return FAULT_DONE;
  }
  // Read first: on an exclusive machine reclaim inside the allocation may take the page away.
  const contents = kind === ENTRY_PAGE ? readContents(m, contentsOfFrame(m, pfn)) : 0;
  const copy = allocPageFrame(m, vma, leaf, hi, lo);
  if (copy === 0) return FAULT_OOM;
  formatAnonFrame(m, copy, vma, hi, lo);
  writeContents(m, copy, contents);
  w[counters + C_FAULTS] += 1;
  w[counters + C_COW] += 1;
  if (m.walkOwner === 0 && !m.isShared) return installAfterReclaim(m, mm, vma, hi, lo, copy);
  changeEntry(m, leaf, index, WRITTEN_PAGE, copy);
  w[counters + C_ANON] += 1;
  if (kind === ENTRY_ZERO) {
    w[counters + C_ZERO] -= 1;
  } else {
    w[counters + rssCounter(flags, isShmemVma(m, vma))] -= 1;
    dropMapping(m, pfn);
  }
  return FAULT_DONE;
}

/** wp_can_reuse_anon_folio: mapped here only, and no copy in swap has other users. */
function canReuse(m: Machine, pfn: number): boolean {
  if (mapCount(m, pfn) !== 1 || isKsm(m, pfn)) return false;
  return !isSharedWithSwap(m, ensureRecord(m, pfn));
}

/** The page becomes this VMA's alone (folio_move_anon_rmap), and any old copy in swap is stale. */
function takeOver(m: Machine, pfn: number, vma: number, hi: number, lo: number): void {
  const w = m.words;
  const rec = ensureRecord(m, pfn);
  w[rec + F_MAPPING] = w[vma + V_ANON_VMA];
  w[rec + F_INDEX] = (Math.imul(hi, m.loPages) + lo + w[vma + V_INDEX_DELTA]) | 0;
  if (w[rec + F_SWAP_SLOT] !== 0) swapCacheForget(m, rec);
}

/** Reclaim inside the allocation may have swapped the old page out or freed the table. */
function installAfterReclaim(
  m: Machine,
  mm: number,
  vma: number,
  hi: number,
  lo: number,
  copy: number,
): number {
  const w = m.words;
  const leaf = ensureTable(m, mm, 0, hi, lo);
  if (leaf === 0) {
    w[ensureRecord(m, copy) + F_MAPCOUNT] = 1;
    dropMapping(m, copy);
    return FAULT_OOM;
  }
  const index = lo & m.mask;
  const flags = entryFlags(m, leaf, index);
  if (flags !== 0) {
    const word = entryWord(m, leaf, index);
    removeEntry(m, mm, leaf, index);
    releaseEntry(m, mm, flags & ~ENTRY_DIRTY, word, isShmemVma(m, vma));
  }
  addEntry(m, mm, leaf, index, WRITTEN_PAGE, copy);
  w[mmCounters(m, mm) + C_ANON] += 1;
  return FAULT_DONE;
}
