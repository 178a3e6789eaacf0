import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MADV_DONTNEED, MADV_NOHUGEPAGE } from '../../src/base/index.ts';
import {
  freeFrameCount,
  Kcompactd,
  LINUX_6_1,
  LINUX_6_18,
  type MachineOptions,
  type Process,
  System,
  validateMachine,
} from '../../src/engine/index.ts';
import { freeHugeBlocks } from '../../src/engine/migrate/compact.ts';
import { nodeScore, proactiveMarks } from '../../src/engine/migrate/kcompactd.ts';
import { ANON, AT, PAGE } from './places.ts';

/** Compaction in the background: the marks, the times, what a fault may wake. */

const SLOT = 512 * PAGE;
const SECOND = 1e9;

function start(options: MachineOptions = {}): { system: System; kcompactd: Kcompactd } {
  const system = new System({ nodeBytes: [64 * 2 ** 20], bufferMiB: 64, ...options });
  return { system, kcompactd: new Kcompactd(system.machine) };
}

function spawn(system: System, pid: number, slots: number): Process {
  const process = system.spawn(pid);
  assert.equal(process.mmap(AT, slots * SLOT, 3, ANON), AT);
  return process;
}

/** Fills so many slots with small pages, and gives every second page back. */
function fragment(process: Process, slots: number): void {
  process.madvise(AT, slots * SLOT, MADV_NOHUGEPAGE);
  process.touch(AT, true, slots * 512);
  for (let page = 0; page < slots * 512; page += 2) {
    process.madvise(AT + page * PAGE, PAGE, MADV_DONTNEED);
  }
}

test('the marks of proactive compaction, by hand', () => {
  for (const [proactiveness, old, now] of [
    [20, [80, 90], [80, 90]],
    [90, [10, 20], [10, 15]],
    [95, [5, 15], [5, 7]],
    [100, [5, 15], [0, 0]],
    [1, [99, 100], [99, 100]],
  ] as const) {
    const marksOf = (rules: typeof LINUX_6_1): number[] => {
      const { low, high } = proactiveMarks(proactiveness, rules);
      return [low, high];
    };
    assert.deepEqual(marksOf(LINUX_6_1), old);
    assert.deepEqual(marksOf(LINUX_6_18), now);
  }
});

test('a node is compacted half a second later, until at most 80 % of free memory is in small pieces', () => {
  const { system, kcompactd } = start({ compactionProactiveness: 20 });
  const { machine } = system;
  // 30 blocks are to be had; one holds page tables and the like.
  const process = spawn(system, 1, 28);
  kcompactd.run(0);
  fragment(process, 28);
  const free = freeFrameCount(machine);
  kcompactd.run(0.4 * SECOND);
  assert.equal(kcompactd.counters.proactiveRuns, 0);
  assert.ok(freeHugeBlocks(machine) <= 1);
  kcompactd.run(0.5 * SECOND);
  assert.equal(kcompactd.counters.proactiveRuns, 1);
  assert.ok(nodeScore(machine, 0) <= 80);
  // A fifth of 7,168 free frames are 2.8 blocks: not more were made than needed.
  assert.ok(freeHugeBlocks(machine) * 512 >= 0.2 * (free - 512), `${freeHugeBlocks(machine)}`);
  assert.ok(freeHugeBlocks(machine) * 512 <= 0.2 * free + 1024, `${freeHugeBlocks(machine)}`);
  assert.equal(freeFrameCount(machine), free);
  kcompactd.run(100 * SECOND);
  assert.equal(kcompactd.counters.proactiveRuns, 1);
  validateMachine(machine);
});

test('at 0 it is off', () => {
  const { system, kcompactd } = start({ compactionProactiveness: 0 });
  const process = spawn(system, 1, 28);
  kcompactd.run(0);
  fragment(process, 28);
  kcompactd.run(100 * SECOND);
  assert.deepEqual(kcompactd.counters, {
    ...{ wakes: 0, proactiveRuns: 0, pagesMoved: 0, blocksMade: 0 },
  });
});

test('where a run changes nothing the next comes 32 seconds later', () => {
  const { system, kcompactd } = start({ compactionProactiveness: 20 });
  const process = spawn(system, 1, 30);
  kcompactd.run(0);
  // Free memory down to the min watermark: the free scanner leaves that alone.
  process.madvise(AT, 30 * SLOT, MADV_NOHUGEPAGE);
  let page = 0;
  const { machine } = system;
  while (process.touch(AT + page * PAGE, true) === 1 && freeFrameCount(machine) > 300) page++;
  // It waits while kswapd is at work.
  machine.kswapd.isWoken = false;
  for (const [seconds, runs] of [
    [1, 1],
    [10, 1],
    [32.9, 1],
    [33, 2],
  ] as const) {
    kcompactd.run(seconds * SECOND);
    assert.equal(kcompactd.counters.proactiveRuns, runs, `${seconds} s`);
  }
});

test('a fault that must not compact wakes it, and a later one finds the block', () => {
  const huge = { enabled: 'always', defrag: 'defer' } as const;
  const { system, kcompactd } = start({ huge, compactionProactiveness: 0 });
  const { machine } = system;
  const filler = spawn(system, 1, 28);
  const process = spawn(system, 2, 4);
  kcompactd.run(0);
  fragment(filler, 28);
  while (freeHugeBlocks(machine) > 0) {
    assert.equal(process.mmap(AT - 64 * SLOT, 32 * SLOT, 3, ANON), AT - 64 * SLOT);
    process.touch(AT - (64 - freeHugeBlocks(machine)) * SLOT, true);
    if (freeHugeBlocks(machine) <= 1) break;
  }
  process.touch(AT, true);
  const before = process.counters().hugeFaults ?? 0;
  process.touch(AT + SLOT, true);
  assert.equal(process.counters().hugeFaults, before);
  assert.ok(machine.isKcompactdWoken);
  assert.equal(machine.compactionsInFault, 0);
  kcompactd.run(1);
  assert.equal(kcompactd.counters.wakes, 1);
  assert.ok(kcompactd.counters.pagesMoved > 0);
  process.touch(AT + 2 * SLOT, true);
  assert.equal(process.counters().hugeFaults, before + 1);
  validateMachine(machine);
});
