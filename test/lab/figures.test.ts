import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CapabilityError, InputError } from '../../src/base/index.ts';
import {
  FIGURES,
  type FigureContext,
  type FigureRow,
  findFigures,
  type MultiFaultMeasurement,
  reproduce,
} from '../../src/lab/index.ts';
import { reproducedMarkdown, reproducedText } from '../../src/report/index.ts';

const context: FigureContext = {
  nowMs: () => 0,
  onProgress: () => {},
  openRecording: () => assert.fail('no recording is needed'),
  measureMultiFault: () => {
    throw new CapabilityError('no threads here');
  },
  measureLLFree: () => {
    throw new CapabilityError('no threads here');
  },
};

test('each figure is selected by its id, its system, and by nothing else', () => {
  const ids = FIGURES.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual(
    findFigures([]).map(({ id }) => id),
    ids,
  );
  for (const id of ids)
    assert.deepEqual(
      findFigures([id, id]).map((f) => f.id),
      [id],
    );
  const limits = findFigures(['pte-ref.limits', 'pte-ref']).map(({ id }) => id);
  assert.deepEqual(
    limits,
    ids.filter((id) => id.startsWith('pte-ref.')),
  );
  for (const wrong of ['pte', 'pte-ref.', 'pte-ref.limit', '']) {
    assert.throws(
      () => findFigures([wrong]),
      (error) => error instanceof InputError && ids.every((id) => error.message.includes(id)),
      wrong,
    );
  }
});

test('docs/figures.md has every figure, and the cheap ones say there what they say now', async () => {
  const page = readFileSync('docs/figures.md', 'utf8');
  for (const { id, published } of FIGURES) {
    assert.ok(page.includes(`\n## ${id}\n`), id);
    assert.ok(page.includes(`- published: ${published} (`), id);
  }
  const quick = FIGURES.filter(({ isQuick }) => isQuick);
  assert.ok(quick.length >= 4);
  const { rows } = await reproduce(quick, context, 'host');
  for (const { id, here, verdict, parts } of rows) {
    // The letter's own sum is wrong: 2,000 times 8 bytes are 16,000, not 8 K.
    if (id === 'mshare.per-page') assert.equal(parts[1]?.here, 16_000);
    else assert.notEqual(verdict, 'differs', id);
    assert.ok(parts.length > 0, id);
    assert.ok(page.includes(`\n- here: ${here}\n`), `${id}: ${here}`);
  }
});

test('what this machine cannot measure is a row that says so', async () => {
  const { rows } = await reproduce(findFigures(['pte-ref.faults', 'pte-ref.limits']), context, '');
  assert.deepEqual(
    rows.map(({ id, verdict, here }) => [id, verdict, here === 'not run']),
    [
      ['pte-ref.faults', 'not comparable', true],
      ['pte-ref.limits', 'agrees', false],
    ],
  );
});

/** Costs of the count in ns of a fault of 50 ns, with nothing lost to spread; the others cost 30. */
function measured(costs: readonly number[]): MultiFaultMeasurement {
  const exact = (median: number) => ({ median, low: median, high: median });
  const way = (mechanism: string, cost: number) => ({
    mechanism,
    withNs: 50 + cost,
    costNs: exact(cost),
    costPercent: exact(cost * 2),
    ratePercent: exact(-cost),
    pairs: 6,
  });
  const rows = costs.map((cost, at) => ({
    threads: [1, 8, 16][at]!,
    withoutNs: 50,
    ways: [way('pte-ref-lock', cost), way('pte-ref', 30), way('pte-ref-percpu', 30)],
  }));
  return { kernelFaultNs: 1000, clock: 'thread', rows };
}

async function faultsRow(...costs: number[]): Promise<FigureRow> {
  const measureMultiFault = async (): Promise<MultiFaultMeasurement> => measured(costs);
  const figures = findFigures(['pte-ref.faults']);
  const [row] = (await reproduce(figures, { ...context, measureMultiFault }, '')).rows;
  assert.ok(row !== undefined);
  return row;
}

test('the count may cost 2 ns, and 3 % of the engine: beyond either it differs', async () => {
  assert.equal((await faultsRow(0, 0.5, 1.5)).verdict, 'agrees');
  // 1.6 ns are 3.2 % of 50 ns.
  assert.equal((await faultsRow(0, 1.6, 0)).verdict, 'differs');
  assert.equal((await faultsRow(2.5, 0, 0)).verdict, 'differs');
});

test('the dearer ways to keep references are stated and not judged', async () => {
  const { parts, here } = await faultsRow(0, 0.5, 1.5);
  for (const way of ['pte-ref', 'pte-ref-percpu']) {
    const cost = parts.find(({ what }) => what === `8 threads, ${way}: cost`);
    assert.deepEqual([cost?.here, cost?.published, cost?.verdict], [30, null, 'not comparable']);
    assert.ok(here.includes(`${way} (`));
  }
  const rate = parts.find(
    ({ what }) => what === '8 threads, pte-ref: faults a minute, drop included',
  );
  assert.deepEqual([rate?.published, rate?.here, rate?.verdict], [-1.17, -30, 'not comparable']);
});

test('a page and a text of every row, with signs of Markdown kept from being read as such', async () => {
  const document = await reproduce(findFigures(['pte-ref.limits']), context, 'a | b');
  const [row] = document.rows;
  assert.ok(row !== undefined);
  const page = reproducedMarkdown({ ...document, rows: [{ ...row, here: 'x | y' }] });
  assert.match(page, /\| x \\\| y \| arithmetic \| agrees \|/);
  const text = reproducedText(document);
  assert.match(text, /^pte-ref\.limits: agrees\n/);
  assert.match(text, /\n\n1 agree, 0 differ, 0 not comparable$/);
});
