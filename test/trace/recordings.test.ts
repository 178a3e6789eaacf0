import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Op, openTrace } from '../../src/trace/index.ts';
import { NaiveMemory } from './naive-memory.ts';

/** [name, touches, samples, samples taken in a burst of faults: RssAnon differs there by some pages] */
const RECORDINGS = [
  ['redis-set-bgsave-flush', 27206, 14, 3],
  ['jemalloc-sparse', 111296, 62, 3],
  ['tcmalloc-sparse', 37624, 61, 1],
  ['postgres-shared-buffers', 49055, 24, 0],
  ['gcc-compile', 2628, 1, 0],
] as const;

for (const [name, touches, samples, bursts] of RECORDINGS) {
  test(`${name}: every touch lies in a known mapping; the kernel's counters come out`, () => {
    const reader = openTrace(name, [readFileSync(`recordings/${name}.pagelab`)]);
    const memory = new NaiveMemory();
    const seen = { touches: 0, samples: 0, bursts: 0 };
    for (let event = reader.next(); event !== null; event = reader.next()) {
      assert.ok(memory.apply(event), `event ${event.line}: touch of 0x${event.addr.toString(16)}`);
      if (event.op === Op.touch) seen.touches++;
      if (event.op !== Op.sample) continue;
      seen.samples++;
      const counters = memory.counters(event.pid);
      const { vmPteKiB, vmSizeKiB, rssAnonKiB = 0 } = event.sample ?? {};
      assert.deepEqual(
        { vmPteKiB: counters.vmPteKiB, vmSizeKiB: counters.vmSizeKiB },
        { vmPteKiB, vmSizeKiB },
        `event ${event.line}`,
      );
      if (counters.rssAnonKiB !== rssAnonKiB) {
        seen.bursts++;
        assert.ok(Math.abs(counters.rssAnonKiB - rssAnonKiB) <= 500, `event ${event.line}`);
      }
    }
    assert.deepEqual(seen, { touches, samples, bursts });
  });
}
