import { assert } from '../../base/index.ts';
import type { Machine } from '../machine.ts';
import { VM_MAYBE_GUARD } from '../space/vm-flags.ts';
import { V_FLAGS } from '../space/vma.ts';
import { isLink } from './link.ts';
import { OWNER_ROOT, OWNER_ROOT_LEVEL } from './owner.ts';
import { isSharedWord } from './shared-entry.ts';
import { leaveShared, unshareTable } from './shared-table.ts';
import { T_CONTENTS } from './table.ts';
import { entrySpan, findTable, isUniform, leafWord } from './walk.ts';

/**
 * Ranges of an address space with shared tables in them (shared-table.ts). Whoever changes entries gets
 * tables of its own first; whoever gives up a whole slot only leaves. Nothing here costs more than one
 * test on a machine without sharing.
 */

/** True if the table of the page is shared, or has been and still hangs in the tree as such. */
function isSharedAt(m: Machine, mm: number, page: number): boolean {
  const hi = Math.floor(page / m.loPages);
  return isSharedWord(leafWord(m, mm, hi, page - hi * m.loPages));
}

/** The table of a page becomes the address space's own; false when memory is out. */
function unshareAt(m: Machine, mm: number, page: number, mustNotFail: boolean): boolean {
  if (!isSharedAt(m, mm, page)) return true;
  const hi = Math.floor(page / m.loPages);
  const lo = page - hi * m.loPages;
  return unshareTable(m, mm, findTable(m, mm, 1, hi, lo), lo >> m.bits, mustNotFail) !== 0;
}

/** All tables of [start, end) become the address space's own; false when memory is out. */
export function unshareSlots(m: Machine, mm: number, start: number, end: number): boolean {
  if (m.sharing === null || start >= end) return true;
  return eachShared(m, mm, start, end, (page) => unshareAt(m, mm, page, false));
}

/**
 * The tables at both ends of [start, end) that reach beyond [floor, ceiling), the room that is to have
 * no entries, become the address space's own; false when memory is out.
 */
export function unshareEdges(
  m: Machine,
  mm: number,
  start: number,
  end: number,
  floor = start,
  ceiling = end,
): boolean {
  if (m.sharing === null || start >= end) return true;
  for (const page of [start, end - 1]) {
    const slot = page - (page % m.entryCount);
    const isInside = slot >= floor && slot + m.entryCount <= ceiling;
    if (!isInside && !unshareAt(m, mm, page, false)) return false;
  }
  return true;
}

/**
 * Before all entries of [start, end) go: sharers leave tables whose whole span lies in [floor, ceiling),
 * others are copied, from the last reserve if need be.
 */
export function leaveSlots(
  m: Machine,
  mm: number,
  start: number,
  end: number,
  floor = start,
  ceiling = end,
): void {
  if (m.sharing === null) return;
  eachShared(m, mm, start, end, (page, upper, index) => {
    if (page >= floor && page + m.entryCount <= ceiling) leaveShared(m, mm, upper, index);
    else mustUnshare(m, mm, upper, index);
    return true;
  });
}

/** Before some entries of [start, end), a range of one area, go; `keeps`: others of them stay. */
export function leaveOrUnshare(
  m: Machine,
  mm: number,
  vma: number,
  start: number,
  end: number,
  keepsGuards: boolean,
  keepsPages: boolean,
): void {
  const hasGuards = keepsGuards && (m.words[vma + V_FLAGS] & VM_MAYBE_GUARD) !== 0;
  if (!hasGuards && !keepsPages) {
    leaveSlots(m, mm, start, end);
    return;
  }
  eachShared(m, mm, start, end, (_page, upper, index) => {
    mustUnshare(m, mm, upper, index);
    return true;
  });
}

/** A table of its own for an address space that gives memory back, from the last reserve if need be. */
export function mustUnshare(m: Machine, mm: number, upper: number, index: number): number {
  const table = unshareTable(m, mm, upper, index, true);
  assert(table !== 0, 'no frame for a table to give memory back');
  return table;
}

type Visit = (page: number, upper: number, index: number) => boolean;

/** Visits the shared slots that [start, end) touches; false as soon as a visit says so. */
function eachShared(m: Machine, mm: number, start: number, end: number, visit: Visit): boolean {
  const root = m.words[mm + OWNER_ROOT];
  if (root === 0) return true;
  return eachBelow(m, root, m.words[mm + OWNER_ROOT_LEVEL], 0, start, end, visit);
}

function eachBelow(
  m: Machine,
  table: number,
  level: number,
  base: number,
  start: number,
  end: number,
  visit: Visit,
): boolean {
  if (level === 1 && isUniform(m, table)) return true;
  const w = m.words;
  const span = entrySpan(m, level);
  const first = Math.max(0, Math.floor((start - base) / span));
  const last = Math.min(m.entryCount - 1, Math.floor((end - 1 - base) / span));
  for (let i = first; i <= last; i++) {
    const word = w[w[table + T_CONTENTS] + i];
    const from = base + i * span;
    if (level > 1) {
      const isOwn = word !== 0 && !isLink(m, table, i);
      if (isOwn && !eachBelow(m, word, level - 1, from, start, end, visit)) return false;
    } else if (isSharedWord(word) && !visit(from, table, i)) {
      return false;
    }
  }
  return true;
}
