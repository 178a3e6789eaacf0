import { assert } from '../../../base/index.ts';
import { countClear } from './bit-field.ts';
import { HUGE_FRAMES, HUGE_ORDER } from './layout.ts';
import type { LLFree } from './llfree.ts';
import { localAt, localTree } from './locals.ts';
import { CHILD_HUGE, childOf, fieldOf } from './lower.ts';
import { classOf, TREE_FREE, TREE_RESERVED } from './trees.ts';

/**
 * Counts everything again while nobody works on the allocator: entries from bits, trees from
 * entries, reservations from locals. Throws AssertionError at the first difference.
 */
export function validateLLFree(a: LLFree): void {
  const freeOf = new Array<number>(a.treeCount).fill(0);
  for (let child = 0; child < a.childCount; child++) {
    freeOf[child >> (a.treeShift - HUGE_ORDER)]! += validateChild(a, child);
  }
  const reserved = new Map<number, number>();
  for (let cls = 0; cls < a.classes; cls++) {
    for (let core = 0; core < a.cores; core++) collectLocal(a, cls, core, reserved);
  }
  for (let tree = 0; tree < a.treeCount; tree++) {
    const word = a.words[a.treesAt + tree]!;
    const isReserved = (word & TREE_RESERVED) !== 0;
    assert(isReserved === reserved.has(tree), `tree ${tree}: reserved by one local, or not at all`);
    const free = (word & TREE_FREE) + (reserved.get(tree) ?? 0);
    assert(free === freeOf[tree], `tree ${tree}: counts ${free} free frames, has ${freeOf[tree]}`);
    assert(classOf(word) < a.classes, `tree ${tree}: class ${classOf(word)}`);
  }
}

/** Free frames of the bit field. */
function validateChild(a: LLFree, child: number): number {
  const entry = childOf(a, child);
  const clear = countClear(a.words, fieldOf(a, child));
  if (entry === CHILD_HUGE) {
    assert(clear === HUGE_FRAMES, `child ${child}: a huge frame with ${512 - clear} bits set`);
    return 0;
  }
  assert(entry === clear, `child ${child}: counts ${entry} free frames, has ${clear}`);
  return clear;
}

function collectLocal(a: LLFree, cls: number, core: number, reserved: Map<number, number>): void {
  const word = a.words[localAt(a, cls, core)]!;
  if (word === 0) return;
  const tree = localTree(a, word);
  assert(word < 0 && tree < a.treeCount, `core ${core}, class ${cls}: word ${word}`);
  assert(!reserved.has(tree), `tree ${tree} is reserved twice`);
  const its = classOf(a.words[a.treesAt + tree]!);
  assert(its === cls, `tree ${tree} of class ${its} is reserved for class ${cls}`);
  reserved.set(tree, word & a.freeMask);
}
