import type { Machine } from '../../machine.ts';

/** Chooses tables to reclaim, one after the other. */
export interface Victims {
  /** The last choice: entry `index` of the table `parent` of level 1 names a table. */
  parent: number;
  index: number;
  /** From here on victims of that cgroup (0: of all), about so many. */
  begin(m: Machine, cgroup: number, wanted: number): void;
  /** False if there is none (left). */
  next(m: Machine): boolean;
}
