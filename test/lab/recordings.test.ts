import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseKernel, replay } from '../../src/lab/index.ts';
import { openTrace } from '../../src/trace/index.ts';

/** [name, samples, samples that agree at the moment of their stamp, too] */
const RECORDINGS = [
  ['redis-set-bgsave-flush', 14],
  ['jemalloc-sparse', 62],
  ['tcmalloc-sparse', 61],
  ['postgres-shared-buffers', 24],
  ['gcc-compile', 1],
] as const;

for (const [name, samples] of RECORDINGS) {
  test(`${name}: the engine as linux-6.18 counts what the recorded kernel counted`, () => {
    const reader = openTrace(name, [readFileSync(`recordings/${name}.pagelab`)]);
    const { outcomes, truth } = replay(reader, parseKernel('linux-6.18'));
    assert.equal(truth.samples, samples);
    for (const field of ['vmPteKiB', 'rssAnonKiB', 'vmSizeKiB', 'vmSwapKiB'] as const) {
      assert.equal(truth.fields[field]?.compared, samples, field);
      assert.equal(truth.fields[field]?.exact, samples, field);
    }
    assert.deepEqual(outcomes.first, []);
    assert.equal(outcomes.equal, outcomes.compared);
  });
}
