import { assert } from '../../base/index.ts';
import type { Machine } from '../machine.ts';
import { linksTo } from './link.ts';
import { OWNER_ROOT, OWNER_ROOT_LEVEL } from './owner.ts';
import { markedTable } from './stored.ts';
import { T_CONTENTS, T_COUNT, tableLevel } from './table.ts';
import { freeUniformChildren } from './uniform.ts';
import { entrySpan, freeTable, isUniform } from './walk.ts';

/**
 * Frees the tables of an unmapped range (free_pgtables, mm/memory.c): a table that the range
 * touches goes if and only if its whole span lies in [floor, ceiling), the room between the
 * neighbouring VMAs. Whether it holds entries is never looked at; the zap before has emptied them.
 * The root stays.
 */
export function freeTablesInRange(
  m: Machine,
  owner: number,
  start: number,
  end: number,
  floor: number,
  ceiling: number,
): void {
  const root = m.words[owner + OWNER_ROOT];
  if (root === 0) return;
  freeBelow(m, owner, root, m.words[owner + OWNER_ROOT_LEVEL], 0, start, end, floor, ceiling);
}

/** True if a table below stays, though its place may go: others lead to it (mshare v3's count on PUD pages). */
function freeBelow(
  m: Machine,
  owner: number,
  table: number,
  level: number,
  base: number,
  start: number,
  end: number,
  floor: number,
  ceiling: number,
): boolean {
  const w = m.words;
  const span = entrySpan(m, level);
  if (level === 1 && isUniform(m, table)) {
    // Part of a uniform table only goes if all of it does; the caller's zap has broken it otherwise.
    if (base >= floor && base + span * m.entryCount <= ceiling)
      freeUniformChildren(m, owner, table);
    return false;
  }
  let isKept = false;
  const first = Math.max(0, Math.floor((start - base) / span));
  const last = Math.min(m.entryCount - 1, Math.floor((end - 1 - base) / span));
  for (let i = first; i <= last; i++) {
    const word = w[w[table + T_CONTENTS] + i];
    const child = word >= 0 ? word : markedTable(word);
    const from = base + i * span;
    if (child === 0) {
      // The zap has emptied and so dropped what was stored here, unless other areas use it.
      assert(word === 0 || from < floor || from + span > ceiling, 'a stored table holds entries');
      continue;
    }
    const keeps =
      level > 1 && freeBelow(m, owner, child, level - 1, from, start, end, floor, ceiling);
    if (from < floor || from + span > ceiling) {
      isKept ||= keeps;
      continue;
    }
    if (keeps || (level > 1 && linksTo(m, child) > 0)) {
      isKept = true;
      continue;
    }
    assert(w[child + T_COUNT] === 0, 'a table to be freed holds entries');
    freeTable(m, owner, child);
  }
  return isKept;
}

/** Frees every table of an owner whose entries are all gone, the root included. */
export function freeAllTables(m: Machine, owner: number): void {
  const root = m.words[owner + OWNER_ROOT];
  if (root === 0) return;
  freeTablesInRange(m, owner, 0, entrySpan(m, tableLevel(m, root) + 1), 0, Infinity);
  freeTable(m, owner, root);
}
