import assert from 'node:assert/strict';
import { test } from 'node:test';
import { terminalTable } from '../../src/report/index.ts';
import { formatSize } from '../../src/report/units.ts';
import { recordedDocument, smallDocument, smallRun } from './documents.ts';

test('the table has a row a kernel, means over time, and the proof', () => {
  assert.equal(
    terminalTable(smallDocument(), { width: 110 }),
    `small: 1,200 events, 1 process, 2 kernels
kernel       VmPTE                  empty tables        tables      RSS
              mean    peak    last          mean  peak   freed     peak  faults  events/s
linux-6.1   155 kB  208 kB  128 kB          6.67    10      20  97.7 MB  12,345     120 k
linux-6.18  128 kB  208 kB   88 kB             0     0      30  97.7 MB  12,345     120 k

VmPTE: all page tables of all processes; kB = 1024 bytes; mean over time; last: at the last sample, 3.00 s.
Events/s: measured here.
Against the recorded kernel's own counters, linux-6.18: VmPTE exact at 2 of 2 samples; RssAnon at all 2.
1,000 of 1,000 outcomes of system calls and touches equal (under each kernel).`,
  );
});

test('a narrow terminal loses the least important columns and no line is wider than it', () => {
  const lines = terminalTable(smallDocument(), { width: 48 }).split('\n');
  for (const line of lines.slice(1)) assert.ok(line.length <= 48, line);
  const head = lines.slice(1, 3).join(' ');
  assert.match(head, /VmPTE.*peak/);
  assert.doesNotMatch(head, /events\/s|faults/);
});

test('colours only where asked for', () => {
  const document = smallDocument();
  const introducer = '\u001b[';
  assert.ok(!terminalTable(document).includes(introducer));
  const colored = terminalTable(document, { color: true });
  assert.ok(colored.includes(introducer));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a colour is
  assert.equal(colored.replace(/\u001b\[\d+m/g, '').replace(/ +$/gm, ''), terminalTable(document));
});

test('a difference is told with its size and place', () => {
  const document = smallDocument();
  const run = smallRun('linux-6.18', 0);
  run.truth.fields.rssAnonKiB = { compared: 2, exact: 1, worst: -428, worstLine: 1100 };
  run.outcomes.equal = 999;
  document.runs[1] = run;
  const text = terminalTable(document, { width: 200 });
  assert.match(text, /RssAnon at 1 of 2 \(largest difference −428 kB, line 1,100\)/);
  assert.match(text, /1,000 of 1,000 .* equal \(linux-6.1\); 999 of 1,000 .* equal \(linux-6.18\)/);
});

test('a recording without samples claims no proof; one without time stamps counts events', () => {
  const document = smallDocument();
  for (const run of document.runs) {
    run.truth = { samples: 0, exact: 0, exactAtStamp: 0, fields: {} };
    for (const point of run.series) {
      delete point.recorded;
      point.t = point.event;
    }
  }
  const text = terminalTable(document, { width: 120 });
  assert.match(text, /no counters of a kernel to compare with/);
  assert.match(text, /mean over events; last: before the last exit, event 900/);
});

test('control characters of a trace name do not reach the terminal', () => {
  const text = terminalTable(smallDocument('a\u001b[31mb\nc'));
  assert.match(text, /^a\?\[31mb\?c:/);
});

test('the Redis recording: every VmPTE sample and every outcome is met', () => {
  const kernels = ['linux-6.1', 'linux-6.18', 'linux-6.18+pte-ref'];
  const text = terminalTable(recordedDocument('redis-set-bgsave-flush', kernels), { width: 200 });
  assert.match(text, /linux-6.18: VmPTE exact at 14 of 14 samples/);
  assert.match(text, /27,632 of 27,632 outcomes/);
});

test('ways to have fewer empty tables stand side by side where a mechanism counts its work', () => {
  const ways = recordedDocument('jemalloc-sparse', ['linux-6.1', 'linux-6.1+table-scan']);
  const scan = ways.runs[1]!.final['table-scan']!;
  const text = terminalTable(ways, { width: 120 });
  const rows = text.slice(text.indexOf('\nempty tables')).split('\n');
  const row = rows.find((line) => line.startsWith('linux-6.1+table-scan '))!;
  assert.ok(
    row.endsWith(`${scan['tablesScanned']} tables looked at in ${scan['scans']} scans`),
    row,
  );
  const madeAgain = ways.runs[1]!.final.tablesMade - ways.runs[0]!.final.tablesMade;
  assert.ok(madeAgain > 0 && madeAgain <= scan['tablesFreed']!);
  assert.match(row, new RegExp(` ${scan['tablesFreed']} +${madeAgain}  `));
  const narrow = terminalTable(ways, { width: 60 }).split('\n');
  for (const line of narrow.slice(1)) assert.ok(line.length <= 60, line);
  const without = recordedDocument('jemalloc-sparse', ['linux-6.1', 'linux-6.18']);
  assert.doesNotMatch(terminalTable(without), /made/);
});

test('of kernels with the same VmPTE the one that agrees in more fields is measured against', () => {
  const [own, other] = [smallRun('linux-6.18', 0), smallRun('linux-6.18[thp=always]', 0)];
  const rssAnonKiB = (exact: number) => ({ compared: 2, exact, worst: 8, worstLine: 3 });
  own.truth.fields = { ...own.truth.fields, rssAnonKiB: rssAnonKiB(2) };
  other.truth.fields = { ...other.truth.fields, rssAnonKiB: rssAnonKiB(0) };
  const document = { ...smallDocument(), runs: [own, other] };
  assert.match(terminalTable(document), /Against the recorded kernel's own counters, linux-6\.18:/);
});

test('sizes below a kilobyte are bytes', () => {
  assert.deepEqual([1 / 32, 0.5, 1, 2048].map(formatSize), ['32 B', '512 B', '1 kB', '2 MB']);
});
