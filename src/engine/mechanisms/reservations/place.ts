import { blockOf, F_MAPPING, frameRecord } from '../../frames/frame-record.ts';
import { isReserved, populate, reserve } from '../../frames/reservation.ts';
import { holdsSlot, wantsHuge } from '../../huge/eligible.ts';
import { B_CHUNK, B_INDEX, B_MAPPING, BLOCK_FRAMES } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { V_ANON_VMA, V_INDEX_DELTA } from '../../space/vma.ts';
import { ENTRY_PAGE, KIND_MASK } from '../../tables/entry.ts';
import { entryFlags, entryWord } from '../../tables/leaf.ts';
import { T_COUNT } from '../../tables/table.ts';

/**
 * The frame for a page of a region (vm_reserv_alloc_page): its place in the reservation that the next
 * page below or above has; in a new one, if the region has no page and lies in the area whole; else 0,
 * and any frame will do. As there, a region that has a page elsewhere gets no reservation any more.
 *
 * Who owns a reservation is an anon_vma and an index in it, the counterpart of object and pindex.
 */
export function placePage(m: Machine, vma: number, leaf: number, hi: number, lo: number): number {
  if (m.entryCount !== BLOCK_FRAMES || !wantsHuge(m, vma)) return 0;
  const w = m.words;
  const place = lo & m.mask;
  const first = lo - place;
  const index = (Math.imul(hi, m.loPages) + first + w[vma + V_INDEX_DELTA]) | 0;
  const owner = w[vma + V_ANON_VMA];
  const below = nextPage(m, owner, leaf, place, -1);
  const above = nextPage(m, owner, leaf, place, 1);
  let block = ownReservation(m, owner, index, above);
  if (block === 0) block = ownReservation(m, owner, index, below);
  if (block !== 0) return populate(m, block, place);
  if (below !== 0 || above !== 0) return 0;
  if (!holdsSlot(m, vma, hi * m.loPages + first)) return 0;
  block = reserve(m, owner, index);
  return block === 0 ? 0 : populate(m, block, place);
}

/**
 * The frame of the next entry with a page of the owner's, downwards or upwards from a place; 0: none.
 * A page that a forked process has of its parent is the parent's.
 */
function nextPage(m: Machine, owner: number, leaf: number, place: number, step: 1 | -1): number {
  if (m.words[leaf + T_COUNT] === 0) return 0;
  for (let i = place + step; i >= 0 && i < m.entryCount; i += step) {
    if ((entryFlags(m, leaf, i) & KIND_MASK) !== ENTRY_PAGE) continue;
    const pfn = entryWord(m, leaf, i);
    if (ownerOf(m, pfn) === owner) return pfn;
  }
  return 0;
}

function ownerOf(m: Machine, pfn: number): number {
  const block = blockOf(m, pfn);
  if (m.words[block + B_CHUNK] === 0) return m.words[block + B_MAPPING];
  return m.words[frameRecord(m, pfn) + F_MAPPING];
}

/** The block of a frame if that is a reservation for the owner's pages from `index` on; else 0. */
function ownReservation(m: Machine, owner: number, index: number, pfn: number): number {
  if (pfn === 0) return 0;
  const w = m.words;
  const block = blockOf(m, pfn);
  if (!isReserved(m, block)) return 0;
  return w[block + B_MAPPING] === owner && w[block + B_INDEX] === index ? block : 0;
}
