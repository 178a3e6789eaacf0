import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measureMultiFault, orderOf } from '../../bench/multi-fault.ts';
import { intervalOfMedian, spreadOf } from '../../bench/spread.ts';

test('multi-fault: every way runs on one thread and on three, against a side that does not count', async () => {
  // The benchmark itself stops where a count or references are wrong, or a touch is no fault.
  const { rows } = await measureMultiFault({
    threadCounts: [1, 3],
    otherCrews: 1,
    crews: 2,
    crewsMax: 2,
    turns: 3,
    turnFaults: 4000,
    warmUpFaults: 1,
    slots: 2,
  });
  const ways = [
    ['pte-ref-lock', 6],
    ['pte-ref', 3],
    ['pte-ref-percpu', 3],
  ];
  assert.deepEqual(
    rows.map((row) => [row.threads, row.ways.map(({ mechanism, pairs }) => [mechanism, pairs])]),
    [
      [1, ways],
      [3, ways],
    ],
  );
  for (const row of rows) {
    for (const { withNs, costNs } of row.ways) {
      assert.ok(withNs > 0 && row.withoutNs > 0);
      assert.ok(costNs.low <= costNs.high);
    }
  }
});

test('the order of turns: each side once, the first two side by side, each as often the earlier', () => {
  for (const sides of [2, 4]) {
    const orders = [0, 1, 2, 3].map((round) => orderOf(sides, round));
    let firstBefore = 0;
    for (const order of orders) {
      const sorted = [...order].sort((a, b) => a - b);
      assert.deepEqual(
        sorted,
        Array.from({ length: sides }, (_, i) => i),
      );
      const distance = order.indexOf(1) - order.indexOf(0);
      assert.equal(Math.abs(distance), 1);
      if (distance > 0) firstBefore += 1;
    }
    assert.equal(firstBefore, 2);
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
