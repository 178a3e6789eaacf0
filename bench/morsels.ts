import { MAP_FIXED, MAP_SHARED, PROT_READ, PROT_WRITE, Random } from '../src/base/index.ts';
import {
  attachMorsels,
  COUNT_KINDS,
  type CountKind,
  fault,
  Morsel,
  OBJECT_SHMEM,
  type Process,
  System,
} from '../src/engine/index.ts';
import { type Bench, measurePair, nsPerOperation, type Side } from './measure.ts';
import { rowOf } from './row.ts';

const GIB = 2 ** 30;
const CALLS = 1000;
/** Where large and small objects are mapped, beside a neighbour that keeps the tables above. */
const PLACE = 0x100000000000;
const RW = PROT_READ | PROT_WRITE;
/** The published machine-learning model (Morsels, DIMES 2023). */
const MODEL_PAGES = Math.round((6.82 * GIB) / 4096);

/**
 * Objects that are subtrees of page tables: whether what is done with them costs the same whatever their
 * size, against populating, and a clone against a fork.
 */
export async function benchMorsels(bench: Bench): Promise<void> {
  const large = new Subject('512G', 512);
  const small = new Subject('2M', 1 / 512);
  const pairs = [
    { name: 'map', what: 'map and unmap', run: (s: Subject) => s.mapAndUnmap() },
    { name: 'send', what: 'to another address space and back', run: (s: Subject) => s.send() },
    { name: 'clone', what: 'clone, and give the clone back', run: (s: Subject) => s.clone() },
  ];
  for (const { name, what, run } of pairs) {
    await measurePair(
      bench,
      {
        name: `morsels/${name}`,
        what: `${what}: a full object of 512 GiB against one of 2 MiB`,
        peer: 'engine',
        unit: 'ns/call',
      },
      sideOf(large, run),
      sideOf(small, run),
    );
  }
  await againstPopulating(bench);
  await againstFork(bench);
  await forkServer(bench);
  await storms(bench);
}

function sideOf(subject: Subject, run: (s: Subject) => void): Side {
  const round = (): number => {
    const startMs = performance.now();
    for (let i = 0; i < CALLS; i++) run(subject);
    return performance.now() - startMs;
  };
  return {
    run: (seconds) => nsPerOperation(seconds, CALLS, round),
    warmUp: () => {
      for (let i = 0; i < 20; i++) round();
    },
  };
}

/** A full Morsel and two address spaces that have the tables above its place. */
class Subject {
  readonly system: System;
  readonly #morsel: Morsel;
  readonly #one: Process;
  readonly #two: Process;
  readonly #addr: number;

  constructor(span: '2M' | '512G', gib: number) {
    const nodeBytes = [Math.max(64 * 2 ** 20, Math.ceil(gib) * GIB + 4 * GIB)];
    this.system = new System({ nodeBytes, bufferMiB: 512 });
    this.#one = this.system.spawn(1);
    this.#two = this.system.spawn(2);
    this.#morsel = newMorsel(this.system, span);
    const neighbour = newMorsel(this.system, span);
    const bytes = this.#morsel.spanBytes;
    this.#addr = PLACE + bytes;
    for (const process of [this.#one, this.#two]) neighbour.map(process, PLACE);
    this.#morsel.map(this.#one, this.#addr);
    this.#one.touch(this.#addr, true, bytes / 4096);
    this.#morsel.unmap(this.#one, this.#addr);
  }

  mapAndUnmap(): void {
    this.#morsel.map(this.#one, this.#addr);
    this.#morsel.unmap(this.#one, this.#addr);
  }

  send(): void {
    this.#morsel.map(this.#one, this.#addr);
    this.#morsel.send(this.#one, this.#addr, this.#two, this.#addr);
    this.#morsel.unmap(this.#two, this.#addr);
  }

  clone(): void {
    const clone = this.#morsel.clone();
    if (typeof clone !== 'number') clone.close();
  }
}

function newMorsel(system: System, span: '2M' | '1G' | '512G'): Morsel {
  const morsel = Morsel.create(system, span);
  if (typeof morsel === 'number') throw new Error(`engine: no memory for a Morsel: ${morsel}`);
  return morsel;
}

/** A model of 6.82 GiB: mapped as a Morsel, and as shared memory whose pages are mapped one by one. */
async function againstPopulating(bench: Bench): Promise<void> {
  const system = new System({ nodeBytes: [16 * GIB], bufferMiB: 512 });
  const process = system.spawn(1);
  const morsel = newMorsel(system, '512G');
  morsel.map(process, PLACE);
  process.touch(PLACE, true, MODEL_PAGES);
  morsel.unmap(process, PLACE);
  const object = system.createObject(OBJECT_SHMEM, MODEL_PAGES * 4096);
  const map = (): number => {
    const startMs = performance.now();
    for (let i = 0; i < CALLS; i++) {
      morsel.map(process, PLACE);
      morsel.unmap(process, PLACE);
    }
    return performance.now() - startMs;
  };
  const { machine, mm } = process;
  const loBits = 2 * machine.bits;
  const hi = PLACE / 4096 / machine.loPages;
  const populate = (): number => {
    const startMs = performance.now();
    process.mmap(PLACE, MODEL_PAGES * 4096, RW, MAP_SHARED | MAP_FIXED, object);
    for (let page = 0; page < MODEL_PAGES; page++) {
      fault(machine, mm, hi + (page >> loBits), page & (machine.loPages - 1), true);
    }
    process.munmap(PLACE, MODEL_PAGES * 4096);
    return performance.now() - startMs;
  };
  await measurePair(
    bench,
    {
      name: 'morsels/model',
      what: 'a model of 6.82 GiB: map and unmap as a Morsel, or page by page (99.8 % less time is a ratio of 500)',
      peer: 'engine',
      unit: 'ns/call',
    },
    { run: (seconds) => nsPerOperation(seconds, CALLS, map), warmUp: () => void map() },
    { run: () => populate() * 1e6, warmUp: () => void populate() },
  );
}

/** A snapshot of 1 GiB: clone and first write, or fork, first write and exit. */
async function againstFork(bench: Bench): Promise<void> {
  const pages = GIB / 4096;
  const system = new System({ nodeBytes: [8 * GIB], bufferMiB: 512 });
  const process = system.spawn(1);
  const morsel = newMorsel(system, '1G');
  morsel.map(process, PLACE);
  process.touch(PLACE, true, pages);
  const cloneRound = (): number => {
    const startMs = performance.now();
    const clone = morsel.clone();
    process.touch(PLACE, true);
    if (typeof clone !== 'number') clone.close();
    return performance.now() - startMs;
  };
  const parent = system.spawn(2);
  parent.mmap(PLACE, GIB, RW, MAP_FIXED | 0x22);
  const { machine, mm } = parent;
  const hi = PLACE / 4096 / machine.loPages;
  const write = (): void => {
    for (let page = 0; page < pages; page++) {
      fault(machine, mm, hi + (page >> 18), page & (machine.loPages - 1), true);
    }
  };
  const forkRound = (): number => {
    write();
    const startMs = performance.now();
    const child = system.fork(parent, 3);
    if (child === undefined) throw new Error('engine: no memory for a fork');
    parent.touch(PLACE, true);
    system.exit(child);
    return performance.now() - startMs;
  };
  await measurePair(
    bench,
    {
      name: 'morsels/snapshot',
      what: 'a snapshot of 1 GiB with one write after it: clone of a Morsel, or fork and exit',
      peer: 'engine',
      unit: 'ns/call',
    },
    {
      run: (seconds) => nsPerOperation(seconds, 1, cloneRound),
      warmUp: () => {
        for (let i = 0; i < 200; i++) cloneRound();
      },
    },
    { run: (seconds) => nsPerOperation(seconds, 1, forkRound), warmUp: () => void forkRound() },
  );
}

/** Pages of a write storm: a quarter of the tables of a GiB. */
const STORM_PAGES = 65_536;

/** The fault handler with each table of share counts: every page of a clone written once, in two orders. */
async function storms(bench: Bench): Promise<void> {
  const { repeats, seconds } = bench.options;
  for (const order of ['ascending', 'random'] as const) {
    const storms = COUNT_KINDS.map((kind) => new Storm(kind, order));
    for (const storm of storms) storm.warmUp();
    const results = new Map<string, number[]>(COUNT_KINDS.map(({ name }) => [name, []]));
    // All tables in each repeat, so that all can be compared with each other.
    for (let i = 0; i < repeats; i++) {
      for (const storm of storms) results.get(storm.kind.name)!.push(storm.run(seconds));
    }
    const [[, ours], ...peers] = [...results] as [[string, number[]], ...[string, number[]][]];
    for (const [peer, theirs] of peers) {
      const name = `morsels/storm-${order}/${peer}`;
      const what = `clone of ${STORM_PAGES} pages, each written by the parent in ${order} order, clone given back`;
      bench.onRow(rowOf({ name, what, peer, unit: 'ns/page' }, ours, theirs));
    }
  }
}

class Storm {
  readonly kind: CountKind;
  readonly #process: Process;
  readonly #morsel: Morsel;
  readonly #order: Int32Array;

  constructor(kind: CountKind, order: 'ascending' | 'random') {
    this.kind = kind;
    const system = new System({ nodeBytes: [2 * GIB], bufferMiB: 256 });
    attachMorsels(system.machine, kind);
    this.#process = system.spawn(1);
    this.#morsel = newMorsel(system, '1G');
    this.#morsel.map(this.#process, PLACE);
    this.#order = Int32Array.from({ length: STORM_PAGES }, (_, i) => i);
    if (order === 'random') shuffle(this.#order);
    // Page by page: frames as a program gets them, one after the other.
    for (const page of this.#order) this.#process.touch(PLACE + page * 4096, true);
  }

  run(seconds: number): number {
    return nsPerOperation(seconds, STORM_PAGES, () => this.#round());
  }

  warmUp(): void {
    for (let i = 0; i < 4; i++) this.#round();
  }

  #round(): number {
    const { machine, mm } = this.#process;
    const hi = PLACE / 4096 / machine.loPages;
    const startMs = performance.now();
    const clone = this.#morsel.clone();
    for (const page of this.#order) fault(machine, mm, hi, page, true);
    if (typeof clone !== 'number') clone.close();
    return performance.now() - startMs;
  }
}

function shuffle(order: Int32Array): void {
  const random = new Random(1);
  for (let i = order.length - 1; i > 0; i--) {
    const k = random.below(i + 1);
    const swapped = order[i] as number;
    order[i] = order[k] as number;
    order[k] = swapped;
  }
}

/** Requests of a fork server, each by a child that writes a few pages and ends. */
async function forkServer(bench: Bench): Promise<void> {
  const pages = 16_384;
  const writes = 64;
  const system = new System({ nodeBytes: [2 * GIB], bufferMiB: 256 });
  const server = system.spawn(1);
  const morsel = newMorsel(system, '1G');
  morsel.map(server, PLACE);
  server.touch(PLACE, true, pages);
  const byClone = (): void => {
    const child = system.spawn(2);
    const clone = morsel.clone();
    if (typeof clone === 'number') throw new Error('engine: no memory for a clone');
    clone.map(child, PLACE);
    child.touch(PLACE, true, writes, (pages / writes) * 4096);
    system.exit(child);
    clone.close();
  };
  const forking = new System({ nodeBytes: [2 * GIB], bufferMiB: 256 });
  const parent = forking.spawn(1);
  parent.mmap(PLACE, pages * 4096, RW, MAP_FIXED | 0x22);
  for (let page = 0; page < pages; page++) parent.touch(PLACE + page * 4096, true);
  const byFork = (): void => {
    const child = forking.fork(parent, 2);
    if (child === undefined) throw new Error('engine: no memory for a fork');
    child.touch(PLACE, true, writes, (pages / writes) * 4096);
    forking.exit(child);
  };
  await measurePair(
    bench,
    {
      name: 'morsels/fork-server',
      what: `a child of a server with ${pages} pages writes ${writes} of them and ends: clone, or fork`,
      peer: 'engine',
      unit: 'ns/call',
    },
    repeated(byClone, 100),
    repeated(byFork, 10),
  );
}

function repeated(work: () => void, times: number): Side {
  const round = (): number => {
    const startMs = performance.now();
    for (let i = 0; i < times; i++) work();
    return performance.now() - startMs;
  };
  return {
    run: (seconds) => nsPerOperation(seconds, times, round),
    warmUp: () => {
      for (let i = 0; i < 5; i++) round();
    },
  };
}
