import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measureMultiFault } from '../../bench/multi-fault.ts';
import { intervalOfMedian, spreadOf } from '../../bench/spread.ts';

test('multi-fault: both builds run on one thread and on three, one counts and the other does not', async () => {
  // The benchmark itself stops where a count is wrong, or a touch is no fault.
  const { rows } = await measureMultiFault({
    threadCounts: [1, 3],
    crews: 2,
    crewsMax: 2,
    pairs: 3,
    turnFaults: 4000,
    warmUpFaults: 1,
    slots: 2,
  });
  assert.deepEqual(
    rows.map(({ threads, pairs }) => [threads, pairs]),
    [
      [1, 6],
      [3, 6],
    ],
  );
  for (const { withNs, withoutNs, costNs } of rows) {
    assert.ok(withNs > 0 && withoutNs > 0);
    assert.ok(costNs.low <= costNs.high);
  }
});

test('the interval of a median: ranks of the tables of the sign test', () => {
  const ranks = (n: number): number[] => {
    const { low, high } = intervalOfMedian(Array.from({ length: n }, (_, i) => n - i));
    return [low, high];
  };
  assert.deepEqual(ranks(1), [1, 1]);
  assert.deepEqual(ranks(2), [1, 2]);
  assert.deepEqual(ranks(6), [1, 6]);
  assert.deepEqual(ranks(8), [1, 8]);
  assert.deepEqual(ranks(9), [2, 8]);
  assert.deepEqual(ranks(12), [3, 10]);
  assert.deepEqual(ranks(15), [4, 12]);
  assert.deepEqual(ranks(20), [6, 15]);
});

test('a spread: the median of all values, the interval of the medians of the groups', () => {
  const values = [
    { group: 1, value: 1 },
    { group: 1, value: 2 },
    { group: 1, value: 9 },
    { group: 2, value: 4 },
    { group: 2, value: 6 },
  ];
  assert.deepEqual(spreadOf(values), { median: 4, low: 2, high: 5 });
});
