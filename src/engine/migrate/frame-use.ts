import {
  blockOf,
  F_MAPCOUNT,
  F_MAPPING,
  F_STATE,
  FRAME_KSM,
  FRAME_PINNED,
  frameRecord,
  TYPE_ANON,
  TYPE_FOLIO,
  TYPE_HELD,
  TYPE_INDEX,
  TYPE_KERNEL,
  TYPE_MASK,
  TYPE_METADATA,
  TYPE_MORSEL,
  TYPE_MORSEL_TABLE,
  TYPE_OBJECT,
  TYPE_PCP,
  TYPE_TABLE,
  TYPE_ZPOOL,
} from '../frames/frame-record.ts';
import {
  blockExtent,
  EXTENT_ANON,
  EXTENT_HUGETLB,
  EXTENT_MORSEL,
  EXTENT_NONE,
  EXTENT_OBJECT,
  EXTENT_TABLES,
  MIGRATE_MOVABLE,
} from '../frames/pageblock.ts';
import { RESERVED_FRAMES } from '../frames/zones.ts';
import { B_CHUNK, B_MAPPING } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { O_TYPE, OBJECT_KERNEL } from '../objects/object.ts';
import { RmapWalk } from '../objects/rmap.ts';
import { OWNER_KIND, OWNER_MM } from '../tables/owner.ts';
import { ownerOfTable } from '../tables/table.ts';

/**
 * This folder moves what stands in one frame to another (mm/migrate.c), one frame at a time
 * (migrate.ts) or by compaction (compact.ts). This file says what stands in a frame and whether it
 * can be moved.
 */
export type FrameUse =
  | 'free'
  | 'pcp' // on a cpu's list
  | 'held' // for a page of a region that is not there
  | 'anon'
  | 'object' // a page of a file or of shared memory
  | 'table' // a page table of an address space
  | 'index' // a table of an object's page index
  | 'kernel' // the kernel's own: its image, the vdso, compressed tables; pinned pages, Morsels
  | 'absent'; // no memory, or a memory block that is offline

/** What stands in a frame of [0, all pageblocks). */
export function frameUse(m: Machine, pfn: number): FrameUse {
  const block = blockOf(m, pfn);
  if (m.words[block + B_CHUNK] === 0) return extentUse(m, block, pfn);
  const rec = frameRecord(m, pfn);
  switch (m.words[rec + F_STATE] & TYPE_MASK) {
    case TYPE_PCP:
      return 'pcp';
    case TYPE_HELD:
      return 'held';
    case TYPE_ANON:
      return canBeFound(m, pfn, rec) ? 'anon' : 'kernel';
    case TYPE_FOLIO:
      return 'anon';
    case TYPE_OBJECT:
      // A pinned page stays where it is.
      if ((m.words[rec + F_STATE] & FRAME_PINNED) !== 0) return 'kernel';
      return objectUse(m, m.words[rec + F_MAPPING]);
    case TYPE_TABLE:
      return 'table';
    case TYPE_INDEX:
      return 'index';
    case TYPE_KERNEL:
    case TYPE_METADATA:
    case TYPE_MORSEL:
    case TYPE_MORSEL_TABLE:
    case TYPE_ZPOOL:
      return 'kernel';
    default:
      return 'free'; // a free head, or a frame behind it
  }
}

const walk = new RmapWalk();

/** A merged page may have owners that are not known yet (ksm/ksm.ts, placesOf): it cannot be moved. */
function canBeFound(m: Machine, pfn: number, rec: number): boolean {
  if ((m.words[rec + F_STATE] & FRAME_KSM) === 0) return true;
  let found = 0;
  walk.begin(m, pfn);
  while (walk.next(m)) found++;
  return found === m.words[rec + F_MAPCOUNT];
}

function extentUse(m: Machine, block: number, pfn: number): FrameUse {
  switch (blockExtent(m, block)) {
    case EXTENT_NONE:
      return pfn < RESERVED_FRAMES ? 'kernel' : 'free';
    case EXTENT_ANON:
      return 'anon';
    case EXTENT_HUGETLB:
    case EXTENT_MORSEL:
      return 'kernel';
    case EXTENT_OBJECT:
      return objectUse(m, m.words[block + B_MAPPING]);
    case EXTENT_TABLES: {
      const owner = ownerOfTable(m, m.words[block + B_MAPPING]);
      return m.words[owner + OWNER_KIND] === OWNER_MM ? 'table' : 'index';
    }
    default:
      return 'absent';
  }
}

function objectUse(m: Machine, object: number): FrameUse {
  return m.words[object + O_TYPE] === OBJECT_KERNEL ? 'kernel' : 'object';
}

/** True if a frame of this use can be moved: pages always, tables where the machine says so. */
export function isMovableUse(m: Machine, use: FrameUse): boolean {
  switch (use) {
    case 'anon':
    case 'object':
      return true;
    case 'table':
      return m.tableMigrateType === MIGRATE_MOVABLE;
    case 'index':
      return m.indexMigrateType === MIGRATE_MOVABLE;
    default:
      return false;
  }
}

/** True if the frame is in use, there, and cannot be moved. */
export function isUnmovableUse(m: Machine, use: FrameUse): boolean {
  const isInUse = use !== 'free' && use !== 'pcp' && use !== 'held' && use !== 'absent';
  return isInUse && !isMovableUse(m, use);
}
