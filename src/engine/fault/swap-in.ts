import { F_INDEX, F_MAPPING, FRAME_DIRTY, setFrameFlags } from '../frames/frame-record.ts';
import { addMapping, ensureRecord, mapCount } from '../frames/map-count.ts';
import { isKsm } from '../ksm/ksm-page.ts';
import type { Machine } from '../machine.ts';
import { rootAnonVma } from '../objects/anon-vma.ts';
import { contentsOfSlot, readContents, writeContents } from '../objects/contents.ts';
import {
  lockSwap,
  swapCacheAdd,
  swapCacheLookup,
  swapSlotPutLocked,
  swapSlotUsers,
  unlockSwap,
} from '../objects/swap.ts';
import { C_ANON, C_FAULTS, C_SWAP, C_SWAP_INS, mmCounters } from '../space/mm.ts';
import { VM_WRITE } from '../space/vm-flags.ts';
import { V_ANON_VMA, V_FLAGS, V_INDEX_DELTA } from '../space/vma.ts';
import { ENTRY_ACCESSED, ENTRY_DIRTY, ENTRY_PAGE, ENTRY_WRITE } from '../tables/entry.ts';
import { changeEntry, entryWord } from '../tables/leaf.ts';
import { copyOnWrite } from './cow.ts';
import { FAULT_DONE, FAULT_OOM } from './fault-codes.ts';
import { formatAnonFrame } from './handle-fault.ts';
import { allocPageFrame } from './place-page.ts';

/**
 * A touch of a page that was swapped out (do_swap_page). A slot with other users stays, and its
 * frame is shared through the swap cache; the last user takes the page for itself.
 */
export function swapIn(
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
  const slot = entryWord(m, leaf, index);
  lockSwap(m);
  let pfn = swapCacheLookup(m, slot);
  // A frame that nothing maps any more is on its way out, in another thread.
  const isCopy = pfn !== 0 && m.ksm !== null && mustCopy(m, pfn, vma, hi, lo);
  if (pfn !== 0 && mapCount(m, pfn) > 0 && !isCopy) {
    addMapping(m, pfn);
  } else {
    pfn = allocPageFrame(m, vma, leaf, hi, lo);
    if (pfn === 0) {
      unlockSwap(m);
      return FAULT_OOM;
    }
    // The entry is a swap entry, so its table is not empty and no reclaim inside freed it.
    formatAnonFrame(m, pfn, vma, hi, lo);
    writeContents(m, pfn, readContents(m, contentsOfSlot(m, slot)));
  }
  const isOnlyUser = swapSlotUsers(m, slot) === 1;
  if (!isOnlyUser && !isCopy && !isKsm(m, pfn)) {
    swapCacheAdd(m, pfn, slot);
    // Relatives will map it too: the oldest anon_vma leads to all of them (__folio_set_anon).
    const mapping = ensureRecord(m, pfn) + F_MAPPING;
    w[mapping] = rootAnonVma(m, w[mapping]);
  }
  const isOwn = isCopy || (isOnlyUser && mapCount(m, pfn) === 1 && !isKsm(m, pfn));
  const canWrite = isOwn && (w[vma + V_FLAGS] & VM_WRITE) !== 0;
  let flags = ENTRY_PAGE | ENTRY_ACCESSED;
  if (canWrite) flags |= isWrite ? ENTRY_WRITE | ENTRY_DIRTY : 0;
  changeEntry(m, leaf, index, flags, pfn);
  swapSlotPutLocked(m, slot);
  // As for a page that was in the cache (swapSlotPutLocked).
  if (isOnlyUser) setFrameFlags(m, ensureRecord(m, pfn), FRAME_DIRTY);
  unlockSwap(m);
  const counters = mmCounters(m, mm);
  w[counters + C_SWAP] -= 1;
  w[counters + C_ANON] += 1;
  w[counters + C_FAULTS] += 1;
  w[counters + C_SWAP_INS] += 1;
  if (!isWrite || canWrite) return FAULT_DONE;
  return copyOnWrite(m, mm, vma, leaf, hi, lo, flags);
}

/**
 * A merged page that was swapped out came back for one of its owners, and is an ordinary page now: the
 * others, who are no relatives, take copies of it (ksm_might_need_to_copy).
 */
function mustCopy(m: Machine, pfn: number, vma: number, hi: number, lo: number): boolean {
  const w = m.words;
  if (isKsm(m, pfn)) return false;
  const rec = ensureRecord(m, pfn);
  const index = (Math.imul(hi, m.loPages) + lo + w[vma + V_INDEX_DELTA]) | 0;
  if (w[rec + F_INDEX] !== index) return true;
  return rootAnonVma(m, w[rec + F_MAPPING]) !== rootAnonVma(m, w[vma + V_ANON_VMA]);
}
