import { assert } from '../../../base/index.ts';
import type { LLFree } from './llfree.ts';
import { cas } from './words.ts';

/**
 * The tree array: a word for each tree. While a core has the tree reserved, its free frames are
 * counted in the core's local word, and the counter here holds only what others have freed since.
 */
export const TREE_FREE = 0x0fffffff;
export const TREE_RESERVED = 0x10000000;
const CLASS_SHIFT = 29;

/** A text that is put together would be so at each call. */
const TOO_MANY = 'a tree has more free frames than frames';

export function treeWord(free: number, cls: number): number {
  return free | (cls << CLASS_SHIFT);
}

/** The class of a tree's word, 0 to 7. */
export function classOf(word: number): number {
  return word >>> CLASS_SHIFT;
}

/** A tree that is free as a whole is of the last class again: huge, where there is such a class. */
function released(a: LLFree, free: number, cls: number): number {
  return treeWord(free, free === a.treeFrames ? a.classes - 1 : cls);
}

/** Adds freed frames. */
export function putTree(a: LLFree, tree: number, frames: number): void {
  const w = a.words;
  const at = a.treesAt + tree;
  for (;;) {
    const word = w[at]!;
    const free = (word & TREE_FREE) + frames;
    assert(free <= a.treeFrames, TOO_MANY);
    const isReserved = (word & TREE_RESERVED) !== 0;
    const next = isReserved ? word + frames : released(a, free, classOf(word));
    if (cas(w, at, word, next, a.isShared)) return;
  }
}

/** Takes frames off the counter, whoever has the tree; false if there are not as many. */
export function takeFromTree(a: LLFree, tree: number, frames: number): boolean {
  const w = a.words;
  const at = a.treesAt + tree;
  for (;;) {
    const word = w[at]!;
    if ((word & TREE_FREE) < frames) return false;
    if (cas(w, at, word, word - frames, a.isShared)) return true;
  }
}

/** Reserves the tree for the class if its word is still `word`. Its free frames are the caller's. */
export function reserveTree(a: LLFree, tree: number, word: number, cls: number): boolean {
  return cas(a.words, a.treesAt + tree, word, TREE_RESERVED | treeWord(0, cls), a.isShared);
}

/** Gives a reserved tree back, and with it the frames that were counted elsewhere. */
export function unreserveTree(a: LLFree, tree: number, frames: number): void {
  const w = a.words;
  const at = a.treesAt + tree;
  for (;;) {
    const word = w[at]!;
    assert((word & TREE_RESERVED) !== 0, 'a tree that is given back is reserved');
    const free = (word & TREE_FREE) + frames;
    assert(free <= a.treeFrames, TOO_MANY);
    if (cas(w, at, word, released(a, free, classOf(word)), a.isShared)) return;
  }
}

/** Takes all that others have freed in a reserved tree, if it is at least `min`; else -1. */
export function syncTree(a: LLFree, tree: number, min: number): number {
  const w = a.words;
  const at = a.treesAt + tree;
  for (;;) {
    const word = w[at]!;
    const free = word & TREE_FREE;
    if ((word & TREE_RESERVED) === 0 || free < min) return -1;
    if (cas(w, at, word, word & ~TREE_FREE, a.isShared)) return free;
  }
}

/** Turns a reserved tree over to another class. */
export function setTreeClass(a: LLFree, tree: number, cls: number): void {
  const w = a.words;
  const at = a.treesAt + tree;
  for (;;) {
    const word = w[at]!;
    const next = treeWord(word & (TREE_FREE | TREE_RESERVED), cls);
    if (cas(w, at, word, next, a.isShared)) return;
  }
}
