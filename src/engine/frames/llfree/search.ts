import { HUGE_ORDER } from './layout.ts';
import type { LLFree } from './llfree.ts';
import { installLocal, localAt, setStart } from './locals.ts';
import { getLower } from './lower.ts';
import {
  classOf,
  putTree,
  reserveTree,
  setTreeClass,
  TREE_FREE,
  TREE_RESERVED,
  takeFromTree,
  unreserveTree,
} from './trees.ts';

/**
 * Which tree a core reserves next. The aim is the same in both designs: fill what is partly used,
 * keep what is free as a whole for huge frames, and keep cores apart.
 *
 * How well a tree serves a request, higher is better. Of another class: a lower one lends frames and
 * keeps its class (steal), a higher one changes over (demote).
 */
const RATE_NONE = 0;
const RATE_DEMOTE = 1;
const RATE_STEAL = 2;
const RATE_DEMOTE_FREE = 3;
const RATE_MATCH = 4;
const RATE_MATCH_HALF_FREE = 5;
/** Less than half free, but not nearly full, which would soon have to be done again: at once. */
const RATE_PERFECT = 6;

/** Trees remembered while looking around, and while looking at all. */
const NEAR_BEST = 3;
const ALL_BEST = 8;

/** Rates a tree by its word. */
function rate(a: LLFree, word: number, cls: number, frames: number): number {
  const free = word & TREE_FREE;
  if ((word & TREE_RESERVED) !== 0 || free < frames) return RATE_NONE;
  const its = classOf(word);
  if (its < cls) return RATE_STEAL;
  if (its > cls) return free === a.treeFrames ? RATE_DEMOTE_FREE : RATE_DEMOTE;
  if (free >= a.treeFrames >> 1) return RATE_MATCH_HALF_FREE;
  return free >= a.treeFrames >> 6 ? RATE_PERFECT : RATE_MATCH;
}

/** The i-th tree around `start`: start, one before, one behind, two before … */
function around(a: LLFree, start: number, i: number): number {
  const tree = (i & 1) === 0 ? start + (i >> 1) : start - ((i + 1) >> 1);
  if (tree < 0) return tree + a.treeCount;
  return tree >= a.treeCount ? tree - a.treeCount : tree;
}

/** Takes 2^order frames in a tree and keeps it reserved where its class allows. A frame, or -1. */
function enterTree(a: LLFree, core: number, tree: number, order: number, cls: number): number {
  const frames = 1 << order;
  const word = a.words[a.treesAt + tree]!;
  const rating = rate(a, word, cls, frames);
  if (rating === RATE_NONE) return -1;
  if (rating === RATE_STEAL) return getInTree(a, tree, order);
  if (!reserveTree(a, tree, word, cls)) return -1;
  const free = word & TREE_FREE;
  const frame = getLower(a, tree, tree << (a.treeShift - 5), order);
  if (frame < 0) {
    // The tree keeps its class: nothing came of it.
    if (classOf(word) !== cls) setTreeClass(a, tree, classOf(word));
    unreserveTree(a, tree, free);
    return -1;
  }
  const at = localAt(a, cls, core);
  installLocal(a, at, tree, free - frames);
  setStart(a, at, frame);
  return frame;
}

/** 2^order frames of a tree without reserving it: a frame, or -1. */
export function getInTree(a: LLFree, tree: number, order: number): number {
  if (!takeFromTree(a, tree, 1 << order)) return -1;
  const frame = getLower(a, tree, -1, order);
  if (frame < 0) putTree(a, tree, 1 << order);
  return frame;
}

/** Reserves a tree and takes 2^order frames in it: the first frame, or -1. */
export function reserveAndGet(
  a: LLFree,
  core: number,
  start: number,
  order: number,
  cls: number,
): number {
  return a.isPublished
    ? reservePublished(a, core, start, order)
    : reserveCurrent(a, core, start, order, cls);
}

function reserveCurrent(a: LLFree, core: number, from: number, order: number, cls: number): number {
  if (order >= HUGE_ORDER) {
    const frame = reserveNext(a, core, from, order, cls);
    if (frame >= 0) return frame;
  }
  const near = Math.max(a.treeCount >> 4, 4);
  // Cores that search at the same time begin this far apart.
  const distance = 2 ** Math.ceil(Math.log2(2 * near));
  const start = from - (from % distance);
  if (order < HUGE_ORDER) {
    const limit = Math.min(near, a.treeCount);
    const frame = getBest(a, core, start, 1, limit, NEAR_BEST, order, cls, true);
    if (frame >= 0) return frame;
  }
  return getBest(a, core, start, 0, a.treeCount, ALL_BEST, order, cls, false);
}

/**
 * For huge frames, the next tree of the class that may have one: they leave no gaps that a better
 * tree would fill, and a look at all trees is dear where a tree serves four requests.
 */
function reserveNext(a: LLFree, core: number, from: number, order: number, cls: number): number {
  let tree = from;
  for (let i = 0; i < a.treeCount; i++) {
    if (rate(a, a.words[a.treesAt + tree]!, cls, 1 << order) >= RATE_MATCH) {
      const frame = enterTree(a, core, tree, order, cls);
      if (frame >= 0) return frame;
    }
    tree += 1;
    if (tree === a.treeCount) tree = 0;
  }
  return -1;
}

/** Rates the trees around `start`, takes a perfect one at once, and then tries the best. */
function getBest(
  a: LLFree,
  core: number,
  start: number,
  first: number,
  end: number,
  best: number,
  order: number,
  cls: number,
  isPartlyUsed: boolean,
): number {
  const candidates = a.candidates;
  let count = 0;
  for (let i = first; i < end; i++) {
    const tree = around(a, start, i);
    const word = a.words[a.treesAt + tree]!;
    if (isPartlyUsed && (word & TREE_FREE) === a.treeFrames) continue;
    const rating = rate(a, word, cls, 1 << order);
    if (rating === RATE_NONE) continue;
    if (rating === RATE_PERFECT) {
      const frame = enterTree(a, core, tree, order, cls);
      if (frame >= 0) return frame;
      continue;
    }
    count = remember(candidates, count, best, rating, tree);
  }
  for (let i = 0; i < count; i++) {
    const frame = enterTree(a, core, candidates[2 * i + 1]!, order, cls);
    if (frame >= 0) return frame;
  }
  return -1;
}

/** Keeps the `most` best pairs of rating and tree, the first of equals first; how many there are. */
function remember(
  pairs: Int32Array,
  count: number,
  most: number,
  rating: number,
  tree: number,
): number {
  let i = count;
  if (count === most) {
    if (pairs[2 * count - 2]! >= rating) return count;
    i = count - 1;
  }
  for (; i > 0 && pairs[2 * i - 2]! < rating; i--) {
    pairs[2 * i] = pairs[2 * i - 2]!;
    pairs[2 * i + 1] = pairs[2 * i - 1]!;
  }
  pairs[2 * i] = rating;
  pairs[2 * i + 1] = tree;
  return Math.min(count + 1, most);
}

/** Trees of a cache line in the published design, which has 16 bits for each. */
const PUBLISHED_LINE_TREES = 32;

/** "Almost allocated", and what is missing to "almost free": a 16th of a tree, 2^10 frames of 64 MiB. */
export function almostFull(a: LLFree): number {
  return a.treeFrames >> 4;
}

/**
 * As published: near the start trees that are partly free or free, then anywhere those partly free,
 * those free, and any.
 */
function reservePublished(a: LLFree, core: number, from: number, order: number): number {
  const margin = almostFull(a);
  const almostFree = a.treeFrames - margin;
  const near = Math.max(1, Math.floor(a.treeCount / a.cores / 4));
  const start = from - (from % PUBLISHED_LINE_TREES);
  const every = a.treeCount;
  const whole = a.treeFrames + 1;
  let frame = getWithin(a, core, start, Math.min(near, every), order, margin, whole);
  if (frame < 0) frame = getWithin(a, core, start, every, order, margin, almostFree);
  if (frame < 0) frame = getWithin(a, core, start, every, order, almostFree, whole);
  if (frame < 0) frame = getWithin(a, core, start, every, order, 0, whole);
  return frame;
}

/** The first tree around `start` that is not reserved and has at least `min` and below `end` free. */
function getWithin(
  a: LLFree,
  core: number,
  start: number,
  trees: number,
  order: number,
  min: number,
  end: number,
): number {
  for (let i = 0; i < trees; i++) {
    const tree = around(a, start, i);
    const word = a.words[a.treesAt + tree]!;
    const free = word & TREE_FREE;
    if ((word & TREE_RESERVED) !== 0 || free < min || free >= end) continue;
    const frame = enterTree(a, core, tree, order, 0);
    if (frame >= 0) return frame;
  }
  return -1;
}
