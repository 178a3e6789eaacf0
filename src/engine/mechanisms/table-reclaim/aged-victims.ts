import { CG_COUNT, CG_HAND, CG_HAND_ENTRY, nextCgroup } from '../../cgroup/cgroup.ts';
import { listedTable } from '../../cgroup/table-list.ts';
import type { Machine } from '../../machine.ts';
import { KIND_MASK } from '../../tables/entry.ts';
import { countStored, K_SCANNED } from '../../tables/stored.ts';
import { flagsAt, T_CONTENTS } from '../../tables/table.ts';
import { tableBelow } from './entries.ts';
import type { Victims } from './victims.ts';

/** The use count of a table: bits 3 to 6 of the flags of the entry above it. */
const USE_SHIFT = 3;
const USE_MAX = 15;
/** What a use between two scans adds. With 1, 2, 4 the workload `skewed` has ever fewer refaults. */
const USE_STEP = 4;
/** Bit 7: the hand has come by before. */
const SEEN = 1 << 7;
/** Scans around all lists without a victim before there is none: a count of 15 is gone after four. */
const ROUNDS = 6;

/**
 * The table used least often: a clock with counts (GCLOCK; cf. the aging of Tanenbaum, "Modern
 * Operating Systems", and the non-leaf accessed bits of Linux's multi-generational LRU). A hand goes
 * around the entries that name tables. An entry that was walked since it came by last: the count goes
 * up. One that was not: the count is halved, and the table of a count of 0 is the victim. The walk
 * that made or restored a table is not counted: it must be used again to stay longer than one round.
 *
 * "Walked" costs a walk nothing: the hand turns the entry negative, as if the table were stored; the
 * first fault that comes by lands in the slow path, which turns it back (tables/stored.ts).
 */
export class AgedVictims implements Victims {
  parent = 0;
  index = 0;
  #cgroup = 0;
  /** Of all cgroups: the one whose turn it is. */
  #turn = 0;

  begin(m: Machine, cgroup: number): void {
    this.#cgroup = cgroup;
    // What is remembered of the last walk would not be seen.
    m.forgetWalk();
  }

  next(m: Machine): boolean {
    if (this.#cgroup !== 0) {
      let steps = (m.words[this.#cgroup + CG_COUNT] + 1) * ROUNDS;
      for (; steps > 0; steps--) if (this.#scan(m, this.#cgroup)) return true;
      return false;
    }
    let listed = 1;
    for (let cg = nextCgroup(m, 0); cg !== 0; cg = nextCgroup(m, cg)) {
      listed += m.words[cg + CG_COUNT] + 1;
    }
    for (let steps = listed * ROUNDS; steps > 0; steps--) {
      if (this.#turn === 0) this.#turn = nextCgroup(m, 0);
      if (this.#turn === 0) return false;
      if (this.#scan(m, this.#turn)) return true;
      // The hand of this cgroup came to the end of its list: on with the next.
      if (m.words[this.#turn + CG_HAND] === 0) this.#turn = nextCgroup(m, this.#turn);
    }
    return false;
  }

  /** Goes on to the end of the table at the cgroup's hand, or to a victim. */
  #scan(m: Machine, cgroup: number): boolean {
    const w = m.words;
    if (w[cgroup + CG_HAND] >= w[cgroup + CG_COUNT]) {
      w[cgroup + CG_HAND] = 0;
      w[cgroup + CG_HAND_ENTRY] = 0;
      if (w[cgroup + CG_COUNT] === 0) return false;
    }
    const parent = listedTable(m, cgroup, w[cgroup + CG_HAND]);
    let scanned = 0;
    for (let i = w[cgroup + CG_HAND_ENTRY]; i < m.entryCount; i++) {
      const table = tableBelow(m, parent, i);
      if (table === 0) continue;
      scanned++;
      if (!age(m, parent, i, table)) continue;
      w[cgroup + CG_HAND_ENTRY] = i + 1;
      countStored(m, K_SCANNED, scanned);
      this.parent = parent;
      this.index = i;
      return true;
    }
    countStored(m, K_SCANNED, scanned);
    w[cgroup + CG_HAND_ENTRY] = 0;
    w[cgroup + CG_HAND] = (w[cgroup + CG_HAND] + 1) % w[cgroup + CG_COUNT];
    return false;
  }
}

/** Takes the mark in; true for a table that was not used for long. */
function age(m: Machine, parent: number, index: number, table: number): boolean {
  const w = m.words;
  const contents = w[parent + T_CONTENTS];
  const at = flagsAt(m, contents) + index;
  const flags = m.bytes[at] as number;
  const uses = (flags >> USE_SHIFT) & USE_MAX;
  const kept = (flags & KIND_MASK) | SEEN;
  if (w[contents + index] > 0) {
    const more = (flags & SEEN) === 0 ? 0 : Math.min(USE_MAX, uses + USE_STEP);
    m.bytes[at] = kept | (more << USE_SHIFT);
    w[contents + index] = -table;
    return false;
  }
  if (uses === 0) return true;
  m.bytes[at] = kept | ((uses >> 1) << USE_SHIFT);
  return false;
}
