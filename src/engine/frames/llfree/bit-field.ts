import { FIELD_WORDS, WORD_ORDER } from './layout.ts';
import { cas, store } from './words.ts';

/**
 * 512 bits in 16 words, one cache line; a set bit is a frame in use. Runs are of 2^order bits and
 * aligned to that: up to order 5 within one word, so one compare-exchange; orders 6 to 8 are 2, 4
 * or 8 whole words.
 */

/**
 * Sets the first clear run at or after word `startWord` (0 to 15), going round. The first bit of
 * the run (0 to 511), or -1.
 */
export function setRun(
  w: Int32Array,
  field: number,
  startWord: number,
  order: number,
  isShared: boolean,
): number {
  if (order > WORD_ORDER) return setWords(w, field, startWord, 1 << (order - WORD_ORDER), isShared);
  const run = runBits(order);
  for (let i = 0; i < FIELD_WORDS; i++) {
    const word = (startWord + i) & (FIELD_WORDS - 1);
    let bits = w[field + word]!;
    for (;;) {
      const starts = order === 0 ? ~bits : clearRuns(bits, order);
      if (starts === 0) break;
      const first = 31 - Math.clz32(starts & -starts);
      if (cas(w, field + word, bits, bits | (run << first), isShared)) return word * 32 + first;
      bits = w[field + word]!;
    }
  }
  return -1;
}

/** 2^order low bits, order 0 to 5. */
export function runBits(order: number): number {
  return order === WORD_ORDER ? -1 : (1 << (1 << order)) - 1;
}

/** A set bit for the start of each clear, aligned run of order 1 to 5. */
export function clearRuns(bits: number, order: number): number {
  if (order === WORD_ORDER) return bits === 0 ? 1 : 0;
  let free = ~bits;
  free &= free >>> 1;
  if (order === 1) return free & 0x55555555;
  free &= free >>> 2;
  if (order === 2) return free & 0x11111111;
  free &= free >>> 4;
  if (order === 3) return free & 0x01010101;
  return free & (free >>> 8) & 0x00010001;
}

function setWords(
  w: Int32Array,
  field: number,
  startWord: number,
  count: number,
  isShared: boolean,
): number {
  const start = startWord & ~(count - 1);
  for (let i = 0; i < FIELD_WORDS; i += count) {
    const word = (start + i) & (FIELD_WORDS - 1);
    if (setAllOf(w, field + word, count, isShared)) return word * 32;
  }
  return -1;
}

/** All or none. Words that are set and then cleared again look taken to others in between. */
function setAllOf(w: Int32Array, at: number, count: number, isShared: boolean): boolean {
  for (let i = 0; i < count; i++) if (w[at + i] !== 0) return false;
  for (let i = 0; i < count; i++) {
    if (cas(w, at + i, 0, -1, isShared)) continue;
    while (--i >= 0) store(w, at + i, 0, isShared);
    return false;
  }
  return true;
}

/** Clears the run at a bit; false, and nothing changed, if it was not all set. */
export function clearRun(
  w: Int32Array,
  field: number,
  bit: number,
  order: number,
  isShared: boolean,
): boolean {
  const at = field + (bit >> WORD_ORDER);
  if (order > WORD_ORDER) return clearWords(w, at, 1 << (order - WORD_ORDER), isShared);
  const run = runBits(order) << (bit & 31);
  for (;;) {
    const bits = w[at]!;
    if ((bits & run) !== run) return false;
    if (cas(w, at, bits, bits & ~run, isShared)) return true;
  }
}

/** Whole words that are set are one caller's: nobody else changes them. */
function clearWords(w: Int32Array, at: number, count: number, isShared: boolean): boolean {
  for (let i = 0; i < count; i++) if (w[at + i] !== -1) return false;
  for (let i = 0; i < count; i++) store(w, at + i, 0, isShared);
  return true;
}

export function fillField(w: Int32Array, field: number, value: 0 | -1, isShared: boolean): void {
  for (let i = 0; i < FIELD_WORDS; i++) store(w, field + i, value, isShared);
}

/** Clear bits, 0 to 512. */
export function countClear(w: Int32Array, field: number): number {
  let clear = 0;
  for (let i = 0; i < FIELD_WORDS; i++) {
    let bits = ~w[field + i]!;
    bits -= (bits >>> 1) & 0x55555555;
    bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
    clear += Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return clear;
}
