import { Random } from '../../../base/index.ts';
import { CG_COUNT, nextCgroup } from '../../cgroup/cgroup.ts';
import { listedTable } from '../../cgroup/table-list.ts';
import type { Machine } from '../../machine.ts';
import { T_STATE, TABLE_FROZEN } from '../../tables/table.ts';
import { hasTable, tableBelow } from './entries.ts';
import type { Victims } from './victims.ts';

/** Tries of a random entry before the search goes on from there. */
const TRIES = 48;
/**
 * Entries that are drawn together. Each names a table somewhere in memory: looked at one after the
 * other, the processor waits for all of them at once instead of for each.
 */
const DRAWN_MAX = 32;

/**
 * Any table, each as likely (the talk: "memory pressure randomly picks PTEs from the list"). A random
 * entry of a random table of level 1 is tried; an entry without a table is thrown away. Where almost
 * all are, the next one behind is taken: then a table behind a gap is likelier than others.
 */
export class RandomVictims implements Victims {
  parent = 0;
  index = 0;
  readonly #random: Random;
  #cgroup = 0;
  #total = 0;
  #drawn = 0;
  #drawAtOnce = 0;
  readonly #parents = new Int32Array(DRAWN_MAX);
  readonly #indexes = new Int32Array(DRAWN_MAX);

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  begin(m: Machine, cgroup: number, wanted: number): void {
    this.#cgroup = cgroup;
    this.#total = this.#listed(m);
    this.#drawAtOnce = Math.max(1, Math.min(wanted, DRAWN_MAX));
    this.#drawn = 0;
  }

  next(m: Machine): boolean {
    if (this.#total === 0) return false;
    for (let tries = 0; ; ) {
      while (this.#drawn > 0) {
        this.#drawn--;
        this.parent = this.#parents[this.#drawn] as number;
        this.index = this.#indexes[this.#drawn] as number;
        // It may be drawn twice, and gone.
        if (hasTable(m, this.parent, this.index)) return true;
      }
      if (tries >= TRIES) return this.#search(m, this.#random.below(this.#total), this.#total);
      tries += this.#draw(m);
    }
  }

  /** Draws a batch of entries and keeps those that name a table that is not frozen; how many tries. */
  #draw(m: Machine): number {
    let drawn = 0;
    for (let i = 0; i < this.#drawAtOnce; i++) {
      this.#take(m, this.#random.below(this.#total));
      const index = this.#random.below(m.entryCount);
      const table = tableBelow(m, this.parent, index);
      if (table === 0 || (m.words[table + T_STATE] & TABLE_FROZEN) !== 0) continue;
      this.#parents[drawn] = this.parent;
      this.#indexes[drawn] = index;
      drawn++;
    }
    this.#drawn = drawn;
    return this.#drawAtOnce;
  }

  /** Tables of level 1 to choose from. */
  #listed(m: Machine): number {
    if (this.#cgroup !== 0) return m.words[this.#cgroup + CG_COUNT];
    let total = 0;
    for (let cg = nextCgroup(m, 0); cg !== 0; cg = nextCgroup(m, cg)) {
      total += m.words[cg + CG_COUNT];
    }
    return total;
  }

  #take(m: Machine, at: number): void {
    let place = at;
    let cg = this.#cgroup;
    if (cg === 0) {
      cg = nextCgroup(m, 0);
      for (; place >= m.words[cg + CG_COUNT]; cg = nextCgroup(m, cg))
        place -= m.words[cg + CG_COUNT];
    }
    this.parent = listedTable(m, cg, place);
  }

  /** The first entry with a table from a random one on, once around. */
  #search(m: Machine, from: number, total: number): boolean {
    const start = this.index;
    for (let i = 0; i <= total; i++) {
      this.#take(m, (from + i) % total);
      for (let j = 0; j < m.entryCount; j++) {
        this.index = (start + j) % m.entryCount;
        if (hasTable(m, this.parent, this.index)) return true;
      }
    }
    return false;
  }
}
