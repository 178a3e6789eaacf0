import { assert } from '../../base/index.ts';
import type { CountTable } from '../counts/count-table.ts';
import type { Machine } from '../machine.ts';

/** What sharing did since it was attached, and what is shared now. */
export interface SharingWork {
  /** Tables with more than one sharer, now and at most at one time. */
  sharedTables: number;
  sharedTablesPeak: number;
  /** Entries of upper tables that fork made to name a table of the parent. */
  shares: number;
  /** Tables that a sharer copied, and the entries in them. */
  unshared: number;
  entriesCopied: number;
  /** Tables whose last sharer took them back as ordinary ones. */
  takenOver: number;
  /** Sharers that left without a copy: munmap, MADV_DONTNEED, exit. */
  dropped: number;
  /** Share counts that went up or down. */
  countChanges: number;
}

/** Gives a sharer a table of its own (unshareTable, shared-table.ts); 0 when memory is out. */
export type Unshare = (m: Machine, mm: number, upper: number, index: number) => number;

/**
 * The machine's state of shared tables (shared-table.ts). The number of a table's sharers is a share
 * count under its frame, in a table of counts (counts/): no entry means one.
 */
export class TableSharing {
  readonly counts: CountTable;
  /** For walks, which must not depend on what copies tables. */
  readonly unshare: Unshare;
  readonly work: SharingWork = {
    sharedTables: 0,
    sharedTablesPeak: 0,
    shares: 0,
    unshared: 0,
    entriesCopied: 0,
    takenOver: 0,
    dropped: 0,
    countChanges: 0,
  };

  /** Anonymous pages that came into, and went out of, RSS of who copied or left a table, by that alone. */
  anonGained = 0;
  anonPassed = 0;

  constructor(counts: CountTable, unshare: Unshare) {
    this.counts = counts;
    this.unshare = unshare;
  }

  counted(changes: number): void {
    this.work.countChanges += changes;
  }

  becameShared(): void {
    const { work } = this;
    work.sharedTables += 1;
    if (work.sharedTables > work.sharedTablesPeak) work.sharedTablesPeak = work.sharedTables;
  }

  becameSingle(): void {
    this.work.sharedTables -= 1;
  }
}

/** A table of its own for the sharer at entry `index` of `upper`; 0 when memory is out. */
export function unshareChild(m: Machine, mm: number, upper: number, index: number): number {
  assert(m.sharing !== null, 'a shared table on a machine without sharing');
  return m.sharing.unshare(m, mm, upper, index);
}
