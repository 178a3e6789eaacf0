import { assert, InputError } from '../../../base/index.ts';
import { allocFrameUntold } from '../../frames/alloc.ts';
import { buddyFree } from '../../frames/buddy.ts';
import { FLOOR_LOW, FLOOR_NONE } from '../../frames/floors.ts';
import {
  blockOf,
  F_STATE,
  FRAME_WORDS,
  frameRecord,
  TYPE_FOLIO,
  TYPE_MASK,
  TYPE_METADATA,
  TYPE_TAIL,
} from '../../frames/frame-record.ts';
import {
  blockMigrateType,
  blockZone,
  MIGRATE_MOVABLE,
  MIGRATE_UNMOVABLE,
} from '../../frames/pageblock.ts';
import { keepPcpShort } from '../../frames/pcp.ts';
import { TAKEN_BARE, TAKEN_HUGE } from '../../frames/taken-as.ts';
import { zoneAt } from '../../frames/zones.ts';
import { B_CHUNK } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import {
  BLOCK_UNITS,
  GROUP_BLOCKS,
  UNIT_FRAMES,
  UNIT_SHIFT,
  unitsOf,
} from '../../metadata/need.ts';
import { llfreeBytes } from '../../metadata/schemes.ts';
import type { DynamicMetadataOptions } from './options.ts';

/** There, but without a frame of its own: a split found no memory at all for it. */
const OVERDRAWN = -1;
const GROUP_UNITS: number = GROUP_BLOCKS * BLOCK_UNITS;

/**
 * The pages of the vmemmap that are there, each in a frame of the modelled machine, and the page tables
 * that map them. A page comes with the first of its 64 frames that is used, before that frame is given
 * out: where there is no memory for it, there is none for the frame. It goes when its frames are one free
 * block. Between the two, where frames are free in pieces or on cpus' lists, it stays.
 *
 * Frames that hold vmemmap have no struct page themselves.
 */
export class Vmemmap {
  readonly #m: Machine;
  readonly hugeUnits: number;
  /** Frame of each unit, of each group's page table; 0: not there, or OVERDRAWN. */
  readonly units: Int32Array;
  readonly tables: Int32Array;
  /** Units that are there, by group. */
  readonly groupUnits: Int32Array;
  /** Frames that hold metadata, by the unit that would describe them. */
  readonly #holding: Uint8Array;
  /** Frames of what has gone, until the lists are at rest. */
  readonly spare: number[] = [];
  /** What may be OVERDRAWN: a unit, or ~group for a table. */
  readonly #unpaid: number[] = [];
  readonly llfreeFrames: number;
  unitCount = 0;
  tableCount = 0;
  overdrawn = 0;
  peakPages = 0;
  readonly #count = {
    /** Pages of vmemmap that came, and that went. */
    taken: 0,
    givenBack: 0,
    /** How often one had to come before a page, a page of 2 MiB, or anything unmovable could be had. */
    beforePages: 0,
    beforeHugePages: 0,
    beforeTables: 0,
    /** In splits of huge pages. */
    inSplits: 0,
    /** Allocations that failed for want of metadata, and pieces of it that found no memory in a split. */
    refusals: 0,
    overdrafts: 0,
  };

  constructor(m: Machine, { hugeUnits, hasLLFree }: DynamicMetadataOptions) {
    assert(!m.isShared, 'dynamic-metadata is for machines of one thread');
    if (hugeUnits > BLOCK_UNITS) throw new InputError(`hugeUnits=${hugeUnits}: want at most 8`);
    this.#m = m;
    this.hugeUnits = hugeUnits;
    this.units = new Int32Array(m.blockCount * BLOCK_UNITS);
    this.#holding = new Uint8Array(this.units.length);
    this.tables = new Int32Array(Math.ceil(m.blockCount / GROUP_BLOCKS));
    this.groupUnits = new Int32Array(this.tables.length);
    this.llfreeFrames = hasLLFree === 0 ? 0 : this.#chargeLLFree();
    for (let number = 0; number < m.blockCount; number++) {
      const mask = unitsOf(m, number, hugeUnits);
      for (let i = 0; i < BLOCK_UNITS; i++) {
        if ((mask & (1 << i)) !== 0) this.#add(number * BLOCK_UNITS + i, FLOOR_NONE);
      }
    }
    // Every frame that is taken is heard of: none takes the way that tells nobody (fault/fault.ts).
    m.isCareful = true;
    // LLFree has no lists of frames: what is freed may be put together at once.
    keepPcpShort(m);
    this.#listen();
  }

  #listen(): void {
    const { events } = this.#m;
    const { frameTaken } = events;
    events.frameTaken = (m, pfn, frames, floor, as) => {
      if (as !== TAKEN_BARE && !this.#taken(pfn, frames, floor, as === TAKEN_HUGE)) return false;
      return frameTaken === null || frameTaken(m, pfn, frames, floor, as);
    };
    events.blockFreed = (_m, pfn, order, freeOrder) => this.#blockFreed(pfn, order, freeOrder);
    events.listsAtRest = () => this.#settle();
    events.folioSplit = (_m, base) => this.#folioSplit(base);
  }

  /** Vmemmap pages and their page tables, in frames. */
  get pages(): number {
    return this.unitCount + this.tableCount;
  }

  counters(): Record<string, number> {
    return { ...this.#count };
  }

  #chargeLLFree(): number {
    const pages = Math.ceil(llfreeBytes(frameCount(this.#m)) / 4096);
    for (let i = 0; i < pages; i++) {
      if (this.#takeFrame(FLOOR_NONE) === 0) throw new InputError('no memory for LLFree');
    }
    return pages;
  }

  #taken(pfn: number, frames: number, floor: number, isHuge: boolean): boolean {
    const first = pfn >> UNIT_SHIFT;
    const last = isHuge ? first + this.hugeUnits - 1 : (pfn + frames - 1) >> UNIT_SHIFT;
    let added = 0;
    for (let unit = first; unit <= last; unit++) {
      if (this.units[unit] !== 0) continue;
      if (!this.#add(unit, floor)) {
        this.#count.refusals += 1;
        this.#dropNew(first, unit, added);
        return false;
      }
      added += 1;
    }
    if (added > 0) this.#countCause(pfn, isHuge);
    return true;
  }

  /** Of the units before `end` the last `added` that were not there go again. */
  #dropNew(first: number, end: number, added: number): void {
    // A range has all of its units or is new as a whole: only whole pageblocks have several.
    for (let unit = end - 1, left = added; unit >= first && left > 0; unit--, left--) {
      this.#drop(unit);
    }
  }

  #countCause(pfn: number, isHuge: boolean): void {
    if (isHuge) this.#count.beforeHugePages += 1;
    else if (blockMigrateType(this.#m, blockOf(this.#m, pfn)) === MIGRATE_MOVABLE) {
      this.#count.beforePages += 1;
    } else this.#count.beforeTables += 1;
  }

  #blockFreed(pfn: number, order: number, freeOrder: number): void {
    const first = pfn >> UNIT_SHIFT;
    if (freeOrder < UNIT_SHIFT) {
      if ((this.#holding[first] as number) > 0) this.#dropUnneeded(first);
      return;
    }
    const count = order > UNIT_SHIFT ? 1 << (order - UNIT_SHIFT) : 1;
    for (let unit = first; unit < first + count; unit++) {
      if (this.units[unit] !== 0) this.#drop(unit);
    }
  }

  /** Where a unit's frames hold metadata they are never one free block: each free looks at all. */
  #dropUnneeded(unit: number): void {
    if (this.units[unit] === 0) return;
    const mask = unitsOf(this.#m, Math.floor(unit / BLOCK_UNITS), this.hugeUnits);
    if ((mask & (1 << (unit % BLOCK_UNITS))) === 0) this.#drop(unit);
  }

  /** Its mapped frames become pages of their own, each with a struct page. */
  #folioSplit(base: number): void {
    const w = this.#m.words;
    const chunk = w[blockOf(this.#m, base) + B_CHUNK];
    const first = base >> UNIT_SHIFT;
    const before = this.#count.taken;
    for (let i = 0; i < BLOCK_UNITS; i++) {
      if (this.units[first + i] !== 0 || !hasMapped(this.#m, chunk, i)) continue;
      this.#add(first + i, FLOOR_NONE);
    }
    if (this.#count.taken > before) this.#count.inSplits += 1;
  }

  /** A unit comes, and the page table that maps it; false: no memory. */
  #add(unit: number, floor: number): boolean {
    const group = Math.floor(unit / GROUP_UNITS);
    if (this.tables[group] === 0) {
      const frame = this.#pay(floor, ~group);
      if (frame === 0) return false;
      this.tables[group] = frame;
      this.tableCount += 1;
    }
    const frame = this.#pay(floor, unit);
    if (frame === 0) {
      if (this.groupUnits[group] === 0) this.#dropTable(group);
      return false;
    }
    this.units[unit] = frame;
    this.groupUnits[group]! += 1;
    this.unitCount += 1;
    this.#count.taken += 1;
    this.peakPages = Math.max(this.peakPages, this.pages);
    return true;
  }

  /** A frame for a unit or table; OVERDRAWN where it must come and there is none; 0 where it cannot. */
  #pay(floor: number, what: number): number {
    const frame = this.#takeFrame(floor);
    if (frame !== 0 || floor !== FLOOR_NONE) return frame;
    this.#unpaid.push(what);
    this.overdrawn += 1;
    this.#count.overdrafts += 1;
    return OVERDRAWN;
  }

  #takeFrame(floor: number): number {
    const m = this.#m;
    const spare = this.spare.pop();
    if (spare !== undefined) return spare;
    const pfn = allocFrameUntold(m, MIGRATE_UNMOVABLE, floor);
    if (pfn === 0) return 0;
    m.words[frameRecord(m, pfn) + F_STATE] = TYPE_METADATA;
    this.#holding[pfn >> UNIT_SHIFT]! += 1;
    return pfn;
  }

  #drop(unit: number): void {
    const group = Math.floor(unit / GROUP_UNITS);
    this.#giveBack(this.units[unit] as number);
    this.units[unit] = 0;
    this.unitCount -= 1;
    this.#count.givenBack += 1;
    this.groupUnits[group]! -= 1;
    if (this.groupUnits[group] === 0) this.#dropTable(group);
  }

  #dropTable(group: number): void {
    this.#giveBack(this.tables[group] as number);
    this.tables[group] = 0;
    this.tableCount -= 1;
  }

  #giveBack(frame: number): void {
    if (frame === OVERDRAWN) this.overdrawn -= 1;
    else this.spare.push(frame);
  }

  /** What has gone is free memory; what found none gets its frame. Freeing may let more go. */
  #settle(): void {
    const m = this.#m;
    while (this.#unpaid.length > 0) {
      const what = this.#unpaid[this.#unpaid.length - 1] as number;
      const [frames, at] = what < 0 ? [this.tables, ~what] : [this.units, what];
      if (frames[at] === OVERDRAWN) {
        const frame = this.#takeFrame(FLOOR_LOW);
        if (frame === 0) break;
        frames[at] = frame;
        this.overdrawn -= 1;
      }
      this.#unpaid.pop();
    }
    for (let pfn = this.spare.pop(); pfn !== undefined; pfn = this.spare.pop()) {
      m.words[frameRecord(m, pfn) + F_STATE] = TYPE_TAIL;
      this.#holding[pfn >> UNIT_SHIFT]! -= 1;
      buddyFree(m, zoneAt(m, blockZone(m, blockOf(m, pfn))), pfn, 0);
    }
  }
}

/** Frames that are or may become online. */
function frameCount(m: Machine): number {
  return m.blockCount * BLOCK_UNITS * UNIT_FRAMES;
}

function hasMapped(m: Machine, chunk: number, unit: number): boolean {
  if (chunk === 0) return true;
  const from = chunk + unit * UNIT_FRAMES * FRAME_WORDS;
  for (let i = 0; i < UNIT_FRAMES; i++) {
    if ((m.words[from + i * FRAME_WORDS + F_STATE] & TYPE_MASK) !== TYPE_FOLIO) return true;
  }
  return false;
}
