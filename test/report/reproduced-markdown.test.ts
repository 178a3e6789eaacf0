import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FigureRow } from '../../src/lab/index.ts';
import { reproducedMarkdown } from '../../src/report/index.ts';

function row(id: string, here: string, verdict: FigureRow['verdict']): FigureRow {
  const part = { what: 'a | b', unit: 'GiB', published: 1, here: 2, verdict };
  return {
    id,
    seed: '000',
    what: 'what it is',
    unit: 'GiB',
    published: 'one | two',
    source: 'somebody',
    here,
    method: 'engine',
    inputs: [],
    rule: 'a rule',
    verdict,
    why: 'because',
    parts: [part],
    elapsedMs: 1,
  };
}

const document = (rows: readonly FigureRow[]) => ({ pagelab: 1 as const, host: 'a machine', rows });

test('figures one after the other make the page that all at once make, in the order given', () => {
  const rows = [
    row('a.one', 'x', 'agrees'),
    row('b.two', 'y', 'differs'),
    row('c.z', 'z', 'agrees'),
  ];
  const order = rows.map(({ id }) => id);
  const whole = reproducedMarkdown(document(rows), '', order);
  assert.ok(whole.includes('\n2 agree, 1 differ, 0 not comparable.\n'));
  let page = '';
  for (const at of [2, 0, 1]) {
    page = reproducedMarkdown(document([rows[at] as FigureRow]), page, order);
  }
  assert.equal(page, whole);
  const changed = reproducedMarkdown(document([row('b.two', 'new', 'agrees')]), page, order);
  assert.equal(
    changed,
    reproducedMarkdown(document([rows[0]!, row('b.two', 'new', 'agrees'), rows[2]!])),
  );
  // A figure that is no more goes.
  assert.ok(!reproducedMarkdown(document([]), page, ['a.one']).includes('b.two'));
});
