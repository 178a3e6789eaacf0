import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  loadPage,
  OBJECT_SHMEM,
  type Process,
  System,
  storePage,
  validateMachine,
} from '../../src/engine/index.ts';

/** What stands in a page follows it: by hand, on a machine of one thread with a word a page. */
const AT = 0x100000000000;
const PAGE = AT / 4096;
const PAGEOUT = 21;

function machine(): { system: System; process: Process } {
  const system = new System({
    hasContents: true,
    nodeBytes: [64 * 2 ** 20],
    swapBytes: 16 * 2 ** 20,
    bufferMiB: 64,
  });
  return { system, process: system.spawn(1) };
}

const load = (process: Process, page = PAGE): number => loadPage(process.machine, process.mm, page);
const store = (process: Process, value: number, page = PAGE): number =>
  storePage(process.machine, process.mm, page, value);

test('a fresh page is 0, what is written stays, and goes with MADV_DONTNEED', () => {
  const { process } = machine();
  process.mmap(AT, 4096, 3, 0x32);
  assert.equal(load(process), 0);
  assert.equal(store(process, 7), 0);
  assert.equal(store(process, 8), 7);
  assert.equal(load(process), 8);
  process.madvise(AT, 4096, 4);
  assert.equal(load(process), 0);
  assert.equal(load(process, PAGE + 1), -1);
});

test('a page comes back from swap, and a copy after fork is its own', () => {
  const { system, process } = machine();
  process.mmap(AT, 4096, 3, 0x32);
  store(process, 5);
  process.madvise(AT, 4096, PAGEOUT);
  assert.equal(process.counters().swappedPages, 1);
  assert.equal(load(process), 5);
  const child = system.fork(process, 2);
  assert.ok(child !== undefined);
  store(child, 6);
  assert.deepEqual([load(process), load(child)], [5, 6]);
  validateMachine(system.machine);
});

test('shared memory that came back from swap, and was only read, is written to swap again', () => {
  const { system, process } = machine();
  const object = system.createObject(OBJECT_SHMEM, 4096);
  process.mmap(AT, 4096, 3, 1, object);
  store(process, 9);
  for (let round = 0; round < 3; round++) {
    process.madvise(AT, 4096, PAGEOUT);
    assert.equal(load(process), 9);
  }
  validateMachine(system.machine);
});

test('a page that parent and child share in the swap cache outlives the child that brought it in', () => {
  const { system, process } = machine();
  process.mmap(AT, 4096, 3, 0x32);
  store(process, 3);
  process.madvise(AT, 4096, PAGEOUT);
  const child = system.fork(process, 2);
  assert.ok(child !== undefined);
  assert.equal(load(child), 3);
  assert.equal(load(process), 3);
  validateMachine(system.machine);
  system.exit(child);
  // The way from the frame to the parent's entry does not lead through the child.
  validateMachine(system.machine);
  process.madvise(AT, 4096, PAGEOUT);
  assert.equal(process.counters().swappedPages, 1);
  assert.equal(load(process), 3);
});
