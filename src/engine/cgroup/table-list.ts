import { arenaAlloc, arenaFree, classFor, classWords } from '../arena.ts';
import type { Machine } from '../machine.ts';
import { T_INDEX } from '../tables/table.ts';
import { CG_CAPACITY, CG_COUNT, CG_LIST } from './cgroup.ts';

/**
 * A cgroup's list of page tables, for whoever picks some to reclaim. It holds the tables of level 1
 * (a PMD table, one a GiB); each names its up to 512 last-level tables. So a last-level table joins
 * and leaves by being hung up and taken off, at no cost, and a pick is a place in the list and one
 * in the table.
 *
 * An array without holes: the last takes the place of one that leaves. A table of level 1 keeps its
 * place + 1 in the bits of T_INDEX above its index.
 */
const PLACE_SHIFT = 9;
const INDEX_MASK = (1 << PLACE_SHIFT) - 1;
const FIRST_CLASS: number = classFor(16);

/** Puts a table of level 1 on the list. */
export function joinList(m: Machine, cgroup: number, table: number): void {
  const w = m.words;
  const count = w[cgroup + CG_COUNT];
  if (count === w[cgroup + CG_CAPACITY]) grow(m, cgroup);
  w[w[cgroup + CG_LIST] + count] = table;
  w[cgroup + CG_COUNT] = count + 1;
  setPlace(m, table, count + 1);
}

/** Takes it off; one that is not on the list is left alone. */
export function leaveList(m: Machine, cgroup: number, table: number): void {
  const w = m.words;
  const place = w[table + T_INDEX] >>> PLACE_SHIFT;
  if (place === 0) return;
  const list = w[cgroup + CG_LIST];
  const last = w[list + w[cgroup + CG_COUNT] - 1];
  w[list + place - 1] = last;
  setPlace(m, last, place);
  setPlace(m, table, 0);
  w[cgroup + CG_COUNT] -= 1;
}

/** The table's id changed; it knows its place still. */
export function relist(m: Machine, cgroup: number, table: number): void {
  const place = m.words[table + T_INDEX] >>> PLACE_SHIFT;
  if (place > 0) m.words[m.words[cgroup + CG_LIST] + place - 1] = table;
}

/** The table at a place, from 0 to the count less one. */
export function listedTable(m: Machine, cgroup: number, at: number): number {
  return m.words[m.words[cgroup + CG_LIST] + at];
}

/** True if the table stands where it says. */
export function isListed(m: Machine, cgroup: number, table: number): boolean {
  const place = m.words[table + T_INDEX] >>> PLACE_SHIFT;
  return (
    place > 0 && place <= m.words[cgroup + CG_COUNT] && listedTable(m, cgroup, place - 1) === table
  );
}

function setPlace(m: Machine, table: number, place: number): void {
  if (m.isShared) {
    // Another thread may be hanging the table up, which writes its index.
    Atomics.and(m.words, table + T_INDEX, INDEX_MASK);
    Atomics.or(m.words, table + T_INDEX, place << PLACE_SHIFT);
    return;
  }
  m.words[table + T_INDEX] = (m.words[table + T_INDEX] & INDEX_MASK) | (place << PLACE_SHIFT);
}

function grow(m: Machine, cgroup: number): void {
  const w = m.words;
  const old = w[cgroup + CG_LIST];
  const capacity = w[cgroup + CG_CAPACITY];
  const sizeClass = capacity === 0 ? FIRST_CLASS : classFor(capacity * 2);
  const list = arenaAlloc(m, sizeClass);
  w.copyWithin(list, old, old + w[cgroup + CG_COUNT]);
  if (capacity > 0) arenaFree(m, classFor(capacity), old);
  w[cgroup + CG_LIST] = list;
  w[cgroup + CG_CAPACITY] = classWords(sizeClass);
}
