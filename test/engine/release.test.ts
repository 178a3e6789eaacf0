import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/base/index.ts';
import { Machine, System, validateMachine } from '../../src/engine/index.ts';

/** A machine that was given back lends its buffer to the next: nothing of it may be seen there. */

const OPTIONS = { nodeBytes: [256 * 2 ** 20], bufferMiB: 64 };
const START = 0x1000_0000_0000;

function use(system: System): void {
  const process = system.spawn(1);
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  assert.equal(process.mmap(START, 2 ** 26, PROT_READ | PROT_WRITE, flags), START);
  process.touch(START, true, 3000);
  const child = system.fork(process, 2);
  assert.ok(child);
  child.touch(START, true, 2000);
  process.munmap(START + 4096, 2 ** 20);
}

test('the next machine of the size takes the buffer, byte for byte as a fresh one', () => {
  const fresh = Machine.create(OPTIONS);
  const untouched = fresh.words.slice();
  use(new System(fresh));
  assert.notDeepEqual(fresh.words.slice(0, 2 ** 20), untouched.slice(0, 2 ** 20));
  const { buffer } = fresh;
  fresh.release();
  const next = Machine.create(OPTIONS);
  assert.equal(next.buffer, buffer);
  assert.ok(Buffer.compare(Buffer.from(next.words.buffer), Buffer.from(untouched.buffer)) === 0);
  use(new System(next));
  validateMachine(next);
});

test('a buffer is lent once, and only to a machine of its size', () => {
  const first = Machine.create(OPTIONS);
  first.release();
  const second = Machine.create(OPTIONS);
  const third = Machine.create(OPTIONS);
  assert.notEqual(third.buffer, second.buffer);
  third.release();
  const larger = Machine.create({ ...OPTIONS, bufferMiB: 128 });
  assert.equal(larger.buffer.byteLength, 128 * 2 ** 20);
});
