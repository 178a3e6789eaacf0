import assert from 'node:assert/strict';
import { test } from 'node:test';
import { validateMachine } from '../../src/engine/index.ts';
import {
  runCompaction,
  runHotplug,
  SCATTER_DEFAULTS,
  scatterTables,
  spreadOf,
} from '../../src/lab/index.ts';

/**
 * What must come out whatever the seed: a block with an unmovable table stays, one with movable
 * tables goes if there is room; pages of programs are as many as before.
 */
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const SETTINGS = { memoryMiB: 1024, programs: 8 };

test('unmovable tables hold every block that they are in; movable ones hold none', (t) => {
  t.diagnostic(`PAGELAB_SEED=${seed}`);
  const linux = runHotplug('linux-6.18', seed, SETTINGS);
  const movable = runHotplug('linux-6.18+movable-tables', seed, SETTINGS);
  assert.equal(linux.blocks, 8);
  assert.equal(linux.tables, movable.tables, 'the same programs need the same tables');
  // Block 0 is the kernel's; where the tables are in it is told as the kernel's image.
  const refused = linux.alone.refusals['table'] ?? 0;
  assert.ok(refused === linux.blocksWithTables || refused === linux.blocksWithTables - 1);
  assert.equal(linux.alone.offline + refused, 7);
  assert.equal(linux.alone.tablesMoved, 0);
  assert.equal(movable.alone.refusals['table'], undefined);
  assert.deepEqual(movable.alone.refusals, { kernel: 1 });
  assert.ok(movable.shrink.offline >= linux.shrink.offline);
});

test('tables alone keep 2 MiB blocks; movable ones keep none', (t) => {
  t.diagnostic(`PAGELAB_SEED=${seed}`);
  const linux = runCompaction('linux-6.18', seed, SETTINGS);
  const movable = runCompaction('linux-6.18+movable-tables', seed, SETTINGS);
  assert.ok(linux.heldByTables > 0 && linux.tablesStuck > 0 && linux.tablesMoved === 0);
  assert.ok(movable.heldByTables === 0 && movable.tablesStuck === 0 && movable.tablesMoved > 0);
  // One pageblock, where the scanners meet, may hold used and free frames both.
  assert.ok(movable.hugeAfter >= movable.hugeIdeal - 1, JSON.stringify(movable));
});

test('the machine of the experiment is sound, and what programs see does not depend on the kernel', (t) => {
  t.diagnostic(`PAGELAB_SEED=${seed}`);
  const settings = { ...SCATTER_DEFAULTS, ...SETTINGS, fileShare: 0.2 };
  const states = ['linux-6.18', 'linux-6.18+movable-tables'].map((kernel) => {
    const system = scatterTables(kernel, settings, seed);
    validateMachine(system.machine);
    return [...system.processes()].map((process) => process.counters());
  });
  assert.deepEqual(states[0], states[1]);
});

test('spread of seeds', () => {
  assert.deepEqual(spreadOf([3, 1, 2]), { median: 2, least: 1, most: 3 });
  assert.deepEqual(spreadOf([4, 1, 2, 3]), { median: 2.5, least: 1, most: 4 });
});
