import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BENCHMARK_NAMES } from '../../bench/index.ts';
import { assertRefused, pagelab, scratch } from './command.ts';

/** `pagelab bench` with rows that were measured before: nothing is measured here. */

const dir = scratch();
const ROW = {
  name: 'zap/whole',
  what: 'a test',
  ours: 2,
  theirs: 6,
  peer: 'kernel',
  unit: 'ns/page',
  ratio: 3,
  ratioLow: 2.5,
  ratioHigh: 3.5,
  repeats: 5,
};

function file(name: string, content: unknown): string {
  const path = join(dir, name);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

const ZAP = file('zap.json', { rows: [ROW], notes: [] });
const FORK = file('fork.json', { rows: [{ ...ROW, name: 'fork/exit' }], notes: [] });

test('a report of kept rows, written as a whole', async () => {
  const path = join(dir, 'made', 'r.html');
  const args = ['bench', '--from', ZAP, '--from', FORK, '--report', path];
  const { code, stdout, stderr } = await pagelab(args);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /zap\/whole .*\n(?:.*\n)*report: .*r\.html/);
  const html = readFileSync(path, 'utf8');
  for (const name of ['zap/whole', 'fork/exit']) assert.ok(html.includes(`data-row="${name}"`));
  assert.deepEqual(readdirSync(join(dir, 'made')), ['r.html']);
});

test('kept rows of one benchmark, as JSON', async () => {
  const { code, stdout } = await pagelab(['bench', 'zap', '--from', ZAP, '--from', FORK, '--json']);
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(stdout), { rows: [ROW], notes: [] });
});

test('kept rows that are none', async () => {
  const none = join(dir, 'none.html');
  const cases: [string, RegExp][] = [
    [join(dir, 'missing.json'), /missing\.json: cannot be read/],
    [file('text.json', 'hello'), /text\.json: not JSON, want what `pagelab bench --json` writes/],
    [file('run.json', { pagelab: 1, runs: [] }), /run\.json: no "rows"/],
    [file('row.json', { rows: [{ ...ROW, ratio: 'x' }] }), /row\.json: rows\[0\]: "ratio"/],
  ];
  for (const [path, message] of cases) {
    await assertRefused(['bench', '--from', path, '--report', none], message);
  }
  await assertRefused(['bench', 'tlb', '--from', ZAP], /no rows of 'tlb'/);
  assert.ok(!existsSync(none));
});

test('help names every benchmark', async () => {
  const { stdout } = await pagelab(['bench', '--help']);
  const words = stdout.split(/[\s,;]+/);
  for (const name of BENCHMARK_NAMES) assert.ok(words.includes(name), name);
});
