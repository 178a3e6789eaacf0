import { Errno } from '../../../base/index.ts';
import type { Machine } from '../../machine.ts';
import { O_REFS, O_VMAS, objectGet, objectPut } from '../../objects/object.ts';
import { ENTRY_NONE, ENTRY_WRITE } from '../../tables/entry.ts';
import { T_PFN } from '../../tables/table.ts';
import { entrySpan } from '../../tables/walk.ts';
import { ownPath } from './copy.ts';
import {
  isFrozen,
  M_BASE,
  M_IS_FROZEN,
  M_LEVEL,
  M_PAGE_LEVEL,
  M_ROOT,
  type MorselStore,
  morselOf,
  spanPages,
  tableNew,
} from './morsel.ts';
import { relinkWindows, windowsCut } from './relink.ts';
import {
  BORROWED,
  clearUpper,
  indexAt,
  setUpper,
  tableFor,
  UPPER_OWN,
  UPPER_SHARED,
  upperFlags,
  upperWord,
} from './tree.ts';

/**
 * One object from another. All of these are a pointer and a count; what they share is copied when one
 * side writes (copy.ts).
 */

/**
 * A second object of the same contents, each of which then writes for itself: the root gets one more
 * object. Clones may be cloned. What a frozen base lends (`morselSplit`) cannot be: -EINVAL.
 */
export function morselClone(m: Machine, store: MorselStore, morsel: number): number {
  const w = m.words;
  if (w[morsel + M_BASE] !== 0) return -Errno.EINVAL;
  store.counts.inc(w[w[morsel + M_ROOT] + T_PFN]);
  store.work.clones += 1;
  return morselOf(m, store, w[morsel + M_ROOT], w[morsel + M_PAGE_LEVEL]);
}

/** From now on the object is a base that nobody writes: a write is SIGSEGV. */
export function morselFreeze(m: Machine, morsel: number): number {
  if (m.words[morsel + M_BASE] !== 0) return -Errno.EINVAL;
  m.words[morsel + M_IS_FROZEN] = 1;
  return 0;
}

/**
 * A child of a frozen base, which alone is copy-on-write ("Efficient Copy-on-Write for Virtual-Memory
 * Objects", 2024): one level, so no counts are needed. Its entries say what is the base's; the base lives
 * as long as the child. -EINVAL for a base that is not frozen, or is such a child itself.
 */
export function morselSplit(m: Machine, store: MorselStore, base: number): number {
  const w = m.words;
  if (!isFrozen(m, base) || w[base + M_BASE] !== 0) return -Errno.EINVAL;
  const child = morselOf(m, store, w[base + M_ROOT], w[base + M_PAGE_LEVEL]);
  w[child + M_BASE] = base;
  objectGet(m, base);
  store.work.clones += 1;
  return child;
}

/** As `ownPath`, with the windows led to where the tables are now. */
function ownPart(
  m: Machine,
  store: MorselStore,
  morsel: number,
  page: number,
  level: number,
): number {
  const table = ownPath(m, store, morsel, page, level);
  relinkWindows(m, store, morsel);
  return table;
}

/** A part of an object: a table of `level` at a multiple of its span. */
function isPart(m: Machine, morsel: number, page: number, level: number): boolean {
  const w = m.words;
  const span = entrySpan(m, level + 1);
  const isLevel = level >= w[morsel + M_PAGE_LEVEL] && level < w[morsel + M_LEVEL];
  return isLevel && page >= 0 && page % span === 0 && page + span <= spanPages(m, morsel);
}

/**
 * Takes a part out: it becomes an object of its own, and the pages there are none of the old one's any
 * more. -EINVAL for what is no part, -EBUSY while a window shows that part alone, -ENOMEM.
 */
export function morselSplitOff(
  m: Machine,
  store: MorselStore,
  morsel: number,
  page: number,
  level: number,
): number {
  const w = m.words;
  if (!isPart(m, morsel, page, level) || isFrozen(m, morsel)) return -Errno.EINVAL;
  if (windowsCut(m, morsel, page, level)) return -Errno.EBUSY;
  const parent = ownPart(m, store, morsel, page, level + 1);
  if (parent === 0) return -Errno.ENOMEM;
  const index = indexAt(m, level + 1, page);
  const flags = upperFlags(m, parent, index);
  if (flags === ENTRY_NONE) return lend(m, morsel, newPart(m, store, morsel, level));
  // What is the base's is copied; what is shared stays so, and its reference moves.
  const isLent = (flags & BORROWED) !== 0;
  if (isLent && ownPart(m, store, morsel, page, level) === 0) return -Errno.ENOMEM;
  const part = morselOf(m, store, upperWord(m, parent, index), w[morsel + M_PAGE_LEVEL]);
  clearUpper(m, parent, index);
  return lend(m, morsel, part);
}

/** A part of a base's child is one too: entries below may still be the base's. */
function lend(m: Machine, morsel: number, part: number): number {
  const base = m.words[morsel + M_BASE];
  if (part < 0 || base === 0) return part;
  m.words[part + M_BASE] = base;
  objectGet(m, base);
  return part;
}

/** A clone of a part. -EINVAL for what is no part or only lent. */
export function morselClonePart(
  m: Machine,
  store: MorselStore,
  morsel: number,
  page: number,
  level: number,
): number {
  const w = m.words;
  if (!isPart(m, morsel, page, level) || w[morsel + M_BASE] !== 0) return -Errno.EINVAL;
  const parent = tableFor(m, morsel, page, level + 1);
  const table = tableFor(m, morsel, page, level);
  if (table === 0) return newPart(m, store, morsel, level);
  const index = indexAt(m, level + 1, page);
  // A parent that others lead to as well has no right to write there for anybody.
  setUpper(m, parent, index, table, upperFlags(m, parent, index) & ~ENTRY_WRITE);
  store.counts.inc(w[table + T_PFN]);
  store.work.clones += 1;
  return morselOf(m, store, table, w[morsel + M_PAGE_LEVEL]);
}

function newPart(m: Machine, store: MorselStore, morsel: number, level: number): number {
  const root = tableNew(m, store, level);
  return root === 0 ? -Errno.ENOMEM : morselOf(m, store, root, m.words[morsel + M_PAGE_LEVEL]);
}

/**
 * Puts an object into a larger one, where that is empty: `part` is gone as an object, the caller's
 * reference with it. -EINVAL for sizes that do not fit, -EBUSY while somebody else holds or maps the part,
 * -EEXIST where the place is taken, -ENOMEM.
 */
export function morselEmbed(
  m: Machine,
  store: MorselStore,
  morsel: number,
  page: number,
  part: number,
): number {
  const w = m.words;
  const level = w[part + M_LEVEL];
  if (!isPart(m, morsel, page, level) || isFrozen(m, morsel)) return -Errno.EINVAL;
  if (w[part + M_PAGE_LEVEL] !== w[morsel + M_PAGE_LEVEL] || part === morsel) return -Errno.EINVAL;
  // Lent entries know their base by their object.
  if (w[part + M_BASE] !== 0 || w[morsel + M_BASE] !== 0 || isFrozen(m, part)) return -Errno.EINVAL;
  if (w[part + O_VMAS] !== 0 || w[part + O_REFS] !== 1) return -Errno.EBUSY;
  const parent = ownPart(m, store, morsel, page, level + 1);
  if (parent === 0) return -Errno.ENOMEM;
  const index = indexAt(m, level + 1, page);
  if (upperFlags(m, parent, index) !== ENTRY_NONE) return -Errno.EEXIST;
  const root = w[part + M_ROOT];
  const isOwn = store.counts.get(w[root + T_PFN]) === 1;
  setUpper(m, parent, index, root, isOwn ? UPPER_OWN : UPPER_SHARED);
  w[part + M_ROOT] = 0;
  objectPut(m, part);
  return 0;
}
