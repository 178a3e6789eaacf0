import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MADV_DONTNEED,
  MADV_MERGEABLE,
  MADV_PAGEOUT,
  MADV_UNMERGEABLE,
  Random,
} from '../../src/base/index.ts';
import {
  freeFrameCount,
  HUGE_PAGE_DEFAULTS,
  KSM_HUGE_MODES,
  type Ksm,
  type KsmSettings,
  loadPage,
  type Process,
  System,
  validateMachine,
} from '../../src/engine/index.ts';
import { type RbNode, RbTree } from '../../src/engine/ksm/rb-tree.ts';
import { seedOf } from '../seed.ts';
import { KsmPrograms } from './ksm-model.ts';

/** Samepage merging by hand-computed cases, and random programs that must not notice it. */

const PAGE = 4096;
const SLOT = 512 * PAGE;
const AT = 0x100000000000;
const ANON = 0x4032;
const MIB = 2 ** 20;

function start(settings: Partial<KsmSettings> = {}, thp: 'disabled' | 'always' = 'disabled') {
  const system = new System({
    ksm: settings,
    huge: { enabled: thp },
    nodeBytes: [64 * MIB],
    swapBytes: 16 * MIB,
    bufferMiB: 64,
  });
  return { system, ksm: system.machine.ksm as Ksm };
}

/** A process with the pages of `contents`, mergeable. */
function spawn(system: System, pid: number, contents: readonly number[], addr = AT): Process {
  const process = system.process(pid) ?? system.spawn(pid);
  process.mmap(addr, contents.length * PAGE, 3, ANON);
  contents.forEach((content, i) => {
    process.fill(addr + i * PAGE, content);
  });
  process.madvise(addr, contents.length * PAGE, MADV_MERGEABLE);
  return process;
}

/** Whole scans, each to its end. */
function scans(ksm: Ksm, count: number): void {
  const until = ksm.ksmd.scans + count;
  while (ksm.ksmd.scans < until) ksm.ksmd.scan(1000);
}

function counts(ksm: Ksm): number[] {
  const { pagesShared, pagesSharing, pagesUnshared, pagesVolatile } = ksm.counters();
  return [pagesShared, pagesSharing, pagesUnshared, pagesVolatile];
}

const load = (process: Process, i: number): number =>
  loadPage(process.machine, process.mm, AT / PAGE + i);

test('two scans merge equal pages of two processes; a write gets a copy back', () => {
  const { system, ksm } = start();
  const a = spawn(system, 1, [7, 7, 8, 9]);
  const b = spawn(system, 2, [7, 8, 10, 11]);
  const before = freeFrameCount(system.machine);
  scans(ksm, 1);
  // What was seen once could be changing.
  assert.deepEqual(counts(ksm), [0, 0, 0, 8]);
  scans(ksm, 1);
  // 7 three times, 8 twice; 9, 10, 11 alone.
  assert.deepEqual(counts(ksm), [2, 3, 3, 0]);
  assert.equal(freeFrameCount(system.machine), before + 3);
  assert.equal(a.counters().rssAnonKiB, 16);
  validateMachine(system.machine);
  b.fill(AT, 1);
  assert.deepEqual([load(a, 0), load(a, 1), load(b, 0)], [7, 7, 1]);
  assert.equal(b.counters().cowFaults, 1);
  assert.equal(freeFrameCount(system.machine), before + 2);
  scans(ksm, 1);
  assert.deepEqual(counts(ksm), [2, 2, 3, 1]);
  validateMachine(system.machine);
});

test('a page that changes between scans is never merged', () => {
  const { system, ksm } = start({ isSmartScan: false });
  const process = spawn(system, 1, [1, 1]);
  for (let i = 0; i < 5; i++) {
    process.fill(AT, 2 + i, 2);
    scans(ksm, 1);
    assert.deepEqual(counts(ksm), [0, 0, 0, 2]);
  }
  scans(ksm, 1);
  assert.deepEqual(counts(ksm), [1, 1, 0, 0]);
});

test('a merged page mapped once is copied on a write all the same', () => {
  const { system, ksm } = start();
  const process = spawn(system, 1, [5, 5]);
  scans(ksm, 2);
  process.madvise(AT + PAGE, PAGE, MADV_DONTNEED);
  const { cowFaults } = process.counters();
  process.fill(AT, 6);
  assert.equal(process.counters().cowFaults, cowFaults + 1);
  scans(ksm, 1);
  assert.deepEqual(counts(ksm).slice(0, 2), [0, 0]);
  validateMachine(system.machine);
});

test('MADV_UNMERGEABLE and mremap give each page a copy; the next write takes it over', () => {
  const { system, ksm } = start();
  const process = spawn(system, 1, [5, 5, 5, 5]);
  scans(ksm, 2);
  assert.deepEqual(counts(ksm), [1, 3, 0, 0]);
  const before = freeFrameCount(system.machine);
  assert.equal(process.madvise(AT, 2 * PAGE, MADV_UNMERGEABLE), 0);
  assert.equal(freeFrameCount(system.machine), before - 2);
  const { cowFaults } = process.counters();
  process.fill(AT, 6);
  assert.equal(process.counters().cowFaults, cowFaults);
  assert.equal(process.mremap(AT + 2 * PAGE, PAGE, PAGE, 3, AT + SLOT), AT + SLOT);
  // The copy, and the table of its new place.
  assert.equal(freeFrameCount(system.machine), before - 4);
  assert.deepEqual([load(process, 0), load(process, 1), load(process, 512)], [6, 5, 5]);
  validateMachine(system.machine);
});

test('a page with max_page_sharing mappings takes no more: a chain of copies', () => {
  const { system, ksm } = start({ maxPageSharing: 3 });
  spawn(system, 1, new Array(8).fill(4));
  scans(ksm, 2);
  // Three, three, and two that had to find each other.
  assert.deepEqual(counts(ksm), [3, 5, 0, 0]);
  assert.deepEqual([ksm.counters().chains, ksm.counters().chainDups], [1, 3]);
  validateMachine(system.machine);
});

test('with use_zero_pages pages of zeros become the zero page, and are no resident memory', () => {
  const { system, ksm } = start({ usesZeroPages: true });
  const process = spawn(system, 1, [0, 0, 3]);
  scans(ksm, 2);
  assert.equal(process.counters().rssAnonKiB, 4);
  assert.equal(process.counters().presentPages, 3);
  assert.equal(ksm.counters().zeroPages, 2);
  const child = system.fork(process, 2);
  assert.ok(child !== undefined);
  assert.equal(ksm.counters().zeroPages, 4);
  process.fill(AT, 1);
  assert.equal(ksm.counters().zeroPages, 3);
  process.madvise(AT, 3 * PAGE, MADV_UNMERGEABLE);
  assert.equal(ksm.counters().zeroPages, 2);
  assert.equal(process.counters().rssAnonKiB, 12);
  validateMachine(system.machine);
});

test('a child maps its parent’s merged pages, and outlives it', () => {
  const { system, ksm } = start();
  const parent = spawn(system, 1, [5, 5]);
  scans(ksm, 2);
  const child = system.fork(parent, 2);
  assert.ok(child !== undefined);
  validateMachine(system.machine);
  scans(ksm, 1);
  // The child's two are further mappings now.
  assert.deepEqual(counts(ksm), [1, 3, 0, 0]);
  system.exit(parent);
  validateMachine(system.machine);
  scans(ksm, 1);
  assert.deepEqual(counts(ksm), [1, 1, 0, 0]);
  assert.deepEqual([load(child, 0), load(child, 1)], [5, 5]);
});

test('a merged page goes to swap once, and comes back as a page for each', () => {
  const { system, ksm } = start();
  const a = spawn(system, 1, [5]);
  const b = spawn(system, 2, [5]);
  scans(ksm, 2);
  const child = system.fork(b, 3);
  assert.ok(child !== undefined);
  const before = freeFrameCount(system.machine);
  system.machine.events.memoryShort?.(system.machine, 4000);
  system.machine.events.memoryShort?.(system.machine, 4000);
  assert.equal(freeFrameCount(system.machine) > before, true);
  assert.deepEqual(
    [a, b, child].map((process) => process.counters().swappedPages),
    [1, 1, 1],
  );
  validateMachine(system.machine);
  assert.deepEqual([load(a, 0), load(b, 0), load(child, 0)], [5, 5, 5]);
  validateMachine(system.machine);
  // The first to come has it as an ordinary page; to the others it is a stranger's, and they copy it.
  assert.equal(freeFrameCount(system.machine), before - 2);
  a.madvise(AT, PAGE, MADV_PAGEOUT);
  assert.equal(load(a, 0), 5);
});

test('what nobody said is equal to nothing', () => {
  const { system, ksm } = start();
  spawn(system, 1, [-1, -1, -1, 0, 0]);
  scans(ksm, 2);
  assert.deepEqual(counts(ksm), [1, 1, 3, 0]);
});

test('smart scan passes over what did not merge: once, twice, then four times in a row', () => {
  const { system, ksm } = start();
  spawn(system, 1, [1]);
  const scanned: number[] = [];
  for (let i = 0; i < 13; i++) {
    const before = ksm.counters().pagesScanned;
    scans(ksm, 1);
    scanned.push(ksm.counters().pagesScanned - before);
  }
  // skip_age (mm/ksm.c): at age 3 once, at 5 twice, at 8 four times.
  assert.deepEqual(scanned, [1, 1, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0]);
});

test('stock ksmd splits a huge page for one equal page; the five ways to take huge pages', () => {
  const [w, x, y] = [11, 12, 13];
  const pages = (content: number): number[] => new Array(512).fill(content);
  // Two huge pages equal as a whole, one that shares a page with the third process, one like nothing.
  const results = KSM_HUGE_MODES.map((hugePages) => {
    const { system, ksm } = start({ hugePages }, 'always');
    const mixed = Array.from({ length: 512 }, (_, i) => 1000 + i);
    const other = Array.from({ length: 512 }, (_, i) => 5000 + i);
    other[100] = 1007;
    const contents = [[...pages(w), ...mixed], [...pages(w), ...other], pages(x), pages(y)];
    const processes = contents.map((list, i) => spawn(system, i + 1, list));
    scans(ksm, 3);
    validateMachine(system.machine);
    const huge = processes.reduce((sum, p) => sum + (p.counters().anonHugeKiB ?? 0) / 2048, 0);
    return [ksm.counters().pagesSharing, ksm.counters().hugePagesSplit, huge];
  });
  assert.deepEqual(results[0], [0, 0, 6]);
  // w: 1024 mappings of 4 pages with at most 256; x and y: 512 of 2; and one pair.
  assert.deepEqual(results[1], [1020 + 510 + 510 + 1, 6, 0]);
  // As a whole: only the pair of w.
  assert.deepEqual(results[2], [512, 0, 6]);
  // All memory is in huge pages, more than 70 %: split until it is less.
  assert.ok(results[3] !== undefined && (results[3][1] as number) > 0);
  // Nothing is known to be hot: as `split`.
  assert.deepEqual(results[4], results[1]);
});

test('a hot huge page is shared as a whole only, a cold one page by page', () => {
  const { system, ksm } = start({ hugePages: 'frequency' }, 'always');
  const same = new Array(512).fill(3);
  const a = spawn(system, 1, [...same, ...same]);
  const b = spawn(system, 2, [...same, ...same]);
  system.machine.events.isHugeHot = (_m, mm) => mm === a.mm;
  scans(ksm, 3);
  assert.equal(a.counters().anonHugeKiB, 4096);
  assert.equal(b.counters().anonHugeKiB, 0);
  validateMachine(system.machine);
  // A write into the merged huge page splits this mapping of it and copies one page.
  const before = freeFrameCount(system.machine);
  a.fill(AT, 9);
  assert.equal(freeFrameCount(system.machine), before - 1);
  assert.equal(a.counters().anonHugeKiB, 2048);
  assert.deepEqual([load(a, 0), load(a, 1), load(a, 512), load(b, 0)], [9, 3, 3, 3]);
  validateMachine(system.machine);
  scans(ksm, 2);
  validateMachine(system.machine);
});

for (const hugePages of KSM_HUGE_MODES) {
  test(`programs do not notice merging: ${hugePages}`, (t) => {
    const seed = seedOf(t);
    const random = new Random(seed);
    const programs = new KsmPrograms(
      {
        ksm: { hugePages, maxPageSharing: 20, usesZeroPages: random.chance(0.5) },
        huge: {
          enabled: random.chance(0.8) ? 'always' : 'disabled',
          khugepaged: { ...HUGE_PAGE_DEFAULTS.khugepaged, maxPtesNone: random.pick([511, 60]) },
          sizes: random.chance(0.5) ? { '64kB': 'always' } : {},
        },
        nodeBytes: [48 * MIB],
        swapBytes: 64 * MIB,
        bufferMiB: 64,
      },
      random,
    );
    const { machine } = programs.system;
    machine.events.isHugeHot = (_m, _mm, table) => (table >> 6) % 2 === 0;
    let most = 0;
    for (let i = 0; i < 250; i++) {
      programs.step();
      most = Math.max(most, machine.ksm?.counters().pagesSharing ?? 0);
      if (i % 10 === 9) validateMachine(machine);
      if (i % 50 !== 49) continue;
      assert.equal(programs.difference(), null);
      validateMachine(machine);
    }
    assert.ok(most > 0);
  });
}

test('the red-black tree keeps order and balance', (t) => {
  const seed = seedOf(t);
  const random = new Random(seed);
  const tree = new RbTree<number>();
  const nodes = new Map<number, RbNode<number>>();
  for (let i = 0; i < 3000; i++) {
    const value = random.below(300);
    const node = nodes.get(value);
    if (node !== undefined) {
      tree.erase(node);
      nodes.delete(value);
    } else {
      let parent: RbNode<number> | null = null;
      for (let at = tree.root; at !== null; ) {
        parent = at;
        at = value < at.value ? at.left : at.right;
      }
      nodes.set(value, tree.insert(value, parent, parent !== null && value < parent.value));
    }
    tree.validate();
    assert.deepEqual(
      [...tree.values()],
      [...nodes.keys()].sort((a, b) => a - b),
    );
  }
});
