import type { Machine } from '../../machine.ts';
import { markedTable } from '../../tables/stored.ts';
import { ownerOfTable, T_CONTENTS } from '../../tables/table.ts';
import { breakUniform } from '../../tables/uniform.ts';
import { isUniform } from '../../tables/walk.ts';

/** True if the entry of a table of level 1 names a table, marked or not. Writes out a uniform one. */
export function hasTable(m: Machine, parent: number, index: number): boolean {
  return tableBelow(m, parent, index) !== 0;
}

/** The table that the entry names; 0 for none, or one that is stored. */
export function tableBelow(m: Machine, parent: number, index: number): number {
  const w = m.words;
  const word = w[w[parent + T_CONTENTS] + index];
  if (word >= 0) return word;
  if (!isUniform(m, parent)) return markedTable(word);
  // Its children have no records of their own yet.
  breakUniform(m, ownerOfTable(m, parent), parent);
  return w[w[parent + T_CONTENTS] + index];
}
