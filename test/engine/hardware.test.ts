import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCESS_MAX_BYTES, AddressBatch, FETCH, Random } from '../../src/base/index.ts';
import {
  EVICTED,
  FILLED,
  HARDWARE_PRESETS,
  HIT,
  LoadWindow,
  LruSets,
  nativeLoads,
  nestedLoads,
  type PageRegion,
  PageSizes,
  shootDown,
  shootDownNs,
  type TlbStructure,
  Translator,
  type WalkCacheShapes,
  Walker,
} from '../../src/engine/index.ts';
import { type NaiveAccess, NaiveHardware, NaiveLru, naiveLoads } from './hardware-model.ts';

const KIB4 = 4096;
const MIB2 = 2 ** 21;
const GIB1 = 2 ** 30;
const LINES = { l1: 64, l2: 512, l3: 4096 };
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));

function walkerFor(
  sizes: PageSizes,
  caches: WalkCacheShapes = {},
  levels = 4,
  guestBytes: readonly number[] = sizes.bytes,
  hostBytes = 0,
): Walker {
  return new Walker({
    levels,
    caches,
    granuleBytes: sizes.bytes[0]!,
    tlbBytes: sizes.bytes,
    pageBytes: guestBytes,
    nested: hostBytes === 0 ? null : { levels, caches: {}, pageBytes: hostBytes },
    lines: LINES,
  });
}

function chain(...shapes: [number, number][]): TlbStructure[] {
  return shapes.map(([sets, ways], at) => ({
    name: `L${at + 1}`,
    level: at + 1,
    sets,
    ways,
    pageBytes: [],
    serves: 'all',
  }));
}

/** Sends pages of 4 KiB through a chain of TLBs. */
function runPages(translator: Translator, pages: readonly number[]): void {
  const batch = new AddressBatch(KIB4);
  for (const page of pages) batch.addGranule(page);
  translator.run(batch);
}

function totals(translator: Translator, structure: number): number[] {
  let [hits, misses, evictions] = [0, 0, 0];
  translator.sizes.bytes.forEach((_, sizeClass) => {
    const counts = translator.counts(structure, sizeClass);
    hits += counts.hits;
    misses += counts.misses;
    evictions += counts.evictions;
  });
  return [hits, misses, evictions];
}

describe('LRU sets, by hand', () => {
  it('two ways: the one not used last goes', () => {
    for (const ways of [2, 8]) {
      const sets = new LruSets(1, ways);
      for (let tag = 0; tag < ways; tag++) assert.equal(sets.access(tag, 0), FILLED);
      assert.equal(sets.access(0, 0), HIT);
      assert.equal(sets.access(100, 0), EVICTED); // 1 goes: 0 was used after it
      assert.deepEqual([sets.has(0, 0), sets.has(1, 0), sets.size], [true, false, ways]);
      assert.equal(sets.invalidate(0, 1, 0), 1);
      assert.equal(sets.access(200, 0), FILLED);
    }
  });

  it('three sets: the remainder chooses, also above 32 bits', () => {
    const sets = new LruSets(3, 1);
    assert.equal(sets.access(0, 0), FILLED);
    assert.equal(sets.access(1, 0), FILLED);
    assert.equal(sets.access(2, 0), FILLED);
    // 2^32 mod 3 is 1: it takes the place of 1.
    assert.equal(sets.access(0, 1), EVICTED);
    assert.deepEqual([sets.has(0, 0), sets.has(1, 0), sets.has(0, 1)], [true, false, true]);
  });

  it('tags that differ above 32 bits are different', () => {
    for (const ways of [4, 16]) {
      const sets = new LruSets(1, ways);
      sets.access(7, 1);
      assert.equal(sets.access(7, 2), FILLED);
      assert.equal(sets.access(7, 1), HIT);
    }
  });
});

describe('LRU sets against lists', () => {
  it('any shape, one by one, filtered and with invalidations', (t) => {
    t.diagnostic(`PAGELAB_SEED=${seed}`);
    const random = new Random(seed);
    for (let round = 0; round < 60; round++) {
      const [setCount, ways] = [random.between(1, 40), random.between(1, 40)];
      const fast = new LruSets(setCount, ways);
      const slow = new NaiveLru(setCount, ways);
      const span = random.between(1, setCount * ways * 3);
      const draw = (): number => random.below(span) + (random.chance(0.1) ? 2 ** 33 : 0);
      for (let step = 0; step < 40; step++) {
        const count = random.between(0, 50);
        const tags = Array.from({ length: count }, draw);
        const lows = Int32Array.from(tags);
        const highs = Int32Array.from(tags, (tag) => Math.floor(tag / 2 ** 32));
        const missed = tags.filter((tag) => !slow.access(String(tag), BigInt(tag)));
        if (step % 2 === 0) {
          const payload = Uint16Array.from(tags, (_, i) => i);
          const left = fast.filter(lows, highs, payload, count);
          const got = Array.from({ length: left }, (_, i) => tags[payload[i]!]);
          assert.deepEqual(got, missed);
          missed.forEach((tag, i) => {
            assert.equal(highs[i]! * 2 ** 32 + lows[i]!, tag);
          });
        } else {
          const got = tags.filter((_, i) => fast.access(lows[i]!, highs[i]!) !== HIT);
          assert.deepEqual(got, missed);
        }
        if (random.chance(0.2)) {
          const first = random.below(span);
          const end = first + random.below(10);
          const before = slow.sets.flat().length;
          slow.drop((name) => Number(name) >= first && Number(name) < end);
          assert.equal(fast.invalidate(first, end, 0), before - slow.sets.flat().length);
        }
      }
      assert.equal(fast.evictions, slow.evictions);
      assert.equal(fast.size, slow.sets.flat().length);
    }
  });
});

describe('a chain of TLBs, by hand', () => {
  it('level 2 is looked up where level 1 missed, and both are filled', () => {
    const sizes = new PageSizes([KIB4]);
    const translator = new Translator(chain([1, 1], [1, 2]), sizes, walkerFor(sizes));
    runPages(translator, [1, 2, 1, 1, 3, 2, 1]);
    // L1: misses but for the repeated 1. L2: 1 2 miss, 1 hits, 3 evicts 2, 2 evicts 1, 1 evicts 3.
    assert.deepEqual(totals(translator, 0), [1, 6, 5]);
    assert.deepEqual(totals(translator, 1), [1, 5, 3]);
    assert.equal(translator.walker.walks[0], 5);
  });

  it('a level 1 hit does not refresh level 2, and eviction below leaves level 1', () => {
    const sizes = new PageSizes([KIB4]);
    const translator = new Translator(chain([1, 2], [1, 2]), sizes, walkerFor(sizes));
    runPages(translator, [1, 2, 1, 3, 1]);
    // 3 evicts 2 from L1 (1 was used after it) but 1 from L2, which never saw the second 1.
    assert.deepEqual(totals(translator, 0), [2, 3, 1]);
    assert.deepEqual(totals(translator, 1), [0, 3, 1]);
  });

  it('pages of three sizes in one TLB, and a page split from the access before', () => {
    const sizes = new PageSizes([KIB4, MIB2, GIB1], 0, [
      { first: 512, end: 1024, sizeClass: 1 },
      { first: 2 ** 18, end: 2 ** 19, sizeClass: 2 },
    ]);
    const translator = new Translator(chain([1, 4]), sizes, walkerFor(sizes));
    runPages(translator, [1, 512, 1023, 1, 2 ** 18, 2 ** 19 - 1, 2, 600]);
    assert.deepEqual(translator.counts(0, 0), { hits: 1, misses: 2, evictions: 0 });
    assert.deepEqual(translator.counts(0, 1), { hits: 2, misses: 1, evictions: 0 });
    assert.deepEqual(translator.counts(0, 2), { hits: 1, misses: 1, evictions: 0 });
  });

  it('an access over a border is one access and one lookup for each page', () => {
    const sizes = new PageSizes([KIB4, MIB2], 0, [{ first: 512, end: 1024, sizeClass: 1 }]);
    const translator = new Translator(chain([4, 4]), sizes, walkerFor(sizes));
    const batch = new AddressBatch(KIB4);
    batch.add(0, 4095, 2, 0); // pages 0 and 1
    batch.add(0, 513 * KIB4 - 1, 8, 0); // two granules of one huge page
    batch.add(0, 512 * KIB4 - 1, 2, 0); // the page before it, and it
    translator.run(batch);
    assert.equal(batch.accesses, 3);
    assert.equal(translator.crossings, 3);
    assert.deepEqual(translator.counts(0, 0), { hits: 0, misses: 3, evictions: 0 });
    assert.deepEqual(translator.counts(0, 1), { hits: 1, misses: 1, evictions: 0 });
  });
});

describe('walks', () => {
  it('loads without caches: 4, 3, 2 native; 24, 19, 19, 15, 35 nested', () => {
    assert.deepEqual(
      [KIB4, MIB2, GIB1].map((bytes) => nativeLoads(4, bytes)),
      [4, 3, 2],
    );
    const cases: [number, number, number, number][] = [
      [4, KIB4, KIB4, 24],
      [4, MIB2, KIB4, 19],
      [4, KIB4, MIB2, 19],
      [4, MIB2, MIB2, 15],
      [5, KIB4, KIB4, 35],
    ];
    for (const [levels, guest, host, loads] of cases) {
      assert.equal(nestedLoads(nativeLoads(levels, guest), nativeLoads(levels, host)), loads);
      const sizes = new PageSizes([Math.min(guest, host)]);
      const walker = walkerFor(sizes, {}, levels, [guest], host);
      const translator = new Translator(chain([1, 1]), sizes, walker);
      const batch = new AddressBatch(sizes.bytes[0]!);
      for (let page = 0; page < 10; page++) batch.addGranule(page);
      translator.run(batch);
      assert.equal(walker.walks[0], 10);
      assert.equal(walker.loads[0], 10 * loads);
      assert.equal(
        walker.served.reduce((sum, n) => sum + n, 0),
        10 * loads,
      );
    }
  });

  it('a PDE hit leaves one load, a PDPTE hit two, a PML4E hit three', () => {
    const sizes = new PageSizes([KIB4]);
    const one = { sets: 1, ways: 8 };
    const walker = walkerFor(sizes, { 2: one, 3: one, 4: one });
    const translator = new Translator(chain([1, 1]), sizes, walker);
    const loads: number[] = [];
    // The first page; one in its table; another table; another GiB; another 512 GiB.
    for (const page of [0, 1, 512, 2 ** 18, 2 ** 27]) {
      const before = walker.loads[0]!;
      runPages(translator, [page]);
      loads.push(walker.loads[0]! - before);
    }
    assert.deepEqual(loads, [4, 1, 2, 3, 4]);
  });

  it('a 2 MiB page uses no PDE: the best is a PDPTE hit and one load', () => {
    const sizes = new PageSizes([MIB2]);
    const one = { sets: 1, ways: 8 };
    const walker = walkerFor(sizes, { 2: one, 3: one, 4: one });
    const translator = new Translator(chain([1, 1]), sizes, walker);
    const batch = new AddressBatch(MIB2);
    for (let page = 0; page < 4; page++) batch.addGranule(page);
    translator.run(batch);
    assert.equal(walker.loads[0], 3 + 1 + 1 + 1);
    assert.deepEqual(walker.cacheCounts()[0], { name: 'PDE', lookups: 0, hits: 0, misses: 0 });
  });

  it('lines are served by the cache whose window is long enough', () => {
    const window = new LoadWindow(2, 4, 8);
    const load = (line: number, level = 1): number => {
      const served = new Float64Array(4);
      const one = Int32Array.of(line);
      window.loadAll(one, Int32Array.of(0), Uint8Array.of(level), 1, served);
      return served.indexOf(1);
    };
    assert.equal(load(1), 3);
    assert.equal(load(1), 0);
    assert.equal(load(1, 2), 3); // another level
    assert.equal(load(1), 0); // two loads ago
    for (const line of [11, 12]) load(line);
    assert.equal(load(1), 1); // three loads ago
    for (const line of [11, 12, 13, 14, 15, 16]) load(line);
    assert.equal(load(1), 2); // seven
    for (const line of [21, 22, 23, 24, 25, 26, 27, 28]) load(line);
    assert.equal(load(1), 3); // nine
  });
});

/** A random core: structures, regions, walk caches; and a stream that uses what it has. */
function randomCase(random: Random): {
  structures: TlbStructure[];
  regions: (PageRegion & { bytes: number })[];
  sizes: PageSizes;
  caches: WalkCacheShapes;
} {
  const bytes = [KIB4, MIB2, GIB1].slice(0, random.between(1, 3));
  const regions: (PageRegion & { bytes: number })[] = [];
  let first = 2 ** 18 * random.below(4);
  for (let i = 0; i < 3; i++) {
    const sizeClass = random.below(bytes.length);
    const span = bytes[sizeClass]! / KIB4;
    first = Math.ceil((first + random.below(2000)) / span) * span;
    const end = first + span * random.between(1, sizeClass === 0 ? 600 : 40);
    regions.push({ first, end, sizeClass, bytes: bytes[sizeClass]! });
    first = end;
  }
  const shape = (): { sets: number; ways: number } => ({
    sets: random.between(1, 24),
    ways: random.between(1, 16),
  });
  const isSplit = random.chance(0.5);
  const structures: TlbStructure[] = [];
  if (isSplit) {
    for (const size of bytes) {
      if (random.chance(0.9)) {
        const serves = 'data';
        structures.push({ name: 'd', level: 1, ...shape(), pageBytes: [size], serves });
      }
    }
    structures.push({ name: 'i', level: 1, ...shape(), pageBytes: [], serves: 'fetch' });
  } else structures.push({ name: 'a', level: 1, ...shape(), pageBytes: [], serves: 'all' });
  const pageBytes = random.chance(0.5) ? [] : [KIB4];
  structures.push({ name: 'b', level: 2, ...shape(), pageBytes, serves: 'all' });
  if (random.chance(0.3)) {
    structures.push({ name: 'c', level: 3, ...shape(), pageBytes: [], serves: 'all' });
  }
  const caches = random.chance(0.2) ? {} : { 2: shape(), 3: shape(), 4: shape() };
  return { structures, regions, sizes: new PageSizes(bytes, 0, regions), caches };
}

describe('the whole core against the naive one', () => {
  it('random structures, mixed page sizes, fetches, accesses over borders', (t) => {
    t.diagnostic(`PAGELAB_SEED=${seed}`);
    const random = new Random(seed);
    for (let round = 0; round < 40; round++) {
      const { structures, regions, sizes, caches } = randomCase(random);
      const levels = random.pick([4, 5]);
      const translator = new Translator(structures, sizes, walkerFor(sizes, caches, levels));
      const naive = new NaiveHardware(
        structures.map((structure) => ({
          ...structure,
          lru: new NaiveLru(structure.sets, structure.ways),
        })),
        (address) => {
          const granule = Number(address / 4096n);
          const found = regions.find(({ first, end }) => granule >= first && granule < end);
          return found?.bytes ?? KIB4;
        },
      );
      const batch = new AddressBatch(KIB4, translator.merging);
      let address = 0;
      for (let i = 0; i < 6000; i++) {
        if (random.chance(0.4)) {
          const { first, end } = random.pick(regions);
          address = (first + random.below(end - first)) * KIB4 + random.below(KIB4);
        }
        const access: NaiveAccess = {
          address: BigInt(address),
          bytes: random.chance(0.02) ? random.between(1, 20_000) : random.between(1, 64),
          isFetch: random.chance(0.3),
        };
        naive.access(access);
        if (batch.isFull(batch.entriesOf(ACCESS_MAX_BYTES))) {
          translator.run(batch);
          batch.clear();
        }
        const kind = access.isFetch ? FETCH : 0;
        batch.add(Math.floor(address / 2 ** 32), address | 0, access.bytes, kind);
      }
      translator.run(batch);
      structures.forEach((structure, at) => {
        const { hits, misses, evictions } = naive.structures[at]!.lru;
        assert.deepEqual(totals(translator, at), [hits, misses, evictions], structure.name);
      });
      const naiveCaches = new Map(
        [2, 3, 4, 5].flatMap((level) => {
          const shape = caches[level];
          return shape === undefined ? [] : [[level, new NaiveLru(shape.sets, shape.ways)]];
        }),
      );
      const { walks, loads } = translator.walker;
      const sum = (values: Float64Array): number => values.reduce((all, value) => all + value, 0);
      assert.equal(sum(walks), naive.walks.length);
      assert.equal(sum(loads), naiveLoads(naive.walks, levels, naiveCaches));
    }
  });
});

describe('invalidation', () => {
  it('one page goes from every level and from the walk caches that lead to it', () => {
    const sizes = new PageSizes([KIB4]);
    const one = { sets: 1, ways: 8 };
    const walker = walkerFor(sizes, { 2: one, 3: one, 4: one });
    const translator = new Translator(chain([2, 2], [4, 4]), sizes, walker);
    runPages(translator, [1, 2, 2]);
    assert.equal(translator.invalidate(2, 3), 2);
    const before = walker.loads[0]!;
    runPages(translator, [2]);
    assert.equal(walker.loads[0]! - before, 4);
    translator.flush();
    assert.deepEqual([translator.sizeOf(0), translator.sizeOf(1)], [0, 0]);
  });

  it('a shoot-down reaches all cores and costs what the rule says', () => {
    const sizes = new PageSizes([KIB4]);
    const cores = [0, 1, 2].map(() => new Translator(chain([4, 4]), sizes, walkerFor(sizes)));
    for (const core of cores) runPages(core, [0, 1, 2, 3, 4]);
    // 2 pages of 100 ns, and 1 us with 0.2 us for each of 2 receivers.
    assert.equal(shootDown(cores, 1, 2, 1), 200 + 1000 + 400);
    assert.deepEqual(
      cores.map((core) => core.sizeOf(0)),
      [3, 3, 3],
    );
    // Above 33 pages everything goes, for the time of 33.
    assert.equal(shootDown(cores, 0, 34, 1), 3300 + 1400);
    assert.deepEqual(
      cores.map((core) => core.sizeOf(0)),
      [0, 0, 0],
    );
    assert.equal(shootDownNs(1, 0), 100);
  });
});

describe('presets', () => {
  it('names are unique, and each constant says what it rests on', () => {
    assert.equal(new Set(HARDWARE_PRESETS.map(({ name }) => name)).size, HARDWARE_PRESETS.length);
    for (const { name, structures, walkCaches, hostCaches, l2Cycles } of HARDWARE_PRESETS) {
      for (const { ground, source } of [...structures, walkCaches, hostCaches, l2Cycles]) {
        assert.ok(ground.length > 0 && source.length > 0, name);
      }
    }
  });

  it('have the entries that their sources give', () => {
    // Name: level 1 for 4 KB, 2 MB, 1 GB; level 2 for 4 KB, 2 MB.
    const table: Record<string, number[]> = {
      'sandy-bridge': [64, 32, 4, 512, 0],
      'ivy-bridge': [64, 32, 4, 512, 0],
      haswell: [64, 32, 4, 1024, 1024],
      broadwell: [64, 32, 4, 1536, 1536],
      skylake: [64, 32, 4, 1536, 1536],
      'ice-lake': [64, 32, 8, 2048, 2048],
      'golden-cove': [96, 32, 8, 2048, 2048],
      zen2: [64, 64, 64, 2048, 2048],
      zen3: [64, 64, 64, 2048, 2048],
      zen4: [72, 72, 72, 3072, 3072],
      zen5: [96, 96, 96, 4096, 4096],
      'neoverse-n1': [48, 48, 48, 1280, 1280],
      champsim: [64, 64, 64, 1536, 1536],
      drmemtrace: [32, 32, 32, 1024, 1024],
      virtuoso: [64, 64, 0, 2048, 2048],
    };
    for (const { name, structures } of HARDWARE_PRESETS) {
      const entries = (level: number, bytes: number): number =>
        structures
          .filter((s) => s.level === level && s.serves !== 'fetch')
          .filter((s) => s.pageBytes.length === 0 || s.pageBytes.includes(bytes))
          .reduce((sum, s) => sum + s.sets * s.ways, 0);
      const got = [entries(1, KIB4), entries(1, MIB2), entries(1, GIB1)];
      assert.deepEqual([...got, entries(2, KIB4), entries(2, MIB2)], table[name], name);
    }
  });
});
