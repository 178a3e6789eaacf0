import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../src/base/index.ts';
import { Machine } from '../../src/engine/index.ts';
import { mmCreate } from '../../src/engine/space/mm.ts';
import {
  addEntry,
  changeEntry,
  entryFlags,
  entryWord,
  makeDense,
  removeEntry,
  setRun,
} from '../../src/engine/tables/leaf.ts';
import { OWNER_EMPTY_TABLES } from '../../src/engine/tables/owner.ts';
import { T_COUNT } from '../../src/engine/tables/table.ts';
import { ensureLeaf } from '../../src/engine/tables/walk.ts';

/** Every form of a last-level table against the plain one: an array of 512 flags and words. */
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));

test('a last-level table in any form says what a plain array of 512 entries says', (t) => {
  t.diagnostic(`PAGELAB_SEED=${seed}`);
  const random = new Random(seed);
  const m = Machine.create({ nodeBytes: [2 ** 28], bufferMiB: 128 });
  const mm = mmCreate(m, 1);
  for (let round = 0; round < 60; round++) {
    const leaf = ensureLeaf(m, mm, round, 0);
    const flags = new Uint8Array(512);
    const words = new Int32Array(512);
    let count = 0;
    if (random.chance(0.4)) {
      const low = random.below(512);
      const high = random.between(low + 1, 512);
      setRun(m, mm, leaf, low, high, 5000, 58);
      for (let i = low; i < high; i++) {
        flags[i] = 58;
        words[i] = 5000 + i;
      }
      count = high - low;
    }
    // Few, some or many entries: the number drifts to the round's own.
    const aim = random.pick([0, 1, 4, 12, 300, 512]);
    for (let step = 0; step < 400; step++) {
      const index = random.below(512);
      const isThere = flags[index] !== 0;
      if (random.chance(0.01)) makeDense(m, leaf);
      if (isThere && random.chance(0.3)) {
        flags[index] = random.between(1, 255);
        words[index] = random.below(2 ** 30);
        changeEntry(m, leaf, index, flags[index], words[index]);
      } else if (isThere && (count > aim || random.chance(0.2))) {
        removeEntry(m, mm, leaf, index);
        flags[index] = 0;
        count--;
      } else if (!isThere && (count < aim || random.chance(0.1))) {
        flags[index] = random.between(1, 255);
        words[index] = random.below(2 ** 30);
        addEntry(m, mm, leaf, index, flags[index], words[index]);
        count++;
      }
      assert.equal(m.words[leaf + T_COUNT], count);
      if (step % 20 === 0) assertSame(m, leaf, flags, words);
    }
    assertSame(m, leaf, flags, words);
    for (let i = 0; i < 512; i++) if (flags[i] !== 0) removeEntry(m, mm, leaf, i);
    assert.equal(m.words[leaf + T_COUNT], 0);
  }
  assert.equal(m.words[mm + OWNER_EMPTY_TABLES], 60);
});

function assertSame(m: Machine, leaf: number, flags: Uint8Array, words: Int32Array): void {
  for (let i = 0; i < 512; i++) {
    assert.equal(entryFlags(m, leaf, i), flags[i], `flags of entry ${i}`);
    if (flags[i] !== 0) assert.equal(entryWord(m, leaf, i), words[i], `word of entry ${i}`);
  }
}
