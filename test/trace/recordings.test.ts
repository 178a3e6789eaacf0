import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { copyEvent, Op, openTrace, type TraceEvent } from '../../src/trace/index.ts';
import { NaiveMemory } from './naive-memory.ts';

/** [name, touches, samples, samples that agree at some moment of their interval but not at its end] */
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
    let open: TraceEvent | null = null;
    let hasAgreed = false;
    const agrees = (): boolean => {
      const counters = memory.counters(open!.pid);
      const { vmPteKiB, vmSizeKiB, rssAnonKiB } = open!.sample!;
      return (
        counters.vmPteKiB === vmPteKiB &&
        counters.vmSizeKiB === vmSizeKiB &&
        counters.rssAnonKiB === rssAnonKiB
      );
    };
    const close = (): void => {
      if (open === null) return;
      assert.ok(hasAgreed || agrees(), `sample at event ${open.line}`);
      if (!agrees()) seen.bursts++;
      open = null;
    };
    for (let event = reader.next(); event !== null; event = reader.next()) {
      if (open !== null) {
        hasAgreed ||= agrees();
        const end: number =
          (open as TraceEvent).timeNs + Number((open as TraceEvent).extra?.['within']);
        if (event.timeNs > end || event.op === Op.exit) close();
      }
      assert.ok(memory.apply(event), `event ${event.line}: touch of 0x${event.addr.toString(16)}`);
      if (event.op === Op.touch) seen.touches++;
      if (event.op !== Op.sample) continue;
      close();
      seen.samples++;
      open = copyEvent(event);
      hasAgreed = false;
    }
    close();
    assert.deepEqual(seen, { touches, samples, bursts });
  });
}
