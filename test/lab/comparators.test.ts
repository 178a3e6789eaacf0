import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  COMPARATORS,
  findWorkload,
  openWorkload,
  parseKernels,
  parseMachine,
  type RunResult,
  replay,
  workloadValues,
} from '../../src/lab/index.ts';
import { memoryTable } from '../../src/report/memory-table.ts';

/** What must hold between ways to manage huge pages, whatever their numbers are. */

function runAll(
  name: string,
  kernels: readonly string[],
  settings: Readonly<Record<string, number>>,
  memoryMiB?: number,
): RunResult[] {
  const workload = findWorkload(name);
  assert.ok(workload !== undefined);
  const texts = new Map(Object.entries(settings).map(([key, value]) => [key, String(value)]));
  const values = workloadValues(workload, texts);
  const { options } = parseMachine(workload.machine ?? 'default');
  const machine =
    memoryMiB === undefined ? options : { ...options, nodeBytes: [memoryMiB * 2 ** 20] };
  return parseKernels(kernels).map((kernel) =>
    replay(openWorkload(workload, values, 1), kernel, { machine, seed: 1 }),
  );
}

function marksOf({ marks }: RunResult): number[] {
  return marks.map(({ rssAnonKiB }) => rssAnonKiB);
}

test('redis-bloat under all: one run, each kernel with its own settings', () => {
  // 16,384 objects are 85 slots of 2 MiB; khugepaged passes each within 110 s.
  const settings = { objects: 16_384, gets: 0, idleSeconds: 150 };
  const [never, always, tuned, ingens, hawkeye, reserved] = runAll(
    'redis-bloat',
    COMPARATORS,
    settings,
  ) as [RunResult, RunResult, RunResult, RunResult, RunResult, RunResult];
  const [populated, , idle] = marksOf(never) as [number, number, number];
  assert.equal(never.marks[0]?.anonHugeKiB, 0);
  // A reservation is not resident: the same as base pages, at every mark.
  assert.deepEqual(marksOf(reserved), marksOf(never));
  assert.ok((reserved.final.reservations?.['promotions'] ?? 0) > 0);
  assert.ok((reserved.marks[2]?.usedKiB ?? 0) > idle * 1.5);
  // khugepaged fills holes, unless it may not.
  assert.ok((marksOf(always)[2] ?? 0) > 0.95 * populated, `${marksOf(always)}`);
  assert.ok((marksOf(tuned)[2] ?? 0) < 1.05 * idle);
  assert.ok((marksOf(ingens)[2] ?? 0) < 1.05 * idle);
  // Nobody reads after the deletion: HawkEye leaves it as it is.
  assert.ok((marksOf(hawkeye)[2] ?? 0) < 1.05 * idle);
  assert.equal(hawkeye.final.hugePages?.khugepaged, undefined);
  for (const run of [never, always, tuned, ingens, hawkeye, reserved]) {
    for (const { usedKiB, rssAnonKiB, rssFileKiB } of run.marks) {
      assert.ok(usedKiB >= rssAnonKiB + rssFileKiB);
    }
  }
});

test('memory for base pages but not for huge ones: who holds or recovers does not run out', () => {
  // 98,000 records: 104 MiB of base pages, 128 of huge ones.
  const kernels = [...COMPARATORS, 'linux-6.1+hawkeye[recoverMs=10]'];
  const runs = runAll('mongodb-bloat', kernels, { records: 98_000, gets: 147_000 }, 124);
  const killed = runs.map(({ final }) => final.oomKills);
  assert.deepEqual(killed, [0, 1, 1, 1, 1, 0, 0]);
  assert.ok((runs[5]?.final.reservations?.['broken'] ?? 0) > 0);
  assert.ok((runs[6]?.final.hawkeye?.['recoveredKiB'] ?? 0) > 0);
});

test('the table of memory has a row for each kernel and a column for each mark', () => {
  const runs = runAll('redis-bloat', ['linux', 'linux+reservations'], {
    objects: 2000,
    gets: 0,
    idleSeconds: 1,
  });
  const trace = { name: 'x', source: '', events: 0, processes: 1 };
  const table = memoryTable({ pagelab: 1, trace, runs });
  assert.equal(table?.rows.length, 2);
  assert.equal(table?.heads.length, (runs[0]?.marks.length ?? 0) + 3);
  assert.equal(table?.rows[1]?.[0], 'linux-6.18+reservations');
  assert.equal(memoryTable({ pagelab: 1, trace, runs: runs.slice(1) }), undefined);
});
