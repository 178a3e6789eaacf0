import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random, utf8Bytes } from '../../src/base/index.ts';
import { EngineSubject, PROFILES, parseKernel, replay, validate } from '../../src/lab/index.ts';
import { OperationGenerator } from '../../src/lab/validate/operations.ts';
import { formatEvent, Op, openTrace } from '../../src/trace/index.ts';
import { Model } from '../oracle/model.ts';
import { seedOf } from '../seed.ts';

/** The comparison itself, with the reference model in the kernel's place. */

const kernel = parseKernel('linux-6.18');

test('a mismatch is shrunk to a trace that can be replayed and shows it again', () => {
  // The model has huge pages, the engine is told that there are none.
  const result = validate({
    seed: 5,
    ops: 3000,
    profile: PROFILES.huge,
    kernel: () => new Model({ hasHugePages: true }),
    engine: () => new EngineSubject(kernel, { enabled: 'never' }),
  });
  const [mismatch] = result.mismatches;
  assert.ok(mismatch !== undefined && mismatch.trace.length < 20);
  const text = [
    '{"pagelab":1,"source":"validate","thp":"madvise"}',
    ...mismatch.trace.map((event) => formatEvent(event)),
    '{"op":"sample","pid":1,"rssAnonKiB":0}',
  ];
  const again = replay(openTrace('shrunk.ndjson', [utf8Bytes(text.join('\n'))]), kernel);
  assert.equal(again.outcomes.compared, mismatch.trace.length);
  assert.equal(again.outcomes.equal, mismatch.trace.length);
  assert.ok((again.final.anonHugeKiB ?? 0) > 0);
});

test('what was disturbed is done again, and counts only undisturbed', () => {
  let runs = 0;
  let isDisturbed = true;
  const result = validate({
    seed: 5,
    ops: 200,
    profile: PROFILES.huge,
    kernel: () => {
      runs += 1;
      return new Model({ hasHugePages: true });
    },
    // Wrong in the first run only.
    engine: () => new EngineSubject(kernel, { enabled: runs === 1 ? 'never' : 'madvise' }),
    wasDisturbed: () => {
      const was = isDisturbed;
      isDisturbed = false;
      return was;
    },
  });
  assert.equal(runs, 2);
  assert.deepEqual(result.mismatches, []);
  assert.equal(result.events, 200);
});

test('a difference that does not come back is told and not counted; one that does is a mismatch', () => {
  const attempt = (wrongRuns: (run: number) => boolean) => {
    let runs = 0;
    const result = validate({
      seed: 5,
      ops: 200,
      profile: PROFILES.huge,
      kernel: () => {
        runs += 1;
        return new Model({ hasHugePages: true });
      },
      engine: () => new EngineSubject(kernel, { enabled: wrongRuns(runs) ? 'never' : 'madvise' }),
      wasDisturbed: () => false,
      shrinkRuns: 5,
    });
    return { runs, result };
  };
  const once = attempt((run) => run === 1);
  assert.deepEqual(once.result.mismatches, []);
  assert.equal(once.result.unrepeated.length, 1);
  assert.equal(once.result.unrepeated[0]?.field, 'rssAnonKiB');
  assert.equal(once.result.events, 200);
  // The first and three more.
  assert.equal(once.runs, 4);
  const always = attempt(() => true);
  assert.equal(always.result.mismatches.length, 1);
  assert.deepEqual(always.result.unrepeated, []);
  const rarely = attempt((run) => run === 1 || run >= 4);
  assert.equal(rarely.result.mismatches.length, 1);
});

test('no operation is of a process that has ended or was never made', (t) => {
  const seed = seedOf(t);
  for (const profile of [PROFILES.full, PROFILES.huge]) {
    for (const layout of ['dense', 'tiny'] as const) {
      const operations = new OperationGenerator({ random: new Random(seed), layout, profile });
      const running = new Set([1]);
      for (let i = 0; i < 100_000; i++) {
        const { op, pid, child } = operations.next();
        assert.ok(running.has(pid), `operation ${i} of process ${pid}`);
        if (op === Op.fork) running.add(child);
        if (op === Op.exit) running.delete(pid);
      }
      assert.ok(running.size <= profile.processesMax + 1);
    }
  }
});
