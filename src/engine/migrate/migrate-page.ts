import { assert } from '../../base/index.ts';
import { splitFolioOf } from '../frames/folio.ts';
import {
  F_INDEX,
  F_MAPCOUNT,
  F_MAPPING,
  F_NEXT,
  F_STATE,
  F_SWAP_SLOT,
  FRAME_KSM,
  frameRecord,
  TYPE_MASK,
  TYPE_OBJECT,
  TYPE_TAIL,
} from '../frames/frame-record.ts';
import { ensureRecord } from '../frames/map-count.ts';
import { breakReservationOf } from '../frames/reservation.ts';
import type { Machine } from '../machine.ts';
import { contentsOfFrame, readContents, writeContents } from '../objects/contents.ts';
import { objectPageOf } from '../objects/object.ts';
import { RmapWalk } from '../objects/rmap.ts';
import { swapCacheAdd } from '../objects/swap.ts';
import { changeEntry, entryFlags } from '../tables/leaf.ts';
import { closeOpened } from '../tables/stored.ts';
import { findLeaf } from '../tables/walk.ts';

const walk = new RmapWalk();

/**
 * Moves an anonymous page or an object's page to another frame (migrate_folio_unmap and _move in
 * one, as nobody can look in between): every entry that maps it, the object's index, the swap cache.
 * The new frame keeps the map count, the place on the LRU (stamp and flags), and the dirty marks. The
 * old frame's record says "tail" afterwards. `to` is a frame that the caller has allocated.
 */
export function migratePage(m: Machine, from: number, to: number): void {
  const w = m.words;
  const old = ensureRecord(m, from);
  splitFolioOf(m, from);
  breakReservationOf(m, from);
  const rec = frameRecord(m, to);
  remap(m, from, to, w[old + F_MAPCOUNT]);
  if ((w[old + F_STATE] & TYPE_MASK) === TYPE_OBJECT) {
    const object = w[old + F_MAPPING];
    const page = objectPageOf(m, object, from, w[old + F_INDEX] >>> 0);
    const hi = Math.floor(page / m.loPages);
    const lo = page - hi * m.loPages;
    const leaf = findLeaf(m, object, hi, lo);
    changeEntry(m, leaf, lo & m.mask, entryFlags(m, leaf, lo & m.mask), to);
  }
  for (let i = 0; i < F_NEXT; i++) w[rec + i] = w[old + i];
  writeContents(m, to, readContents(m, contentsOfFrame(m, from)));
  if ((w[rec + F_STATE] & FRAME_KSM) !== 0) m.ksm?.moved(from, to);
  if (w[old + F_SWAP_SLOT] !== 0) swapCacheAdd(m, to, w[old + F_SWAP_SLOT]);
  // A first touch relies on free frames having none.
  w[old + F_SWAP_SLOT] = 0;
  w[old + F_STATE] = TYPE_TAIL;
}

function remap(m: Machine, from: number, to: number, expected: number): void {
  let found = 0;
  walk.begin(m, from);
  while (walk.next(m)) {
    changeEntry(m, walk.leaf, walk.index, entryFlags(m, walk.leaf, walk.index), to);
    found++;
  }
  closeOpened(m);
  assert(found === expected, `frame ${from} is mapped ${expected} times, ${found} found`);
}
