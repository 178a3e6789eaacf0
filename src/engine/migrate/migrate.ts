import { allocExtent, allocFrame } from '../frames/alloc.ts';
import { buddyFree, buddyFreeBlock } from '../frames/buddy.ts';
import { FLOOR_NONE } from '../frames/floors.ts';
import { blockOf, F_STATE, frameRecord, TYPE_TAIL } from '../frames/frame-record.ts';
import { blockExtent, blockZone, EXTENT_TABLES, MIGRATE_MOVABLE } from '../frames/pageblock.ts';
import { TAKEN_EACH } from '../frames/taken-as.ts';
import { zoneAt } from '../frames/zones.ts';
import { B_MAPPING, BLOCK_FRAMES } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { migrateTable } from '../tables/migrate-table.ts';
import { ownerOfTable } from '../tables/table.ts';
import { breakUniform, setUniformTablesPfn } from '../tables/uniform.ts';
import { frameUse, isMovableUse } from './frame-use.ts';
import { migratePage } from './migrate-page.ts';

/**
 * Moves what stands in a frame to another frame, allocated before. False if nothing movable stands
 * there. The old frame's record says "tail" and is on no list: the caller frees it.
 */
export function moveFrame(m: Machine, from: number, to: number): boolean {
  const use = frameUse(m, from);
  if (!isMovableUse(m, use)) return false;
  m.events.frameTaken?.(m, to, 1, FLOOR_NONE, TAKEN_EACH);
  if (use === 'anon' || use === 'object') {
    migratePage(m, from, to);
    return true;
  }
  const block = blockOf(m, from);
  if (blockExtent(m, block) === EXTENT_TABLES) {
    const table = m.words[block + B_MAPPING];
    breakUniform(m, ownerOfTable(m, table), table);
  }
  migrateTable(m, frameRecord(m, from), to);
  return true;
}

/** What `migrateFrame` did. */
export const MIGRATE_MOVED = 0;
/** Nothing movable stands there (any more). */
export const MIGRATE_NOTHING = 1;
export const MIGRATE_NO_MEMORY = 2;

/**
 * Moves what stands in a frame to a new one that the allocator chooses (alloc_migration_target), and
 * frees the old one. A MIGRATE_* result.
 */
export function migrateFrame(m: Machine, pfn: number): number {
  const use = frameUse(m, pfn);
  if (!isMovableUse(m, use)) return MIGRATE_NOTHING;
  const to = allocFrame(m, MIGRATE_MOVABLE);
  if (to === 0) return MIGRATE_NO_MEMORY;
  // The allocation may have reclaimed what was to be moved.
  if (moveFrame(m, pfn, to)) {
    freeDirectly(m, pfn);
    return MIGRATE_MOVED;
  }
  m.words[frameRecord(m, to) + F_STATE] = TYPE_TAIL;
  freeDirectly(m, to);
  return MIGRATE_NOTHING;
}

/** Frees a frame whose record says "tail" past the per-cpu lists. */
export function freeDirectly(m: Machine, pfn: number): void {
  buddyFree(m, zoneAt(m, blockZone(m, blockOf(m, pfn))), pfn, 0);
}

/**
 * Moves the 512 tables of a uniform table to another pageblock at once; false where none is free:
 * then they go one by one. `pfn` lies in their extent.
 */
export function migrateTablesExtent(m: Machine, pfn: number): boolean {
  const first = pfn & ~(BLOCK_FRAMES - 1);
  const block = blockOf(m, first);
  if (blockExtent(m, block) !== EXTENT_TABLES) return false;
  const table = m.words[block + B_MAPPING];
  const to = allocExtent(m, EXTENT_TABLES, MIGRATE_MOVABLE);
  if (to === 0) return false;
  setUniformTablesPfn(m, table, to);
  buddyFreeBlock(m, zoneAt(m, blockZone(m, block)), first);
  return true;
}
