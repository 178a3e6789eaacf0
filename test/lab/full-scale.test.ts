import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { RunDocument } from '../../src/lab/index.ts';

/** The workloads of the published figures at their full size, through the program itself. */
const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const GIB = 2 ** 30;
const TABLE_KIB = 4;
/** What one table of each level spans, in GiB: 2 MiB, 1 GiB, 512 GiB. */
const PTE_TABLES_OF_A_GIB = 512;
const PMD_SPAN_GIB = 1;
const PUD_SPAN_GIB = 512;
const MEMORY_MAX_KIB = 2 * 2 ** 20;

/** Prints the most memory that the process ever had, after everything else. */
const REPORT_MEMORY = `data:text/javascript,${encodeURIComponent(
  "process.on('exit', () => console.error('maxRSS ' + process.resourceUsage().maxRSS))",
)}`;

function run(...args: string[]): { document: RunDocument; maxRssKiB: number } {
  const child = spawnSync(
    process.execPath,
    ['--import', REPORT_MEMORY, MAIN, 'run', ...args, '--json'],
    { encoding: 'utf8', maxBuffer: 2 ** 28 },
  );
  const memory = /^maxRSS (\d+)\n$/.exec(child.stderr);
  assert.equal(child.status, 0, child.stderr);
  assert.ok(memory !== null, child.stderr);
  return { document: JSON.parse(child.stdout), maxRssKiB: Number(memory[1]) };
}

test('1,500 processes that share 300 GiB need 878.9 GiB of PTE tables', (t) => {
  const processes = 1500;
  const gib = 300;
  const { document, maxRssKiB } = run('shared-pool', '--kernel', 'linux-6.18');
  const { final, peak } = document.runs[0]!;
  const each = {
    pteTables: gib * PTE_TABLES_OF_A_GIB,
    pmdTables: gib / PMD_SPAN_GIB,
    pudTables: Math.ceil(gib / PUD_SPAN_GIB),
  };
  assert.equal(processes * each.pteTables, 230_400_000);
  for (const name of ['pteTables', 'pmdTables', 'pudTables'] as const) {
    assert.equal(final[name], processes * each[name], name);
    assert.equal(peak[name], processes * each[name], `peak ${name}`);
    assert.equal(final.processes['1500']?.[name], each[name], `${name} of one process`);
  }
  assert.equal((final.pteTables * 4096) / GIB, 878.90625);
  const tables = each.pteTables + each.pmdTables + each.pudTables;
  assert.equal(final.vmPteKiB, processes * tables * TABLE_KIB);
  assert.equal(final.emptyTables, 0);
  assert.equal(final.rssShmemKiB, processes * gib * 2 ** 20);
  assert.equal(final.faults, (processes * gib * GIB) / 4096);
  assert.equal(Object.keys(final.processes).length, processes);
  t.diagnostic(`maxRSS ${maxRssKiB} KiB`);
  assert.ok(maxRssKiB < MEMORY_MAX_KIB, `${maxRssKiB} KiB`);
});

/**
 * The program's own tables (lab/workloads/program.ts): PTE tables for its text and data, its heap,
 * vdso, and stack; PMD tables for the GiB of text and data, of the heap, and of vdso with stack; PUD
 * tables for the lowest and the highest 512 GiB.
 */
const PROGRAM = { pteTables: 4, pmdTables: 3, pudTables: 2 };
const TOUCHED_PIECES = 2 ** 21;

for (const [kernel, areTablesFreed] of [
  ['linux-6.1', false],
  ['linux-6.18+pte-ref', true],
] as const) {
  test(`55 TiB touched and given back but for 590 GiB, ${kernel}`, (t) => {
    const spaceGib = 55 * 1024;
    const denseGib = 590;
    const { document, maxRssKiB } = run('real-case', '--kernel', kernel);
    const { final, peak } = document.runs[0]!;
    const allTables = (spaceGib * GIB) / TOUCHED_PIECES;
    const denseTables = (denseGib * GIB) / TOUCHED_PIECES;
    assert.equal(allTables, 28_835_840);
    assert.equal(denseTables, 302_080);
    const kept = areTablesFreed ? denseTables : allTables;
    const uppers = {
      pmdTables: spaceGib / PMD_SPAN_GIB + PROGRAM.pmdTables,
      pudTables: spaceGib / PUD_SPAN_GIB + PROGRAM.pudTables,
    };
    assert.equal(final.pteTables, kept + PROGRAM.pteTables);
    assert.equal(final.pmdTables, uppers.pmdTables);
    assert.equal(final.pudTables, uppers.pudTables);
    const tables = final.pteTables + uppers.pmdTables + uppers.pudTables;
    assert.equal(final.vmPteKiB, tables * TABLE_KIB);
    assert.equal(final.emptyTables, kept - denseTables);
    assert.equal(final.tablesFreed, areTablesFreed ? allTables - denseTables : 0);
    // 11 written pages of the program: 4 of data, 4 of the heap, 3 of the stack.
    assert.equal(final.rssAnonKiB, denseGib * 2 ** 20 + 11 * 4);
    assert.equal(peak.oomKills, 0);
    t.diagnostic(`maxRSS ${maxRssKiB} KiB`);
    assert.ok(maxRssKiB < MEMORY_MAX_KIB, `${maxRssKiB} KiB`);
  });
}
