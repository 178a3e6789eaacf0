import { strict as assert } from 'node:assert';
import { Random } from '../../src/base/index.ts';
import { loadPage, storePage } from '../../src/engine/fault/access.ts';
import { FAULT_SIGSEGV } from '../../src/engine/fault/fault-codes.ts';
import { drainAllPcp } from '../../src/engine/frames/pcp.ts';
import { zoneAt } from '../../src/engine/frames/zones.ts';
import type { Geometry } from '../../src/engine/geometry.ts';
import {
  type MachineOptions,
  mshareCounters,
  OBJECT_SHMEM,
  type Process,
  System,
  validateMachine,
} from '../../src/engine/index.ts';
import { H_MM_LIST, H_OBJECT_LIST, Z_FREE } from '../../src/engine/layout.ts';
import { ModelSpace, zeros } from './sharing-model.ts';

/** What random programs that share tables have in common: processes, the words in them, the end. */
export const SLOT_PAGES = 512;
export const SLOTS = 8;
const USER_PAGES: number = SLOT_PAGES * SLOTS;
/** Eight entries a table, so that trees are deep and full with little memory. */
export const SMALL: Geometry = {
  name: 'test, 4 levels of 8',
  levels: 4,
  bits: 3,
  pageShift: 12,
  userPages: USER_PAGES,
};
const OBJECT_PAGES = 64;
const PROCESSES_MAX = 5;

export interface ModelProcess {
  readonly process: Process;
  readonly space: ModelSpace;
}

/** A shared object that processes and regions map alike. */
export interface SharedObject {
  readonly object: number;
  readonly memory: number[];
}

export class SharingRun {
  readonly system: System;
  readonly random: Random;
  readonly running: ModelProcess[] = [];
  readonly shared: SharedObject[] = [];
  readonly #freeAtStart: number;
  #nextPid = 1;
  #nextValue = 1;

  constructor(seed: number, options: MachineOptions, attach?: (system: System) => void) {
    this.random = new Random(seed);
    this.system = new System({
      geometry: SMALL,
      nodeBytes: [32 * 2 ** 20],
      bufferMiB: 32,
      hasContents: true,
      ...options,
    });
    attach?.(this.system);
    this.#freeAtStart = this.#freeFrames();
    for (let i = 0; i < 2; i++) {
      const object = this.system.createObject(OBJECT_SHMEM, OBJECT_PAGES * 4096);
      this.shared.push({ object, memory: zeros(OBJECT_PAGES) });
    }
    this.spawn();
  }

  #freeFrames(): number {
    const m = this.system.machine;
    drainAllPcp(m);
    let free = 0;
    for (let zone = 0; zone < m.zoneCount; zone++) free += m.words[zoneAt(m, zone) + Z_FREE];
    return free;
  }

  value(): number {
    return this.#nextValue++;
  }

  pick<T>(list: readonly T[]): T | undefined {
    return list.length === 0 ? undefined : this.random.pick(list);
  }

  one(): ModelProcess {
    return this.random.pick(this.running);
  }

  spawn(): void {
    if (this.running.length >= PROCESSES_MAX) return;
    this.running.push({ process: this.system.spawn(this.#nextPid++), space: new ModelSpace() });
  }

  fork(): void {
    if (this.running.length >= PROCESSES_MAX) return;
    const { process, space } = this.one();
    const child = this.system.fork(process, this.#nextPid++);
    assert.ok(child !== undefined, 'fork without memory');
    this.running.push({ process: child, space: space.fork() });
  }

  exec(): void {
    const at = this.random.below(this.running.length);
    const { process } = this.running[at] as ModelProcess;
    this.system.exec(process);
    this.running[at] = { process, space: new ModelSpace() };
  }

  exit(which: ModelProcess): void {
    this.running.splice(this.running.indexOf(which), 1);
    this.system.exit(which.process);
  }

  /** Pages from a random one on, most often few. */
  range(limit: number): { from: number; count: number } {
    const { random } = this;
    const from = random.below(limit);
    const most = random.chance(0.2) ? limit : random.chance(0.4) ? 40 : 4;
    return { from, count: 1 + random.below(Math.min(most, limit - from)) };
  }

  /** A page of some window, or any page. */
  place({ space }: ModelProcess): number {
    const window = this.pick(space.windows);
    const own = [...space.own.keys()];
    if (window === undefined || (own.length > 0 && this.random.chance(0.3))) {
      return own.length === 0 ? 1 + this.random.below(USER_PAGES - 1) : this.random.pick(own);
    }
    const mapped = this.#mappedIn(window.object.pages, window.offset, window.pages);
    const isMapped = mapped.length > 0 && this.random.chance(0.9);
    return window.page + (isMapped ? this.random.pick(mapped) : this.random.below(window.pages));
  }

  #mappedIn(pages: readonly unknown[], offset: number, count: number): number[] {
    const found: number[] = [];
    for (let i = 0; i < count; i++) if (pages[offset + i] !== undefined) found.push(i);
    return found;
  }

  load(which: ModelProcess, page: number): void {
    const found = loadPage(this.system.machine, which.process.mm, page);
    assert.equal(found, which.space.load(page), `load of page ${page}`);
  }

  store(which: ModelProcess, page: number): void {
    const value = this.value();
    const found = storePage(this.system.machine, which.process.mm, page, value);
    assert.equal(found, which.space.store(page, value), `store to page ${page}`);
  }

  access(): void {
    const which = this.one();
    for (let i = this.random.below(4); i >= 0; i--) {
      const page = this.place(which);
      if (this.random.chance(0.35)) this.load(which, page);
      else this.store(which, page);
    }
  }

  /** Touches pages in a row, which changes no word; or fills them. */
  touchMany(): void {
    const which = this.one();
    const { process, space } = which;
    const page = this.place(which);
    const most = this.random.chance(0.3) ? 128 : 12;
    const count = Math.min(1 + this.random.below(most), USER_PAGES - page);
    const isWrite = this.random.chance(0.6);
    const isFill = isWrite && this.random.chance(0.4);
    let isFine = true;
    const content = this.value();
    const at = page * 4096;
    const result = isFill ? process.fill(at, content, count) : process.touch(at, isWrite, count);
    for (let i = 0; i < count && isFine; i++) {
      const there = space.at(page + i);
      isFine = there !== undefined && there.prot !== 0 && (!isWrite || there.prot === 3);
      if (isFine && isFill) space.store(page + i, content);
    }
    if (isFine) assert.ok(result >= 0, `touch of ${count} from page ${page}: ${result}`);
    else assert.equal(result, FAULT_SIGSEGV, `touch of ${count} from page ${page}`);
  }

  /** Every page of every process: what can be read is the model's, what cannot is refused. */
  readAll(): void {
    for (const which of this.running) {
      for (const { page, pages } of which.space.windows) {
        for (let i = 0; i < pages; i++) this.load(which, page + i);
      }
      for (const page of which.space.own.keys()) this.load(which, page);
      this.load(which, 1 + this.random.below(USER_PAGES - 1));
    }
  }

  validate(): void {
    validateMachine(this.system.machine);
  }

  /** Nothing is left once all are gone: address space, object, link, count, frame. */
  expectNothingLeft(): void {
    const m = this.system.machine;
    validateMachine(m);
    assert.equal(m.words[H_MM_LIST], 0, 'an address space is left');
    assert.equal(m.words[H_OBJECT_LIST], 0, 'an object is left');
    assert.equal(mshareCounters(m)['links'] ?? 0, 0, 'a link is left');
    assert.equal(m.shareCounts?.entries() ?? 0, 0, 'a share count is left');
    assert.equal(this.#freeFrames(), this.#freeAtStart, 'frames are left');
  }
}
