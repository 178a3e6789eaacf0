import { allocFrameInZone } from '../../frames/alloc.ts';
import { blockOf } from '../../frames/frame-record.ts';
import { blockZone } from '../../frames/pageblock.ts';
import { isMovableZone, zoneAt } from '../../frames/zones.ts';
import { Z_FREE, Z_HIGH, Z_NODE } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { freeDirectly } from '../../migrate/migrate.ts';
import { migrateTable } from '../../tables/migrate-table.ts';
import { countStored, K_MIGRATIONS, K_PICKS } from '../../tables/stored.ts';
import { T_CONTENTS, T_PFN, T_STATE, TABLE_FROZEN } from '../../tables/table.ts';
import { tableBelow } from './entries.ts';
import type { Victims } from './victims.ts';

/**
 * Migrates tables from a zone that is short to a node that has room above its high watermark; how
 * many frames of the zone came free. Entries stay as they are, and so does the mark of a table that
 * nobody walked to.
 */
export function migrateAway(m: Machine, victims: Victims, zone: number, frames: number): number {
  const target = roomElsewhere(m, zone);
  if (target < 0) return 0;
  let moved = 0;
  victims.begin(m, 0, frames);
  // Of the tables that are picked some lie in other zones.
  for (let picks = 16 * frames + 64; picks > 0 && moved < frames; picks--) {
    if (!victims.next(m)) break;
    countStored(m, K_PICKS, 1);
    const result = migrateOne(m, victims.parent, victims.index, zone, target);
    if (result < 0) break;
    moved += result;
  }
  return moved;
}

/** 1: moved; 0: the table is not in the zone, or busy; -1: no room. */
function migrateOne(
  m: Machine,
  parent: number,
  index: number,
  zone: number,
  target: number,
): number {
  const w = m.words;
  const table = tableBelow(m, parent, index);
  if (table === 0 || table === m.walkLeaf || (w[table + T_STATE] & TABLE_FROZEN) !== 0) return 0;
  const pfn = w[table + T_PFN];
  if (blockZone(m, blockOf(m, pfn)) !== zone) return 0;
  const to = allocFrameInZone(m, target, m.tableMigrateType, w[zoneAt(m, target) + Z_HIGH]);
  if (to === 0) return -1;
  const isMarked = w[w[parent + T_CONTENTS] + index] < 0;
  const moved = migrateTable(m, table, to);
  if (isMarked) w[w[parent + T_CONTENTS] + index] = -moved;
  freeDirectly(m, pfn);
  countStored(m, K_MIGRATIONS, 1);
  return 1;
}

/** A zone of another node with room that tables may use; -1 if there is none. */
function roomElsewhere(m: Machine, zone: number): number {
  const w = m.words;
  const node = w[zoneAt(m, zone) + Z_NODE];
  for (let other = m.zoneCount - 1; other >= 0; other--) {
    const z = zoneAt(m, other);
    if (w[z + Z_NODE] === node || isMovableZone(m, other)) continue;
    if (w[z + Z_FREE] > w[z + Z_HIGH]) return other;
  }
  return -1;
}
