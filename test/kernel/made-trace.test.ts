import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../src/base/index.ts';
import { KernelSubject, khugepagedCollapses, whyNoHugePages } from '../../src/host/index.ts';
import {
  LAYOUT_NAMES,
  type LayoutName,
  OperationGenerator,
  PROFILES,
  parseKernel,
  replay,
} from '../../src/lab/index.ts';
import {
  emptyEvent,
  Op,
  Outcome,
  openTrace,
  type TraceEvent,
  writerFor,
} from '../../src/trace/index.ts';
import { hasSwap, skipReason } from './needs-kernel.ts';

/**
 * A trace as others make them: random operations on the running kernel, its answer on every line and
 * its counters after every operation; written as text, read back, and replayed.
 */
function recordTrace(
  layout: LayoutName,
  profile: 'basic' | 'full' | 'huge',
  seed: number,
  ops: number,
): Uint8Array[] {
  const generator = new OperationGenerator({
    layout,
    profile: PROFILES[profile],
    random: new Random(seed),
  });
  const chunks: Uint8Array[] = [];
  const writer = writerFor('made.ndjson', (bytes) => chunks.push(bytes.slice()), {
    pagelab: 1,
    source: `random operations, seed ${seed}`,
    ...(profile === 'huge' ? { thp: 'madvise' } : {}),
  });
  const live = new Set([1]);
  const kernel = new KernelSubject({ hasHugePages: profile === 'huge' });
  try {
    for (let i = 0; i < ops; i++)
      recordOne(generator, kernel, live, (event) => writer.write(event));
  } finally {
    kernel.close();
  }
  writer.finish();
  return chunks;
}

function recordOne(
  generator: OperationGenerator,
  kernel: KernelSubject,
  live: Set<number>,
  write: (event: TraceEvent) => void,
): void {
  const event = generator.next();
  const isFirstExit = event.op === Op.exit && event.pid === 1;
  if (isFirstExit || !live.has(event.pid) || (event.op === Op.fork && live.has(event.child)))
    return;
  const answer = kernel.apply(event);
  generator.onAnswer(event, answer);
  const recorded = {
    ...event,
    outcome: answer.ok ? Outcome.ok : Outcome.failed,
    errno: event.op === Op.touch ? 0 : answer.errno,
  };
  if (answer.ok && answer.addr !== undefined) {
    if (event.op === Op.mmap) recorded.addr = answer.addr;
    else recorded.newAddr = answer.addr;
  }
  write(recorded);
  if (event.op === Op.fork && answer.ok) live.add(event.child);
  if (event.op === Op.exit) live.delete(event.pid);
  for (const pid of live) {
    const seen = kernel.observe(pid, generator.windows);
    const sample = {
      vmPteKiB: seen.vmPteKiB,
      rssAnonKiB: seen.rssAnonKiB,
      presentPages: seen.present.reduce((sum, n) => sum + n, 0),
      ...(seen.anonHugeKiB === undefined ? {} : { anonHugeKiB: seen.anonHugeKiB }),
      swappedPages: seen.swapped.reduce((sum, n) => sum + n, 0),
    };
    write({ ...emptyEvent(), op: Op.sample, pid, sample });
  }
}

const skip = skipReason() || (hasSwap() && 'swap is on: what MADV_PAGEOUT does depends on it');
const skipHuge = skip || (whyNoHugePages() ?? false);
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));

for (const layout of LAYOUT_NAMES) {
  test(`a trace with huge pages replays exactly: ${layout}`, { skip: skipHuge }, (t) => {
    t.diagnostic(`PAGELAB_SEED=${seed}`);
    const before = khugepagedCollapses();
    const chunks = recordTrace(layout, 'huge', seed, 600);
    const result = replay(openTrace('made.ndjson', chunks), parseKernel('linux-6.18'));
    const { vmPteKiB, rssAnonKiB, anonHugeKiB } = result.truth.fields;
    const isExact = [vmPteKiB, rssAnonKiB, anonHugeKiB].every((f) => f?.exact === f?.compared);
    if (!isExact && khugepagedCollapses() !== before) {
      t.skip('khugepaged was active during the run');
      return;
    }
    assert.deepEqual(result.outcomes.first, []);
    assert.ok(isExact, JSON.stringify(result.truth.fields));
    assert.ok((anonHugeKiB?.compared ?? 0) >= 600);
  });
}

for (const layout of LAYOUT_NAMES) {
  for (const profile of ['basic', 'full'] as const) {
    test(`a trace of the running kernel replays exactly: ${layout}, ${profile}`, { skip }, (t) => {
      t.diagnostic(`PAGELAB_SEED=${seed}`);
      const chunks = recordTrace(layout, profile, seed, 600);
      const result = replay(openTrace('made.ndjson', chunks), parseKernel('linux-6.18'));
      assert.deepEqual(result.outcomes.first, []);
      assert.equal(result.outcomes.equal, result.outcomes.compared);
      assert.ok(result.truth.samples >= 600);
      // Windows of the layouts may have mappings beyond their ends, which samples leave out.
      const { vmPteKiB, rssAnonKiB } = result.truth.fields;
      assert.equal(vmPteKiB?.exact, vmPteKiB?.compared);
      assert.equal(rssAnonKiB?.exact, rssAnonKiB?.compared);
    });
  }
}
