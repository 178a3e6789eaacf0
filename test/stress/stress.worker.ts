import { parentPort, workerData } from 'node:worker_threads';
import { Random } from '../../src/base/index.ts';
import {
  goOffline,
  goOnline,
  loadPage,
  Machine,
  type Process,
  punchObject,
  System,
  storePage,
  X86_64_4LEVEL,
} from '../../src/engine/index.ts';
import { attachMechanisms, parseKernel } from '../../src/lab/kernels.ts';
import {
  COVERED_AT,
  COVERED_PAGES,
  MIXED_AT,
  MIXED_PAGES,
  OBJECT_AT,
  OBJECT_PAGES,
  PAGE,
  SLOT_PAGES,
  type StressAnswer,
  type StressStart,
  WINDOW_AT,
  WINDOW_PAGES,
} from './plan.ts';

/** One thread of a stress run (plan.ts). */
const DONTNEED = 4;
const FREE = 8;
const REMOVE = 9;
const COLD = 20;
const PAGEOUT = 21;
const GUARD_INSTALL = 102;
const GUARD_REMOVE = 103;
const ANON = 0x22;
const FIXED = 0x10;
const SEGV = -1;

class Wrong extends Error {}

/** What one page must hold; `mayBeZero`: or nothing any more. */
interface Cell {
  value: number;
  mayBeZero: boolean;
  isGuarded: boolean;
}

/** A window's page: undefined where nothing is mapped. */
interface WindowPage extends Cell {
  isWritable: boolean;
}

interface Space {
  readonly process: Process;
  readonly mixed: Map<number, Cell>;
  readonly covered: Map<number, Cell>;
  window: (WindowPage | undefined)[];
}

class StressThread {
  readonly #start: StressStart;
  readonly #m: Machine;
  readonly #system: System;
  readonly #random: Random;
  readonly #spaces: Space[];
  readonly #shared = new Map<number, Cell>();
  #tag = 0;
  #nextPid: number;
  checks = 0;

  constructor(start: StressStart) {
    this.#start = start;
    const kernel = parseKernel(start.kernel);
    this.#m = Machine.attach(start.buffer, start.thread + 1, X86_64_4LEVEL, kernel.rules);
    this.#system = new System(this.#m);
    attachMechanisms(this.#m, kernel);
    this.#random = new Random(start.seed * 1000 + start.thread);
    this.#nextPid = 1000 * (start.thread + 1);
    this.#spaces = start.spaceIds.map((mm, i) => ({
      process: this.#system.adopt(i + 1, mm),
      mixed: new Map(),
      covered: new Map(),
      window: new Array(WINDOW_PAGES),
    }));
  }

  run(): number {
    goOnline(this.#m);
    let done = 0;
    for (; done < this.#start.ops; done++) this.#step();
    for (const space of this.#spaces) this.#checkSpace(space, this.#all(space));
    for (const space of this.#spaces) this.#system.exit(space.process);
    goOffline(this.#m);
    return done;
  }

  #step(): void {
    const space = this.#pick(this.#spaces);
    if (this.#random.below(100) < this.#start.tablesShare) {
      if (this.#random.below(5) < 3) this.#stepMixed(space);
      else this.#stepCovered(space);
      return;
    }
    const dice = this.#random.below(50);
    if (dice < 30) this.#stepWindow(space);
    else if (dice < 47) this.#stepObject(space);
    else this.#stepFork(space);
  }

  // A page of this thread in the mixed tables.
  #stepMixed(space: Space): void {
    const page = this.#ownInSlots(MIXED_PAGES);
    const cell = cellOf(space.mixed, page);
    const at = MIXED_AT + page * PAGE;
    const { process } = space;
    switch (this.#random.below(9)) {
      case 0:
      case 1:
      case 2:
        this.#store(process, at, cell, 'mixed');
        break;
      case 3:
      case 4:
        this.#load(process, at, cell, 'mixed');
        break;
      case 5:
        this.#advise(process, at, 1, DONTNEED);
        empty(cell);
        break;
      case 6:
        this.#advise(process, at, 1, FREE);
        cell.mayBeZero = true;
        break;
      case 7:
        this.#advise(process, at, 1, this.#random.below(8) === 0 ? PAGEOUT : COLD);
        break;
      default:
        this.#advise(process, at, 1, cell.isGuarded ? GUARD_REMOVE : GUARD_INSTALL);
        empty(cell);
        cell.isGuarded = !cell.isGuarded;
    }
  }

  #stepCovered(space: Space): void {
    const { process } = space;
    if (this.#random.below(10) === 0) {
      // Whole slots as often as pieces.
      const isSlot = this.#random.below(2) === 0;
      const count = isSlot ? 512 : 1 + this.#random.below(300);
      const from = isSlot ? 512 * this.#random.below(2) : this.#random.below(COVERED_PAGES - count);
      this.#advise(process, COVERED_AT + from * PAGE, count, DONTNEED);
      return;
    }
    const page = this.#ownInSlots(COVERED_PAGES);
    const cell = cellOf(space.covered, page);
    cell.mayBeZero = true;
    const at = COVERED_AT + page * PAGE;
    if (this.#random.below(2) === 0) this.#store(process, at, cell, 'covered');
    else this.#load(process, at, cell, 'covered');
    cell.mayBeZero = true;
  }

  #stepWindow(space: Space): void {
    const { window, process } = space;
    const base = WINDOW_AT + this.#start.thread * WINDOW_PAGES * PAGE;
    const from = this.#random.below(WINDOW_PAGES - 1);
    const count = 1 + this.#random.below(Math.min(WINDOW_PAGES - from, this.#sizes()));
    const at = base + from * PAGE;
    switch (this.#random.below(8)) {
      case 0: {
        const prot = this.#random.below(4) === 0 ? 1 : 3;
        this.#expect(process.mmap(at, count * PAGE, prot, ANON | FIXED), at, 'mmap');
        for (let i = from; i < from + count; i++) window[i] = fresh(prot === 3);
        break;
      }
      case 1:
        this.#expect(process.munmap(at, count * PAGE), 0, 'munmap');
        window.fill(undefined, from, from + count);
        break;
      case 2:
        this.#protect(space, from, count, at);
        break;
      case 3:
        this.#move(space, base, from, count);
        break;
      case 4:
        if (!isMapped(window, from, count)) return;
        this.#advise(process, at, count, DONTNEED);
        for (let i = from; i < from + count; i++) empty(window[i] as Cell);
        break;
      default:
        this.#touchWindow(space, base, from);
    }
  }

  #protect(space: Space, from: number, count: number, at: number): void {
    if (!isMapped(space.window, from, count)) return;
    const isWritable = this.#random.below(2) === 0;
    const prot = isWritable ? 3 : 1;
    this.#expect(space.process.mprotect(at, count * PAGE, prot), 0, 'mprotect');
    for (let i = from; i < from + count; i++) {
      (space.window[i] as WindowPage).isWritable = isWritable;
    }
  }

  /** mremap of one area's part to another place of the window. */
  #move(space: Space, base: number, from: number, count: number): void {
    const { window, process } = space;
    const to = this.#random.below(WINDOW_PAGES - count);
    if (to < from + count && from < to + count) return;
    if (!isMapped(window, from, count)) return;
    const first = window[from] as WindowPage;
    for (let i = from; i < from + count; i++) {
      if ((window[i] as WindowPage).isWritable !== first.isWritable) return;
    }
    const target = base + to * PAGE;
    const moved = process.mremap(base + from * PAGE, count * PAGE, count * PAGE, 3, target);
    // The pages may be of several areas with the same rights, which only newer kernels move at once.
    if (moved === -14) return;
    this.#expect(moved, target, 'mremap');
    for (let i = 0; i < count; i++) {
      window[to + i] = window[from + i];
      window[from + i] = undefined;
    }
  }

  #touchWindow(space: Space, base: number, index: number): void {
    const page = space.window[index];
    const at = base + index * PAGE;
    if (page === undefined) {
      this.#expect(loadPage(this.#m, space.process.mm, at / PAGE), SEGV, 'load of nothing');
      return;
    }
    if (this.#random.below(3) === 0) this.#load(space.process, at, page, 'window');
    else if (page.isWritable) this.#store(space.process, at, page, 'window');
    else this.#expect(storePage(this.#m, space.process.mm, at / PAGE, 1), SEGV, 'store, read-only');
  }

  #stepObject(space: Space): void {
    const page = this.#own(OBJECT_PAGES);
    const cell = cellOf(this.#shared, page);
    const at = OBJECT_AT + page * PAGE;
    const { process } = space;
    switch (this.#random.below(8)) {
      case 0:
        this.#advise(process, at, 1, REMOVE);
        empty(cell);
        break;
      case 1:
        punchObject(this.#m, this.#start.object, page, page + 1);
        empty(cell);
        break;
      case 2:
        this.#advise(process, OBJECT_AT, OBJECT_PAGES, DONTNEED);
        break;
      case 3:
      case 4:
        this.#store(process, at, cell, 'object');
        break;
      default:
        this.#load(process, at, cell, 'object');
    }
  }

  /** A child of this thread alone: sees what the parent had, changes it, and the parent does not. */
  #stepFork(space: Space): void {
    const child = this.#system.fork(space.process, this.#nextPid++);
    if (child === undefined) return;
    const copy: Space = {
      process: child,
      mixed: copyCells(space.mixed),
      covered: copyCells(space.covered),
      window: space.window.map((page) => (page === undefined ? undefined : { ...page })),
    };
    const checks = this.#some(copy, 12);
    this.#checkSpace(copy, checks);
    for (let i = 0; i < 6; i++) {
      const page = this.#ownInSlots(MIXED_PAGES);
      const cell = cellOf(copy.mixed, page);
      this.#store(child, MIXED_AT + page * PAGE, cell, "child's mixed");
    }
    this.#checkSpace(copy, checks);
    this.#checkSpace(space, checks);
    if (this.#random.below(3) === 0) this.#system.exec(child);
    this.#system.exit(child);
  }

  /** Addresses of this thread's pages: region and index. */
  #all(space: Space): [string, number][] {
    const found: [string, number][] = [];
    for (const page of space.mixed.keys()) found.push(['mixed', page]);
    for (const page of space.covered.keys()) found.push(['covered', page]);
    for (let i = 0; i < WINDOW_PAGES; i++) if (space.window[i]) found.push(['window', i]);
    return found;
  }

  #some(space: Space, count: number): [string, number][] {
    const all = this.#all(space);
    return all.length === 0 ? [] : Array.from({ length: count }, () => this.#pick(all));
  }

  #checkSpace(space: Space, pages: [string, number][]): void {
    const windowAt = WINDOW_AT + this.#start.thread * WINDOW_PAGES * PAGE;
    for (const [region, page] of pages) {
      const cells = region === 'mixed' ? space.mixed : space.covered;
      const cell = region === 'window' ? space.window[page] : cells.get(page);
      const at = region === 'mixed' ? MIXED_AT : region === 'covered' ? COVERED_AT : windowAt;
      if (cell !== undefined) this.#load(space.process, at + page * PAGE, cell, region);
    }
  }

  #load(process: Process, at: number, cell: Cell, where: string): void {
    this.#check(loadPage(this.#m, process.mm, at / PAGE), at, cell, where);
  }

  #store(process: Process, at: number, cell: Cell, where: string): void {
    this.#tag = (this.#tag + 1) % 2 ** 24;
    const value = (this.#start.thread + 1) * 2 ** 24 + this.#tag;
    const before = storePage(this.#m, process.mm, at / PAGE, value);
    this.#check(before, at, cell, where);
    if (before < 0) return;
    cell.value = value;
    cell.mayBeZero = false;
  }

  #check(found: number, at: number, cell: Cell, where: string): void {
    this.checks += 1;
    const wanted = cell.isGuarded ? SEGV : cell.value;
    if (found === wanted || (cell.mayBeZero && found === 0)) {
      if (found === 0) cell.value = 0;
      return;
    }
    throw new Wrong(
      `${where} page at 0x${at.toString(16)} of process ${this.#start.thread}: holds ${found}, ` +
        `wrote ${wanted}${cell.mayBeZero ? ' (or 0)' : ''}`,
    );
  }

  #advise(process: Process, at: number, pages: number, advice: number): void {
    this.#expect(process.madvise(at, pages * PAGE, advice), 0, `madvise ${advice}`);
  }

  #expect(found: number, wanted: number, what: string): void {
    if (found !== wanted) throw new Wrong(`${what}: ${found}, wanted ${wanted}`);
  }

  /** A page of [0, count) that belongs to this thread. */
  #own(count: number): number {
    const { threads, thread } = this.#start;
    return this.#random.below(Math.floor(count / threads)) * threads + thread;
  }

  /** The same of those pages of each slot that the plan uses, spread over the slot. */
  #ownInSlots(count: number): number {
    const { pagesPerSlot } = this.#start;
    const slot = this.#random.below(count / SLOT_PAGES);
    return slot * SLOT_PAGES + this.#own(pagesPerSlot) * Math.floor(SLOT_PAGES / pagesPerSlot);
  }

  #sizes(): number {
    return this.#random.below(4) === 0 ? 600 : 40;
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#random.below(list.length)] as T;
  }
}

function cellOf(cells: Map<number, Cell>, page: number): Cell {
  let cell = cells.get(page);
  if (cell === undefined) {
    cell = { value: 0, mayBeZero: false, isGuarded: false };
    cells.set(page, cell);
  }
  return cell;
}

function copyCells(cells: Map<number, Cell>): Map<number, Cell> {
  return new Map(Array.from(cells, ([page, cell]) => [page, { ...cell }]));
}

function fresh(isWritable: boolean): WindowPage {
  return { value: 0, mayBeZero: false, isGuarded: false, isWritable };
}

function empty(cell: Cell): void {
  cell.value = 0;
  cell.mayBeZero = false;
}

function isMapped(
  window: readonly (WindowPage | undefined)[],
  from: number,
  count: number,
): boolean {
  for (let i = from; i < from + count; i++) if (window[i] === undefined) return false;
  return true;
}

const thread = new StressThread(workerData as StressStart);
let answer: StressAnswer;
try {
  const ops = thread.run();
  answer = { kind: 'done', ops, checks: thread.checks };
} catch (error) {
  const isExpected = error instanceof Wrong;
  answer = { kind: 'wrong', what: isExpected ? error.message : String((error as Error).stack) };
}
parentPort?.postMessage(answer);
