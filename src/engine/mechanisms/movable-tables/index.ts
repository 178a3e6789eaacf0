import { MIGRATE_MOVABLE } from '../../frames/pageblock.ts';
import type { Mechanism } from '../mechanism.ts';

/**
 * Page tables that can be moved to another frame ("A Case for Page Table Reclaim", K. Manaouil and
 * A. Barbalace: "Hotunplug fails with unmovable allocations", "Leverage migration for compaction"):
 * they are allocated as MIGRATE_MOVABLE, also from a Movable zone, and hot-unplug and compaction
 * move them. Tables of all levels, the top one included: a table's frame is known to its parent's
 * entry only, and the top one's to the mm and to the cpus that run it, which reload it. The talk
 * gives no algorithm; this one is docs/movable-tables.md.
 */
export const movableTables: Mechanism = {
  id: 'movable-tables',
  title: 'page tables can be migrated, for hot-unplug and compaction',
  excludes: {},
  attach(m) {
    m.tableMigrateType = MIGRATE_MOVABLE;
  },
};

/**
 * The same for the nodes of files' and shared memory's page indexes, which Linux keeps in slabs that
 * never move (proposed for Linux in 2019: Tobin C. Harding, "Slab Movable Objects (SMO)", whose
 * first user was the xarray).
 */
export const movableIndexes: Mechanism = {
  id: 'movable-indexes',
  title: 'the index nodes of files and shared memory can be migrated',
  excludes: {},
  attach(m) {
    m.indexMigrateType = MIGRATE_MOVABLE;
  },
};
