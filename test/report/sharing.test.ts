import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { htmlReport, terminalTable } from '../../src/report/index.ts';
import { smallDocument, smallRun } from './documents.ts';

test('shared tables and kills are told in terminal and file', async () => {
  const document = {
    ...smallDocument(),
    runs: ['linux-6.18', 'linux-6.18+mshare', 'linux-6.18+morsels'].map((k) => smallRun(k, 0)),
  };
  const [plain, mshare, morsels] = document.runs as [
    (typeof document.runs)[number],
    (typeof document.runs)[number],
    (typeof document.runs)[number],
  ];
  plain.oom = [
    { pid: 360, forPid: 361, residentKiB: 300 * 2 ** 20, swapKiB: 0, pageTablesKiB: 615_604 },
  ];
  plain.final.oomKills = 4;
  mshare.final.mshare = {
    regions: 1,
    hostVmPteKiB: 615_604,
    hostRssKiB: 300 * 2 ** 20,
    peakLinks: 1500,
    linkFaults: 1500,
  };
  morsels.final.morsels = { maps: 1500, peakTables: 153_901, peakPages: 78_643_200, clones: 0 };
  const said = [
    'process 360 was killed for process 361 (300 GB resident, 601 MB of page tables); and 3 more',
    '601 MB of page tables for 300 GB in 1 shared region',
    '1,500 mappings, one entry each',
  ];
  const page = await htmlReport(document, []);
  const table = terminalTable(document).replaceAll('\n', ' ');
  for (const text of said) {
    assert.ok(table.includes(text), `${text}\n${table}`);
    assert.ok(page.includes(text), text);
  }
  const without = await htmlReport(smallDocument(), []);
  assert.ok(!without.includes('Shared page tables, and memory'));
});
