import { assert } from '../../base/index.ts';
import { F_STATE, FRAME_WORDS, frameRecord, TYPE_TAIL } from '../frames/frame-record.ts';
import type { Machine } from '../machine.ts';
import { ENTRY_TABLE, KIND_MASK } from './entry.ts';
import { OWNER_ROOT } from './owner.ts';
import { isSharedTable, isSharedWord } from './shared-entry.ts';
import { moveUpper, sharedMoved } from './shared-table.ts';
import {
  FORM_DENSE,
  FORM_UNIFORM,
  flagsAt,
  isOwner,
  T_CONTENTS,
  T_PARENT,
  T_PFN,
  tableForm,
  tableIndex,
  tableLevel,
} from './table.ts';
import { setUniformTablesPfn, uniformTablesPfn } from './uniform.ts';

/**
 * Moves a table to another frame; its new id. A table's id is the place of its frame's record, so
 * whoever holds the id must learn the new one:
 *
 *   the parent's entry, or the owner's root
 *   the sharers' records, and the count of sharers, which goes by the frame (shared-table.ts)
 *   the children's T_PARENT; for a uniform table the way back from its children's extent
 *   the walk cache, which is forgotten
 *   mechanisms, by the event `tableMoved`
 *
 * Nobody else holds a table between two operations. Contents lie in the arena and stay, as the
 * entries do: for the modelled machine 4 KiB were copied and one entry of the parent rewritten. The
 * old frame's record says "tail" afterwards. `pfn` is a frame that the caller has allocated.
 *
 * Exclusive machines only: nobody walks meanwhile.
 */
export function migrateTable(m: Machine, table: number, pfn: number): number {
  assert(!m.isShared, 'tables move on exclusive machines');
  const w = m.words;
  const moved = frameRecord(m, pfn);
  for (let i = 0; i < FRAME_WORDS; i++) w[moved + i] = w[table + i];
  w[moved + T_PFN] = pfn;
  const parent = w[table + T_PARENT];
  if (isOwner(m, parent, table)) w[parent + OWNER_ROOT] = moved;
  else if (isSharedTable(m, table)) sharedMoved(m, table, moved);
  else {
    const at = w[parent + T_CONTENTS] + tableIndex(m, table);
    // A mark that nobody walked here stays (stored.ts).
    w[at] = w[at] < 0 ? -moved : moved;
  }
  if (tableLevel(m, table) > 0) adoptChildren(m, table, moved);
  m.forgetWalk();
  m.events.tableMoved?.(m, table, moved);
  w[table + F_STATE] = TYPE_TAIL;
  return moved;
}

function adoptChildren(m: Machine, from: number, table: number): void {
  const w = m.words;
  if (tableForm(m, table) === FORM_UNIFORM) {
    setUniformTablesPfn(m, table, uniformTablesPfn(m, table));
    return;
  }
  if (tableForm(m, table) !== FORM_DENSE) return;
  const contents = w[table + T_CONTENTS];
  const flags = flagsAt(m, contents);
  for (let i = 0; i < m.entryCount; i++) {
    if ((m.bytes[flags + i] & KIND_MASK) !== ENTRY_TABLE) continue;
    const word = w[contents + i];
    // Marked, stored and shared tables are negative words; the records that they name have T_PARENT too,
    // and begin at a multiple of 8 (stored.ts).
    const child = word > 0 ? word : -word & ~7;
    if (isSharedWord(word)) moveUpper(m, from, table, i);
    w[child + T_PARENT] = table;
  }
}
