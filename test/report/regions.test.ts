import assert from 'node:assert/strict';
import { test } from 'node:test';
import { System, X86_64_4LEVEL } from '../../src/engine/index.ts';
import { type FrameMap, RegionHistory, takeFrameMap } from '../../src/lab/index.ts';
import { framesSection } from '../../src/report/html/frame-map.ts';
import { regionsSection } from '../../src/report/html/regions.ts';
import { smallDocument } from './documents.ts';

const MIB = 2 ** 20;
const SLOT = 2 * MIB;
const BASE = 0x100000000000;
const RW = 3;
const ANON_FIXED = 0x32;

test('regions over time: full, huge and empty ones are rectangles from when to when they are so', () => {
  const system = new System({ nodeBytes: [64 * MIB], huge: { enabled: 'madvise' } });
  const process = system.spawn(1);
  process.mmap(BASE, 3 * SLOT, RW, ANON_FIXED);
  const history = new RegionHistory(1);
  process.touch(BASE, true, 512);
  process.touch(BASE + SLOT, true, 100);
  history.look(system, 0, 0);
  process.madvise(BASE + 2 * SLOT, SLOT, 14);
  process.touch(BASE + 2 * SLOT, true);
  process.madvise(BASE + SLOT, 100 * 4096, 4);
  history.look(system, 500, 50);
  history.look(system, 1000, 100);
  assert.deepEqual(
    history.columns.map(({ runs }) => runs.map(({ present, isHuge }) => [present, isHuge])),
    [
      [
        [512, false],
        [100, false],
      ],
      [
        [512, false],
        [0, false],
        [512, true],
      ],
      [
        [512, false],
        [0, false],
        [512, true],
      ],
    ],
  );
  const document = smallDocument();
  const { text } = regionsSection(document, [history]);
  // Three lines of 6 pixels, 528 wide; the time axis ends at 1000.
  assert.ok(text.includes('<path class="u5" d="M0 0h528v6h-528z"/>'), text);
  assert.ok(text.includes('<path class="u1" d="M0 6h264v6h-264z"/>'));
  assert.ok(text.includes('<path class="e" d="M264 6h264v6h-264z"/>'));
  assert.ok(text.includes('<path class="hg" d="M264 12h264v6h-264z"/>'));
  assert.ok(text.includes('3 regions at the end (6 MB), 1 of them huge pages'));
});

test('physical memory: every frame is counted once, free ones as the zones count them', () => {
  const system = new System({ nodeBytes: [64 * MIB], huge: { enabled: 'madvise' } });
  assert.equal(system.machine.geometry, X86_64_4LEVEL);
  const process = system.spawn(1);
  process.mmap(BASE, 8 * SLOT, RW, ANON_FIXED);
  process.madvise(BASE, SLOT, 14);
  process.touch(BASE, true);
  process.touch(BASE + SLOT, true, 700);
  const { blocks, blockFrames } = takeFrameMap(system.machine);
  assert.equal(blocks.length, 32);
  for (const { free, movable, unmovable } of blocks) {
    assert.equal(free + movable + unmovable, blockFrames);
  }
  const sum = (key: 'free' | 'movable' | 'unmovable'): number =>
    blocks.reduce((all, block) => all + block[key], 0);
  assert.equal(sum('movable'), 512 + 700);
  assert.equal(blocks.filter(({ isHuge }) => isHuge).length, 1);
  // Tables of the process: PGD, PUD, PMD, and three of the last level.
  const kernel = sum('unmovable') - 6;
  assert.equal(sum('free'), 32 * 512 - 512 - 700 - 6 - kernel);
});

test('a map of memory: cells of one kind that follow each other are one rectangle', () => {
  const block = (free: number, unmovable = 0, isHuge = false) => {
    return { free, movable: 512 - free - unmovable, unmovable, isHuge };
  };
  const blocks = [
    ...Array.from({ length: 100 }, () => block(512)),
    ...Array.from({ length: 60 }, () => block(0, 0, true)),
    block(128),
    block(511, 1),
  ];
  const map: FrameMap = { blockFrames: 512, blocks };
  const { text } = framesSection(smallDocument(), [map]);
  assert.ok(text.includes('<path class="fb" d="M0 0h400v4h-400z"/>'), text);
  // 28 cells end the first line, 32 begin the second.
  assert.ok(text.includes('<path class="hg" d="M400 0h112v4h-112zM0 4h128v4h-128z"/>'));
  assert.ok(text.includes('<path class="u3" d="M128 4h4v4h-4z"/>'));
  assert.ok(text.includes('<path class="um" d="M132 4h4v4h-4z"/>'));
  const inPieces = 639 / (51_200 + 639);
  assert.ok(text.includes(`${(100 * inPieces).toFixed(1)} % of free memory in pieces`));
});
