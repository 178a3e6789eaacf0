import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHTML } from 'linkedom';
import { parseKernel, replay } from '../../src/lab/index.ts';
import { type SpacePicture, takePicture } from '../../src/lab/replay/picture.ts';
import { htmlReport } from '../../src/report/index.ts';
import { openRecording, recordedDocument, smallDocument, smallRun } from './documents.ts';

const MAIN = ['linux-6.1', 'linux-6.18', 'linux-6.18+pte-ref'];

function picture(runs: SpacePicture['runs']): SpacePicture {
  return { pid: 1, slotBytes: 2 ** 21, slotPages: 512, areas: 2, runs };
}

const SMALL_PICTURES = [
  picture([
    { first: 512, slots: 2, kind: 'anon', present: 512, isEmpty: false, isHuge: false },
    { first: 514, slots: 1, kind: 'anon', present: 0, isEmpty: true, isHuge: false },
    { first: 900, slots: 1, kind: 'stack', present: 200, isEmpty: false, isHuge: false },
  ]),
  picture([
    { first: 512, slots: 2, kind: 'anon', present: 512, isEmpty: false, isHuge: false },
    { first: 900, slots: 1, kind: 'stack', present: 200, isEmpty: false, isHuge: false },
  ]),
];

// biome-ignore lint/suspicious/noExplicitAny: linkedom's document has the DOM's types, which are not here
function parse(text: string): any {
  return parseHTML(text).document;
}

/** Opening tags without a closing one; linkedom would take anything. */
function unclosed(text: string): string[] {
  const open: string[] = [];
  const VOID = /^(meta|br|link|input|img|hr)$/;
  for (const [, slash, name = '', self] of text.matchAll(/<(\/?)([a-z][a-z0-9]*)[^>]*?(\/?)>/gi)) {
    if (slash === '/') {
      if (open.pop() !== name) return [name];
    } else if (self !== '/' && !VOID.test(name)) open.push(name);
  }
  return open;
}

test('the report is one well-formed file that loads nothing and runs nothing', async () => {
  const text = await htmlReport(smallDocument(), SMALL_PICTURES);
  assert.deepEqual(unclosed(text), []);
  assert.doesNotMatch(text, /https?:\/\/(?!www\.w3\.org\/2000\/svg)|@import|url\(|<script|\bsrc=/i);
  const document = parse(text);
  assert.equal(document.querySelectorAll('html > body > main').length, 1);
  assert.equal(document.querySelector('title').textContent, 'small - pagelab');
  assert.match(document.querySelector('style').textContent, /prefers-color-scheme: dark/);
});

test('each drawing has a title and a description, each table a caption', async () => {
  const document = parse(await htmlReport(smallDocument(), SMALL_PICTURES));
  const drawings = [...document.querySelectorAll('svg[role=img]')];
  assert.ok(drawings.length >= 5);
  for (const svg of drawings) {
    assert.ok(svg.querySelector('title').textContent.length > 10);
    assert.ok(svg.querySelector('desc').textContent.length > 10);
  }
  for (const svg of document.querySelectorAll('svg:not([role])')) {
    assert.equal(svg.getAttribute('aria-hidden'), 'true');
  }
  for (const table of document.querySelectorAll('table')) {
    assert.ok(table.querySelector('caption') !== null);
  }
});

test('the headline says what the kernels cost and differ by', async () => {
  const document = parse(await htmlReport(smallDocument(), []));
  const sentences = [...document.querySelectorAll('.lead p')].map((p) => p.textContent);
  assert.deepEqual(sentences, [
    'Under linux-6.18 the page tables take 128 kB on average, 0.2 % of the resident memory, and 208 kB at the peak.',
    'At no point of the run did linux-6.18 hold an empty page table.',
    'linux-6.1: 155 kB on average, 27 kB (21 %) more; at the last moment compared 40 kB (45 %) more.',
  ]);
  assert.match(
    document.querySelector('.proof').textContent,
    /linux-6.18: VmPTE exact at 2 of 2 samples; RssAnon at all 2\./,
  );
});

test('a curve stands where its points are, and the recorded values are on it', async () => {
  const document = parse(await htmlReport(smallDocument(), []));
  const chart = document.querySelector('figure.wide svg.plot');
  assert.equal(chart.querySelector('title').textContent, 'Page tables of the main process (VmPTE)');
  assert.match(chart.querySelector('desc').textContent, /linux-6\.18 peaks at 208 kB/);
  const lines = [...chart.querySelectorAll('g[aria-label=line] path')];
  assert.equal(lines.length, 2);
  const dots = [...chart.querySelectorAll('g[aria-label=dot] circle')];
  assert.deepEqual(
    dots.map((dot) => dot.querySelector('title').textContent),
    ['1.00 s: 208 kB recorded', '3.00 s: 88 kB recorded'],
  );
  // Seconds 0 to 4 on 52 to 1064 pixels: 305 and 811.
  assert.deepEqual(
    dots.map((dot) => Number(dot.getAttribute('cx'))),
    [305, 811],
  );
  const path: string = lines[1].getAttribute('d');
  const y = Number(dots[0].getAttribute('cy'));
  assert.ok(path.startsWith(`M305,${y}`), path);
});

test('curves that are the same under all kernels are one line', async () => {
  const document = smallDocument();
  document.runs = [smallRun('linux-6.1', 0), smallRun('linux-6.18', 0)];
  const page = parse(await htmlReport(document, []));
  const chart = page.querySelector('.charts figure');
  assert.equal(chart.querySelectorAll('g[aria-label=line] path').length, 1);
  assert.match(chart.querySelector('.legend').textContent, /all kernels alike/);
});

test('the address space is drawn at the same places under each kernel', async () => {
  const document = parse(await htmlReport(smallDocument(), SMALL_PICTURES));
  const panels = [...document.querySelectorAll('.spaces svg')];
  const tiles = panels.map((svg) =>
    [...svg.querySelectorAll('rect')].map((rect) => [
      ...['class', 'x', 'y'].map((name) => rect.getAttribute(name)),
      rect.querySelector('title').textContent,
    ]),
  );
  assert.deepEqual(tiles[0], [
    ['u5', '0.5', '17', '0x40000000: 512 of 512 pages'],
    ['u5', '15.5', '17', '0x40200000: 512 of 512 pages'],
    ['e', '30.5', '17', '0x40400000: empty'],
    ['u2', '0.5', '55', '0x70800000: 200 of 512 pages'],
  ]);
  assert.deepEqual(tiles[1]![2], ['n', '30.5', '17', '0x40400000: no table']);
  assert.deepEqual(
    tiles[1]!.map((tile) => tile.slice(1, 3)),
    tiles[0]!.map((tile) => tile.slice(1, 3)),
  );
  assert.equal(
    panels[0].querySelector('desc').textContent,
    '4 tables (16 kB), 1 empty; 60 % of their entries are present pages.',
  );
});

test('a space of millions of tables takes no more tiles than can be seen', async () => {
  const huge = picture([
    { first: 2 ** 20, slots: 2 ** 24, kind: 'anon', present: 0, isEmpty: true, isHuge: false },
    { first: 2 ** 25, slots: 3, kind: 'stack', present: 512, isEmpty: false, isHuge: false },
  ]);
  const text = await htmlReport(smallDocument(), [huge, huge]);
  assert.ok(text.length < 1_000_000, String(text.length));
  const panel = parse(text).querySelector('.spaces svg');
  const tiles = panel.querySelectorAll('rect').length;
  assert.ok(tiles > 500 && tiles <= 1400, String(tiles));
  assert.match(panel.querySelector('desc').textContent, /^16,777,219 tables .* 16,777,216 empty/);
});

test('names from a trace stay text', async () => {
  const name = `<script>alert("1")</script>&'\u0007`;
  const document = smallDocument(name);
  document.trace.source = '<img src=x onerror=alert(1)>';
  const run = smallRun('linux-6.18<b>', 0);
  run.outcomes.first.push({ line: 3, op: '<i>', expected: 'a&b', got: '</table>' });
  document.runs[1] = run;
  const text = await htmlReport(document, SMALL_PICTURES, { footer: '</main>' });
  assert.deepEqual(unclosed(text), []);
  const page = parse(text);
  assert.equal(page.querySelectorAll('script, img, i:not(.swatch), main + *').length, 0);
  assert.equal(page.querySelector('h1').textContent, name.replace('\u0007', '\uFFFD'));
});

test('differences are listed with their places', async () => {
  const document = smallDocument();
  const run = smallRun('linux-6.18', 0);
  run.outcomes.equal = 999;
  run.outcomes.first.push({ line: 77, op: 'mremap', expected: 'EFAULT', got: 'ok' });
  run.truth.fields.rssAnonKiB = { compared: 2, exact: 1, worst: -428, worstLine: 1100 };
  run.truth.exact = 1;
  document.runs[1] = run;
  const page = parse(await htmlReport(document, []));
  const cells = [...page.querySelectorAll('td, th')].map((cell) => cell.textContent);
  for (const text of ['77', 'mremap', 'EFAULT', '−428 kB', '1,100'])
    assert.ok(cells.includes(text));
  const words = page.querySelector('main').textContent;
  assert.match(words, /1 of 2 samples equal linux-6.18 in every counter.*differs is RssAnon/);
  assert.match(
    words,
    /linux-6.1: VmPTE as recorded at 1 of 2 samples, at most \+40 kB off \(line 900\)/,
  );
});

test('a workload without anything recorded claims nothing', async () => {
  const document = smallDocument();
  for (const run of document.runs) {
    run.truth = { samples: 0, exact: 0, exactAtStamp: 0, fields: {} };
    run.outcomes = { compared: 0, equal: 0, first: [] };
    for (const point of run.series) {
      delete point.recorded;
      point.t = point.event;
    }
  }
  const words = parse(await htmlReport(document, SMALL_PICTURES)).querySelector('main').textContent;
  assert.match(words, /nothing to check these runs against/);
  assert.match(words, /curves and means run over events/);
  assert.match(words, /At the end of the trace\./);
  assert.doesNotMatch(words, /Against the recording|recorded kernel/);
});

for (const name of ['redis-set-bgsave-flush', 'postgres-shared-buffers']) {
  test(`${name}: the report has each recorded value, and is small`, async () => {
    const document = recordedDocument(name, MAIN);
    const pictures = MAIN.map((kernel) => {
      let taken: SpacePicture | undefined;
      replay(openRecording(name), parseKernel(kernel), {
        onSample: (system, event) => {
          taken = takePicture(system, event.pid);
        },
      });
      return taken;
    });
    const text = await htmlReport(document, pictures);
    assert.ok(text.length < 500_000, String(text.length));
    assert.deepEqual(unclosed(text), []);
    const page = parse(text);
    const dots = [...page.querySelectorAll('figure.wide svg.plot circle title')];
    const recorded = document.runs[0]!.series.flatMap((point) => point.recorded?.vmPteKiB ?? []);
    assert.ok(recorded.length > 10);
    assert.deepEqual(
      dots.map((dot) => Number(dot.textContent.replace(/.*: ([\d,]+) kB.*/, '$1'))),
      recorded,
    );
    assert.equal(page.querySelectorAll('.spaces svg').length, MAIN.length);
  });
}

test('what freed page tables: a line for each call, kernel beside kernel', async () => {
  const document = recordedDocument('jemalloc-sparse', MAIN);
  const page = parse(await htmlReport(document, []));
  const section = [...page.querySelectorAll('section')].find(
    (element) => element.querySelector('h2')?.textContent === 'What freed page tables',
  );
  assert.ok(section !== undefined);
  const rows = [...section.querySelectorAll('.tall tbody tr')];
  const lines = new Set(document.runs.flatMap((run) => run.tablesFreedBy.calls.map((c) => c.line)));
  assert.equal(rows.length, lines.size);
  const freed = (column: number): number =>
    rows.reduce((sum, row) => sum + (Number(row.children[column].textContent) || 0), 0);
  assert.deepEqual(
    document.runs.map((_, at) => freed(4 + at)),
    document.runs.map((run) => run.final.tablesFreed),
  );
  const words = section.querySelector('ul').textContent;
  assert.match(words, /linux-6\.18\+pte-ref freed 63 tables/);
});
