import { H_ARENA_END, H_ARENA_FREE, H_ARENA_NEXT } from './layout.ts';
import type { Machine } from './machine.ts';

/**
 * The allocator of the engine's own records inside the buffer: a bump pointer and one free list a
 * size class. Fresh memory is zero; reused memory is not (its word 0 was the list's link), so each
 * owner sets what it relies on. Offsets are multiples of 8 words, never 0.
 *
 * Cost: two loads and a store to allocate from a list, the same to free.
 */

/**
 * Sizes in words that have a class of their own, beside the powers of two. Frame chunks and dense
 * contents must: both rely on some words being zero when they come back (frames/pageblock.ts,
 * tables/leaf.ts), so nothing else may ever use their memory.
 */
const EXACT_WORDS: readonly number[] = [4096, 640, 320, 16];
const FIRST_EXACT_CLASS = 32;

export const CLASS_8 = 3;
export const CLASS_16 = 4;
/** Records of the 512 frames of a pageblock. */
export const CLASS_CHUNK: number = FIRST_EXACT_CLASS;
/** Dense contents of a table of 512 entries. */
export const CLASS_DENSE: number = FIRST_EXACT_CLASS + 1;
/** Dense contents of a table of up to 256 entries. */
export const CLASS_SMALL_DENSE: number = FIRST_EXACT_CLASS + 2;

/** VMAs: another thread may still try the lock of one that is gone, so their memory stays VMAs'. */
export const CLASS_VMA: number = FIRST_EXACT_CLASS + 3;

/** The class of the smallest power of two that holds `words`. */
export function classFor(words: number): number {
  return words <= 8 ? CLASS_8 : 32 - Math.clz32(words - 1);
}

export function classWords(sizeClass: number): number {
  return sizeClass < FIRST_EXACT_CLASS
    ? 1 << sizeClass
    : (EXACT_WORDS[sizeClass - FIRST_EXACT_CLASS] as number);
}

/** Thrown when the engine's buffer (not the modelled memory) is full. */
export class BufferFullError extends Error {
  override name = 'BufferFullError';
}

/** A record of the class; its word offset. Contents are undefined unless never used before. */
export function arenaAlloc(m: Machine, sizeClass: number): number {
  if (m.isShared) return arenaAllocLocked(m, sizeClass);
  const w = m.words;
  const head = w[H_ARENA_FREE + sizeClass];
  if (head !== 0) {
    w[H_ARENA_FREE + sizeClass] = w[head];
    return head;
  }
  return arenaBump(m, classWords(sizeClass));
}

export function arenaFree(m: Machine, sizeClass: number, at: number): void {
  if (m.isShared) {
    arenaFreeLocked(m, sizeClass, at);
    return;
  }
  const w = m.words;
  w[at] = w[H_ARENA_FREE + sizeClass];
  w[H_ARENA_FREE + sizeClass] = at;
}

/** Words that are never given back, fresh from the end of what is used: zero. */
export function arenaAllocForEver(m: Machine, words: number): number {
  return arenaBump(m, words);
}

/** A record of the class with all words zero. */
export function arenaAllocZeroed(m: Machine, sizeClass: number): number {
  const w = m.words;
  const at = arenaAlloc(m, sizeClass);
  const end = at + classWords(sizeClass);
  // A call of fill costs as much as some 50 stores.
  if (end - at > 64) w.fill(0, at, end);
  else for (let i = at; i < end; i++) w[i] = 0;
  return at;
}

function arenaBump(m: Machine, words: number): number {
  const w = m.words;
  const at = w[H_ARENA_NEXT];
  const next = at + ((words + 7) & ~7);
  if (next > w[H_ARENA_END]) {
    const mib = Math.round((w.length * 4) / 2 ** 20);
    throw new BufferFullError(
      `the engine's buffer of ${mib} MiB is full; give a larger one (bufferMiB)`,
    );
  }
  w[H_ARENA_NEXT] = next;
  return at;
}

function arenaAllocLocked(m: Machine, sizeClass: number): number {
  m.lock(m.arenaLock);
  const w = m.words;
  let at = w[H_ARENA_FREE + sizeClass];
  if (at !== 0) w[H_ARENA_FREE + sizeClass] = w[at];
  else at = arenaBump(m, classWords(sizeClass));
  m.unlock(m.arenaLock);
  return at;
}

function arenaFreeLocked(m: Machine, sizeClass: number, at: number): void {
  m.lock(m.arenaLock);
  const w = m.words;
  w[at] = w[H_ARENA_FREE + sizeClass];
  w[H_ARENA_FREE + sizeClass] = at;
  m.unlock(m.arenaLock);
}
