import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  minFreeFrames,
  recommendedMinFreeFrames,
  zoneWatermarks,
} from '../../src/engine/frames/watermarks.ts';
import { zoneAt } from '../../src/engine/frames/zones.ts';
import { Machine } from '../../src/engine/index.ts';
import { Z_HIGH, Z_LOW, Z_MIN } from '../../src/engine/layout.ts';

/**
 * Watermarks against /proc/zoneinfo and min_free_kbytes of Linux 6.18 on a machine of 24 GiB, once with
 * huge pages on (`madvise`).
 */
const ZONES = [
  { managed: 3840, marks: [10, 13, 16] },
  { managed: 772_915, marks: [2116, 2888, 3660] },
  { managed: 5_394_266, marks: [14_769, 20_163, 25_557] },
] as const;
const ALL = 3840 + 772_915 + 5_394_266;

test('with huge pages on three zones keep 67,584 KiB free, as captured', () => {
  const minFree = recommendedMinFreeFrames(3, ALL - 29_233);
  assert.equal(minFree * 4, 67_584);
  for (const { managed, marks } of ZONES) {
    const { min, low, high } = zoneWatermarks(managed, ALL, minFree);
    assert.deepEqual([min, low, high], marks);
  }
});

test('without them sqrt(16 x KiB), from 128 to 262,144 KiB', () => {
  // The table in the kernel's comment (calculate_min_free_kbytes).
  for (const [mib, kib] of [
    [16, 512],
    [32, 724],
    [64, 1024],
    [128, 1448],
    [256, 2048],
    [512, 2896],
    [1024, 4096],
    [2048, 5792],
    [4096, 8192],
    [8192, 11_584],
    [16_384, 16_384],
  ] as const) {
    const ours = minFreeFrames(mib * 256) * 4;
    assert.ok(Math.abs(ours - kib) <= 1, `${mib} MiB: ${ours}`);
  }
  assert.equal(minFreeFrames(100) * 4, 128);
  assert.equal(minFreeFrames(2 ** 34) * 4, 262_144);
});

test('a machine keeps more free where huge pages are on, at most 5 % of it', () => {
  const marks = (mib: number, enabled: 'never' | 'madvise'): number[] => {
    const m = Machine.create({ nodeBytes: [mib * 2 ** 20], bufferMiB: 128, huge: { enabled } });
    const z = zoneAt(m, m.zoneCount - 1);
    return [m.words[z + Z_MIN], m.words[z + Z_LOW], m.words[z + Z_HIGH]] as number[];
  };
  // 8 GiB: three zones, DMA that the machine has not among them. Normal has half of what is managed.
  const [min = 0] = marks(8192, 'madvise');
  assert.ok(Math.abs(min - 16_896 / 2) < 10, `${min}`);
  const [small = 0] = marks(64, 'madvise');
  assert.ok(small > (marks(64, 'never')[0] as number));
  assert.ok(small <= (64 * 256) / 20);
});
