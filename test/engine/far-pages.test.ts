import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAP_FIXED, MAP_PRIVATE, PROT_READ } from '../../src/base/index.ts';
import { OBJECT_FILE, System, validateMachine } from '../../src/engine/index.ts';

/** A frame's record keeps 32 bits of its page's place; a file may be far larger. */

test('pages of a file beyond 16 TiB are reclaimed, and read again', () => {
  const system = new System({ nodeBytes: [32 * 2 ** 20], bufferMiB: 64 });
  const process = system.spawn(1);
  const file = system.createObject(OBJECT_FILE, 2 ** 52);
  const start = 0x1000_0000_0000;
  const pages = 12000;
  // 64 TiB and 16 TiB into the file: the same low 32 bits of the page's number.
  for (const [at, off] of [2 ** 46, 2 ** 44].entries()) {
    const addr = start + at * 2 ** 40;
    process.mmap(addr, pages * 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, off);
    assert.ok(process.touch(addr, false, pages) > 0);
    validateMachine(system.machine);
  }
  const { presentPages, rssFileKiB } = process.counters();
  assert.equal(rssFileKiB, presentPages * 4);
  assert.ok(presentPages < 8192, 'more than there is memory');
  assert.ok(process.touch(start, false, 100) > 0, 'the first pages were given up');
  validateMachine(system.machine);
});
