import { assert, Errno } from '../../../base/index.ts';
import { fillField } from './bit-field.ts';
import {
  HUGE_FRAMES,
  HUGE_ORDER,
  type Layout,
  type LLFreeOptions,
  layoutFrom,
  layoutOf,
  WORD_ORDER,
  writeHeader,
} from './layout.ts';
import {
  drainLocal,
  giveToLocal,
  installLocal,
  LOCAL_LAST_RUN,
  LOCAL_LAST_TREE,
  LOCAL_START,
  localAt,
  localTree,
  setStart,
  takeFromLocal,
} from './locals.ts';
import { childOf, fieldOf, getHinted, getLower, putLower, turnChild } from './lower.ts';
import { almostFull, getInTree, reserveAndGet } from './search.ts';
import {
  classOf,
  putTree,
  reserveTree,
  setTreeClass,
  syncTree,
  TREE_FREE,
  TREE_RESERVED,
  treeWord,
  unreserveTree,
} from './trees.ts';
import { cas } from './words.ts';

/** Tries after others have freed in the reserved tree. */
const SYNC_TRIES = 4;
/** So many frees in a row in one tree: the next one reserves it for the freeing core (published design). */
const RESERVING_FREES = 4;
/** Room for the pairs of search.ts. */
const CANDIDATE_WORDS = 16;

/**
 * One thread's handle on an allocator. All state lies in the buffer; threads attach to it, each as
 * a core of its own. Frames are numbers from 0.
 */
export class LLFree {
  readonly words: Int32Array;
  /** Several threads use it: writes are atomic. */
  readonly isShared: boolean;
  readonly frames: number;
  readonly cores: number;
  readonly classes: number;
  /** The design of 2023. */
  readonly isPublished: boolean;
  /** log2 of the frames of a tree: the largest order. */
  readonly treeShift: number;
  readonly treeFrames: number;
  readonly childCount: number;
  readonly treeCount: number;
  readonly fieldsAt: number;
  readonly childrenAt: number;
  readonly treesAt: number;
  readonly localsAt: number;
  /** How a local's word is divided (locals.ts). */
  readonly freeBits: number;
  readonly freeMask: number;
  /** Scratch of a search. */
  readonly candidates: Int32Array = new Int32Array(CANDIDATE_WORDS);

  private constructor(words: Int32Array, layout: Layout, isShared: boolean) {
    this.words = words.subarray(0, layout.wordCount);
    this.isShared = isShared;
    this.frames = layout.frames;
    this.cores = layout.cores;
    this.classes = layout.classes;
    this.isPublished = layout.isPublished;
    this.treeShift = layout.treeShift;
    this.treeFrames = 2 ** layout.treeShift;
    this.childCount = layout.childCount;
    this.treeCount = layout.treeCount;
    this.fieldsAt = layout.fieldsAt;
    this.childrenAt = layout.childrenAt;
    this.treesAt = layout.treesAt;
    this.localsAt = layout.localsAt;
    this.freeBits = layout.treeShift + 1;
    this.freeMask = 2 ** this.freeBits - 1;
  }

  /** Bytes of the buffer for these options. Throws InputError for options that cannot be. */
  static bytesFor(options: LLFreeOptions): number {
    return layoutOf(options).wordCount * 4;
  }

  /**
   * Bytes at the start of the buffer that make the state outlive a crash: header, bit fields and
   * children. The rest is computed from them (recover.ts).
   */
  get lowerBytes(): number {
    return this.treesAt * 4;
  }

  /**
   * An allocator with all frames free, in a buffer of at least `bytesFor` bytes, at a multiple of 64.
   * `isShared` false: this handle is the only one, and its writes are plain.
   */
  static format(
    buffer: SharedArrayBuffer | ArrayBuffer,
    options: LLFreeOptions,
    isShared = true,
    byteOffset = 0,
  ): LLFree {
    const layout = layoutOf(options);
    const words = new Int32Array(buffer, byteOffset, layout.wordCount);
    words.fill(0);
    const a = new LLFree(words, layout, isShared);
    for (let child = 0; child < a.childCount; child++) formatChild(a, child);
    for (let tree = 0; tree < a.treeCount; tree++) {
      const frames = Math.min(a.treeFrames, a.frames - tree * a.treeFrames);
      words[a.treesAt + tree] = treeWord(frames, a.classes - 1);
    }
    writeHeader(words, layout);
    return a;
  }

  /** The allocator that `format` made. Throws InputError if there is none. */
  static attach(buffer: SharedArrayBuffer | ArrayBuffer, isShared = true, byteOffset = 0): LLFree {
    const words = new Int32Array(buffer, byteOffset);
    return new LLFree(words, layoutFrom(words), isShared);
  }

  /** The class that a request of the order has where it does not say one. */
  defaultClass(order: number): number {
    return order >= HUGE_ORDER ? this.classes - 1 : Math.max(0, this.classes - 2);
  }

  /**
   * Takes 2^order frames in a row, at a multiple of that, up to a tree (`treeShift`). The first frame, or -ENOMEM:
   * a search of everything found nothing, which under contention can be a moment's truth.
   */
  get(core: number, order: number, cls: number = this.defaultClass(order)): number {
    assert(core >>> 0 < this.cores, 'a core of the allocator');
    assert(cls >>> 0 < this.classes && order >>> 0 <= this.treeShift, 'a class and an order');
    const at = localAt(this, cls, core);
    const tree = takeFromLocal(this, at, 1 << order);
    if (tree < 0) return getSlow(this, core, order, cls);
    const start = this.words[at + LOCAL_START]!;
    if (order <= WORD_ORDER) {
      const frame = getHinted(this, tree, start, order);
      if (frame >= 0) return frame;
    }
    const frame = getLower(this, tree, start, order);
    if (frame < 0) {
      putTree(this, tree, 1 << order);
      return getSlow(this, core, order, cls);
    }
    setStart(this, at, frame);
    return frame;
  }

  /**
   * Gives 2^order frames back, by whichever core: 0, or -EINVAL if that is not a run of frames in
   * use. A part of what one `get` returned may be given back by itself.
   */
  put(core: number, frame: number, order: number): number {
    assert(core >>> 0 < this.cores && order >>> 0 <= this.treeShift, 'a core and an order');
    const frames = 1 << order;
    if (frame < 0 || frame + frames > this.frames || (frame & (frames - 1)) !== 0) {
      return -Errno.EINVAL;
    }
    const refusal = putLower(this, frame, order);
    if (refusal !== 0) return refusal;
    const tree = frame >> this.treeShift;
    const word = this.words[this.treesAt + tree]!;
    if ((word & TREE_RESERVED) !== 0) {
      const at = localAt(this, classOf(word), core);
      if (giveToLocal(this, at, tree, frames)) {
        if (this.isPublished) countFree(this, at, tree);
        return 0;
      }
    }
    if (this.isPublished) putOrReserve(this, core, tree, frames);
    else putTree(this, tree, frames);
    return 0;
  }

  /** Gives all reservations back, those of all cores. */
  drain(): void {
    for (let cls = 0; cls < this.classes; cls++) {
      for (let core = 0; core < this.cores; core++) drainLocal(this, localAt(this, cls, core));
    }
  }

  /** Frames that are not in use; exact while nobody else works on it. */
  freeFrames(): number {
    let free = 0;
    for (let child = 0; child < this.childCount; child++) {
      const entry = childOf(this, child);
      if (entry <= HUGE_FRAMES) free += entry;
    }
    return free;
  }

  /** Huge frames that are free as a whole; exact while nobody else works on it. */
  freeHugeFrames(): number {
    let free = 0;
    for (let child = 0; child < this.childCount; child++) {
      if (childOf(this, child) === HUGE_FRAMES) free += 1;
    }
    return free;
  }
}

/** Bits beyond the last frame are set for ever, so the last bit field may be partly there. */
function formatChild(a: LLFree, child: number): void {
  const frames = Math.min(HUGE_FRAMES, a.frames - child * HUGE_FRAMES);
  if (frames < HUGE_FRAMES) {
    const field = fieldOf(a, child);
    fillField(a.words, field, -1, false);
    for (let i = 0; i < frames; i++) a.words[field + (i >> 5)]! &= ~(1 << (i & 31));
  }
  turnChild(a, child, 0, frames);
}

/** The reserved tree did not serve the request. */
function getSlow(a: LLFree, core: number, order: number, cls: number): number {
  let frame = getSynced(a, core, order, cls);
  if (frame < 0) frame = reserveAndGet(a, core, startTree(a, core, cls), order, cls);
  if (frame < 0) frame = stealLocal(a, core, order, cls);
  if (frame < 0) frame = demoteLocal(a, core, order, cls);
  if (frame < 0) frame = getAnywhere(a, order);
  return frame < 0 ? -Errno.ENOMEM : frame;
}

/** Where a core begins to search: at the tree that it has, or at its share of all. */
function startTree(a: LLFree, core: number, cls: number): number {
  const word = a.words[localAt(a, cls, core)]!;
  return word < 0 ? localTree(a, word) : Math.floor(a.treeCount / a.cores) * core;
}

/** What others have freed in the reserved tree is added to the local counter. */
function getSynced(a: LLFree, core: number, order: number, cls: number): number {
  const at = localAt(a, cls, core);
  for (let i = 0; i < SYNC_TRIES; i++) {
    const word = a.words[at]!;
    const missing = (1 << order) - (word & a.freeMask);
    // Enough frames, but no run of them: another tree may have one.
    if (word >= 0 || missing <= 0) return -1;
    const tree = localTree(a, word);
    // As published, a tree is kept only while it is more than almost full.
    const least = a.isPublished ? almostFull(a) + 1 - (word & a.freeMask) : missing;
    const freed = syncTree(a, tree, Math.max(missing, least));
    if (freed < 0) return -1;
    if (!giveToLocal(a, at, tree, freed)) {
      putTree(a, tree, freed);
      return -1;
    }
    const frame = getFromLocal(a, at, order);
    if (frame >= 0) return frame;
  }
  return -1;
}

/** 2^order frames of the tree that a local has: the first, or -1. */
function getFromLocal(a: LLFree, at: number, order: number): number {
  const tree = takeFromLocal(a, at, 1 << order);
  if (tree < 0) return -1;
  const frame = getLower(a, tree, a.words[at + LOCAL_START]!, order);
  if (frame < 0) putTree(a, tree, 1 << order);
  return frame;
}

/** One allocation out of what another core has reserved, of this class or a lower one. */
function stealLocal(a: LLFree, core: number, order: number, cls: number): number {
  for (let its = cls; its >= 0; its--) {
    for (let i = 0; i < a.cores; i++) {
      const frame = getFromLocal(a, localAt(a, its, (core + i) % a.cores), order);
      if (frame >= 0) return frame;
    }
  }
  return -1;
}

/** Takes over the tree that a core has reserved for a higher class. */
function demoteLocal(a: LLFree, core: number, order: number, cls: number): number {
  for (let its = cls + 1; its < a.classes; its++) {
    for (let i = 0; i < a.cores; i++) {
      const at = localAt(a, its, (core + i) % a.cores);
      const word = a.words[at]!;
      const free = word & a.freeMask;
      if (word >= 0 || free < 1 << order || !cas(a.words, at, word, 0, a.isShared)) continue;
      const tree = localTree(a, word);
      const frame = getLower(a, tree, -1, order);
      if (frame < 0) {
        unreserveTree(a, tree, free);
        continue;
      }
      setTreeClass(a, tree, cls);
      installLocal(a, localAt(a, cls, core), tree, free - (1 << order));
      return frame;
    }
  }
  return -1;
}

/** The last resort: nobody keeps anything, and every tree is tried, of whichever class. */
function getAnywhere(a: LLFree, order: number): number {
  a.drain();
  for (let tree = 0; tree < a.treeCount; tree++) {
    const frame = getInTree(a, tree, order);
    if (frame >= 0) return frame;
  }
  return -1;
}

/** Who frees several times in a row in one tree reserves it: the next frees stay local. */
function putOrReserve(a: LLFree, core: number, tree: number, frames: number): void {
  const at = localAt(a, 0, core);
  const word = a.words[a.treesAt + tree]!;
  const free = (word & TREE_FREE) + frames;
  const isRow =
    a.words[at + LOCAL_LAST_TREE] === tree && a.words[at + LOCAL_LAST_RUN]! >= RESERVING_FREES;
  const isReserving = isRow && free > almostFull(a) && (word & TREE_RESERVED) === 0;
  if (isReserving && reserveTree(a, tree, word, 0)) installLocal(a, at, tree, free);
  else {
    putTree(a, tree, frames);
    countFree(a, at, tree);
  }
}

/** Notes in which tree a core frees, and how often in a row. */
function countFree(a: LLFree, at: number, tree: number): void {
  const w = a.words;
  if (w[at + LOCAL_LAST_TREE] !== tree) {
    w[at + LOCAL_LAST_TREE] = tree;
    w[at + LOCAL_LAST_RUN] = 1;
  } else if (w[at + LOCAL_LAST_RUN]! < RESERVING_FREES) w[at + LOCAL_LAST_RUN]! += 1;
}
