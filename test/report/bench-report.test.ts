import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHTML } from 'linkedom';
import { InputError } from '../../src/base/index.ts';
import {
  answersOf,
  type BenchDocument,
  type BenchRow,
  benchReport,
  joinDocuments,
  parseBenchDocument,
} from '../../src/report/index.ts';

const TABLES = ['row-leaf', 'static', 'line-hash', 'rosebush-inline', 'rosebush', 'rhashtable'];

function row(
  name: string,
  ours: number,
  theirs: number | null,
  more: Partial<BenchRow> = {},
): BenchRow {
  const ratio = theirs === null ? null : theirs / ours;
  const low = ratio === null ? null : ratio * 0.9;
  const high = ratio === null ? null : ratio * 1.2;
  const peer = theirs === null ? 'none' : 'engine';
  const head = { name, what: `what ${name} is`, ours, theirs, peer, unit: 'ns/page' };
  return { ...head, ratio, ratioLow: low, ratioHigh: high, repeats: 5, ...more };
}

/** Each table against ours, the i-th i + 2 times as slow. */
function tables(prefix: string, ours: number, unit: string): BenchRow[] {
  return TABLES.map((peer, i) => row(`${prefix}/${peer}`, ours, ours * (i + 2), { peer, unit }));
}

const DOCUMENT: BenchDocument = {
  rows: [
    row('fork/exit', 10, 40, { peer: 'kernel' }),
    row('fork/on-demand-fork', 0.5, 25),
    row('replay/decode', 1e6, null, { unit: 'events/s' }),
    ...['insert', 'remove', 'hit', 'change'].flatMap((what) =>
      tables(`counts/random/${what}`, 10, 'ns/entry'),
    ),
    ...tables('counts/dense/bytes', 0.5, 'bytes/frame'),
    ...tables('counts/dense/split', 4000, 'ns/table'),
    ...[1, 2, 4].flatMap((n) => tables(`counts/threads-${n}`, 1e6 * n, 'operations/s')),
    ...tables('counts/resizing', 5e5, 'operations/s'),
    row('counts/parameters/insert/presized', 100, 400, { peer: 'rhashtable', unit: 'ns/entry' }),
    ...tables('morsels/storm-random', 500, 'ns/page'),
    row('morsels/<b>&', 10, 20),
  ],
  notes: ['zap is left out: <no kernel>'],
  host: '2 x processor',
};

// biome-ignore lint/suspicious/noExplicitAny: linkedom's document has the DOM's types, which are not here
async function parsed(document: BenchDocument): Promise<any> {
  return parseHTML(await benchReport(document)).document;
}

test('every row stands in one table, with its figures', async () => {
  const document = await parsed(DOCUMENT);
  for (const one of DOCUMENT.rows) {
    const lines = [...document.querySelectorAll('tr[data-row]')].filter(
      (line) => line.getAttribute('data-row') === one.name,
    );
    assert.equal(lines.length, 1, one.name);
    assert.equal(lines[0].querySelector('th[scope=row]').textContent, one.name);
    const cells = [...lines[0].querySelectorAll('td')].map((cell) => cell.textContent);
    assert.equal(cells.length, 10);
    assert.equal(cells.at(-1), one.what);
    assert.equal(cells[4] === '–', one.theirs === null, one.name);
  }
  const cells = [...document.querySelectorAll('tr[data-row="fork/exit"] td')];
  const texts = cells.map((cell: { textContent: string }) => cell.textContent);
  assert.deepEqual(texts.slice(0, 9), '10.0 40.0 kernel ns/page 4.00 3.60 4.80 1.00 5'.split(' '));
});

test('the report loads nothing, escapes names, and says each drawing in words', async () => {
  const text = await benchReport(DOCUMENT);
  assert.doesNotMatch(text, /https?:\/\/(?!www\.w3\.org\/2000\/svg)|@import|url\(|<script|\bsrc=/i);
  assert.doesNotMatch(text, /<b>&|<no kernel>/);
  const { document } = parseHTML(text);
  const ids = new Set<string>();
  // biome-ignore lint/suspicious/noExplicitAny: see above
  for (const svg of document.querySelectorAll('svg') as any) {
    assert.equal(svg.getAttribute('role'), 'img');
    assert.ok(svg.querySelector('title').textContent.length > 5);
    assert.match(svg.querySelector('desc').textContent, /\d/);
    ids.add(svg.getAttribute('aria-labelledby'));
  }
  assert.equal(ids.size, document.querySelectorAll('svg').length);
  for (const table of document.querySelectorAll('table')) {
    assert.ok(table.querySelector('caption') !== null);
  }
  assert.match(
    document.querySelector('main')?.textContent ?? '',
    /2 x processor(?:.|\n)*zap is left out/,
  );
});

test('one row is enough, with a peer or without', async () => {
  for (const one of [row('zap/whole', 3, 9), row('replay/decode', 3, null)]) {
    const document = await parsed({ rows: [one], notes: [] });
    assert.equal(document.querySelectorAll('tr[data-row]').length, 1);
    assert.equal(document.querySelectorAll('svg').length, one.theirs === null ? 1 : 2);
  }
});

test('the answers to the questions are computed from the rows', () => {
  const answers = new Map(answersOf(DOCUMENT.rows).map((a) => [a.question, a.sentences]));
  assert.deepEqual(
    [...answers.keys()],
    [
      'Insertion and removal',
      'Size and utilisation',
      'Concurrent accesses',
      'Ongoing resizing',
      'Parameters of the hash table',
      'Other implementations',
      'Macro scenarios: snapshot and fork server',
      'End to end: a shared table split, a write storm',
    ],
  );
  const said = (question: string): string => (answers.get(question) ?? []).join(' ');
  // 10 ns times 7 for the last table.
  assert.match(said('Insertion and removal'), /comes in 70.0 ns and goes in 70.0 ns by rhashtable/);
  assert.match(said('Size and utilisation'), /row-leaf-4 0.500, row-leaf 1.00, .* rhashtable 3.50/);
  assert.match(said('Concurrent accesses'), /4 threads .*row-leaf-4 4.00 M \(4.00 times one/);
  assert.match(said('Ongoing resizing'), /row-leaf-4 50 %/);
  assert.match(said('Parameters of the hash table'), /insert: 400 ns\/entry; .*presized 100\./);
  assert.match(said('Other implementations'), /rosebush against rhashtable.*insert 1.17 times/);
  assert.match(
    said('Macro scenarios: snapshot and fork server'),
    /0.500 ns a page instead of 25.0 ns/,
  );
  assert.match(
    said('End to end: a shared table split, a write storm'),
    /rhashtable 28.0 µs, 7.00 times \(6.30 to 8.40\)/,
  );
  assert.deepEqual(answersOf([row('zap/whole', 3, 9)]), []);
});

test('documents are joined by name, the last one counts', () => {
  const other = { rows: [row('fork/exit', 1, 2)], notes: ['a'] };
  const { rows, notes, host } = joinDocuments([DOCUMENT, other]);
  assert.equal(host, '2 x processor');
  assert.equal(rows.length, DOCUMENT.rows.length);
  assert.equal(rows.find(({ name }) => name === 'fork/exit')?.ours, 1);
  assert.deepEqual(notes, [...DOCUMENT.notes, 'a']);
});

test('what --json wrote is read back; anything else is named with its place', () => {
  assert.deepEqual(parseBenchDocument(JSON.stringify(DOCUMENT), 'x.json'), DOCUMENT);
  const good = row('a/b', 1, 2);
  const cases: [unknown, RegExp][] = [
    [[], /no "rows"/],
    [{ rows: [] }, /"rows" is empty/],
    [{ rows: [good], notes: [1] }, /"notes"/],
    [{ rows: [good], host: 5 }, /"host": want a text/],
    [{ rows: [good, 5] }, /rows\[1\]: want an object/],
    [{ rows: [{ ...good, name: '' }] }, /rows\[0\]: "name": want a text/],
    [{ rows: [{ ...good, ours: '1' }] }, /rows\[0\]: "ours": want a number above 0/],
    [{ rows: [{ ...good, ours: -1 }] }, /"ours"/],
    [{ rows: [{ ...good, theirs: null }] }, /"theirs": want a number above 0/],
    [{ rows: [{ ...good, ratio: null }] }, /"theirs": want null/],
    [{ rows: [{ ...good, unit: undefined }] }, /"unit"/],
  ];
  for (const [value, message] of cases) {
    const text = JSON.stringify(value);
    assert.throws(
      () => parseBenchDocument(text, 'x.json'),
      (error: unknown) => {
        assert.ok(error instanceof InputError, text);
        assert.match(error.message, /^x\.json: [^\n]+$/);
        assert.match(error.message, message);
        return true;
      },
    );
  }
  assert.throws(() => parseBenchDocument('<html>', 'x.json'), /x\.json: not JSON/);
});
