/**
 * Switches that only test builds turn (test/variants.ts writes other values into a copy of the
 * compiled engine). In the package they are the constants below, and the code behind them is gone.
 */

/** Places where races could be: there a thread pauses at random. */
export const HAS_RACE_POINTS: boolean = false;

/** Which known bug is put back on purpose; 0 for none (MUTANT_*). */
export const MUTANT: number = 0;

/** The lock was dropped during the zap, but the table is freed without a second look (2025-02, v6.14-rc). */
export const MUTANT_FAST_PATH = 1;
/** A table's frame is freed at once, not after a grace period. */
export const MUTANT_NO_GRACE = 2;
/** A walker locks the table that it found and does not look whether it still hangs in the tree. */
export const MUTANT_NO_RECHECK = 3;
/** The count follows the entry, so for a moment an entry stands in a table of count 0. */
export const MUTANT_LATE_COUNT = 4;
/** The table is given up first, what threads remember of it is flushed afterwards. */
export const MUTANT_LATE_FLUSH = 5;
/** "The slot is covered" from aligned-down end minus aligned-up start, which underflows (2024-10 draft). */
export const MUTANT_UNDERFLOW = 6;
/** fork hands on a table and does not raise its share count. */
export const MUTANT_NO_SHARE_COUNT = 7;
/** A write to a page that a shared table maps goes on in that table. */
export const MUTANT_NO_UNSHARE = 8;
/** A sharer's copy of a table does not count as a mapping of its pages. */
export const MUTANT_NO_MAPPING = 9;
/** A sharer's copy of a table leaves the others the right to write. */
export const MUTANT_KEEPS_WRITE = 10;
/** The last sharer leaves as one of several: the table hangs nowhere. */
export const MUTANT_LAST_LEAVES = 11;
/** The owner of a shared table leaves, and its place is nobody's. */
export const MUTANT_NO_PASS_ON = 12;

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** In a test build: now and then waits a moment, so that others get in between. True if it did. */
export function racePoint(): boolean {
  if (!HAS_RACE_POINTS) return false;
  if (Math.random() > 0.1) return false;
  Atomics.wait(sleeper, 0, 0, Math.random() * 0.2);
  return true;
}
