import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../src/base/index.ts';
import {
  type Counters,
  countersOf,
  faultPage,
  Machine,
  OBJECT_SHMEM,
  type Process,
  pteRef,
  System,
  touchRange,
  validateMachine,
} from '../../src/engine/index.ts';

/**
 * The table forms (run, uniform, whole extents) against the plain way: the same random history of
 * large operations, once with bulk touches and once page by page, must give the same counters after
 * every step. Page by page a table is only ever ONE, FEW or DENSE.
 */
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const GIB_PAGES = 2 ** 18;
const BASE_PAGE = 0x100000000000 / 4096;
const SPAN_PAGES = 2 * GIB_PAGES;
const RW = 3;
const ANON = 0x4032;
const SHARED = 0x11;

class Pair {
  readonly bulk: System;
  readonly plain: System;
  readonly #processes: [Process, Process][] = [];
  readonly #objects: [number, number];

  constructor(hasPteRef: boolean) {
    const make = (): System => {
      const machine = Machine.create({ nodeBytes: [12 * 2 ** 30], bufferMiB: 1024 });
      if (hasPteRef) pteRef.attach(machine);
      return new System(machine);
    };
    this.bulk = make();
    this.plain = make();
    this.#objects = [this.bulk, this.plain].map((s) =>
      s.createObject(OBJECT_SHMEM, SPAN_PAGES * 4096),
    ) as [number, number];
    this.#processes.push([this.bulk.spawn(1), this.plain.spawn(1)]);
  }

  get count(): number {
    return this.#processes.length;
  }

  mmap(who: number, page: number, pages: number, isShared: boolean): void {
    this.#both(who, (process, side) => {
      const object = isShared ? (this.#objects[side] as number) : 0;
      const flags = isShared ? SHARED : ANON;
      return process.mmap(page * 4096, pages * 4096, RW, flags, object, (page - BASE_PAGE) * 4096);
    });
  }

  call(who: number, run: (process: Process) => number): void {
    this.#both(who, run);
  }

  touch(who: number, page: number, pages: number, isWrite: boolean): void {
    const [a, b] = this.#processes[who]!;
    const inBulk = touchRange(a.machine, a.mm, page, pages, 1, isWrite);
    let onePageEach = 0;
    for (let i = 0; i < pages && onePageEach >= 0; i++) {
      const result = faultPage(b.machine, b.mm, page + i, isWrite);
      onePageEach = result < 0 ? result : onePageEach + result;
    }
    assert.equal(inBulk, onePageEach, 'faults of a touch');
  }

  fork(who: number): void {
    const pid = this.count + 1;
    const [a, b] = this.#processes[who]!;
    const pair = [this.bulk.fork(a, pid), this.plain.fork(b, pid)];
    assert.ok(pair[0] !== undefined && pair[1] !== undefined);
    this.#processes.push(pair as [Process, Process]);
  }

  #both(who: number, run: (process: Process, side: 0 | 1) => number): void {
    const [a, b] = this.#processes[who]!;
    assert.equal(run(a, 0), run(b, 1), 'result of a call');
  }

  check(): void {
    for (const [a, b] of this.#processes) {
      const counters = (process: Process): Counters => countersOf(process.machine, process.mm);
      assert.deepEqual(counters(a), counters(b));
    }
  }

  validate(): void {
    validateMachine(this.bulk.machine);
    validateMachine(this.plain.machine);
  }
}

/** A range that often begins and ends at slot and GiB borders. */
function pickRange(random: Random): [number, number] {
  const unit = random.pick([1, 512, 512, GIB_PAGES]);
  const first = random.below(Math.floor(SPAN_PAGES / unit)) * unit;
  const most = Math.min(SPAN_PAGES - first, unit === 1 ? 2000 : unit * 4, GIB_PAGES);
  const pages = random.chance(0.5) ? Math.ceil(most / unit) * unit : random.between(1, most);
  return [BASE_PAGE + first, Math.max(1, Math.min(pages, SPAN_PAGES - first))];
}

function step(pair: Pair, random: Random): void {
  const who = random.below(pair.count);
  const [page, pages] = pickRange(random);
  const [other] = pickRange(random);
  const roll = random.below(100);
  const prot = random.pick([1, 3, 3]);
  if (roll < 15) pair.mmap(who, page, pages, random.chance(0.4));
  else if (roll < 50) pair.touch(who, page, Math.min(pages, 60_000), random.chance(0.7));
  else if (roll < 68) pair.call(who, (p) => p.madvise(page * 4096, pages * 4096, 4));
  else if (roll < 76) pair.call(who, (p) => p.munmap(page * 4096, pages * 4096));
  else if (roll < 84) pair.call(who, (p) => p.mprotect(page * 4096, pages * 4096, prot));
  else if (roll < 92) {
    pair.call(who, (p) => p.mremap(page * 4096, pages * 4096, pages * 4096, 3, other * 4096));
  } else if (pair.count < 4) pair.fork(who);
}

for (const hasPteRef of [false, true]) {
  const name = hasPteRef ? 'with pte-ref' : 'plain';
  test(`bulk operations and table forms equal page by page, ${name}`, (t) => {
    t.diagnostic(`PAGELAB_SEED=${seed}`);
    const random = new Random(seed);
    const pair = new Pair(hasPteRef);
    pair.mmap(0, BASE_PAGE, SPAN_PAGES, false);
    // Whole GiB of each kind at least once.
    pair.touch(0, BASE_PAGE, GIB_PAGES, true);
    pair.check();
    for (let i = 0; i < 60; i++) {
      step(pair, random);
      pair.check();
      if (i % 20 === 19) pair.validate();
    }
  });
}
