import { strict as assert } from 'node:assert';
import { type TestContext, test } from 'node:test';
import {
  MADV_DONTNEED,
  MADV_PAGEOUT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
} from '../../src/base/index.ts';
import {
  type MachineOptions,
  Morsel,
  MshareHandle,
  onDemandForkWith,
} from '../../src/engine/index.ts';
import { seedOf } from '../seed.ts';
import { ModelObject, READ_WRITE, zeros } from './sharing-model.ts';
import { type ModelProcess, SharingRun, SLOT_PAGES, SLOTS } from './sharing-run.ts';

/**
 * All three ways to share page tables in the same processes: private memory that on-demand fork hands on,
 * Morsels, mshare's regions. Slot 0 is private memory and objects mapped directly, Morsels lie in slots
 * 1 to 3, regions in 4 to 7; each word of each process must be the copying model's.
 */
const PAGE = 4096;
const OWN_FROM = 16;
const OWN_PAGES: number = SLOT_PAGES - OWN_FROM;
const SPANS = ['2M', '1G', '512G'] as const;
const SPAN_PAGES = [8, 64, SLOT_PAGES] as const;
const MORSEL_SLOTS = 3;

interface OneMorsel {
  readonly morsel: Morsel;
  readonly level: number;
  readonly object: ModelObject;
  isFrozen: boolean;
}

interface OneRegion {
  readonly handle: MshareHandle;
  readonly owner: ModelProcess['process'];
  readonly object: ModelObject;
}

interface Plan {
  readonly name: string;
  readonly options: MachineOptions;
  /** The place of the share counts' table in COUNT_KINDS. */
  readonly counts: number;
  /** So many Morsels at a time: nobody takes their pages back. */
  readonly morsels: number;
}

class Mixed {
  readonly run: SharingRun;
  readonly #morsels: OneMorsel[] = [];
  #regions: OneRegion[] = [];

  readonly #plan: Plan;

  constructor(seed: number, plan: Plan) {
    this.#plan = plan;
    this.run = new SharingRun(seed, plan.options, ({ machine }) =>
      onDemandForkWith({ counts: plan.counts }).attach(machine),
    );
    this.run.spawn();
    for (const { process, space } of this.run.running) {
      process.mmap(OWN_FROM * PAGE, OWN_PAGES * PAGE, 3, PRIVATE);
      space.mapPrivate(OWN_FROM, OWN_PAGES);
    }
  }

  step(): void {
    const { run } = this;
    const ops = [
      () => run.touchMany(),
      () => run.touchMany(),
      () => this.#mapOwn(),
      () => this.#unmapOwn(),
      () => this.#changeOwn(),
      () => this.#mapDirectly(),
      () => this.#makeMorsel(),
      () => this.#mapMorsel(),
      () => this.#mapMorsel(),
      () => this.#cloneMorsel(),
      () => this.#cloneMorsel(),
      () => this.#closeMorsel(),
      () => this.#makeRegion(),
      () => this.#mapRegion(),
      () => this.#mapRegion(),
      () => this.#unmapRegion(),
      () => this.#swapOut(),
      () => this.#attach(),
      () => this.#detach(),
      () => run.fork(),
      () => run.fork(),
      () => this.#exit(),
    ];
    if (run.random.chance(0.6)) run.access();
    else run.random.pick(ops)();
  }

  #ownRange(): { from: number; count: number } {
    const { from, count } = this.run.range(OWN_PAGES);
    return { from: from + OWN_FROM, count };
  }

  #mapOwn(): void {
    const { process, space } = this.run.one();
    const { from, count } = this.#ownRange();
    assert.equal(process.mmap(from * PAGE, count * PAGE, 3, PRIVATE), from * PAGE);
    space.mapPrivate(from, count);
  }

  #unmapOwn(): void {
    const { process, space } = this.run.one();
    const { from, count } = this.#ownRange();
    assert.equal(process.munmap(from * PAGE, count * PAGE), space.unmap(from, count));
  }

  /** Rights, or advice that takes private words away. */
  #changeOwn(): void {
    const { process, space } = this.run.one();
    const { from, count } = this.#ownRange();
    const isHole = [...Array(count).keys()].some((i) => !space.own.has(from + i));
    if (isHole) return;
    const [addr, len] = [from * PAGE, count * PAGE];
    const roll = this.run.random.below(3);
    if (roll === 0) {
      const prot = this.run.random.pick([0, PROT_READ, READ_WRITE, READ_WRITE]);
      assert.equal(process.mprotect(addr, len, prot), space.protect(from, count, prot));
      return;
    }
    assert.equal(process.madvise(addr, len, roll === 1 ? MADV_DONTNEED : MADV_PAGEOUT), 0);
    for (let i = 0; roll === 1 && i < count; i++) {
      const page = space.own.get(from + i);
      if (page?.isPrivate === true) page.memory[page.index] = 0;
    }
  }

  #mapDirectly(): void {
    const { process, space } = this.run.one();
    const { object, memory } = this.run.random.pick(this.run.shared);
    const count = 1 + this.run.random.below(memory.length);
    const from = OWN_FROM + this.run.random.below(OWN_PAGES - count);
    const flags = MAP_SHARED | MAP_FIXED;
    assert.equal(process.mmap(from * PAGE, count * PAGE, 3, flags, object), from * PAGE);
    space.map(from, count, READ_WRITE, memory, 0);
  }

  #makeMorsel(): void {
    if (this.#morsels.length >= this.#plan.morsels) return;
    const level = this.run.random.below(3);
    const morsel = Morsel.create(this.run.system, SPANS[level] as '2M');
    assert.ok(typeof morsel !== 'number');
    const object = ModelObject.of(zeros(SPAN_PAGES[level] as number));
    this.#morsels.push({ morsel, level, object, isFrozen: false });
  }

  #mapMorsel(): void {
    const one = this.run.pick(this.#morsels);
    if (one === undefined) return;
    const { process, space } = this.run.one();
    const pages = SPAN_PAGES[one.level] as number;
    const places = (MORSEL_SLOTS * SLOT_PAGES) / pages;
    const page = SLOT_PAGES + this.run.random.below(places) * pages;
    if (!space.isFree(page, pages)) return;
    assert.equal(one.morsel.map(process, page * PAGE), page * PAGE);
    space.windows.push({ page, pages, object: one.object, offset: 0 });
  }

  /** A clone, or the child of a base that is frozen from then on. */
  #cloneMorsel(): void {
    const one = this.run.pick(this.#morsels);
    if (one === undefined || this.#morsels.length >= this.#plan.morsels) return;
    if (!one.isFrozen && this.run.random.chance(0.15) && one.morsel.freeze() === 0) {
      one.isFrozen = true;
      one.object.protect(0, SPAN_PAGES[one.level] as number, PROT_READ);
    }
    const copy = one.isFrozen ? one.morsel.split() : one.morsel.clone();
    // What a frozen base lends cannot be cloned.
    if (typeof copy === 'number') return;
    const object = ModelObject.of(one.object.words);
    this.#morsels.push({ morsel: copy, level: one.level, object, isFrozen: false });
  }

  #closeMorsel(): void {
    const one = this.run.pick(this.#morsels);
    if (one === undefined || this.run.random.chance(0.5)) return;
    one.morsel.close();
    this.#morsels.splice(this.#morsels.indexOf(one), 1);
  }

  #makeRegion(): void {
    if (this.#regions.length >= 3) return;
    const { process } = this.run.one();
    const handle = MshareHandle.create(this.run.system, process);
    assert.ok(typeof handle !== 'number');
    assert.equal(handle.ftruncate(SLOT_PAGES * PAGE), 0);
    this.#regions.push({ handle, owner: process, object: new ModelObject() });
  }

  #mapRegion(): void {
    const one = this.run.pick(this.#regions);
    if (one === undefined) return;
    const shared = this.run.random.chance(0.4) ? this.run.pick(this.run.shared) : undefined;
    const { from, count } = this.run.range(SLOT_PAGES);
    const pages = Math.min(count, shared?.memory.length ?? count);
    const flags = shared === undefined ? MAP_ANONYMOUS : 0;
    const got = one.handle.map(from * PAGE, pages * PAGE, 3, flags, shared?.object ?? 0);
    assert.equal(got, 0);
    one.object.map(from, pages, READ_WRITE, shared?.memory ?? zeros(pages), 0);
  }

  /** Private pages of a process, or a region's; holes are passed over. */
  #swapOut(): void {
    const one = this.run.pick(this.#regions);
    if (one === undefined || this.run.random.chance(0.5)) {
      const { process } = this.run.one();
      process.madvise(OWN_FROM * PAGE, OWN_PAGES * PAGE, MADV_PAGEOUT);
    } else one.handle.advise(0, SLOT_PAGES * PAGE, MADV_PAGEOUT);
  }

  #unmapRegion(): void {
    const one = this.run.pick(this.#regions);
    if (one === undefined) return;
    const { from, count } = this.run.range(SLOT_PAGES);
    assert.equal(one.handle.unmap(from * PAGE, count * PAGE), 0);
    one.object.unmap(from, count);
  }

  #attach(): void {
    const one = this.run.pick(this.#regions);
    if (one === undefined) return;
    const { process, space } = this.run.one();
    const page = (1 + MORSEL_SLOTS + this.run.random.below(SLOTS - 1 - MORSEL_SLOTS)) * SLOT_PAGES;
    const got = one.handle.attach(process, 0, SLOT_PAGES * PAGE, page * PAGE);
    assert.equal(got, page * PAGE);
    space.unmap(page, SLOT_PAGES);
    space.windows.push({ page, pages: SLOT_PAGES, object: one.object, offset: 0 });
  }

  #detach(): void {
    const { process, space } = this.run.one();
    const window = this.run.pick(space.windows);
    if (window === undefined) return;
    const { page, pages } = window;
    assert.equal(process.munmap(page * PAGE, pages * PAGE), space.unmap(page, pages));
  }

  #exit(): void {
    if (this.run.running.length > 1) this.#end(this.run.one());
  }

  #end(which: ModelProcess): void {
    this.run.exit(which);
    this.#regions = this.#regions.filter(({ owner, object }) => {
      if (owner === which.process) object.unmap(0, SLOT_PAGES);
      return owner !== which.process;
    });
  }

  finish(): void {
    const { run } = this;
    run.readAll();
    const ends: (() => void)[] = [];
    for (const which of [...run.running]) ends.push(() => this.#end(which));
    for (const { object } of run.shared) ends.push(() => run.system.closeObject(object));
    for (const { morsel } of this.#morsels) ends.push(() => morsel.close());
    while (ends.length > 0) {
      (ends.splice(run.random.below(ends.length), 1)[0] as () => void)();
      run.validate();
    }
    run.expectNothingLeft();
  }
}

const PRIVATE: number = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
const MIB = 2 ** 20;
const PLANS: readonly Plan[] = [
  { name: 'much memory', options: {}, counts: 0, morsels: 6 },
  {
    name: 'pages are swapped out',
    options: { nodeBytes: [12 * MIB], swapBytes: 64 * MIB },
    counts: 6,
    morsels: 6,
  },
];
const programs = Number(process.env['PAGELAB_SHARING_PROGRAMS'] ?? 12);
const steps = Number(process.env['PAGELAB_SHARING_STEPS'] ?? 500);

for (const plan of PLANS) {
  test(`on-demand fork, Morsels and mshare in one against a model that copies: ${plan.name}`, (t: TestContext) => {
    const seed = seedOf(t);
    const work: Record<string, number> = {};
    for (let i = 0; i < programs; i++) {
      const mixed = new Mixed(seed + i, plan);
      let step = 0;
      try {
        for (; step < steps; step++) {
          mixed.step();
          if (step % 8 === 0) mixed.run.validate();
          if (i % 2 === 0 && step % 64 === 0) mixed.run.readAll();
        }
        mixed.finish();
      } catch (error) {
        t.diagnostic(`program ${seed + i}, step ${step}`);
        throw error;
      }
      const m = mixed.run.system.machine;
      for (const [key, n] of Object.entries({ ...m.sharing?.work, ...m.vmstat })) {
        work[key] = (work[key] ?? 0) + n;
      }
    }
    t.diagnostic(JSON.stringify(work));
  });
}
