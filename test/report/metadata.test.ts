import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHTML } from 'linkedom';
import type { RunDocument } from '../../src/lab/index.ts';
import { htmlReport, terminalTable } from '../../src/report/index.ts';
import { recordedDocument, smallDocument } from './documents.ts';

/** Bytes of metadata by scheme, in a report and in a terminal. */
const KERNEL = 'linux-6.18+dynamic-metadata';
const RECORDED: RunDocument = recordedDocument('gcc-compile', ['linux-6.18', KERNEL]);

test('peaks and points under its own id, with all of a frame 1/64 of 24 GiB', () => {
  const [plain, dynamic] = RECORDED.runs;
  assert.equal(plain?.peak['dynamic-metadata'], undefined);
  assert.ok(plain?.series.every((point) => point['dynamic-metadata'] === undefined));
  const peak = dynamic?.peak['dynamic-metadata'] ?? {};
  assert.equal(peak['structPageKiB'], (24 * 2 ** 20) / 64);
  assert.equal(peak['hvoKiB'], peak['structPageKiB']);
  const points = (dynamic?.series ?? []).flatMap((point) => {
    const values = point['dynamic-metadata'];
    return values === undefined ? [] : [values];
  });
  assert.ok(points.length > 100);
  for (const point of points) {
    for (const [name, value] of Object.entries(point)) assert.ok(value <= peak[name]!, name);
    // Nothing of what is held is less than what must be.
    assert.ok(point['onDemandKiB']! > 33 * 24);
  }
  // What the program needs at most: its pages, at least 64 of them to a page of metadata.
  const pages = dynamic?.peak.presentPages ?? 0;
  assert.ok(peak['onDemandKiB']! > (pages / 64) * 4);
  assert.ok(peak['onDemandKiB']! < peak['memdescKiB']!);
  assert.ok(peak['memdescKiB']! < peak['structPageKiB']!);
});

test('the report has a chart each for what goes with use and for the rest', async () => {
  const { document } = parseHTML(await htmlReport(RECORDED, []));
  const sections = [...document.querySelectorAll('section')];
  const section = sections.find((s) => s.querySelector('h2')?.textContent === 'Metadata of frames');
  assert.ok(section !== undefined);
  assert.equal(section.querySelectorAll('svg[role=img]').length, 2);
  const texts = [...section.querySelectorAll('svg[role=img] desc')].map((d) => d.textContent);
  assert.match(texts.join(), /on demand peaks at/);
  assert.match(texts.join(), /struct page peaks at 384/);
  assert.equal(section.querySelectorAll('tbody tr').length, 6);
  const without = await htmlReport(smallDocument(), []);
  assert.doesNotMatch(without, /Metadata of frames/);
});

test('the terminal says the peaks and what it took', () => {
  const text = terminalTable(RECORDED);
  assert.match(text, /on demand +[\d.,]+ [kM]B/);
  assert.match(text, /pages of metadata came/);
  assert.doesNotMatch(terminalTable(smallDocument()), /metadata/);
});
