import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { countersOf, System, validateMachine } from '../../src/engine/index.ts';
import type { Start } from './threads.worker.ts';

const ADDR = 0x100000000000;
const PAGES = 1024;

/** Two threads fault in and give back the same two tables at the same time. */
async function race(pieces: number, rounds: number): Promise<void> {
  const system = new System({ isShared: true, cpus: 3, bufferMiB: 512 });
  const process = system.spawn(1);
  const { machine } = system;
  assert.equal(process.mmap(ADDR, PAGES * 4096, 3, 0x4032), ADDR);
  const buffer = machine.buffer as SharedArrayBuffer;
  const answers = [1, 2].map(async (cpu) => {
    const workerData: Start = {
      buffer,
      cpu,
      mm: process.mm,
      addr: ADDR,
      pages: PAGES,
      rounds,
      pieces,
    };
    const worker = new Worker(new URL('./threads.worker.js', import.meta.url), { workerData });
    const [refused] = await once(worker, 'message');
    await worker.terminate();
    return refused as number;
  });
  assert.deepEqual(await Promise.all(answers), [0, 0]);
  validateMachine(machine);
  process.madvise(ADDR, PAGES * 4096, 4);
  validateMachine(machine);
  const { presentPages, pteTables } = countersOf(machine, process.mm);
  assert.deepEqual({ presentPages, pteTables }, { presentPages: 0, pteTables: 0 });
}

test('two threads in one space: whole tables come and go, nothing is lost', () => race(512, 400));
test('two threads in one space: pieces of a table', () => race(64, 200));
