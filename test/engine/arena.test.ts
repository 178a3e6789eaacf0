import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  areasOf,
  occupancyOf,
  System,
  TOY_GEOMETRY,
  validateMachine,
} from '../../src/engine/index.ts';

/**
 * Frame records and dense contents rely on words that were zero when they were given back; memory of
 * other records (lists of thousands of areas, small objects) must never come to them.
 */
const RW = 3;
const ANON = 0x4032;

for (const areas of [100, 3000, 5000]) {
  test(`memory of a list of ${areas} areas is not taken for frame records`, () => {
    const system = new System({ nodeBytes: [2 ** 30], bufferMiB: 512 });
    const first = system.spawn(1);
    for (let i = 0; i < areas; i++) first.mmap(0x100000000 + i * 8192, 4096, RW, ANON);
    system.exit(first);
    const second = system.spawn(2);
    const base = 0x7f1230000000;
    second.mmap(base, 2 ** 29, RW, ANON);
    for (let at = 0; at < 400 * 2 ** 20; at += 4096) second.touch(base + at, true);
    for (let i = 0; i < 2000; i++) second.mmap(0x200001000 + i * 8192, 4096, RW, ANON);
    second.madvise(base, 2 ** 29, 4);
    const small = areasOf(system.machine, second.mm).filter(({ start }) => start !== base);
    assert.equal(small.length, 2000);
    assert.ok(
      small.every(({ start, end }) => end - start === 4096 && (start - 0x200001000) % 8192 === 0),
    );
    validateMachine(system.machine);
  });
}

test('memory of other small records is not taken for the contents of small tables', () => {
  const options = { geometry: TOY_GEOMETRY, nodeBytes: [64 * 2 ** 20], bufferMiB: 64 };
  const system = new System(options);
  const process = system.spawn(1);
  process.mmap(1024 * 4096, 64 * 4096, RW, ANON);
  process.touch(1024 * 4096, true);
  for (let i = 0; i < 16; i++) process.mmap((100 + i * 4) * 4096, 4096, RW, ANON);
  for (let i = 0; i < 12; i++) process.touch((1024 + i) * 4096, true);
  assert.equal(occupancyOf(system.machine, process.mm, 1024, 1088).present, 12);
  assert.equal(process.counters().presentPages, 12);
  validateMachine(system.machine);
});
