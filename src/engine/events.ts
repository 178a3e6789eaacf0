import type { TakenAs } from './frames/taken-as.ts';
import type { Machine } from './machine.ts';

/**
 * What a mechanism can hear of. Where nobody listens an event is null, and costs one test at the rare
 * place where it could happen (docs/engine.md, "Events").
 */

/** Called when the last entry of a last-level table went; true says: free the table now. */
export type TableEmptiedHook = (m: Machine, owner: number, table: number) => boolean;

/** Called when an allocation finds the zones below their low watermark; frames that it freed. */
export type MemoryShortHook = (m: Machine, frames: number) => number;

/** Called after a table moved to another frame: its id was `from` and is `to` now. */
export type TableMovedHook = (m: Machine, from: number, to: number) => void;

/** Called when a table of a level above the last was made or is about to be freed. */
export type UpperTableHook = (m: Machine, owner: number, table: number, level: number) => void;

/**
 * Called when page reclaim wants page tables of a cgroup (0: of all) to give their part; the frames
 * that it freed.
 */
export type TablesShortHook = (m: Machine, frames: number, cgroup: number) => number;

/**
 * Called by whoever knows the time (a replay) when a process is about to run on after a touch or a
 * system call; `nowNs` is the modelled time.
 */
export type ReturnToUserHook = (m: Machine, mm: number, nowNs: number) => void;

/** Called when the last user of an address space is gone; its id may be another's afterwards. */
export type SpaceGoneHook = (m: Machine, mm: number) => void;

/** Called when a process ends, before anything of it is taken down; not at exec. */
export type ProcessExitHook = (m: Machine, pid: number) => void;

/** Called when a fault has filled an entry of private anonymous memory: its table, and the page. */
export type PageAddedHook = (m: Machine, mm: number, leaf: number, page: number) => void;

/**
 * Called when a fault is about to take a frame for a page of an area's anonymous memory, whose table is
 * `leaf`: the frame that it is to take, or 0 for any. It must not reclaim.
 */
export type PlacePageHook = (
  m: Machine,
  vma: number,
  leaf: number,
  hi: number,
  lo: number,
) => number;

/**
 * Called when frames from `pfn` on leave free memory, to be anything (TAKEN_*, frames/taken-as.ts). False:
 * they cannot be used and go back, unless `floor` is FLOOR_NONE. What the listener takes itself leaves
 * as much free as `floor` says (FLOOR_*, frames/floors.ts). It must not reclaim.
 */
export type FrameTakenHook = (
  m: Machine,
  pfn: number,
  frames: number,
  floor: number,
  as: TakenAs,
) => boolean;

/**
 * Called when 2^order frames were freed and now lie in a free block of 2^freeOrder. The zone's lists are
 * being changed: it must not allocate or free.
 */
export type BlockFreedHook = (m: Machine, pfn: number, order: number, freeOrder: number) => void;

/** Called when frames have been freed and the lists are at rest: the listener may free its own. */
export type ListsAtRestHook = (m: Machine) => void;

/** Called before a huge page becomes single pages, those that nothing maps free ones. */
export type FolioSplitHook = (m: Machine, base: number) => void;

/** Called when a fault has given 2 MiB of zeros, from frame `base` on. */
export type HugeAddedHook = (m: Machine, mm: number, base: number) => void;

/** Called when a write to private anonymous memory has come through, whether it was a fault or not. */
export type PageWrittenHook = (m: Machine, mm: number, hi: number, lo: number) => void;

/**
 * Called before MADV_DONTNEED takes entries [from, to) of a huge page, a part of it; true: they stay,
 * and so does the huge page.
 */
export type HugePartlyFreedHook = (
  m: Machine,
  mm: number,
  table: number,
  from: number,
  to: number,
) => boolean;

/** Asked by whoever must choose between a huge page's use and its memory: is it used much? */
export type IsHugeHotHook = (m: Machine, mm: number, table: number) => boolean;

/** Called when a zone is short while others may not be; frames of it that came free. */
export type NodeShortHook = (m: Machine, zone: number, frames: number) => number;

/** The named events at which mechanisms attach. */
export interface MachineEvents {
  tableMoved: TableMovedHook | null;
  tableEmptied: TableEmptiedHook | null;
  memoryShort: MemoryShortHook | null;
  tablesShort: TablesShortHook | null;
  nodeShort: NodeShortHook | null;
  upperTableMade: UpperTableHook | null;
  upperTableGone: UpperTableHook | null;
  returnToUser: ReturnToUserHook | null;
  processExit: ProcessExitHook | null;
  spaceGone: SpaceGoneHook | null;
  frameTaken: FrameTakenHook | null;
  blockFreed: BlockFreedHook | null;
  listsAtRest: ListsAtRestHook | null;
  folioSplit: FolioSplitHook | null;
  placePage: PlacePageHook | null;
  pageAdded: PageAddedHook | null;
  hugeAdded: HugeAddedHook | null;
  pageWritten: PageWrittenHook | null;
  hugePartlyFreed: HugePartlyFreedHook | null;
  isHugeHot: IsHugeHotHook | null;
}

export function noEvents(): MachineEvents {
  return {
    tableEmptied: null,
    tableMoved: null,
    memoryShort: null,
    tablesShort: null,
    nodeShort: null,
    upperTableMade: null,
    upperTableGone: null,
    returnToUser: null,
    processExit: null,
    spaceGone: null,
    frameTaken: null,
    blockFreed: null,
    listsAtRest: null,
    folioSplit: null,
    placePage: null,
    pageAdded: null,
    hugeAdded: null,
    pageWritten: null,
    hugePartlyFreed: null,
    isHugeHot: null,
  };
}
