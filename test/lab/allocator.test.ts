import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../src/base/index.ts';
import { Decay } from '../../src/lab/allocator/decay.ts';
import {
  Allocator,
  type AllocatorRules,
  JEMALLOC_4_0,
  JEMALLOC_5_3,
  type MemorySink,
  SizeClasses,
} from '../../src/lab/allocator/index.ts';
import {
  extentClassCeil,
  extentClassFloor,
  pageClassFloor,
  pageClassPages,
} from '../../src/lab/allocator/size-classes.ts';

const SEED = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const TOP = 0x7f0000000000;
const KIB = 1024;

/** Small and the first large classes of jemalloc(3), "Table 1. Size classes", quantum 16, 4 KiB pages. */
const MANUAL = [
  [8],
  [16, 32, 48, 64, 80, 96, 112, 128],
  [160, 192, 224, 256],
  [320, 384, 448, 512],
  [640, 768, 896, 1024],
  [1280, 1536, 1792, 2048],
  [2560, 3072, 3584, 4096],
  [5, 6, 7, 8].map((kib) => kib * KIB),
  [10, 12, 14].map((kib) => kib * KIB),
  [16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128].map((kib) => kib * KIB),
].flat();
const SMALL_MAX = 14 * KIB;

test('size classes are those of the manual; a quantum of 8 adds 24, 40 and 56', () => {
  const bytes = (quantum: 8 | 16): number[] => new SizeClasses(quantum).all.map((c) => c.bytes);
  assert.deepEqual(bytes(16).slice(0, MANUAL.length), MANUAL);
  const fine = [...MANUAL, 24, 40, 56].sort((a, b) => a - b);
  assert.deepEqual(bytes(8).slice(0, fine.length), fine);
  assert.ok(bytes(16).includes(2 ** 24) && bytes(16).includes(1.75 * 2 ** 30));
});

test('a slab is the least common multiple of page and class', () => {
  const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
  for (const { bytes, slabPages, regions } of new SizeClasses(16).all) {
    const common = (4096 * bytes) / gcd(4096, bytes);
    assert.equal(slabPages, bytes <= SMALL_MAX ? common / 4096 : 0);
    assert.equal(regions, bytes <= SMALL_MAX ? common / bytes : 0);
  }
});

test('a request gets the smallest class that holds it', () => {
  const random = new Random(SEED);
  for (const quantum of [8, 16] as const) {
    const classes = new SizeClasses(quantum);
    for (let i = 0; i < 20_000; i++) {
      const bytes = 1 + random.below(2 ** random.between(3, 30));
      const expected = classes.all.find((c) => c.bytes >= bytes);
      assert.equal(classes.of(bytes), expected, `${bytes} bytes, PAGELAB_SEED=${SEED}`);
    }
  }
});

test('page-size classes: floor, ceiling and size belong together', () => {
  const sizes = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80];
  for (let pages = 1; pages <= 80; pages++) {
    assert.equal(
      pageClassFloor(pages),
      sizes.findLastIndex((size) => size <= pages),
    );
  }
  assert.deepEqual(
    sizes,
    sizes.map((_, at) => pageClassPages(at)),
  );
});

test('free extents are sorted by class and a page', () => {
  const sizes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 17, 21, 25, 29, 33, 41];
  for (let pages = 1; pages <= 41; pages++) {
    assert.equal(
      extentClassFloor(pages),
      sizes.findLastIndex((size) => size <= pages),
    );
    assert.equal(
      extentClassCeil(pages),
      sizes.findIndex((size) => size >= pages),
    );
  }
});

test('the header of a chunk, by arena_boot', () => {
  // Bits of 8 bytes; a link of 16, bin and count of 8, a bitmap of 512 bits and one word above it.
  const perPage = 8 + 16 + 8 + 9 * 8;
  let headerPages = 0;
  // The extent node in front has some 100 bytes: any number up to 1,200 gives the same.
  for (let i = 0; i < 3; i++) {
    headerPages = Math.ceil((104 + perPage * (512 - headerPages)) / 4096);
  }
  assert.equal(headerPages, JEMALLOC_4_0.chunk?.headerPages);
});

/** What the kernel would know: which pages are mapped, and written since they were last given back. */
class Kernel implements MemorySink {
  readonly mapped: Set<number> = new Set();
  readonly resident: Set<number> = new Set();
  readonly calls: string[] = [];

  map(addr: number, spanBytes: number): void {
    for (const page of pagesOf(addr, spanBytes)) {
      assert.ok(!this.mapped.has(page), 'mapped twice');
      this.mapped.add(page);
    }
    this.calls.push(`map ${spanBytes / 4096}`);
  }

  purge(addr: number, spanBytes: number): void {
    assert.ok(addr % 4096 === 0 && spanBytes % 4096 === 0);
    for (const page of pagesOf(addr, spanBytes)) this.resident.delete(page);
    this.calls.push(`purge ${(TOP - addr) / 4096} ${spanBytes / 4096}`);
  }

  purgeLazily(addr: number, spanBytes: number): void {
    this.calls.push(`free ${(TOP - addr) / 4096} ${spanBytes / 4096}`);
  }

  write(addr: number, spanBytes: number): void {
    for (const page of pagesOf(addr, spanBytes)) {
      assert.ok(this.mapped.has(page), 'written, not mapped');
      this.resident.add(page);
    }
  }
}

function pagesOf(addr: number, spanBytes: number): number[] {
  const first = Math.floor(addr / 4096);
  const last = Math.floor((addr + spanBytes - 1) / 4096);
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

test('by hand: 8 KiB values in 4.0.3', () => {
  const kernel = new Kernel();
  const rules: AllocatorRules = { ...JEMALLOC_4_0, purge: { kind: 'ratio', lgDirtyMult: 3 } };
  const heap = new Allocator(rules, kernel, TOP);
  // 8,198 bytes are of the class of 10 KiB: two regions in five pages, after 13 pages of header.
  const chunk = TOP - 2 ** 21;
  const addrs = Array.from({ length: 198 }, () => heap.malloc(8198));
  assert.deepEqual(kernel.calls, ['map 512']);
  assert.equal(kernel.resident.size, 13);
  const expected = addrs.map((_, i) => chunk + 13 * 4096 + i * 10_240);
  assert.deepEqual(addrs, expected);
  // (512 - 13) / 5 = 99 slabs, and 4 pages left: the next needs a new chunk, below.
  assert.equal(heap.malloc(8198), chunk - 2 ** 21 + 13 * 4096);
  assert.equal(heap.stats.activePages, 500);
  // One of a slab stays: nothing is unused. Both gone: five pages are, as one extent with others.
  heap.free(addrs[0] as number);
  assert.equal(heap.stats.dirtyPages, 0);
  for (const addr of addrs.slice(1, 6)) heap.free(addr);
  assert.equal(heap.stats.dirtyPages, 15);
  heap.purgeAll();
  assert.deepEqual(kernel.calls.slice(2), [`purge ${512 - 13} 15`]);
  // Lowest address first: the new chunk's slab is not full, and lies below.
  assert.equal(heap.malloc(8198), chunk - 2 ** 21 + 13 * 4096 + 10_240);
  heap.validate();
});

test('by hand: mappings of 5.3 grow, large extents have a page more', () => {
  const kernel = new Kernel();
  const rules = { ...JEMALLOC_5_3, extentRecordBytes: 0, pageRecordBytes: 0 };
  const heap = new Allocator(rules, kernel, TOP);
  // 2 MiB, then 2.5, then 3: page-size classes. 1 MiB and a page take 257 pages of 512.
  heap.malloc(2 ** 20);
  heap.malloc(2 ** 20);
  heap.malloc(2 ** 20);
  assert.deepEqual(kernel.calls, ['map 512', 'map 640']);
  assert.equal(heap.stats.activePages, 3 * 257);
  heap.malloc(2 ** 20);
  assert.deepEqual(kernel.calls, ['map 512', 'map 640', 'map 768']);
  heap.validate();
});

for (const rules of [JEMALLOC_4_0, JEMALLOC_5_3]) {
  test(`${rules.name}: random use against plain sets`, () => {
    const random = new Random(SEED);
    const kernel = new Kernel();
    const heap = new Allocator(rules, kernel, TOP);
    const live: { addr: number; bytes: number }[] = [];
    const note = `PAGELAB_SEED=${SEED}`;
    for (let step = 0; step < 20_000; step++) {
      const isFreeing = random.chance(step % 8000 < 4000 ? 0.35 : 0.65);
      if (isFreeing && live.length > 0) {
        const at = random.below(live.length);
        const { addr } = live[at] as { addr: number };
        live[at] = live[live.length - 1] as { addr: number; bytes: number };
        live.pop();
        heap.free(addr);
      } else {
        const bytes = 1 + random.below(2 ** random.between(3, 18));
        const addr = heap.malloc(bytes);
        kernel.write(addr, bytes);
        live.push({ addr, bytes });
      }
      heap.advance(step * 1e7);
      if (rules.purge.kind === 'ratio') {
        const { activePages, dirtyPages } = heap.stats;
        assert.ok(dirtyPages <= Math.max(512, Math.floor(activePages / 8)), note);
      }
      if (step % 2000 === 0) checkAll(heap, kernel, live, note);
    }
    checkAll(heap, kernel, live, note);
    for (const { addr } of live) heap.free(addr);
    heap.purgeAll();
    heap.validate();
    assert.deepEqual(
      { active: heap.stats.activePages, dirty: heap.stats.dirtyPages },
      { active: 0, dirty: 0 },
    );
  });
}

function checkAll(
  heap: Allocator,
  kernel: Kernel,
  live: readonly { addr: number; bytes: number }[],
  note: string,
): void {
  heap.validate();
  const sorted = [...live].sort((a, b) => a.addr - b.addr);
  let end = 0;
  for (const { addr, bytes } of sorted) {
    assert.ok(addr >= end, `two objects overlap, ${note}`);
    end = addr + bytes;
    // What was written stays: no purge hits anything in use.
    for (const page of pagesOf(addr, bytes)) assert.ok(kernel.resident.has(page), note);
  }
  const { activePages, dirtyPages } = heap.stats;
  const used = [...kernel.resident].filter((page) => page * 4096 > TOP - 2 ** 42).length;
  const headers = kernel.calls.filter((call) => call === 'map 512').length * 13;
  const most = activePages + dirtyPages + (heap.rules.chunk === null ? 0 : headers);
  assert.ok(used <= most, `${used} pages resident, ${most} in use or dirty, ${note}`);
}

test('of one class the lowest free region is served, against a plain list', () => {
  const random = new Random(SEED);
  const heap = new Allocator(JEMALLOC_5_3, new Kernel(), TOP);
  const regionBytes = 10_240;
  const slabs = new Map<number, Set<number>>();
  const live: number[] = [];
  for (let step = 0; step < 5000; step++) {
    if (random.chance(0.45) && live.length > 0) {
      const [addr = 0] = live.splice(random.below(live.length), 1);
      heap.free(addr);
      const [start, used] = [...slabs].find(([at]) => addr >= at && addr < at + 20_480) ?? [
        0,
        new Set(),
      ];
      used.delete((addr - start) / regionBytes);
      if (used.size === 0) slabs.delete(start);
      continue;
    }
    const addr = heap.malloc(8198);
    live.push(addr);
    // All lies in one mapping here, so by address: it is never full below the one that served.
    const nonfull = [...slabs].filter(([, used]) => used.size < 2).map(([at]) => at);
    if (nonfull.length === 0) {
      slabs.set(addr, new Set([0]));
      continue;
    }
    const start = Math.min(...nonfull);
    const used = slabs.get(start) as Set<number>;
    const region = used.has(0) ? 1 : 0;
    assert.equal(addr, start + region * regionBytes, `step ${step}, PAGELAB_SEED=${SEED}`);
    used.add(region);
    if (live.length > 90) heap.free(drop(live, slabs));
  }
});

/** Takes the youngest object out, so that one mapping of 512 pages is enough. */
function drop(live: number[], slabs: Map<number, Set<number>>): number {
  const addr = live.pop() as number;
  for (const [start, used] of slabs) {
    if (addr < start || addr >= start + 20_480) continue;
    used.delete((addr - start) / 10_240);
    if (used.size === 0) slabs.delete(start);
  }
  return addr;
}

test('decay follows the table of smoothstep.h', () => {
  // 2^24 pages that become unused in one epoch: what may stay after k more is h_steps itself.
  const pages = 2 ** 24;
  const decay = new Decay(200);
  assert.equal(decay.advance(1e6, pages), pages);
  const limits = Array.from({ length: 200 }, (_, k) => decay.advance((k + 2) * 1e6, pages));
  const after = (step: number): number => limits[199 - step] as number;
  const published = [0x14, 0xa5, 0x229, 0x516, 0x9dc, 0x10e8, 0x1aa4, 0x2777, 0x37c2, 0x4be6];
  assert.deepEqual(
    published.map((_, i) => after(i + 1)),
    published,
  );
  assert.equal(after(100), 0x800000);
  assert.equal(after(0), 0);
  assert.equal(decay.advance(201.5e6, pages), -1);
});
