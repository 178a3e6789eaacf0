import { Random } from '../../../base/index.ts';
import { CG_COUNT, nextCgroup } from '../../cgroup/cgroup.ts';
import { listedTable } from '../../cgroup/table-list.ts';
import type { Machine } from '../../machine.ts';
import { hasTable } from './entries.ts';
import type { Victims } from './victims.ts';

/** Tries of a random entry before the search goes on from there. */
const TRIES = 48;

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

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  begin(_m: Machine, cgroup: number): void {
    this.#cgroup = cgroup;
  }

  next(m: Machine): boolean {
    const total = this.#listed(m);
    if (total === 0) return false;
    for (let i = 0; i < TRIES; i++) {
      this.#take(m, this.#random.below(total));
      this.index = this.#random.below(m.entryCount);
      if (hasTable(m, this.parent, this.index)) return true;
    }
    return this.#search(m, this.#random.below(total), total);
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
