import { HUGE_FRAMES, HUGE_ORDER } from './layout.ts';
import { LLFree } from './llfree.ts';
import { CHILD_HUGE, childOf, recoverChild } from './lower.ts';
import { treeWord } from './trees.ts';

/**
 * The allocator in a buffer of which only the lower part (`lowerBytes`) outlived a crash, cut between
 * any two writes. Every bit field says which of its frames are in use; counters and trees are
 * computed again, reservations are gone. Of a `get` or `put` that was under way each frame may be in
 * use or free; all others are what they were. Throws InputError if there is no allocator.
 *
 * Nobody else may use the buffer meanwhile. A crash during recovery is recovered by another one.
 */
export function recoverLLFree(
  buffer: SharedArrayBuffer | ArrayBuffer,
  isShared = true,
  byteOffset = 0,
): LLFree {
  const a = LLFree.attach(buffer, isShared, byteOffset);
  for (let child = 0; child < a.childCount; child++) recoverChild(a, child);
  a.words.fill(0, a.treesAt);
  for (let tree = 0; tree < a.treeCount; tree++) a.words[a.treesAt + tree] = treeOf(a, tree);
  return a;
}

/** Classes are not kept. A tree with single frames in use has the class of single frames. */
function treeOf(a: LLFree, tree: number): number {
  const children = 1 << (a.treeShift - HUGE_ORDER);
  const end = Math.min((tree + 1) * children, a.childCount);
  let free = 0;
  let cls = a.defaultClass(HUGE_ORDER);
  for (let child = tree * children; child < end; child++) {
    const entry = childOf(a, child);
    if (entry === CHILD_HUGE) continue;
    free += entry;
    if (entry !== HUGE_FRAMES) cls = a.defaultClass(0);
  }
  return treeWord(free, cls);
}
