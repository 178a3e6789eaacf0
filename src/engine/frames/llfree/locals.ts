import { LINE_WORDS, WORD_ORDER } from './layout.ts';
import type { LLFree } from './llfree.ts';
import { unreserveTree } from './trees.ts';
import { cas, exchange } from './words.ts';

/**
 * What a core has reserved: a cache line for each class and core.
 *
 *   word 0  the sign bit, the tree, how many of its frames are free; 0: nothing
 *   word 1  where the next search begins: a frame number divided by 32
 *   word 2  the tree that this core freed in last
 *   word 3  how often in a row
 *
 * Words 1 to 3 only guide; they are the core's and written by plain stores. So a start that belongs
 * to an earlier tree is possible, and is not used.
 */
export const LOCAL_START = 1;
export const LOCAL_LAST_TREE = 2;
export const LOCAL_LAST_RUN = 3;

export const LOCAL_PRESENT: number = -(2 ** 31);

export function localAt(a: LLFree, cls: number, core: number): number {
  return a.localsAt + (cls * a.cores + core) * LINE_WORDS;
}

/** A local's word of a tree with that many free frames. */
export function localWord(a: LLFree, tree: number, free: number): number {
  return LOCAL_PRESENT | (tree << a.freeBits) | free;
}

export function localTree(a: LLFree, word: number): number {
  return (word & ~LOCAL_PRESENT) >> a.freeBits;
}

/** Takes frames off a local's counter: its tree, or -1 if there are not as many. */
export function takeFromLocal(a: LLFree, at: number, frames: number): number {
  const w = a.words;
  for (;;) {
    const word = w[at]!;
    if ((word & a.freeMask) < frames) return -1;
    if (cas(w, at, word, word - frames, a.isShared)) return localTree(a, word);
  }
}

/** Adds free frames of a tree; false if the local is not that tree's. */
export function giveToLocal(a: LLFree, at: number, tree: number, frames: number): boolean {
  const w = a.words;
  for (;;) {
    const word = w[at]!;
    if (word >= 0 || localTree(a, word) !== tree) return false;
    if (cas(w, at, word, word + frames, a.isShared)) return true;
  }
}

/** Puts a reserved tree in the place of what the local had, which is given back. */
export function installLocal(a: LLFree, at: number, tree: number, free: number): void {
  const old = exchange(a.words, at, localWord(a, tree, free), a.isShared);
  if (old < 0) unreserveTree(a, localTree(a, old), old & a.freeMask);
}

/** Empties the local. */
export function drainLocal(a: LLFree, at: number): void {
  if (a.words[at] === 0) return;
  const old = exchange(a.words, at, 0, a.isShared);
  if (old < 0) unreserveTree(a, localTree(a, old), old & a.freeMask);
}

/** Remembers where the next search begins. */
export function setStart(a: LLFree, at: number, frame: number): void {
  const start = frame >> WORD_ORDER;
  if (a.words[at + LOCAL_START] !== start) a.words[at + LOCAL_START] = start;
}
