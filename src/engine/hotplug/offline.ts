import { assert, Errno } from '../../base/index.ts';
import { splitFolioOf } from '../frames/folio.ts';
import { blockOf, frameRecord } from '../frames/frame-record.ts';
import {
  isolateRange,
  isRangeAllFree,
  takeRangeOffline,
  undoIsolateRange,
} from '../frames/isolate.ts';
import { blockExtent, EXTENT_TABLES } from '../frames/pageblock.ts';
import { drainAllPcp } from '../frames/pcp.ts';
import { breakReservationOf } from '../frames/reservation.ts';
import { B_CHUNK, B_MAPPING, BLOCK_FRAMES } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { type FrameUse, frameUse, isMovableUse, isUnmovableUse } from '../migrate/frame-use.ts';
import { MIGRATE_NO_MEMORY, migrateFrame, migrateTablesExtent } from '../migrate/migrate.ts';
import { MM_PID } from '../space/mm.ts';
import { ownerOfTable, tableLevel } from '../tables/table.ts';
import { memoryBlock } from './memory-block.ts';
import { changeManaged } from './online.ts';

/** What became of an attempt to take a memory block offline. */
export interface OfflineResult {
  /** 0; -EINVAL: the block is not wholly online; -EBUSY: an unmovable frame; -ENOMEM: no room. */
  readonly errno: number;
  /** The first frame that stands in the way, for -EBUSY. */
  readonly blocker?: Blocker;
  /** Pages and tables that were moved to other frames; after a failure they stay there. */
  readonly pagesMoved: number;
  readonly tablesMoved: number;
}

/** A frame that cannot be moved. */
export interface Blocker {
  readonly pfn: number;
  readonly use: FrameUse;
  /** For a page table: its level (0 is the last) and its process; else -1. */
  readonly level: number;
  readonly pid: number;
}

/**
 * Takes a memory block offline (offline_pages): drains the cpus' lists, isolates the block, moves
 * what is in use, and takes the free frames out of the zone. One unmovable frame is enough to fail:
 * the isolation is undone, what was moved stays where it is now.
 *
 * Where there is no room for what must move, Linux tries again until a signal comes; here that is
 * -ENOMEM.
 */
export function offlineMemory(m: Machine, index: number): OfflineResult {
  assert(!m.isShared, 'memory goes offline on exclusive machines');
  const block = memoryBlock(m, index);
  if (block.state !== 'online') return { errno: -Errno.EINVAL, pagesMoved: 0, tablesMoved: 0 };
  const end = block.start + block.frames;
  drainAllPcp(m);
  // start_isolate_page_range looks before anything is moved (has_unmovable_pages).
  const blocker = findUnmovable(m, block.start, end);
  if (blocker !== undefined) {
    return { errno: -Errno.EBUSY, blocker, pagesMoved: 0, tablesMoved: 0 };
  }
  isolateRange(m, block.start, end);
  const moved = { pagesMoved: 0, tablesMoved: 0 };
  const hasRoom = emptyRange(m, block.start, end, moved);
  // Reclaim on the way may have freed frames of the range to this cpu's list.
  drainAllPcp(m);
  if (!hasRoom) {
    undoIsolateRange(m, block.start, end);
    return { errno: -Errno.ENOMEM, ...moved };
  }
  assert(isRangeAllFree(m, block.start, end), 'an emptied range has a frame in use');
  takeRangeOffline(m, block.start, end);
  changeManaged(m, block.zone, -block.frames);
  return { errno: 0, ...moved };
}

/** Moves all that is in use in an isolated range elsewhere (do_migrate_range); false: no room. */
function emptyRange(
  m: Machine,
  start: number,
  end: number,
  moved: { pagesMoved: number; tablesMoved: number },
): boolean {
  for (let pfn = start; pfn < end; pfn++) {
    splitFolioOf(m, pfn);
    if (pfn % BLOCK_FRAMES === 0) breakReservationOf(m, pfn);
    const use = frameUse(m, pfn);
    if (!isMovableUse(m, use)) continue;
    if (migrateTablesExtent(m, pfn)) {
      moved.tablesMoved += BLOCK_FRAMES;
      continue;
    }
    const result = migrateFrame(m, pfn);
    if (result === MIGRATE_NO_MEMORY) return false;
    if (use === 'anon' || use === 'object') moved.pagesMoved += 1 - result;
    else moved.tablesMoved += 1 - result;
  }
  return true;
}

/** The first frame of a range that is in use and cannot be moved. */
export function findUnmovable(m: Machine, start: number, end: number): Blocker | undefined {
  for (let pfn = start; pfn < end; pfn++) {
    const use = frameUse(m, pfn);
    if (isUnmovableUse(m, use)) return describeBlocker(m, pfn, use);
  }
  return undefined;
}

function describeBlocker(m: Machine, pfn: number, use: FrameUse): Blocker {
  if (use !== 'table') return { pfn, use, level: use === 'index' ? levelOf(m, pfn) : -1, pid: -1 };
  const owner = ownerOfTable(m, tableOrParent(m, pfn));
  return { pfn, use, level: levelOf(m, pfn), pid: m.words[owner + MM_PID] };
}

/** The table in the frame; for one of a uniform table's children, which has no record, its parent. */
function tableOrParent(m: Machine, pfn: number): number {
  const block = blockOf(m, pfn);
  return m.words[block + B_CHUNK] === 0 ? m.words[block + B_MAPPING] : frameRecord(m, pfn);
}

function levelOf(m: Machine, pfn: number): number {
  if (blockExtent(m, blockOf(m, pfn)) === EXTENT_TABLES) return 0;
  return tableLevel(m, frameRecord(m, pfn));
}
