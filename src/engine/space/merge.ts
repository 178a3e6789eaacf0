import type { Machine } from '../machine.ts';
import { anonVmaClone, hadUncowedParents, unlinkAnonVmas } from '../objects/anon-vma.ts';
import { linkObjectVma, objectPut, unlinkObjectVma } from '../objects/object.ts';
import { lockMappings, unlockMappings } from '../objects/object-lock.ts';
import { partOpsOf } from '../objects/window.ts';
import { MM_VMA_COUNT } from './mm.ts';
import { VM_DONTEXPAND, VM_MAYBE_GUARD, VM_MIXEDMAP, VM_PFNMAP } from './vm-flags.ts';
import {
  findVmaIndex,
  V_ANON_VMA,
  V_AVC,
  V_FLAGS,
  V_MM,
  V_OBJECT,
  vmaAt,
  vmaCreate,
  vmaDestroy,
  vmaEnd,
  vmaIndexOf,
  vmaInsert,
  vmaPgoff,
  vmaRemove,
  vmaSetRange,
  vmaStart,
} from './vma.ts';
import { vmaStartWrite } from './vma-lock.ts';

/**
 * Splitting and merging of VMAs (mm/vma.c). Two touching areas merge if their flags and object are
 * equal, the page offsets continue, and their anon_vmas fit.
 */
const VM_SPECIAL = VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP;

/**
 * Cuts a VMA at `page`; the new area is the lower part if `isNewBelow`, else the upper one.
 * Returns it, or 0 when the address space has too many areas.
 */
export function splitVma(m: Machine, vma: number, page: number, isNewBelow: boolean): number {
  const w = m.words;
  if (w[w[vma + V_MM] + MM_VMA_COUNT] >= m.rules.maxMapCount) return 0;
  return splitVmaUnchecked(m, vma, page, isNewBelow);
}

/** As `splitVma`, for callers that have checked the limit. */
export function splitVmaUnchecked(
  m: Machine,
  vma: number,
  page: number,
  isNewBelow: boolean,
): number {
  const start = vmaStart(m, vma);
  const end = vmaEnd(m, vma);
  const pgoff = vmaPgoff(m, vma);
  const upperPgoff = pgoff + (page - start);
  const object = m.words[vma + V_OBJECT];
  partOpsOf(m, vma)?.cut(m, vma, page);
  // The old area gives way before the new one enters the list; a truncation sees neither half alone.
  lockMappings(m, object);
  let made = 0;
  if (isNewBelow) {
    vmaSetRange(m, vma, page, end, upperPgoff);
    made = insertCopy(m, vma, start, page, pgoff);
  } else {
    vmaSetRange(m, vma, start, page, pgoff);
    made = insertCopy(m, vma, page, end, upperPgoff);
  }
  unlockMappings(m, object);
  return made;
}

/** A new area like `vma` (flags, anon_vmas, object) with other bounds. */
function insertCopy(m: Machine, vma: number, start: number, end: number, pgoff: number): number {
  const w = m.words;
  const made = vmaCreate(m, w[vma + V_MM], start, end, pgoff, w[vma + V_FLAGS]);
  w[made + V_ANON_VMA] = w[vma + V_ANON_VMA];
  if (w[vma + V_AVC] !== 0) anonVmaClone(m, made, vma);
  if (w[vma + V_OBJECT] !== 0) linkObjectVma(m, w[vma + V_OBJECT], made);
  vmaInsert(m, made);
  return made;
}

/** Takes an area out of the list and frees it with its links. */
export function deleteVma(m: Machine, vma: number): void {
  const object = m.words[vma + V_OBJECT];
  lockMappings(m, object);
  deleteVmaLocked(m, vma, object);
  unlockMappings(m, object);
  if (object !== 0) objectPut(m, object);
}

/** The caller holds the object's mapping lock, and drops the area's reference afterwards. */
function deleteVmaLocked(m: Machine, vma: number, object: number): void {
  vmaRemove(m, vma);
  if (m.words[vma + V_AVC] !== 0) unlinkAnonVmas(m, vma);
  if (object !== 0) unlinkObjectVma(m, vma);
  vmaDestroy(m, vma);
}

/** An area that a neighbour of the same object swallows: the object keeps other references. */
function absorbVma(m: Machine, vma: number): void {
  const object = m.words[vma + V_OBJECT];
  deleteVmaLocked(m, vma, object);
  if (object !== 0) objectPut(m, object);
}

/** What a merge is about: a range with what it is, or will be, made of. */
interface Proposal {
  start: number;
  end: number;
  pgoff: number;
  flags: number;
  object: number;
  anonVma: number;
  /** The existing area that the range is part of, or the one it is copied from; 0 for none. */
  source: number;
}

/** is_mergeable_anon_vma: may the range's pages live in `target`? */
function anonVmasFit(m: Machine, target: number, p: Proposal): boolean {
  const own = m.words[target + V_ANON_VMA];
  if (own === 0 && p.anonVma !== 0) return !hadUncowedParents(m, p.source);
  if (own !== 0 && p.anonVma === 0) return !hadUncowedParents(m, target);
  return own === p.anonVma;
}

function isLike(m: Machine, vma: number, p: Proposal): boolean {
  const differing = (m.words[vma + V_FLAGS] ^ p.flags) & ~VM_MAYBE_GUARD;
  return differing === 0 && m.words[vma + V_OBJECT] === p.object;
}

/** Offsets matter only where they mean something: every area has one, so always. */
function canMergeLeft(m: Machine, prev: number, p: Proposal): boolean {
  return (
    prev !== 0 &&
    vmaEnd(m, prev) === p.start &&
    isLike(m, prev, p) &&
    vmaPgoff(m, prev) + (p.start - vmaStart(m, prev)) === p.pgoff &&
    anonVmasFit(m, prev, p)
  );
}

/** If the range also merges with `prev`, left and right must fit each other as well. */
function canMergeRight(m: Machine, prev: number, next: number, p: Proposal): boolean {
  if (
    next === 0 ||
    vmaStart(m, next) !== p.end ||
    !isLike(m, next, p) ||
    vmaPgoff(m, next) !== p.pgoff + (p.end - p.start) ||
    !anonVmasFit(m, next, p)
  ) {
    return false;
  }
  if (prev === 0) return true;
  const left = m.words[prev + V_ANON_VMA];
  const right = m.words[next + V_ANON_VMA];
  return left === 0 || right === 0 || left === right;
}

/** The expanding area takes over the anon_vmas of pages that it gets (dup_anon_vma). */
function adoptAnonVma(m: Machine, dst: number, src: number): void {
  const w = m.words;
  if (src === 0 || w[src + V_ANON_VMA] === 0 || w[dst + V_ANON_VMA] !== 0) return;
  vmaStartWrite(m, dst);
  w[dst + V_ANON_VMA] = w[src + V_ANON_VMA];
  anonVmaClone(m, dst, src);
}

/** Sticky flags of whatever is merged into `target` stay. */
function keepSticky(m: Machine, target: number, ...flags: readonly number[]): void {
  for (const more of flags) m.words[target + V_FLAGS] |= more & VM_MAYBE_GUARD;
}

/**
 * Lets neighbours grow over a new range, which no area covers (vma_merge_new_range). Returns the
 * area that now holds the range, or 0: the caller makes one. `isExpandOnly`: only the area below
 * may grow (brk).
 */
export function mergeNewRange(
  m: Machine,
  mm: number,
  start: number,
  end: number,
  pgoff: number,
  flags: number,
  object: number,
  copiedFrom: number,
  isExpandOnly: boolean,
): number {
  if ((flags & VM_SPECIAL) !== 0) return 0;
  const anonVma = copiedFrom === 0 ? 0 : m.words[copiedFrom + V_ANON_VMA];
  const p: Proposal = { start, end, pgoff, flags, object, anonVma, source: copiedFrom };
  const at = findVmaIndex(m, mm, start);
  const prev = vmaAt(m, mm, at - 1);
  const next = vmaAt(m, mm, at);
  const left = canMergeLeft(m, prev, p) ? prev : 0;
  const right = !isExpandOnly && canMergeRight(m, left, next, p) ? next : 0;
  if (left === 0 && right === 0) return 0;
  const target = left !== 0 ? left : right;
  lockMappings(m, object);
  growOver(m, left, right, copiedFrom, start, end, pgoff, flags);
  unlockMappings(m, object);
  return target;
}

/** The neighbours that merge with [start, end) take it over. */
function growOver(
  m: Machine,
  left: number,
  right: number,
  copiedFrom: number,
  start: number,
  end: number,
  pgoff: number,
  flags: number,
): void {
  const target = left !== 0 ? left : right;
  vmaStartWrite(m, target);
  if (right !== 0) vmaStartWrite(m, right);
  keepSticky(m, target, flags, right === 0 ? 0 : m.words[right + V_FLAGS]);
  if (left !== 0 && right !== 0) {
    const newEnd = vmaEnd(m, right);
    adoptAnonVma(m, left, right);
    adoptAnonVma(m, left, copiedFrom);
    absorbVma(m, right);
    vmaSetRange(m, left, vmaStart(m, left), newEnd, vmaPgoff(m, left));
  } else {
    adoptAnonVma(m, target, copiedFrom);
    if (left !== 0) vmaSetRange(m, left, vmaStart(m, left), end, vmaPgoff(m, left));
    else vmaSetRange(m, right, start, vmaEnd(m, right), pgoff);
  }
}

/**
 * Gives the part [start, end) of an area other flags (vma_modify): merges it with neighbours that
 * are like that already, else cuts it out. Returns the area that then holds the part (its flags
 * set), or 0 when there would be too many areas.
 */
export function modifyVma(
  m: Machine,
  vma: number,
  start: number,
  end: number,
  flags: number,
): number {
  const merged = mergeExistingRange(m, vma, start, end, flags);
  if (merged !== 0) return merged;
  if (start > vmaStart(m, vma) && splitVma(m, vma, start, true) === 0) return 0;
  if (end < vmaEnd(m, vma) && splitVma(m, vma, end, false) === 0) return 0;
  vmaStartWrite(m, vma);
  m.words[vma + V_FLAGS] = flags;
  // Exclusive machines remember the last slot's VMA, whose flags they read anew; shared ones do not.
  return vma;
}

function mergeExistingRange(
  m: Machine,
  vma: number,
  start: number,
  end: number,
  flags: number,
): number {
  const w = m.words;
  const isAtStart = start === vmaStart(m, vma);
  const isAtEnd = end === vmaEnd(m, vma);
  if ((flags & VM_SPECIAL) !== 0 || (!isAtStart && !isAtEnd)) return 0;
  const pgoff = vmaPgoff(m, vma) + (start - vmaStart(m, vma));
  const object = w[vma + V_OBJECT];
  const p: Proposal = {
    start,
    end,
    pgoff,
    flags,
    object,
    anonVma: w[vma + V_ANON_VMA],
    source: vma,
  };
  const mm = w[vma + V_MM];
  const at = vmaIndexOf(m, vma);
  const prev = isAtStart ? vmaAt(m, mm, at - 1) : 0;
  const next = isAtEnd ? vmaAt(m, mm, at + 1) : 0;
  const left = canMergeLeft(m, prev, p) ? prev : 0;
  const right = canMergeRight(m, left, next, p) ? next : 0;
  if (left === 0 && right === 0) return 0;
  lockMappings(m, object);
  const target = absorbPart(m, vma, left, right, start, end, pgoff);
  unlockMappings(m, object);
  return target;
}

/** The neighbours that merge with the part [start, end) of an area take it over. */
function absorbPart(
  m: Machine,
  vma: number,
  left: number,
  right: number,
  start: number,
  end: number,
  pgoff: number,
): number {
  const w = m.words;
  const isAtStart = start === vmaStart(m, vma);
  const isAtEnd = end === vmaEnd(m, vma);
  vmaStartWrite(m, vma);
  if (left !== 0) vmaStartWrite(m, left);
  if (right !== 0) vmaStartWrite(m, right);
  keepSticky(m, left !== 0 ? left : right, w[vma + V_FLAGS], right === 0 ? 0 : w[right + V_FLAGS]);
  if (left !== 0 && right !== 0) {
    const newEnd = vmaEnd(m, right);
    adoptAnonVma(m, left, w[right + V_ANON_VMA] !== 0 ? right : vma);
    absorbVma(m, vma);
    absorbVma(m, right);
    vmaSetRange(m, left, vmaStart(m, left), newEnd, vmaPgoff(m, left));
    return left;
  }
  if (left !== 0) {
    adoptAnonVma(m, left, vma);
    if (isAtEnd) absorbVma(m, vma);
    else vmaSetRange(m, vma, end, vmaEnd(m, vma), vmaPgoff(m, vma) + (end - start));
    vmaSetRange(m, left, vmaStart(m, left), end, vmaPgoff(m, left));
    return left;
  }
  adoptAnonVma(m, right, vma);
  if (isAtStart) absorbVma(m, vma);
  else vmaSetRange(m, vma, vmaStart(m, vma), start, vmaPgoff(m, vma));
  vmaSetRange(m, right, start, vmaEnd(m, right), pgoff);
  return right;
}
