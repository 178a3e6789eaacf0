import { makeRoom } from '../frames/make-room.ts';
import type { Machine } from '../machine.ts';
import { resumeWorld, stopWorld } from '../threads/world.ts';
import { OWNER_KIND, OWNER_MM, OWNER_OBJECT, OWNER_ROOT, OWNER_ROOT_LEVEL } from './owner.ts';
import { isOwnersEntry, isSharedWord, sharedTableAt } from './shared-entry.ts';
import { unshareChild } from './sharing.ts';
import {
  closeStored,
  isOpened,
  markedTable,
  openForReclaim,
  openStored,
  restoreTable,
  unmarkChild,
} from './stored.ts';
import {
  FORM_MASK,
  FORM_UNIFORM,
  linkTable,
  ownerOfTable,
  setRoot,
  setTableDead,
  T_CONTENTS,
  T_COUNT,
  T_LOCK,
  T_PARENT,
  T_STATE,
  tableCreate,
  tableDestroy,
  tableLevel,
  unlinkTable,
} from './table.ts';
import { breakUniform } from './uniform.ts';

/**
 * From an address to its table. A page number comes as `hi` and `lo` (geometry.ts), so that
 * every step is integer arithmetic.
 */

/** Index of the entry at a level (0 is the last level). */
export function levelIndex(m: Machine, level: number, hi: number, lo: number): number {
  if (level === 0) return lo & m.mask;
  if (level === 1) return lo >> m.bits;
  if (level === 2) return hi & m.mask;
  if (level === 3) return (hi >> m.bits) & m.mask;
  return (hi >> (2 * m.bits)) & m.mask;
}

/** Pages that one entry of a level spans. */
export function entrySpan(m: Machine, level: number): number {
  return m.spans[level] as number;
}

/**
 * The last-level table of a page, or 0. A uniform table on the way is written out first, so the
 * result can be changed.
 */
export function findLeaf(m: Machine, owner: number, hi: number, lo: number): number {
  const leaf = leafWord(m, owner, hi, lo);
  return leaf >= 0 ? leaf : bringLeaf(m, owner, hi, lo);
}

/** The entry that names the last-level table of a page, whatever it is (stored.ts). */
export function leafWord(m: Machine, owner: number, hi: number, lo: number): number {
  const w = m.words;
  let table = w[owner + OWNER_ROOT];
  if (table === 0) return 0;
  let level = w[owner + OWNER_ROOT_LEVEL];
  if (!isWithinRoot(m, level, hi, lo)) return 0;
  if (level > 3) {
    table = w[w[table + T_CONTENTS] + ((hi >> (2 * m.bits)) & m.mask)];
    if (table === 0) return 0;
    level = 3;
  }
  if (level > 2) {
    table = w[w[table + T_CONTENTS] + ((hi >> m.bits) & m.mask)];
    if (table === 0) return 0;
    level = 2;
  }
  if (level > 1) {
    table = w[w[table + T_CONTENTS] + (hi & m.mask)];
    if (table === 0) return 0;
    level = 1;
  }
  return level === 0 ? table : w[w[table + T_CONTENTS] + (lo >> m.bits)];
}

/** Makes a table of what is uniform, marked or stored; 0 when memory is out. */
function bringLeaf(m: Machine, owner: number, hi: number, lo: number): number {
  const parent = findTable(m, owner, 1, hi, lo);
  if (isUniform(m, parent)) breakUniform(m, owner, parent);
  const index = lo >> m.bits;
  const word = m.words[m.words[parent + T_CONTENTS] + index];
  return word >= 0 ? word : restoreTable(m, owner, parent, index);
}

/**
 * As `findLeaf` for a walk that is no access of the program's and needs no frame: a stored table is
 * opened, and must be closed by `closeLeaf`; a marked one keeps its mark.
 */
export function openLeaf(m: Machine, owner: number, hi: number, lo: number): number {
  const word = leafWord(m, owner, hi, lo);
  if (word >= 0) return word;
  const parent = findTable(m, owner, 1, hi, lo);
  if (isUniform(m, parent)) breakUniform(m, owner, parent);
  return openChild(m, parent, lo >> m.bits);
}

/** As `findLeaf` for somebody who changes nothing: a table that others have too is given as it is. */
export function leafToRead(m: Machine, owner: number, hi: number, lo: number): number {
  const word = leafWord(m, owner, hi, lo);
  if (word >= 0) return word;
  return isSharedWord(word) ? sharedTableAt(m, word) : bringLeaf(m, owner, hi, lo);
}

/**
 * As `openLeaf`, but what it opens stays open until `closeOpened`. A table that several have is found
 * by way of its owner only, so each of its entries once.
 */
export function leafForReclaim(m: Machine, owner: number, hi: number, lo: number): number {
  const word = leafWord(m, owner, hi, lo);
  if (word >= 0) return word;
  const parent = findTable(m, owner, 1, hi, lo);
  const index = lo >> m.bits;
  if (isSharedWord(word)) {
    const shared = sharedTableAt(m, word);
    return isOwnersEntry(m, parent, index, shared) ? shared : 0;
  }
  if (!isUniform(m, parent) && markedTable(word) === 0) return openForReclaim(m, parent, index);
  return openLeaf(m, owner, hi, lo);
}

/**
 * The table below an entry of a table of level 1 that is not uniform: 0, a table, or an opened one. On a
 * shared machine the world stands still until `closeLeaf`; the caller holds no spin lock. A table that
 * others have too becomes the address space's own; 0 if there is no memory for that.
 */
export function openChild(m: Machine, parent: number, index: number): number {
  const word = m.words[m.words[parent + T_CONTENTS] + index];
  if (word >= 0) return word;
  if (isSharedWord(word)) return unshareChild(m, ownerOfTable(m, parent), parent, index);
  if (m.isShared && !m.isWorldStopped) return openChildStopped(m, parent, index);
  const marked = markedTable(word);
  return marked !== 0 ? marked : openStored(m, parent, index);
}

/** As `openChild` for somebody who changes nothing, or takes no more than the right to write away. */
export function openToRead(m: Machine, parent: number, index: number): number {
  const word = m.words[m.words[parent + T_CONTENTS] + index];
  return isSharedWord(word) ? sharedTableAt(m, word) : openChild(m, parent, index);
}

function openChildStopped(m: Machine, parent: number, index: number): number {
  for (;;) {
    const table = unmarkChild(m, parent, index);
    if (table >= 0) return table;
    stopWorld(m);
    const word = m.words[m.words[parent + T_CONTENTS] + index];
    if (word < 0 && markedTable(word) === 0) {
      m.stoppedFor = openStored(m, parent, index);
      return m.stoppedFor;
    }
    resumeWorld(m);
  }
}

export function closeLeaf(m: Machine, owner: number, table: number): void {
  if (table === 0 || !isOpened(m, table)) return;
  closeStored(m, owner, table);
  if (m.stoppedFor !== table) return;
  m.stoppedFor = 0;
  resumeWorld(m);
}

/** An address space's root spans everything; an object's index may be lower. */
function isWithinRoot(m: Machine, rootLevel: number, hi: number, lo: number): boolean {
  if (rootLevel >= m.geometry.levels - 1) return true;
  if (rootLevel === 0) return hi === 0 && lo <= m.mask;
  if (rootLevel === 1) return hi === 0;
  return rootLevel === 2 ? hi <= m.mask : hi >> (2 * m.bits) === 0;
}

/**
 * The table of `level` that holds the page, without making any; 0 if none. For level 0 the result is
 * negative if the table is marked or stored (stored.ts).
 */
export function findTable(
  m: Machine,
  owner: number,
  level: number,
  hi: number,
  lo: number,
): number {
  const w = m.words;
  let table = w[owner + OWNER_ROOT];
  if (table === 0) return 0;
  let at = w[owner + OWNER_ROOT_LEVEL];
  if (!isWithinRoot(m, at, hi, lo)) return 0;
  for (; at > level; at--) {
    if (at === 1 && (w[table + T_STATE] & FORM_MASK) === FORM_UNIFORM) {
      breakUniform(m, owner, table);
    }
    table = w[w[table + T_CONTENTS] + levelIndex(m, at, hi, lo)];
    if (table === 0) return 0;
  }
  return table;
}

/**
 * The table of `level` that holds the page, made with all tables above it where missing; 0 when
 * memory is out (tables made on the way stay, as in the kernel).
 */
export function ensureTable(
  m: Machine,
  owner: number,
  level: number,
  hi: number,
  lo: number,
): number {
  const w = m.words;
  if (w[owner + OWNER_KIND] === OWNER_OBJECT && !growRoot(m, owner, level, hi, lo)) return 0;
  let table = w[owner + OWNER_ROOT];
  for (let at = w[owner + OWNER_ROOT_LEVEL]; at > level; at--) {
    if (at === 1 && (w[table + T_STATE] & FORM_MASK) === FORM_UNIFORM) {
      breakUniform(m, owner, table);
    }
    const index = levelIndex(m, at, hi, lo);
    let child = w[w[table + T_CONTENTS] + index];
    if (child <= 0) {
      if (child < 0) child = restoreWithRoom(m, owner, table, index);
      else if (m.isShared) child = createChildLocked(m, owner, table, index, at - 1);
      else child = createChild(m, owner, table, index, at - 1);
      if (child === 0) return 0;
    }
    table = child;
  }
  return table;
}

/** On a shared machine room is made here: the caller holds no spin lock. */
function restoreWithRoom(m: Machine, owner: number, parent: number, index: number): number {
  let table = restoreTable(m, owner, parent, index);
  while (table === 0 && makeRoom(m)) table = restoreTable(m, owner, parent, index);
  return table;
}

/** The last-level table of a page, made where missing; 0 when memory is out. */
export function ensureLeaf(m: Machine, owner: number, hi: number, lo: number): number {
  const leaf = findLeaf(m, owner, hi, lo);
  return leaf !== 0 ? leaf : ensureTable(m, owner, 0, hi, lo);
}

function createChild(
  m: Machine,
  owner: number,
  parent: number,
  index: number,
  level: number,
): number {
  const child = tableCreate(m, owner, level);
  if (child !== 0) linkTable(m, parent, index, child);
  return child;
}

/** pmd_install: the one who finds the entry taken under the lock frees its own table. */
function createChildLocked(
  m: Machine,
  owner: number,
  parent: number,
  index: number,
  level: number,
): number {
  const w = m.words;
  let child = tableCreate(m, owner, level);
  // The index of an object is made under its page lock, so only its caller can make room.
  while (child === 0 && w[owner + OWNER_KIND] === OWNER_MM && makeRoom(m)) {
    child = tableCreate(m, owner, level);
  }
  if (child === 0) return 0;
  m.lock(parent + T_LOCK);
  const present = w[w[parent + T_CONTENTS] + index];
  if (present === 0) linkTable(m, parent, index, child);
  m.unlock(parent + T_LOCK);
  if (present === 0) return child;
  tableDestroy(m, owner, child);
  // Whoever made room here let reclaim in, which may have marked or stored the other's table since.
  return present > 0 ? present : restoreWithRoom(m, owner, parent, index);
}

/** An object's index gets a root high enough for the page. */
function growRoot(m: Machine, owner: number, level: number, hi: number, lo: number): boolean {
  const w = m.words;
  if (w[owner + OWNER_ROOT] === 0) {
    let rootLevel = level;
    while (!isWithinRoot(m, rootLevel, hi, lo)) rootLevel++;
    const root = tableCreate(m, owner, rootLevel);
    if (root === 0) return false;
    setRoot(m, owner, root);
    return true;
  }
  while (
    w[owner + OWNER_ROOT_LEVEL] < level ||
    !isWithinRoot(m, w[owner + OWNER_ROOT_LEVEL], hi, lo)
  ) {
    const old = w[owner + OWNER_ROOT];
    const root = tableCreate(m, owner, w[owner + OWNER_ROOT_LEVEL] + 1);
    if (root === 0) return false;
    linkTable(m, root, 0, old);
    setRoot(m, owner, root);
  }
  return true;
}

/** Unlinks and frees a table without entries (and, uniform ones aside, without children). */
export function freeTable(m: Machine, owner: number, table: number): void {
  const w = m.words;
  if (w[owner + OWNER_ROOT] === table) {
    w[owner + OWNER_ROOT] = 0;
  } else {
    if (m.isShared && !unhookForGood(m, table)) return;
    if (!m.isShared) unlinkTable(m, table);
  }
  tableDestroy(m, owner, table);
}

/** False if another thread has just taken the table out (a frozen one, tables/table-refs.ts). */
function unhookForGood(m: Machine, table: number): boolean {
  const w = m.words;
  const parent = w[table + T_PARENT];
  if (parent === 0) return false;
  m.lock(parent + T_LOCK);
  m.lock(table + T_LOCK);
  const isHere = w[table + T_PARENT] === parent;
  if (isHere) {
    setTableDead(m, table);
    unlinkTable(m, table);
  }
  m.unlock(table + T_LOCK);
  m.unlock(parent + T_LOCK);
  return isHere;
}

/** True for a table of level 1 in UNIFORM form. */
export function isUniform(m: Machine, table: number): boolean {
  return (m.words[table + T_STATE] & FORM_MASK) === FORM_UNIFORM;
}

/** Entries (or children) of a table that are not none. */
export function tableCount(m: Machine, table: number): number {
  return m.words[table + T_COUNT];
}

/**
 * Goes through the last-level tables of a range in address order. `next` gives the table and
 * leaves the part of the range that lies in it in `start` and `end` (pages).
 *
 * A uniform table that the range covers whole is given as itself (level 1, the part is its whole
 * span); one that it covers in part is written out. A stored table is opened, and closed by the
 * next call: go through to the end.
 */
export class LeafCursor {
  start = 0;
  end = 0;
  #at = 0;
  #limit = 0;
  #owner = 0;
  #opened = 0;
  #isReader = false;
  /** The table is one that others have too, and another's: only where the walk only reads. */
  isBorrowed = false;

  /** `isReader`: the walk changes nothing, so tables that others have too are given as they are. */
  begin(owner: number, start: number, end: number, isReader = false): void {
    this.#isReader = isReader;
    this.#owner = owner;
    this.#at = start;
    this.#limit = end;
  }

  next(m: Machine): number {
    const w = m.words;
    const span = m.entryCount;
    if (this.#opened !== 0) this.#close(m);
    this.isBorrowed = false;
    while (this.#at < this.#limit) {
      const hi = Math.floor(this.#at / m.loPages);
      const lo = this.#at - hi * m.loPages;
      let table = w[this.#owner + OWNER_ROOT];
      if (table === 0) return 0;
      let level = w[this.#owner + OWNER_ROOT_LEVEL];
      // Nothing is beyond the root, however far the walk may go: objects end at 2^45 pages.
      if (this.#at >= entrySpan(m, level + 1)) return 0;
      while (level > 0 && table !== 0) {
        if (level === 1 && isUniform(m, table)) {
          const from = hi * m.loPages;
          if (this.#at === from && this.#limit >= from + m.loPages) {
            this.start = from;
            this.end = from + m.loPages;
            this.#at = this.end;
            return table;
          }
          breakUniform(m, this.#owner, table);
        }
        const child = w[w[table + T_CONTENTS] + levelIndex(m, level, hi, lo)];
        table = child >= 0 ? child : this.#open(m, table, levelIndex(m, level, hi, lo));
        level--;
      }
      // The entry looked at last, at `level + 1`, spans this many pages.
      const skip = table !== 0 ? span : entrySpan(m, level + 1);
      const from = this.#at;
      this.#at = Math.min((Math.floor(from / skip) + 1) * skip, this.#limit);
      if (table === 0) continue;
      this.start = from;
      this.end = this.#at;
      return table;
    }
    return 0;
  }

  #open(m: Machine, parent: number, index: number): number {
    const word = m.words[m.words[parent + T_CONTENTS] + index];
    if (this.#isReader && isSharedWord(word)) {
      const shared = sharedTableAt(m, word);
      this.isBorrowed = !isOwnersEntry(m, parent, index, shared);
      return shared;
    }
    const table = openChild(m, parent, index);
    if (isOpened(m, table)) this.#opened = table;
    return table;
  }

  #close(m: Machine): void {
    closeLeaf(m, this.#owner, this.#opened);
    this.#opened = 0;
  }
}

/** True if the cursor's table is a last-level one (else it is uniform). */
export function isLeaf(m: Machine, table: number): boolean {
  return tableLevel(m, table) === 0;
}
