import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../src/base/index.ts';

test('the same seed gives the same numbers, another seed others', () => {
  const draw = (seed: number): number[] => {
    const random = new Random(seed);
    return Array.from({ length: 8 }, () => random.uint32());
  };
  assert.deepEqual(draw(7), draw(7));
  assert.notDeepEqual(draw(7), draw(8));
});

test('below() is uniform within five standard deviations', () => {
  const random = new Random(1);
  const counts = new Array<number>(10).fill(0);
  const draws = 100_000;
  for (let i = 0; i < draws; i++) counts[random.below(10)]! += 1;
  const sigma = Math.sqrt(draws * 0.1 * 0.9);
  for (const count of counts) assert.ok(Math.abs(count - draws / 10) < 5 * sigma, String(counts));
});
