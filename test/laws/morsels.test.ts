import { strict as assert } from 'node:assert';
import { type TestContext, test } from 'node:test';
import { Errno, Random } from '../../src/base/index.ts';
import { loadPage, storePage } from '../../src/engine/fault/access.ts';
import { FAULT_SIGSEGV } from '../../src/engine/fault/fault-codes.ts';
import type { Geometry } from '../../src/engine/geometry.ts';
import { Morsel, type Process, System, validateMachine } from '../../src/engine/index.ts';
import { indexAt, pageTableFor } from '../../src/engine/mechanisms/morsels/tree.ts';
import { contentsOfFrame } from '../../src/engine/objects/contents.ts';
import { ENTRY_PAGE, KIND_MASK } from '../../src/engine/tables/entry.ts';
import { entryFlags, entryWord } from '../../src/engine/tables/leaf.ts';
import { seedOf } from '../seed.ts';

/**
 * Random programs with Morsels against a plain copying model: there a clone is a copy, and a part is cut
 * out of a list of numbers. After every step each page of each object must hold what the model says, and
 * every count must be what a walk over all trees finds.
 */
const SMALL: Geometry = {
  name: 'test, 4 levels of 8',
  levels: 4,
  bits: 3,
  pageShift: 12,
  userPages: 4096,
};
const SPANS = ['2M', '1G', '512G'] as const;
const PAGES = [8, 64, 512] as const;

interface ModelObject {
  readonly morsel: Morsel;
  readonly level: number;
  readonly values: number[];
  isFrozen: boolean;
  readonly isLent: boolean;
  /** Children of the frozen base hold it. */
  readonly windows: ModelWindow[];
}

interface ModelWindow {
  readonly process: Process;
  readonly page: number;
  readonly pages: number;
  readonly offset: number;
  readonly object: ModelObject;
}

class Program {
  readonly system = new System({
    geometry: SMALL,
    nodeBytes: [32 * 2 ** 20],
    bufferMiB: 32,
    hasContents: true,
  });
  readonly processes: Process[] = [];
  readonly objects: ModelObject[] = [];
  readonly windows: ModelWindow[] = [];
  readonly random: Random;
  nextPid = 1;
  nextValue = 1;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.spawn();
  }

  step(): void {
    const ops = [
      () => this.create(),
      () => this.map(),
      () => this.map(),
      () => this.unmap(),
      () => this.clone(),
      () => this.clone(),
      () => this.freeze(),
      () => this.splitBase(),
      () => this.splitBase(),
      () => this.splitOff(),
      () => this.clonePart(),
      () => this.embed(),
      () => this.send(),
      () => this.close(),
      () => (this.random.below(4) === 0 ? this.spawn() : this.fork()),
      () => this.exit(),
    ];
    if (this.random.below(2) === 0) this.access();
    else (ops[this.random.below(ops.length)] as () => void)();
  }

  spawn(): void {
    if (this.processes.length < 4) this.processes.push(this.system.spawn(this.nextPid++));
  }

  create(): void {
    const level = this.random.below(3);
    if (this.objects.length >= 8) return;
    const morsel = Morsel.create(this.system, SPANS[level] as '2M');
    assert.ok(typeof morsel !== 'number');
    this.add(morsel, level, new Array(PAGES[level]).fill(0), false);
  }

  add(morsel: Morsel, level: number, values: number[], isLent: boolean): void {
    this.objects.push({ morsel, level, values, isFrozen: false, isLent, windows: [] });
  }

  map(): void {
    const object = this.pick(this.objects);
    if (object === undefined || object.morsel.object === 0) return;
    const level = this.random.below(3) === 0 ? this.random.below(object.level + 1) : object.level;
    const pages = PAGES[level] as number;
    const offset = this.random.below((PAGES[object.level] as number) / pages) * pages;
    const process = this.pick(this.processes) as Process;
    const page = this.random.below(4096 / pages) * pages;
    const isFree = page > 0 && this.isFree(process, page, pages);
    if (!isFree) return;
    const at = object.morsel.map(process, page * 4096, offset * 4096, pages * 4096);
    assert.equal(at, page * 4096);
    this.window({ process, page, pages, offset, object });
  }

  isFree(process: Process, page: number, pages: number): boolean {
    return this.windows.every(
      (w) => w.process !== process || w.page >= page + pages || w.page + w.pages <= page,
    );
  }

  window(window: ModelWindow): void {
    this.windows.push(window);
    window.object.windows.push(window);
  }

  drop(window: ModelWindow): void {
    this.windows.splice(this.windows.indexOf(window), 1);
    const { object } = window;
    object.windows.splice(object.windows.indexOf(window), 1);
    this.forget(object);
  }

  /** An object is gone with its handle and its last window. */
  forget(object: ModelObject): void {
    if (object.morsel.object !== 0 || object.windows.length > 0) return;
    const at = this.objects.indexOf(object);
    if (at >= 0) this.objects.splice(at, 1);
  }

  unmap(): void {
    const window = this.pick(this.windows);
    if (window === undefined) return;
    assert.equal(window.process.munmap(window.page * 4096, window.pages * 4096), 0);
    this.drop(window);
  }

  send(): void {
    const window = this.pick(this.windows);
    if (window === undefined || window.pages !== PAGES[window.object.level]) return;
    if (window.object.morsel.object === 0) return;
    const to = this.pick(this.processes) as Process;
    const page = this.random.below(4096 / window.pages) * window.pages;
    if (page === 0 || !this.isFree(to, page, window.pages)) return;
    const { morsel } = window.object;
    assert.equal(morsel.send(window.process, window.page * 4096, to, page * 4096), page * 4096);
    const { pages, offset, object } = window;
    this.window({ process: to, page, pages, offset, object });
    this.drop(window);
  }

  clone(): void {
    const object = this.held();
    if (object === undefined || this.objects.length >= 8) return;
    const copy = object.morsel.clone();
    if (object.isLent) {
      assert.equal(copy, -Errno.EINVAL);
      return;
    }
    assert.ok(typeof copy !== 'number');
    this.add(copy, object.level, [...object.values], false);
  }

  freeze(): void {
    const object = this.held();
    if (object === undefined || this.random.below(2) > 0) return;
    assert.equal(object.morsel.freeze(), object.isLent ? -Errno.EINVAL : 0);
    if (!object.isLent) object.isFrozen = true;
  }

  splitBase(): void {
    const frozen = this.objects.filter((one) => one.isFrozen && one.morsel.object !== 0);
    const object = this.random.below(3) === 0 ? this.held() : this.pick(frozen);
    if (object === undefined || this.objects.length >= 8) return;
    const child = object.morsel.split();
    if (!object.isFrozen) {
      assert.equal(child, -Errno.EINVAL);
      return;
    }
    assert.ok(typeof child !== 'number');
    this.add(child, object.level, [...object.values], true);
  }

  splitOff(): void {
    const object = this.held();
    if (object === undefined || this.objects.length >= 8) return;
    const { level, offset, pages } = this.part(object);
    const part = object.morsel.splitOff(offset * 4096, SPANS[level] as '2M');
    const isShown = object.windows.some(
      (w) => w.offset >= offset && w.offset + w.pages <= offset + pages,
    );
    if (level === object.level || object.isFrozen) assert.equal(part, -Errno.EINVAL);
    else if (isShown) assert.equal(part, -Errno.EBUSY);
    else {
      assert.ok(typeof part !== 'number');
      this.add(part, level, object.values.slice(offset, offset + pages), object.isLent);
      object.values.fill(0, offset, offset + pages);
    }
  }

  clonePart(): void {
    const object = this.held();
    if (object === undefined || this.objects.length >= 8) return;
    const { level, offset, pages } = this.part(object);
    const part = object.morsel.clonePart(offset * 4096, SPANS[level] as '2M');
    if (level === object.level || object.isLent) assert.equal(part, -Errno.EINVAL);
    else {
      assert.ok(typeof part !== 'number');
      this.add(part, level, object.values.slice(offset, offset + pages), false);
    }
  }

  embed(): void {
    const object = this.held();
    const part = this.held();
    if (object === undefined || part === undefined || object === part) return;
    const pages = PAGES[part.level] as number;
    const offset = this.random.below((PAGES[object.level] as number) / pages || 1) * pages;
    const result = object.morsel.embed(offset * 4096, part.morsel);
    if (result < 0) {
      const there = object.values.slice(offset, offset + pages);
      const isTaken = there.some((value) => value !== 0);
      const mustFail =
        part.level >= object.level ||
        object.isFrozen ||
        part.isFrozen ||
        object.isLent ||
        part.isLent;
      if (mustFail) assert.equal(result, -Errno.EINVAL);
      else if (part.windows.length > 0) assert.equal(result, -Errno.EBUSY);
      else assert.ok(result === -Errno.EEXIST || result === -Errno.EBUSY, `${result} ${isTaken}`);
      return;
    }
    for (let i = 0; i < pages; i++) object.values[offset + i] = part.values[i] as number;
    this.objects.splice(this.objects.indexOf(part), 1);
  }

  part(object: ModelObject): { level: number; offset: number; pages: number } {
    const level = this.random.below(object.level + 1);
    const pages = PAGES[level] as number;
    const offset = this.random.below((PAGES[object.level] as number) / pages) * pages;
    return { level, offset, pages };
  }

  close(): void {
    const object = this.held();
    if (object === undefined || this.random.below(2) === 0) return;
    object.morsel.close();
    this.forget(object);
  }

  fork(): void {
    if (this.processes.length >= 5) return;
    const parent = this.pick(this.processes) as Process;
    const child = this.system.fork(parent, this.nextPid++);
    assert.ok(child !== undefined);
    this.processes.push(child);
    for (const w of [...this.windows]) {
      if (w.process === parent) this.window({ ...w, process: child });
    }
  }

  exit(): void {
    if (this.processes.length < 2) return;
    const process = this.pick(this.processes) as Process;
    this.processes.splice(this.processes.indexOf(process), 1);
    this.system.exit(process);
    for (const w of [...this.windows]) if (w.process === process) this.drop(w);
  }

  access(): void {
    const window = this.pick(this.windows);
    if (window === undefined) return;
    const { values, isFrozen } = window.object;
    const i = this.placeIn(window);
    const { machine: m } = this.system;
    const { mm } = window.process;
    const at = window.offset + i;
    if (this.random.below(3) === 0) {
      assert.equal(loadPage(m, mm, window.page + i), values[at]);
      return;
    }
    const value = this.nextValue++;
    const old = storePage(m, mm, window.page + i, value);
    assert.equal(old, isFrozen ? FAULT_SIGSEGV : values[at]);
    if (!isFrozen) values[at] = value;
  }

  /** Most often a page that was written before, here or in what this was made from. */
  placeIn({ object, offset, pages }: ModelWindow): number {
    const i = this.random.below(pages);
    const isAny = this.random.below(3) === 0;
    for (let at = i; !isAny && at < pages; at++) if (object.values[offset + at] !== 0) return at;
    return i;
  }

  held(): ModelObject | undefined {
    const object = this.pick(this.objects);
    return object === undefined || object.morsel.object === 0 ? undefined : object;
  }

  pick<T>(list: readonly T[]): T | undefined {
    return list.length === 0 ? undefined : list[this.random.below(list.length)];
  }

  /** Every page of every object, without a fault. */
  check(): void {
    const { machine: m } = this.system;
    for (const { morsel, values } of this.objects) {
      if (morsel.object === 0) continue;
      for (let page = 0; page < values.length; page++) {
        const table = pageTableFor(m, morsel.object, page);
        const index = indexAt(m, 0, page);
        const isPage = table !== 0 && (entryFlags(m, table, index) & KIND_MASK) === ENTRY_PAGE;
        const value = isPage ? m.words[contentsOfFrame(m, entryWord(m, table, index))] : 0;
        assert.equal(value, values[page], `page ${page}`);
      }
    }
  }

  end(): void {
    for (const window of this.windows) {
      for (let i = 0; i < window.pages; i++) {
        const found = loadPage(this.system.machine, window.process.mm, window.page + i);
        assert.equal(found, window.object.values[window.offset + i]);
      }
    }
    validateMachine(this.system.machine);
    for (const process of [...this.processes]) this.system.exit(process);
    for (const { morsel } of this.objects) morsel.close();
    validateMachine(this.system.machine);
  }
}

/** Runs a program; for mutants too, which must fail here. */
export function runProgram(seed: number, steps: number): void {
  const program = new Program(seed);
  for (let step = 0; step < steps; step++) {
    program.step();
    if (step % 8 === 0) {
      program.check();
      validateMachine(program.system.machine);
    }
  }
  program.end();
}

test('Morsels against a model that copies', (t: TestContext) => {
  const seed = seedOf(t);
  const programs = Number(process.env['PAGELAB_MORSEL_PROGRAMS'] ?? 80);
  for (let i = 0; i < programs; i++) {
    try {
      runProgram(seed + i, 400);
    } catch (error) {
      t.diagnostic(`program ${seed + i}`);
      throw error;
    }
  }
});
