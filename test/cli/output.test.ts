import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { assertRefused, PROGRAM, pagelab, scratch } from './command.ts';

/** What scripts rely on: one JSON document, whole files or none, and quiet ends. */

const RECORDING = 'recordings/gcc-compile.pagelab';
const COUNTERS = [
  'vmPteKiB',
  'pteTables',
  'pmdTables',
  'pudTables',
  'emptyTables',
  'presentPages',
  'swappedPages',
  'rssAnonKiB',
  'rssFileKiB',
  'rssShmemKiB',
  'faults',
  'cowFaults',
  'tablesFreed',
  'oomKills',
];

test('run --json is one document of the documented shape', async () => {
  const args = ['run', RECORDING, '--json', '-k', 'linux-6.1', '-k', 'linux+pte-ref'];
  const { code, stdout, stderr } = await pagelab(args);
  assert.equal(code, 0);
  assert.equal(stderr, '');
  const document = JSON.parse(stdout);
  assert.equal(document.pagelab, 1);
  assert.deepEqual(Object.keys(document.trace).sort(), ['events', 'name', 'processes', 'source']);
  assert.equal(document.trace.events, 2830);
  const kernels = document.runs.map((run: { kernel: string }) => run.kernel);
  assert.deepEqual(kernels, ['linux-6.1', 'linux-6.18+pte-ref']);
  for (const run of document.runs) {
    for (const name of COUNTERS) {
      assert.equal(typeof run.final[name], 'number', `final.${name}`);
      assert.equal(typeof run.peak[name], 'number', `peak.${name}`);
    }
    // No THP yet: what a kernel does not count is absent.
    assert.ok(!('promotions' in run.final));
    assert.equal(run.outcomes.compared, run.outcomes.equal);
    assert.deepEqual(run.outcomes.first, []);
    assert.deepEqual(Object.keys(run.final.processes).sort(), ['31535', '31537', '31538']);
    assert.ok(run.elapsedMs > 0 && run.eventsPerSecond > 0 && run.seed === 1);
    assert.ok(run.series.length > 10);
    for (const { t } of run.series) assert.equal(typeof t, 'number');
  }
  const { truth } = document.runs[0];
  assert.equal(truth.samples, 1);
  for (const field of Object.values(truth.fields) as Record<string, unknown>[]) {
    assert.equal(typeof field['compared'], 'number');
    assert.equal(typeof field['exact'], 'number');
    assert.equal(typeof field['worst'], 'number');
  }
});

test('list --json names what run takes', async () => {
  const { code, stdout } = await pagelab(['list', '--json']);
  assert.equal(code, 0);
  const text = JSON.stringify(JSON.parse(stdout));
  for (const name of ['linux-6.18', 'pte-ref', 'shared-pool', 'strace']) {
    assert.ok(text.includes(name), name);
  }
});

test('a reader that has seen enough is no error', () => {
  const command = `"$0" "$1" dump recordings/jemalloc-sparse.pagelab | head -n 1; echo \${PIPESTATUS[0]}`;
  const { stdout, stderr } = spawnSync('bash', ['-c', command, process.execPath, PROGRAM], {
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  const lines = stdout.trim().split('\n');
  assert.equal(lines.length, 2);
  assert.equal(lines[1], '0');
});

test('a trace comes through a pipe, as often as kernels need it', () => {
  const command = `"$0" "$1" run --json -k linux -k linux-6.1 <(cat ${RECORDING})`;
  const { stdout, status } = spawnSync('bash', ['-c', command, process.execPath, PROGRAM], {
    encoding: 'utf8',
  });
  assert.equal(status, 0);
  const events = JSON.parse(stdout).runs.map((run: { events: number }) => run.events);
  assert.deepEqual(events, [2830, 2830]);
});

test('export to text, compressed text and back: the same trace', async () => {
  const dir = scratch();
  const [text, gz, back] = ['a.ndjson', 'a.ndjson.gz', 'b.pagelab'].map((name) => join(dir, name));
  assert.ok(text && gz && back);
  assert.equal((await pagelab(['export', RECORDING, '-o', text])).code, 0);
  assert.equal((await pagelab(['export', text, '--to', gz])).code, 0);
  const nameless = await pagelab(['export', text]);
  assert.deepEqual([nameless.code, nameless.stdout], [2, '']);
  assert.match(nameless.stderr, /export: name the file to write: -o FILE/);
  assert.equal((await pagelab(['export', gz, '-o', back])).code, 0);
  assert.ok(readFileSync(back).equals(readFileSync(RECORDING)));
  assert.ok(gunzipSync(readFileSync(gz)).equals(readFileSync(text)));
  const dumped = await pagelab(['dump', back]);
  assert.equal(dumped.stdout, readFileSync(text, 'utf8'));
  assert.deepEqual(readdirSync(dir).sort(), ['a.ndjson', 'a.ndjson.gz', 'b.pagelab']);
});

test('what cannot be finished leaves nothing behind, and nothing lost', async () => {
  const dir = scratch();
  const bad = join(dir, 'bad.ndjson');
  writeFileSync(bad, '{"pagelab":1}\n{"op":"touch","pid":1,"addr":"0x1000"}\n{"op":"nope"}\n');
  const target = join(dir, 'target.pagelab');
  await assertRefused(['export', bad, '-o', target], /bad\.ndjson:3: /);
  assert.ok(!existsSync(target));
  writeFileSync(target, 'what was there');
  await assertRefused(['export', bad, '-o', target], /bad\.ndjson:3: /);
  assert.equal(readFileSync(target, 'utf8'), 'what was there');
  const report = join(dir, 'report.html');
  await assertRefused(['run', bad, '--report', report], /bad\.ndjson:3: /);
  assert.deepEqual(readdirSync(dir).sort(), ['bad.ndjson', 'target.pagelab']);
});

test('a report is one file that loads nothing from elsewhere', async () => {
  const path = join(scratch(), 'report.html');
  const { code, stdout } = await pagelab(['run', RECORDING, '--report', path]);
  assert.equal(code, 0);
  assert.match(stdout, /report\.html/);
  const html = readFileSync(path, 'utf8');
  assert.doesNotMatch(html, /(?:src|href)="?https?:/);
  assert.match(html, /linux-6\.18\+pte-ref/);
});

test('fragmentation of captured memory, as text and as JSON', async () => {
  const full = 'test/lab/fixtures/fragmentation/full';
  const args = ['fragmentation', `${full}/buddyinfo`, '--zoneinfo', `${full}/zoneinfo`];
  const { code, stdout, stderr } = await pagelab(args);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  // The kernel said 0.898 and 1.000 for order 9 of zone Normal.
  assert.match(stdout, /zone Normal[\s\S]*\n +9 +0 +0\.898 +1\.000 +1\.00\n/);
  assert.match(stdout, /compaction for order 9: would run/);
  const json = await pagelab([...args, '--json']);
  const document = JSON.parse(json.stdout);
  assert.deepEqual(
    document.zones.map((zone: { zone: string }) => zone.zone),
    ['DMA', 'DMA32', 'Normal'],
  );
  const [, , normal] = document.zones;
  assert.deepEqual(normal.orders[9], {
    order: 9,
    fragmentationIndex: 0.898,
    unusableIndex: 1,
    fmfi: 1,
  });
  assert.equal(normal.compaction.verdict, 'would run');
});

test('the terminal and the report say what huge pages did', async () => {
  const path = join(scratch(), 'report.html');
  const settings = ['--set', 'mib=64', '--set', 'thp=always', '--report', path];
  const { code, stdout } = await pagelab(['run', 'sparse-access', '-k', 'linux', ...settings]);
  assert.equal(code, 0);
  // Half of the pages of 32 slots at random: each slot once, and all of it.
  assert.match(stdout, /linux-6\.18, resident: touched 6\d\.\d MB \(6\d\.\d MB in huge pages\)/);
  assert.match(stdout, /linux-6\.18, huge pages: 3[23] by a fault\./);
  assert.match(readFileSync(path, 'utf8'), /huge pages: 3[23] by a fault/);
});

test('the terminal says what was resident at each mark', async () => {
  const { code, stdout } = await pagelab([
    'run',
    'sparse-access',
    '-k',
    'linux',
    '--set',
    'mib=64',
  ]);
  assert.equal(code, 0);
  // 8,192 of 16,384 pages, and the few of the program.
  assert.match(stdout, /linux-6\.18, resident: touched 32\.\d MB/);
});

test('list NAME: what can be set of one workload, a line each, with its default', async () => {
  const { code, stdout } = await pagelab(['list', 'sparse-pieces']);
  assert.equal(code, 0);
  assert.equal(stdout, 'gib  GiB of address space (50)\n');
  const settings = JSON.parse((await pagelab(['list', 'settings', '--json'])).stdout).settings;
  const names = settings.map(({ name }: { name: string }) => name);
  for (const name of ['memoryMiB', 'thp', 'ksm', 'time.faultNs']) assert.ok(names.includes(name));
});

/** The machine as one whose kernel keeps the file from us: what node reads of it fails. */
function without(path: string): string {
  const code = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    const read = fs.readFileSync;
    fs.readFileSync = (name, ...rest) => {
      if (name === '${path}') throw Object.assign(new Error('EACCES'), { code: 'EACCES' });
      return read(name, ...rest);
    };
    syncBuiltinESMExports();`;
  return `--import=data:text/javascript,${encodeURIComponent(code)}`;
}

test('fragmentation where /proc cannot be read: exit code 3, and what to do', async () => {
  for (const path of ['/proc/buddyinfo', '/proc/zoneinfo']) {
    const { code, stdout, stderr } = await pagelab(['fragmentation'], [without(path)]);
    assert.equal(code, 3, stderr);
    assert.equal(stdout, '');
    assert.equal(
      stderr,
      `pagelab: ${path} cannot be read (EACCES): name a captured file, pagelab fragmentation FILE\n`,
    );
  }
  const captured = join(scratch(), 'buddyinfo');
  writeFileSync(captured, 'Node 0, zone   Normal      0      0      3\n');
  const args = ['fragmentation', captured, '--order', '1'];
  const { code, stderr } = await pagelab(args, [without('/proc/buddyinfo')]);
  assert.equal(code, 0, stderr);
});
