import { F_SWAP_SLOT, FRAME_DIRTY, frameRecord, setFrameFlags } from '../frames/frame-record.ts';
import {
  H_SWAP_CACHE,
  H_SWAP_FREE,
  H_SWAP_LOCK,
  H_SWAP_MAP,
  H_SWAP_NEXT,
  H_SWAP_SLOTS,
  H_SWAP_USED,
} from '../layout.ts';
import type { Machine } from '../machine.ts';

/**
 * The modelled swap device: slots of a page each, with a count of the entries that refer to a slot
 * (one word; Linux has a byte and continues it where that is too small), and the swap cache: the
 * frame that a slot with several users was read into, so that all of them share it. What stands in a
 * slot is not modelled; where a page is, and who refers to it, is.
 *
 * On a shared machine one lock guards all of it. `swapSlotGet` and `swapSlotPut` take it themselves;
 * the others are for callers that hold it, or have stopped the world.
 */
export function lockSwap(m: Machine): void {
  if (m.isShared && !m.isWorldStopped) m.lock(H_SWAP_LOCK);
}

export function unlockSwap(m: Machine): void {
  if (m.isShared && !m.isWorldStopped) m.unlock(H_SWAP_LOCK);
}

/**
 * A slot with no user yet, or 0 when the device is full: the one that was freed last, else the first
 * that was never used. The caller puts users on it, or gives it back by `swapSlotFree`.
 */
export function swapSlotAlloc(m: Machine): number {
  const w = m.words;
  const slot = w[H_SWAP_FREE];
  if (slot !== 0) {
    w[H_SWAP_FREE] = w[w[H_SWAP_CACHE] + slot];
    w[w[H_SWAP_CACHE] + slot] = 0;
    return slot;
  }
  if (w[H_SWAP_NEXT] > w[H_SWAP_SLOTS]) return 0;
  return w[H_SWAP_NEXT]++;
}

/** Puts a slot without users on the free list; the list goes through the words of the swap cache. */
export function swapSlotFree(m: Machine, slot: number): void {
  const w = m.words;
  w[w[H_SWAP_CACHE] + slot] = w[H_SWAP_FREE];
  w[H_SWAP_FREE] = slot;
}

/** True if a page could be swapped out. */
export function hasFreeSwap(m: Machine): boolean {
  return m.words[H_SWAP_FREE] !== 0 || m.words[H_SWAP_NEXT] <= m.words[H_SWAP_SLOTS];
}

/** One more entry refers to the slot. */
export function swapSlotGet(m: Machine, slot: number): void {
  const at = m.words[H_SWAP_MAP] + slot;
  lockSwap(m);
  if (m.words[at] === 0) m.words[H_SWAP_USED] += 1;
  m.words[at] += 1;
  unlockSwap(m);
}

/** One entry less; after the last the slot is free and the cache forgets it. */
export function swapSlotPut(m: Machine, slot: number): void {
  lockSwap(m);
  swapSlotPutLocked(m, slot);
  unlockSwap(m);
}

export function swapSlotPutLocked(m: Machine, slot: number): void {
  const at = m.words[H_SWAP_MAP] + slot;
  m.words[at] -= 1;
  if (m.words[at] !== 0) return;
  m.words[H_SWAP_USED] -= 1;
  const cached = swapCacheLookup(m, slot);
  if (cached !== 0) {
    const rec = frameRecord(m, cached);
    swapCacheForget(m, rec);
    // What swap no longer has stands in the page alone (folio_free_swap): MADV_FREE must see that.
    setFrameFlags(m, rec, FRAME_DIRTY);
  }
  swapSlotFree(m, slot);
}

export function swapSlotUsers(m: Machine, slot: number): number {
  return m.words[m.words[H_SWAP_MAP] + slot];
}

/** The frame that holds the slot's page, or 0. */
export function swapCacheLookup(m: Machine, slot: number): number {
  return m.words[m.words[H_SWAP_CACHE] + slot];
}

/** The frame now holds the slot's page. */
export function swapCacheAdd(m: Machine, pfn: number, slot: number): void {
  m.words[m.words[H_SWAP_CACHE] + slot] = pfn;
  m.words[frameRecord(m, pfn) + F_SWAP_SLOT] = slot;
}

/** The frame (by its record) is no longer the slot's page: it is freed, rewritten, or the slot went. */
export function swapCacheForget(m: Machine, rec: number): void {
  const w = m.words;
  const at = w[H_SWAP_CACHE] + w[rec + F_SWAP_SLOT];
  // Another thread may have put a new frame in the place of this one, which was on its way out.
  if (w[at] !== 0 && frameRecord(m, w[at]) === rec) w[at] = 0;
  w[rec + F_SWAP_SLOT] = 0;
}

/** True while the frame's page also stands in swap for somebody else. */
export function isSharedWithSwap(m: Machine, rec: number): boolean {
  const slot = m.words[rec + F_SWAP_SLOT];
  return slot !== 0 && swapSlotUsers(m, slot) > 0;
}
