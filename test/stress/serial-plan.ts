import {
  areasOf,
  countersOf,
  faultPage,
  loadPage,
  OBJECT_SHMEM,
  type Process,
  punchObject,
  type Rules,
  System,
  storePage,
} from '../../src/engine/index.ts';

/**
 * Small programs of several threads, and what can be seen of them: the result of each operation and
 * the state at the end. Each operation is atomic by its locks: one page, one table, or the areas. But a
 * load or store that faults is a fault and an access, as in a processor, and others may come between.
 */
export const OPS = [
  'load',
  'store',
  'dontneed',
  'slot',
  'mmap',
  'munmap',
  'mprotect',
  'mremap',
  'punch',
] as const;

export interface SmallOp {
  readonly op: (typeof OPS)[number];
  /** A page of the small range, and a number of pages or a value. */
  readonly page: number;
  readonly value: number;
}

export const SMALL_AT = 0x1000001fc000;
/** The range begins four pages before a slot's border; its second half maps the object. */
export const SMALL_PAGES = 8;
const OBJECT_AT = SMALL_AT + 64 * 2 ** 20;
const OBJECT_PAGES = 4;

export interface SmallMachine {
  readonly system: System;
  readonly process: Process;
  readonly object: number;
}

export function smallMachine(rules: Rules, isShared: boolean, cpus: number): SmallMachine {
  const system = new System({
    rules,
    isShared,
    hasContents: true,
    cpus,
    nodeBytes: [16 * 2 ** 20],
    bufferMiB: 8,
  });
  const object = system.createObject(OBJECT_SHMEM, OBJECT_PAGES * 4096);
  const process = system.spawn(1);
  process.mmap(SMALL_AT, SMALL_PAGES * 4096, 3, 0x32);
  process.mmap(OBJECT_AT, OBJECT_PAGES * 4096, 3, 0x11, object);
  return { system, process, object };
}

/** A load or a store goes through a page that is there; else it faults first, which is a step of its own. */
export function isAccess({ op }: SmallOp): boolean {
  return op === 'load' || op === 'store';
}

/** The fault of a load or store: 0 or more, or the FAULT_* code that ends it. */
export function faultSmall(process: Process, { op, page, value }: SmallOp): number {
  const at = value % 4 === 0 ? OBJECT_AT + (page % OBJECT_PAGES) * 4096 : SMALL_AT + page * 4096;
  return faultPage(process.machine, process.mm, at / 4096, op === 'store');
}

/** Runs one operation; its result. */
export function runSmall(process: Process, object: number, { op, page, value }: SmallOp): number {
  const m = process.machine;
  const at = SMALL_AT + page * 4096;
  const objectAt = OBJECT_AT + (page % OBJECT_PAGES) * 4096;
  const bytes = (1 + (value % (SMALL_PAGES - page))) * 4096;
  const isObject = value % 4 === 0;
  switch (op) {
    case 'load':
      return loadPage(m, process.mm, (isObject ? objectAt : at) / 4096);
    case 'store':
      return storePage(m, process.mm, (isObject ? objectAt : at) / 4096, value);
    case 'dontneed':
      return process.madvise(at, 4096, 4);
    case 'slot':
      return process.madvise(SMALL_AT + 4 * 4096, 512 * 4096, 4);
    case 'mmap':
      return process.mmap(at, bytes, value % 3 === 0 ? 1 : 3, 0x32);
    case 'munmap':
      return process.munmap(at, bytes);
    case 'mprotect':
      return process.mprotect(at, bytes, value % 2 === 0 ? 1 : 3);
    case 'mremap':
      return process.mremap(at, 4096, 4096, 3, SMALL_AT + ((page + 3) % SMALL_PAGES) * 4096);
    default:
      punchObject(m, object, page % OBJECT_PAGES, (page % OBJECT_PAGES) + 1);
      return 0;
  }
}

/** All that can be seen of the end: areas, tables, pages, and what stands in them. */
export function finalState({ process }: SmallMachine): string {
  const m = process.machine;
  const areas = areasOf(m, process.mm).map(({ start, end, prot }) => [start - SMALL_AT, end, prot]);
  const { presentPages, pteTables, vmPteKiB, emptyTables, rssAnonKiB, rssShmemKiB } = countersOf(
    m,
    process.mm,
  );
  const counted = [presentPages, pteTables, vmPteKiB, emptyTables, rssAnonKiB, rssShmemKiB];
  const values: number[] = [];
  for (let i = 0; i < SMALL_PAGES; i++) {
    values.push(loadPage(m, process.mm, SMALL_AT / 4096 + i));
  }
  for (let i = 0; i < OBJECT_PAGES; i++) {
    values.push(loadPage(m, process.mm, OBJECT_AT / 4096 + i));
  }
  return JSON.stringify([areas, counted, values]);
}

export interface SerialStart {
  readonly buffer: SharedArrayBuffer;
  readonly thread: number;
  readonly threads: number;
  readonly mm: number;
  readonly object: number;
  readonly kernel: string;
  readonly ops: readonly SmallOp[];
  /** Two words: threads that are ready; then the sign to begin. */
  readonly gate: Int32Array;
}
