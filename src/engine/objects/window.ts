import { assert } from '../../base/index.ts';
import { H_OBJECT_LIST } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { VM_WINDOW } from '../space/vm-flags.ts';
import { V_FLAGS, V_OBJECT, V_OBJECT_NEXT } from '../space/vma.ts';
import { O_NEXT, O_TYPE, O_VMAS, OBJECT_TABLES, objectCreate } from './object.ts';

/**
 * Windows: areas onto objects that are mapped by whole page tables, not page by page (mshare's regions,
 * Morsels). The entries and the pages behind them belong to the object's own tree; an address space has
 * one entry of an upper table that leads there (tables/link.ts), and its counters have none of it.
 *
 * A window's area has VM_WINDOW and no access rights, so that all that looks at rights first, the fault
 * handler above all, comes to the object's `WindowOps` only where it would have refused the access.
 */

/** Which `WindowOps` an object of type OBJECT_TABLES has. */
export const O_FLAVOR = 20;
/** Words of the object that its flavor may use as it likes. */
export const O_OWN = 21;
export const O_OWN_WORDS = 11;

/**
 * What ordinary calls do to a part of a window, where they may: bounds in pages, results 0 or a negative
 * errno.
 */
export interface PartOps {
  /** Whether an area may be cut there. */
  checkCut(m: Machine, vma: number, page: number): number;
  /** The area is about to be cut there. */
  cut(m: Machine, vma: number, page: number): void;
  protect(m: Machine, vma: number, start: number, end: number, prot: number): number;
  /** Advice about contents. */
  advise(m: Machine, vma: number, start: number, end: number, advice: number): number;
  /** `copy` is the child's area; false: no memory. */
  fork(m: Machine, vma: number, copy: number): boolean;
  /** Entries of [start, start + pages) go to the area `made`, which begins at `target`; false: no memory. */
  move(
    m: Machine,
    vma: number,
    made: number,
    start: number,
    target: number,
    pages: number,
  ): boolean;
  /** PROT_* bits of an area. */
  rightsOf(m: Machine, vma: number): number;
  truncate(m: Machine, object: number, sizeBytes: number): number;
  punch(m: Machine, object: number, start: number, end: number): void;
}

/** What a kind of object that is mapped by its tables does. */
export interface WindowOps {
  readonly name: string;
  /** Null: a window stays as it was mapped, and goes as a whole. */
  readonly parts: PartOps | null;
  /** Addresses of its windows of so many pages are multiples of this, pages. */
  alignmentPages(m: Machine, object: number, pages: number): number;
  /** 0, or a negative errno for a mapping that cannot be. */
  checkMapping(m: Machine, object: number, pages: number, pgoff: number, isShared: boolean): number;
  /** A fault in the window: the number of faults that the processor took, or a FAULT_* code. */
  fault(m: Machine, mm: number, vma: number, hi: number, lo: number, isWrite: boolean): number;
  /**
   * Touches many pages from `page` on in one step: how many, 0 where that cannot be. Faults are in
   * `m.foundIndex`.
   */
  touchWhole(
    m: Machine,
    mm: number,
    vma: number,
    page: number,
    count: number,
    isWrite: boolean,
  ): number;
  /** As loadPage (a `value` below 0) and storePage of fault/access.ts. */
  access(m: Machine, mm: number, vma: number, page: number, value: number): number;
  /** Gives a page that has just been written its word of contents, which may be negative (fault/fill.ts). */
  fill(m: Machine, vma: number, page: number, content: number): void;
  /** The window goes: what leads to the object's tables must go first (the zap phase of munmap). */
  detach(m: Machine, mm: number, vma: number): void;
  /** The last reference to the object is gone. */
  gone(m: Machine, object: number): void;
  /** The window has just been made, by mmap or by fork. */
  attached(m: Machine, mm: number, vma: number): void;
  /**
   * Recomputes what it keeps; throws AssertionError.
   */
  validate(m: Machine): WindowFrames;
}

/** What the objects of a flavor have, as `validate` found it. */
export interface WindowFrames {
  /** Tables and pages that have frame types of their own. */
  readonly tables: number;
  readonly pages: number;
  /** Tables and pages of theirs with a share count above one, links apart. */
  readonly shared: number;
}

/** Makes a kind of such objects known to the machine; its number for `createTablesObject`. */
export function registerWindowOps(m: Machine, ops: WindowOps): number {
  const known = m.windowOps.findIndex(({ name }) => name === ops.name);
  return known >= 0 ? known : m.windowOps.push(ops) - 1;
}

/** A new object of a flavor; the caller holds one reference. */
export function createTablesObject(m: Machine, flavor: number, sizeBytes: number): number {
  assert(!m.isShared, 'objects that are mapped by tables are for machines of one thread');
  const object = objectCreate(m, OBJECT_TABLES, sizeBytes);
  m.words[object + O_FLAVOR] = flavor;
  return object;
}

/** The objects of a flavor. */
export function objectsOf(m: Machine, flavor: number): number[] {
  const w = m.words;
  const found: number[] = [];
  for (let object = w[H_OBJECT_LIST]; object !== 0; object = w[object + O_NEXT]) {
    if (isTablesObject(m, object) && w[object + O_FLAVOR] === flavor) found.push(object);
  }
  return found;
}

/** Visits the windows onto an object. */
export function eachWindow(m: Machine, object: number, visit: (vma: number) => void): void {
  const w = m.words;
  for (let vma = w[object + O_VMAS]; vma !== 0; vma = w[vma + V_OBJECT_NEXT]) visit(vma);
}

export function isTablesObject(m: Machine, object: number): boolean {
  return m.words[object + O_TYPE] === OBJECT_TABLES;
}

export function opsOfObject(m: Machine, object: number): WindowOps {
  return m.windowOps[m.words[object + O_FLAVOR]] as WindowOps;
}

/** Of any area: null where it is none whose parts calls may change. */
export function partOpsOf(m: Machine, vma: number): PartOps | null {
  if ((m.words[vma + V_FLAGS] & VM_WINDOW) === 0) return null;
  return opsOfWindow(m, vma).parts;
}

/** Of an area with VM_WINDOW. */
export function opsOfWindow(m: Machine, vma: number): WindowOps {
  return opsOfObject(m, m.words[vma + V_OBJECT]);
}
