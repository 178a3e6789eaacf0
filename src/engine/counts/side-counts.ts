import { assert } from '../../base/index.ts';
import { C_OWN, CountMemory, classOf, classWordsOf } from './count-memory.ts';

/**
 * Counts too large for where they belong: a small hash with linear probing, all of it under one
 * lock. Few counts are: those of frames that hundreds of tables share.
 */

export const L_SIDE_LOCK: number = C_OWN;
const L_SIDE = C_OWN + 1;
/** log2 of the slots, each [frame, count]; count 0: free. */
const L_SIDE_LOG = C_OWN + 2;
const L_SIDE_USED = C_OWN + 3;
/** First of the words of who extends this. */
export const L_OWN: number = C_OWN + 8;

const SIDE_LOG_MIN = 4;
/** Words of buffer an entry for the case that all stand aside: at most half full, and what growth left behind. */
export const SIDE_WORDS = 8;

export abstract class SideCounts extends CountMemory {
  #home(frame: number): number {
    return Math.imul(frame, 0x9e3779b1) >>> (32 - this.words[L_SIDE_LOG]);
  }

  /** The slot of the frame, or the free one where it would go. */
  protected sideSlot(frame: number): number {
    const w = this.words;
    const mask = (1 << w[L_SIDE_LOG]) - 1;
    let i = this.#home(frame);
    for (;;) {
      const slot = w[L_SIDE] + 2 * i;
      if (w[slot + 1] === 0 || w[slot] === (frame | 0)) return slot;
      i = (i + 1) & mask;
    }
  }

  protected sideInsert(frame: number, count: number): void {
    const w = this.words;
    if (w[L_SIDE] === 0 || w[L_SIDE_USED] * 2 >= 1 << w[L_SIDE_LOG]) this.#grow();
    const slot = this.sideSlot(frame);
    w[slot] = frame;
    w[slot + 1] = count;
    w[L_SIDE_USED] += 1;
  }

  #grow(): void {
    const w = this.words;
    const oldAt = w[L_SIDE];
    const oldWords = oldAt === 0 ? 0 : 2 << w[L_SIDE_LOG];
    const log = oldAt === 0 ? SIDE_LOG_MIN : w[L_SIDE_LOG] + 1;
    const sizeClass = classOf(2 << log);
    const at = this.alloc(sizeClass);
    w.fill(0, at, at + classWordsOf(sizeClass));
    w[L_SIDE_LOG] = log;
    w[L_SIDE] = at;
    for (let slot = oldAt; slot < oldAt + oldWords; slot += 2) {
      if (w[slot + 1] === 0) continue;
      const to = this.sideSlot(w[slot]);
      w[to] = w[slot];
      w[to + 1] = w[slot + 1];
    }
    if (oldAt !== 0) this.free(classOf(oldWords), oldAt);
  }

  /** Frees a slot and closes the gap (Knuth, vol. 3, 6.4, algorithm R). */
  protected sideDelete(slot: number): void {
    const w = this.words;
    const mask = (1 << w[L_SIDE_LOG]) - 1;
    let hole = (slot - w[L_SIDE]) >> 1;
    w[slot + 1] = 0;
    for (let i = (hole + 1) & mask; w[w[L_SIDE] + 2 * i + 1] !== 0; i = (i + 1) & mask) {
      const from = w[L_SIDE] + 2 * i;
      const home = this.#home(w[from]);
      if (((i - home) & mask) < ((i - hole) & mask)) continue;
      const to = w[L_SIDE] + 2 * hole;
      w[to] = w[from];
      w[to + 1] = w[from + 1];
      w[from + 1] = 0;
      hole = i;
    }
    w[L_SIDE_USED] -= 1;
  }

  /** Words of the side table. */
  protected sideWords(): number {
    return this.words[L_SIDE] === 0 ? 0 : 2 << this.words[L_SIDE_LOG];
  }

  /** Checks the table, that so many counts stand in it, and none below `least`. */
  protected validateSide(expected: number, least: number): void {
    const w = this.words;
    let used = 0;
    for (let slot = w[L_SIDE]; slot < w[L_SIDE] + this.sideWords(); slot += 2) {
      if (w[slot + 1] === 0) continue;
      used += 1;
      assert(this.sideSlot(w[slot]) === slot, `side table: frame ${w[slot]} cannot be found`);
      assert(w[slot + 1] >= least, `side table: count ${w[slot + 1]} is too small`);
    }
    assert(used === w[L_SIDE_USED], `side table: ${used} counts, ${w[L_SIDE_USED]} noted`);
    assert(used === expected, `side table: ${used} counts, ${expected} entries say so`);
  }
}
