import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertRefused, pagelab, scratch } from './command.ts';

test('reproduce --json: rows of the documented shape, and the page that is asked for', async () => {
  const file = join(scratch(), 'figures.md');
  const ids = ['pte-ref.functional', 'table-reclaim.math'];
  const { code, stdout, stderr } = await pagelab([
    'reproduce',
    ...ids,
    '--json',
    '--markdown',
    file,
  ]);
  assert.equal(code, 0, stderr);
  assert.equal(stderr, '');
  const { rows } = JSON.parse(stdout);
  assert.deepEqual(
    rows.map((row: { id: string }) => row.id),
    ids,
  );
  for (const row of rows) {
    for (const name of ['seed', 'what', 'unit', 'published', 'here', 'why']) {
      assert.equal(typeof row[name], 'string', name);
    }
    assert.ok(['engine', 'kernel', 'model', 'arithmetic'].includes(row.method));
    assert.ok(['agrees', 'differs', 'not comparable'].includes(row.verdict));
    assert.ok(Array.isArray(row.inputs));
  }
  assert.match(readFileSync(file, 'utf8'), /\n## pte-ref\.functional\n/);
});

test('reproduce refuses a figure that there is not, and names those that there are', async () => {
  await assertRefused(['reproduce', 'pte-ref.limits', 'nope'], /'nope'.*pte-ref\.limits/);
});
