import { InputError } from '../../../base/index.ts';

/**
 * The buffer, in 32-bit words; every part begins on a cache line of 16 words.
 *
 *   header     what the allocator was made with
 *   bit fields 16 words for each 512 frames: a set bit is a frame in use
 *   children   16 bits for each bit field: how many of its bits are clear, or "one huge frame"
 *   trees      a word for each tree, that is for `treeChildren` bit fields
 *   locals     16 words for each class and core: its reserved tree
 *
 * Header, bit fields and children are the lower allocator. They alone survive a crash.
 */
export const HEADER_WORDS = 16;
export const H_MAGIC = 0;
export const H_VERSION = 1;
export const H_FRAMES = 2;
export const H_TREE_SHIFT = 3;
export const H_CORES = 4;
export const H_CLASSES = 5;
export const H_DESIGN = 6;

/** "LLFr". */
export const MAGIC = 0x4c4c4672;
export const VERSION = 1;

/** Order of a huge frame: as many frames as a bit field has bits. */
export const HUGE_ORDER = 9;
export const HUGE_FRAMES = 512;
export const FIELD_WORDS = 16;
export const LINE_WORDS = 16;
/** Frames of a word of a bit field: 2^5. */
export const WORD_ORDER = 5;

/** 2^30 frames: tree number, free counter and the mark "present" of a local share one word. */
const FRAMES_MAX = 2 ** 30;
/** The current source goes as far; the tree's counter has room for more. */
const TREE_CHILDREN_MAX = 512;
const CORES_MAX = 256;

/**
 * `atc23`: as published; one class, trees of 64 MiB, a search that tells free trees from partly free
 * ones, and trees reserved by whoever frees in them. `current`: classes of trees, trees of 8 MiB.
 */
export type LLFreeDesign = 'atc23' | 'current';

export interface LLFreeOptions {
  /** Frames of 4 KiB: 1 to 2^30. The last bit field and tree may be partly there. */
  readonly frames: number;
  /** Callers that get reservations of their own: 1 to 256. */
  readonly cores: number;
  /** Default: `current`. */
  readonly design?: LLFreeDesign;
  /**
   * Classes of trees, of the current design: 2 is {small, huge}, 3 is {immovable, movable, huge}.
   * Default: 2. The published design has 1.
   */
  readonly classes?: 1 | 2 | 3;
  /** Bit fields of a tree: a power of two from 1 to 512. Default: 32 (`atc23`), 4 (`current`). */
  readonly treeChildren?: number;
}

export interface Layout {
  readonly frames: number;
  readonly cores: number;
  readonly classes: number;
  readonly isPublished: boolean;
  /** Frames of a tree are 2^treeShift. */
  readonly treeShift: number;
  readonly childCount: number;
  readonly treeCount: number;
  readonly fieldsAt: number;
  readonly childrenAt: number;
  readonly treesAt: number;
  readonly localsAt: number;
  readonly wordCount: number;
}

/** Throws InputError for options that cannot be. */
export function layoutOf(options: LLFreeOptions): Layout {
  const { frames, cores, design = 'current' } = options;
  const isPublished = design === 'atc23';
  const classes = options.classes ?? (isPublished ? 1 : 2);
  const treeChildren = options.treeChildren ?? (isPublished ? 32 : 4);
  within('frames', frames, FRAMES_MAX);
  within('cores', cores, CORES_MAX);
  within('classes', classes, isPublished ? 1 : 3);
  within('children of a tree', treeChildren, TREE_CHILDREN_MAX);
  if (!Number.isInteger(Math.log2(treeChildren))) {
    throw new InputError(`llfree: children of a tree ${treeChildren}: want a power of two`);
  }
  return layout(frames, cores, classes, isPublished, HUGE_ORDER + Math.log2(treeChildren));
}

function within(what: string, value: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= max) return;
  throw new InputError(`llfree: ${what} ${value}: want a whole number from 1 to ${max}`);
}

function layout(
  frames: number,
  cores: number,
  classes: number,
  isPublished: boolean,
  treeShift: number,
): Layout {
  const childCount = Math.ceil(frames / HUGE_FRAMES);
  const treeCount = Math.ceil(frames / 2 ** treeShift);
  const fieldsAt = HEADER_WORDS;
  const childrenAt = fieldsAt + childCount * FIELD_WORDS;
  const treesAt = childrenAt + wholeLines(Math.ceil(childCount / 2));
  const localsAt = treesAt + wholeLines(treeCount);
  const wordCount = localsAt + classes * cores * LINE_WORDS;
  const parts = { fieldsAt, childrenAt, treesAt, localsAt, wordCount };
  return { frames, cores, classes, isPublished, treeShift, childCount, treeCount, ...parts };
}

function wholeLines(words: number): number {
  return Math.ceil(words / LINE_WORDS) * LINE_WORDS;
}

/** Writes what `layoutFrom` reads. The magic number comes last: without it there is no allocator. */
export function writeHeader(w: Int32Array, l: Layout): void {
  w[H_VERSION] = VERSION;
  w[H_FRAMES] = l.frames;
  w[H_TREE_SHIFT] = l.treeShift;
  w[H_CORES] = l.cores;
  w[H_CLASSES] = l.classes;
  w[H_DESIGN] = l.isPublished ? 1 : 0;
  Atomics.store(w, H_MAGIC, MAGIC);
}

/** Throws InputError if there is no allocator of this version. */
export function layoutFrom(w: Int32Array): Layout {
  if (w.length < HEADER_WORDS || Atomics.load(w, H_MAGIC) !== MAGIC || w[H_VERSION] !== VERSION) {
    throw new InputError('llfree: the buffer holds no allocator of this version');
  }
  const [frames, treeShift] = [w[H_FRAMES]!, w[H_TREE_SHIFT]!];
  const l = layout(frames, w[H_CORES]!, w[H_CLASSES]!, w[H_DESIGN] === 1, treeShift);
  if (w.length < l.wordCount) throw new InputError('llfree: the buffer is cut short');
  return l;
}
