import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../src/base/index.ts';
import {
  allocExtent,
  allocExtents,
  allocFrame,
  freeExtent,
} from '../../src/engine/frames/alloc.ts';
import { buddyAlloc, buddyFree } from '../../src/engine/frames/buddy.ts';
import { blockOf, F_STATE, frameRecord, TYPE_TAIL } from '../../src/engine/frames/frame-record.ts';
import {
  blockMigrateType,
  blockZone,
  EXTENT_ANON,
  MIGRATE_MOVABLE,
  MIGRATE_RECLAIMABLE,
  MIGRATE_UNMOVABLE,
} from '../../src/engine/frames/pageblock.ts';
import { drainAllPcp, freeToPcp, PCP_BASES, PCP_TOPS, pcpAt } from '../../src/engine/frames/pcp.ts';
import { RESERVED_FRAMES, zoneAt } from '../../src/engine/frames/zones.ts';
import { freeFrameCount, Machine } from '../../src/engine/index.ts';
import * as L from '../../src/engine/layout.ts';
import { seedOf } from '../seed.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const BLOCK = 512;
const TYPES = [MIGRATE_UNMOVABLE, MIGRATE_MOVABLE, MIGRATE_RECLAIMABLE];

/** What is taken from a machine, kept apart from it: which frames, and as what. */
class Taken {
  readonly m: Machine;
  readonly frames: number[] = [];
  readonly extents: number[] = [];
  /** Every frame that is in use. */
  readonly #used = new Set<number>();

  constructor(m: Machine) {
    this.m = m;
  }

  get count(): number {
    return this.#used.size;
  }

  get used(): ReadonlySet<number> {
    return this.#used;
  }

  #take(pfn: number, frames: number): void {
    for (let p = pfn; p < pfn + frames; p++) {
      assert.ok(p >= RESERVED_FRAMES, `frame ${p} is the modelled kernel's`);
      assert.ok(p < this.m.words[L.H_FRAMES], `frame ${p} does not exist`);
      assert.ok(!this.#used.has(p), `frame ${p} handed out twice`);
      this.#used.add(p);
    }
  }

  takeFrame(type: number): boolean {
    const pfn = allocFrame(this.m, type);
    if (pfn === 0) return false;
    this.#take(pfn, 1);
    this.frames.push(pfn);
    return true;
  }

  takeExtents(blocks: number): boolean {
    const { m } = this;
    const pfn = blocks === 1 ? allocExtent(m, EXTENT_ANON) : allocExtents(m, blocks, EXTENT_ANON);
    if (pfn === 0) return false;
    assert.equal(pfn % (blocks * BLOCK), 0, 'extents lie at a multiple of their size');
    this.#take(pfn, blocks * BLOCK);
    for (let i = 0; i < blocks; i++) this.extents.push(pfn + i * BLOCK);
    return true;
  }

  freeFrame(at: number): void {
    const pfn = this.#remove(this.frames, at);
    this.#used.delete(pfn);
    freeToPcp(this.m, pfn, frameRecord(this.m, pfn));
  }

  freeExtent(at: number): void {
    const pfn = this.#remove(this.extents, at);
    for (let i = 0; i < BLOCK; i++) this.#used.delete(pfn + i);
    freeExtent(this.m, pfn);
  }

  #remove(list: number[], at: number): number {
    const pfn = list[at] as number;
    list[at] = list.at(-1) as number;
    list.pop();
    return pfn;
  }

  freeAll(random: Random): void {
    while (this.frames.length > 0) this.freeFrame(random.below(this.frames.length));
    while (this.extents.length > 0) this.freeExtent(random.below(this.extents.length));
  }
}

/** Free blocks by order of a zone, as the machine counts them. */
function countsOf(m: Machine, zone: number): number[] {
  const counts = zoneAt(m, zone) + L.Z_COUNTS;
  return Array.from(m.words.subarray(counts, counts + L.MAX_ORDER + 1));
}

/** The same by walking the free lists; each block must be of the list's order and type. */
function walkLists(m: Machine, zone: number): { counts: number[]; frames: number[] } {
  const w = m.words;
  const counts = new Array<number>(L.MAX_ORDER + 1).fill(0);
  const frames: number[] = [];
  for (let order = 0; order <= L.MAX_ORDER; order++) {
    for (const type of TYPES) {
      let before = 0;
      let pfn = w[zoneAt(m, zone) + L.Z_LISTS + order * L.MIGRATE_TYPES + type] as number;
      for (; pfn !== 0; ) {
        assert.equal(pfn % 2 ** order, 0, 'a block lies at a multiple of its size');
        assert.equal(blockMigrateType(m, blockOf(m, pfn)), type, `type of the block at ${pfn}`);
        assert.equal(blockZone(m, blockOf(m, pfn)), zone);
        const links = order >= 9 ? blockOf(m, pfn) + L.B_NEXT : frameRecord(m, pfn) + 6;
        assert.equal(w[links + 1], before, 'the link back');
        counts[order]! += 1;
        for (let i = 0; i < 2 ** order; i++) frames.push(pfn + i);
        before = pfn;
        pfn = w[links] as number;
      }
    }
  }
  return { counts, frames };
}

/** The largest aligned blocks that make up a set of free frames: what full merging leaves. */
function mergedCounts(free: ReadonlySet<number>): number[] {
  const counts = new Array<number>(L.MAX_ORDER + 1).fill(0);
  let heads = new Set(free);
  for (let order = 0; order <= L.MAX_ORDER; order++) {
    const larger = new Set<number>();
    for (const pfn of heads) {
      const isMergeable = order < L.MAX_ORDER && heads.has(pfn ^ (2 ** order));
      if (!isMergeable) counts[order]! += 1;
      else if ((pfn & (2 ** order)) === 0) larger.add(pfn);
    }
    heads = larger;
  }
  return counts;
}

function zoneFrames(m: Machine, zone: number): [start: number, end: number] {
  const z = zoneAt(m, zone);
  const start = m.words[z + L.Z_START] as number;
  return [start, start + (m.words[z + L.Z_FRAMES] as number)];
}

/** Compares every zone's lists with what is free by our own account. Drains the cpu's lists. */
function checkMerged(m: Machine, used: ReadonlySet<number>): void {
  drainAllPcp(m);
  for (let zone = 0; zone < m.zoneCount; zone++) {
    const [start, end] = zoneFrames(m, zone);
    const free = new Set<number>();
    for (let p = Math.max(start, RESERVED_FRAMES); p < end; p++) if (!used.has(p)) free.add(p);
    const { counts, frames } = walkLists(m, zone);
    assert.deepEqual(counts, countsOf(m, zone), `counts of zone ${zone}`);
    assert.equal(frames.length, free.size, `free frames of zone ${zone}`);
    for (const pfn of frames) assert.ok(free.delete(pfn), `frame ${pfn} free but used, or twice`);
    assert.equal(m.words[zoneAt(m, zone) + L.Z_FREE], frames.length);
    assert.deepEqual(counts, mergedCounts(new Set(frames)), `merged blocks of zone ${zone}`);
  }
}

/** Whole 4 MiB blocks, and nothing else. */
function checkWhole(m: Machine): void {
  drainAllPcp(m);
  for (let zone = 0; zone < m.zoneCount; zone++) {
    const [start, end] = zoneFrames(m, zone);
    const expected = new Array<number>(L.MAX_ORDER + 1).fill(0);
    expected[L.MAX_ORDER] = (end - Math.max(start, RESERVED_FRAMES)) / 1024;
    assert.deepEqual(countsOf(m, zone), expected, `zone ${zone}`);
    for (let p = Math.max(start, RESERVED_FRAMES); p < end; p += BLOCK) {
      assert.equal(m.words[blockOf(m, p) + L.B_CHUNK], 0, 'free blocks have no frame records');
    }
  }
}

test('a new machine is all blocks of order 10, but for the reserved frames', () => {
  const m = Machine.create({ nodeBytes: [64 * MIB], bufferMiB: 64 });
  checkWhole(m);
  checkMerged(m, new Set());
  assert.equal(freeFrameCount(m), (64 * MIB) / 4096 - RESERVED_FRAMES);
});

for (const [name, nodeBytes] of [
  ['one node', [64 * MIB]],
  ['two nodes', [32 * MIB, 48 * MIB]],
  ['4 GiB and a bit: two zones', [4 * GIB + 32 * MIB]],
] as const) {
  test(`random frames and extents: none twice, all merge again; ${name}`, (t) => {
    const random = new Random(seedOf(t));
    const m = Machine.create({ nodeBytes, bufferMiB: 256 });
    const isSmall = nodeBytes[0] < GIB;
    const taken = new Taken(m);
    const frameCount = freeFrameCount(m);
    for (let wave = 0; wave < 6; wave++) {
      const isGrowing = wave % 2 === 0;
      for (let i = 0; i < 3000; i++) {
        const roll = random.below(100);
        if (random.chance(isGrowing ? 0.8 : 0.2)) {
          if (roll < 2) taken.takeExtents(1);
          else if (roll < 3) taken.takeExtents(random.pick([2, 4]));
          else taken.takeFrame(random.pick(TYPES));
        } else if (roll < 3 && taken.extents.length > 0) {
          taken.freeExtent(random.below(taken.extents.length));
        } else if (taken.frames.length > 0) {
          taken.freeFrame(random.below(taken.frames.length));
        }
      }
      assert.equal(freeFrameCount(m), frameCount - taken.count);
      if (isSmall) checkMerged(m, taken.used);
      else drainAllPcp(m);
      assert.equal(freeFrameCount(m), frameCount - taken.count);
    }
    taken.freeAll(random);
    checkWhole(m);
    assert.equal(freeFrameCount(m), frameCount);
  });
}

test('memory is handed out to half of the min watermark, and then no further', (t) => {
  const random = new Random(seedOf(t));
  const m = Machine.create({ nodeBytes: [32 * MIB], bufferMiB: 64 });
  const taken = new Taken(m);
  for (;;) if (!taken.takeFrame(random.pick(TYPES))) break;
  // Frames on the cpu's lists of other types are not to be had.
  for (const type of TYPES) for (; taken.takeFrame(type); );
  for (const type of TYPES) assert.equal(taken.takeFrame(type), false);
  assert.equal(taken.takeExtents(1), false);
  const z = zoneAt(m, 0);
  assert.equal(freeFrameCount(m), m.words[z + L.Z_FREE], 'nothing left on the lists');
  assert.equal(m.words[z + L.Z_FREE], (m.words[z + L.Z_MIN] as number) >> 1);
  checkMerged(m, taken.used);
  taken.freeAll(random);
  checkWhole(m);
});

test('the watermarks are those of Linux for the size of the machine', () => {
  // calculate_min_free_kbytes: sqrt(16 * KiB), 128 to 262144; low and high by scale factor 10.
  for (const [bytes, minKiB] of [
    [64 * MIB, Math.floor(Math.sqrt((64 * 1024 - 4096) * 16))],
    [2 * GIB, Math.floor(Math.sqrt((2 * 2 ** 20 - 4096) * 16))],
  ] as const) {
    const m = Machine.create({ nodeBytes: [bytes], bufferMiB: 256 });
    const z = zoneAt(m, 0);
    const managed = bytes / 4096 - RESERVED_FRAMES;
    const min = Math.floor(minKiB / 4);
    const gap = Math.max(Math.floor(min / 4), Math.floor(managed / 1000));
    assert.deepEqual(
      [m.words[z + L.Z_MIN], m.words[z + L.Z_LOW], m.words[z + L.Z_HIGH]],
      [min, min + gap, min + 2 * gap],
    );
  }
});

test('zones: below 4 GiB and above, one above for each node; the highest is used first', () => {
  const m = Machine.create({ nodeBytes: [5 * GIB, 2 * GIB], bufferMiB: 256 });
  const zones = Array.from({ length: m.zoneCount }, (_, zone) => zoneFrames(m, zone));
  const gibFrames = GIB / 4096;
  assert.deepEqual(zones, [
    [0, 4 * gibFrames],
    [4 * gibFrames, 5 * gibFrames],
    [5 * gibFrames, 7 * gibFrames],
  ]);
  const pfn = allocFrame(m, MIGRATE_MOVABLE);
  assert.ok(pfn >= 5 * gibFrames, `frame ${pfn}`);
});

test('last freed is first allocated', () => {
  const m = Machine.create({ nodeBytes: [64 * MIB], bufferMiB: 64 });
  const frames = Array.from({ length: 20 }, () => allocFrame(m, MIGRATE_MOVABLE));
  for (const pfn of frames) freeToPcp(m, pfn, frameRecord(m, pfn));
  const again = Array.from({ length: 20 }, () => allocFrame(m, MIGRATE_MOVABLE));
  assert.deepEqual(again, frames.toReversed());
});

test('a full list gives a part back to the buddy, and never holds more than its limit', () => {
  const m = Machine.create({ nodeBytes: [256 * MIB], bufferMiB: 64 });
  const frames = Array.from({ length: 40_000 }, () => allocFrame(m, MIGRATE_MOVABLE));
  assert.equal(new Set(frames).size, frames.length);
  assert.ok(!frames.includes(0));
  const pcp = pcpAt(m, 0);
  // An eighth of the zone at most.
  const limit = Math.floor(((256 * MIB) / 4096 - RESERVED_FRAMES) / 8);
  for (const pfn of frames) {
    freeToPcp(m, pfn, frameRecord(m, pfn));
    for (const type of TYPES) {
      const held = m.words[pcp + PCP_TOPS + type]! - m.words[pcp + PCP_BASES + type]!;
      assert.ok(held >= 0 && held <= limit, `${held} on the list`);
    }
  }
  checkWhole(m);
});

test('each migrate type fills pageblocks of its own', () => {
  const m = Machine.create({ nodeBytes: [64 * MIB], bufferMiB: 64 });
  const blocks = new Map<number, Set<number>>();
  for (let i = 0; i < 2000; i++) {
    for (const type of TYPES) {
      const pfn = allocFrame(m, type);
      const block = Math.floor(pfn / BLOCK);
      assert.equal(blockMigrateType(m, blockOf(m, pfn)), type, `frame ${pfn}`);
      blocks.set(type, (blocks.get(type) ?? new Set()).add(block));
    }
  }
  const all = [...blocks.values()].flatMap((set) => [...set]);
  assert.equal(new Set(all).size, all.length, 'no pageblock serves two types');
  // 2000 frames and the rest of the last batch fit into four.
  for (const [type, set] of blocks) assert.equal(set.size, 4, `pageblocks of type ${type}`);
});

test('a type that has nothing left borrows from the others, frame by frame at the end', () => {
  const m = Machine.create({ nodeBytes: [16 * MIB], bufferMiB: 64 });
  const taken = new Taken(m);
  for (let i = 0; i < 1500; i++) assert.ok(taken.takeFrame(MIGRATE_MOVABLE));
  for (; taken.takeFrame(MIGRATE_UNMOVABLE); );
  // Everything is gone to the last frame, whatever the type of its pageblock.
  assert.ok(freeFrameCount(m) < 300, `${freeFrameCount(m)} left`);
  checkMerged(m, taken.used);
  taken.freeAll(new Random(1));
  checkWhole(m);
});

test('a block is split down to the wanted order and merges with its buddies', () => {
  const m = Machine.create({ nodeBytes: [8 * MIB], bufferMiB: 64 });
  const z = zoneAt(m, 0);
  const free = (pfn: number, order: number): void => {
    for (let i = 0; order < 9 && i < 2 ** order; i++) {
      m.words[frameRecord(m, pfn + i) + F_STATE] = TYPE_TAIL;
    }
    buddyFree(m, z, pfn, order);
  };
  // One block of order 10 at 1024: 8 frames of it leave one free block of each order from 3 to 9.
  const first = buddyAlloc(m, z, 3, MIGRATE_MOVABLE);
  assert.equal(first, 1024);
  assert.deepEqual(countsOf(m, 0), [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0]);
  const second = buddyAlloc(m, z, 3, MIGRATE_MOVABLE);
  assert.equal(second, 1032);
  assert.deepEqual(countsOf(m, 0), [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0]);
  // The buddy of the first is in use: it stays by itself, until the second comes too.
  free(first, 3);
  assert.deepEqual(countsOf(m, 0), [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0]);
  free(second, 3);
  assert.deepEqual(countsOf(m, 0), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
  assert.equal(m.words[z + L.Z_FREE], 1024);
});

test('pageblocks of two types that merge become one type, and split as such again', () => {
  const m = Machine.create({ nodeBytes: [8 * MIB], bufferMiB: 64 });
  const z = zoneAt(m, 0);
  const movable = buddyAlloc(m, z, 9, MIGRATE_MOVABLE);
  const unmovable = buddyAlloc(m, z, 9, MIGRATE_UNMOVABLE);
  assert.deepEqual([movable, unmovable], [1024, 1536]);
  assert.equal(blockMigrateType(m, blockOf(m, unmovable)), MIGRATE_UNMOVABLE);
  buddyFree(m, z, unmovable, 9);
  buddyFree(m, z, movable, 9);
  assert.deepEqual(walkLists(m, 0).counts, countsOf(m, 0));
  assert.equal(buddyAlloc(m, z, 9, MIGRATE_MOVABLE), 1024);
  assert.deepEqual(walkLists(m, 0).counts, countsOf(m, 0));
  buddyFree(m, z, 1024, 9);
  assert.deepEqual(walkLists(m, 0).counts, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
  assert.equal(m.words[z + L.Z_FREE], 1024);
});
