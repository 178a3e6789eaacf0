import { Errno } from '../../../base/index.ts';
import { pause } from '../../threads/pause.ts';
import { clearRun, clearRuns, countClear, fillField, runBits, setRun } from './bit-field.ts';
import { FIELD_WORDS, HUGE_FRAMES, HUGE_ORDER, WORD_ORDER } from './layout.ts';
import type { LLFree } from './llfree.ts';
import { add, cas } from './words.ts';

/**
 * The lower allocator: bit fields, and for each a child entry of 16 bits, two in a word. An entry is
 * the number of clear bits, 0 to 512, or says that the 512 frames are one huge frame; then all bits
 * are clear.
 *
 * The counter falls before bits are set and rises after they are cleared. So it never promises more
 * than is there, and after a crash it is at most too low.
 */
export const CHILD_HUGE = 0x8000;
/** Together with CHILD_HUGE: somebody is turning the huge frame into 512 frames in use. */
export const CHILD_SPLITTING = 0x4000;

export function childOf(a: LLFree, child: number): number {
  return (a.words[a.childrenAt + (child >> 1)]! >>> ((child & 1) << 4)) & 0xffff;
}

export function fieldOf(a: LLFree, child: number): number {
  return a.fieldsAt + child * FIELD_WORDS;
}

/** Takes `frames` off the counter; false if there are not as many. */
function takeFromChild(a: LLFree, child: number, frames: number): boolean {
  const w = a.words;
  const at = a.childrenAt + (child >> 1);
  const shift = (child & 1) << 4;
  for (;;) {
    const pair = w[at]!;
    const entry = (pair >>> shift) & 0xffff;
    if (entry < frames || entry > HUGE_FRAMES) return false;
    if (cas(w, at, pair, (pair - (frames << shift)) | 0, a.isShared)) return true;
  }
}

/** Counter and clear bits never exceed 512 together, so the addition cannot reach the neighbour. */
function giveToChild(a: LLFree, child: number, frames: number): void {
  add(a.words, a.childrenAt + (child >> 1), frames << ((child & 1) << 4), a.isShared);
}

/** Turns an entry from one value into another; false if it has a different one. */
export function turnChild(a: LLFree, child: number, from: number, to: number): boolean {
  const w = a.words;
  const at = a.childrenAt + (child >> 1);
  const shift = (child & 1) << 4;
  for (;;) {
    const pair = w[at]!;
    if (((pair >>> shift) & 0xffff) !== from) return false;
    const next = (pair & ~(0xffff << shift)) | (to << shift);
    if (cas(w, at, pair, next, a.isShared)) return true;
  }
}

/**
 * Finds 2^order frames in the tree and marks them as in use, searching from the word of `hint` (a
 * frame number divided by 32) if that lies in the tree. The first frame, or -1.
 */
export function getLower(a: LLFree, tree: number, hint: number, order: number): number {
  const childShift = a.treeShift - HUGE_ORDER;
  const first = tree << childShift;
  const count = Math.min(1 << childShift, a.childCount - first);
  const isHinted = hint >> (a.treeShift - WORD_ORDER) === tree;
  let child = isHinted ? hint >> (HUGE_ORDER - WORD_ORDER) : first;
  let word = isHinted ? hint & (FIELD_WORDS - 1) : 0;
  if (order > HUGE_ORDER) return getChildren(a, first, count, child, 1 << (order - HUGE_ORDER));
  for (let i = 0; i < count; i++) {
    if (order === HUGE_ORDER) {
      if (turnChild(a, child, HUGE_FRAMES, CHILD_HUGE)) return child << HUGE_ORDER;
    } else if (takeFromChild(a, child, 1 << order)) {
      const bit = setRun(a.words, fieldOf(a, child), word, order, a.isShared);
      if (bit >= 0) return (child << HUGE_ORDER) + bit;
      giveToChild(a, child, 1 << order);
    }
    word = 0;
    child += 1;
    if (child === first + count) child = first;
  }
  return -1;
}

/** Takes `wanted` huge frames in a row, at a multiple of that, from the run of `hint` on. */
function getChildren(
  a: LLFree,
  first: number,
  count: number,
  hint: number,
  wanted: number,
): number {
  const runs = Math.floor(count / wanted);
  let run = Math.floor((hint - first) / wanted);
  for (let i = 0; i < runs; i++) {
    if (run >= runs) run = 0;
    const child = first + run * wanted;
    if (takeChildren(a, child, wanted)) return child << HUGE_ORDER;
    run += 1;
  }
  return -1;
}

/** All or none. Huge frames that are taken and then given back look taken to others in between. */
function takeChildren(a: LLFree, child: number, wanted: number): boolean {
  for (let i = 0; i < wanted; i++) if (childOf(a, child + i) !== HUGE_FRAMES) return false;
  for (let i = 0; i < wanted; i++) {
    if (turnChild(a, child + i, HUGE_FRAMES, CHILD_HUGE)) continue;
    while (--i >= 0) turnChild(a, child + i, CHILD_HUGE, HUGE_FRAMES);
    return false;
  }
  return true;
}

/** Huge frames in a row that are in use are one caller's: nobody else changes them. */
function putChildren(a: LLFree, child: number, count: number): boolean {
  for (let i = 0; i < count; i++) if (childOf(a, child + i) !== CHILD_HUGE) return false;
  for (let i = 0; i < count; i++) {
    if (!turnChild(a, child + i, CHILD_HUGE, HUGE_FRAMES)) return false;
  }
  return true;
}

/**
 * The same in the hinted word alone, order 0 to 5, which most calls need: the bits are looked at
 * before the counter is taken, and nothing here loops over words, so that it is compiled into `get`.
 */
export function getHinted(a: LLFree, tree: number, hint: number, order: number): number {
  if (hint >> (a.treeShift - WORD_ORDER) !== tree) return -1;
  const w = a.words;
  const at = a.fieldsAt + hint;
  const bits = w[at]!;
  const starts = order === 0 ? ~bits : clearRuns(bits, order);
  if (starts === 0) return -1;
  const child = hint >> (HUGE_ORDER - WORD_ORDER);
  if (!takeFromChild(a, child, 1 << order)) return -1;
  const first = 31 - Math.clz32(starts & -starts);
  if (cas(w, at, bits, bits | (runBits(order) << first), a.isShared)) return hint * 32 + first;
  giveToChild(a, child, 1 << order);
  return -1;
}

/** Marks 2^order frames as free again: 0, or -EINVAL if they were not in use as a whole. */
export function putLower(a: LLFree, frame: number, order: number): number {
  const child = frame >> HUGE_ORDER;
  if (order >= HUGE_ORDER) {
    return putChildren(a, child, 1 << (order - HUGE_ORDER)) ? 0 : -Errno.EINVAL;
  }
  if (childOf(a, child) >= CHILD_HUGE) splitHuge(a, child);
  const bit = frame & (HUGE_FRAMES - 1);
  if (!clearRun(a.words, fieldOf(a, child), bit, order, a.isShared)) return -Errno.EINVAL;
  giveToChild(a, child, 1 << order);
  return 0;
}

/**
 * A part of a huge frame is about to be freed: from now on it is 512 frames in use. Of several at
 * once one does it and the others wait. Nobody else looks at the bits of a huge frame.
 */
function splitHuge(a: LLFree, child: number): void {
  if (turnChild(a, child, CHILD_HUGE, CHILD_HUGE | CHILD_SPLITTING)) {
    fillField(a.words, fieldOf(a, child), -1, a.isShared);
    turnChild(a, child, CHILD_HUGE | CHILD_SPLITTING, 0);
    return;
  }
  const at = a.childrenAt + (child >> 1);
  const splitting = CHILD_SPLITTING << ((child & 1) << 4);
  // An atomic load, for nothing else in the loop need be one.
  for (let pair = Atomics.load(a.words, at); (pair & splitting) !== 0; ) {
    pause(a.words, at, pair);
    pair = Atomics.load(a.words, at);
  }
}

/** What a bit field makes of its entry: a huge frame stays one, else the number of clear bits. */
export function recoverChild(a: LLFree, child: number): void {
  const field = fieldOf(a, child);
  const entry = childOf(a, child);
  const isHuge = (entry & CHILD_HUGE) !== 0;
  // Bits before the mark goes: a crash in between is recovered once more in the same way.
  if (isHuge) fillField(a.words, field, 0, a.isShared);
  const next = isHuge ? CHILD_HUGE : countClear(a.words, field);
  if (next !== entry) turnChild(a, child, entry, next);
}
