import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Random } from '../../src/base/index.ts';
import type { CountKind } from '../../src/engine/counts/count-table.ts';
import { COUNT_KINDS } from '../../src/engine/counts/kinds.ts';
import type { CountStart } from './counts.worker.ts';
import { seeded } from './seed.ts';

const OPERATIONS = Number(process.env['PAGELAB_COUNTS_OPS'] ?? 400_000);
const BASE = 5000;

interface Plan {
  readonly threads: number;
  readonly span: number;
  readonly isShared: boolean;
  readonly job: CountStart['job'];
  /** Without: one of its own. Threads that are given the same do the same in every table. */
  readonly seed?: number;
}

/** Runs the threads; each one's references by frame, from BASE on. */
async function run(
  t: TestContext,
  kind: CountKind,
  plan: Plan,
  buffer: SharedArrayBuffer,
): Promise<Int32Array[]> {
  const random = plan.seed === undefined ? seeded(t) : new Random(plan.seed);
  const gate = new Int32Array(new SharedArrayBuffer(8));
  const held: Int32Array[] = [];
  const answers = Array.from({ length: plan.threads }, async (_, i) => {
    const own = new SharedArrayBuffer(plan.span * 4);
    held.push(new Int32Array(own));
    const workerData: CountStart = {
      kind: kind.name,
      buffer,
      worker: i + 1,
      seed: random.uint32(),
      first: BASE + (plan.isShared ? 0 : i * plan.span),
      span: plan.span,
      operations: OPERATIONS / plan.threads,
      held: own,
      gate,
      threads: plan.threads,
      job: plan.job,
    };
    const worker = new Worker(new URL('./counts.worker.js', import.meta.url), { workerData });
    const [wrong] = await once(worker, 'message');
    await worker.terminate();
    return wrong as number;
  });
  while (Atomics.load(gate, 0) < plan.threads) await new Promise((wake) => setTimeout(wake, 2));
  Atomics.store(gate, 1, 1);
  Atomics.notify(gate, 1);
  assert.deepEqual(await Promise.all(answers), new Array(plan.threads).fill(0));
  return held;
}

function make(kind: CountKind, plan: Plan): SharedArrayBuffer {
  const frames = BASE + plan.span * (plan.isShared ? 1 : plan.threads);
  const options = { frames, entries: frames, workers: plan.threads + 1 };
  const buffer = new SharedArrayBuffer(kind.bytesFor(options));
  kind.format(buffer, options);
  return buffer;
}

/** Final counts are the sums of what the threads still hold. */
async function mix(t: TestContext, kind: CountKind, plan: Plan): Promise<Int32Array[]> {
  const buffer = make(kind, plan);
  const held = await run(t, kind, plan, buffer);
  const table = kind.attach(buffer, 0);
  table.validate();
  const total = new Int32Array(plan.span * (plan.isShared ? 1 : plan.threads)).fill(1);
  held.forEach((own, i) => {
    own.forEach((count, index) => {
      total[index + (plan.isShared ? 0 : i * plan.span)] += count;
    });
  });
  for (const [index, count] of total.entries()) {
    if (table.get(BASE + index) !== count) assert.equal(table.get(BASE + index), count, `${index}`);
  }
  assert.equal(table.entries(), total.filter((count) => count > 1).length);
  return held;
}

/** As many holders as threads give all frames back at once: each frame has one last holder. */
async function release(t: TestContext, kind: CountKind, plan: Plan): Promise<void> {
  const buffer = make(kind, plan);
  const table = kind.attach(buffer, 0);
  for (let i = 1; i < plan.threads; i++) table.incRun(BASE, plan.span);
  table.idle();
  const lasts = await run(t, kind, plan, buffer);
  for (let index = 0; index < plan.span; index++) {
    const sum = lasts.reduce((total, own) => total + own[index]!, 0);
    if (sum !== 1) assert.equal(sum, 1, `frame ${index}`);
  }
  table.validate();
  assert.equal(table.entries(), 0);
}

describe('counts by threads', () => {
  for (const kind of COUNT_KINDS) {
    for (const threads of [2, 4, 8]) {
      const span = threads === 4 ? 512 : 16_384;
      it(`${kind.name}: ${threads} threads, the same ${span} frames`, async (t) => {
        await mix(t, kind, { threads, span, isShared: true, job: 'mix' });
      });
    }
    it(`${kind.name}: 3 threads, frames of their own`, async (t) => {
      await mix(t, kind, { threads: 3, span: 20_000, isShared: false, job: 'mix' });
    });
    it(`${kind.name}: 3 holders release all frames at once`, (t) =>
      release(t, kind, { threads: 3, span: 65_536, isShared: true, job: 'release' }));
  }
});

describe('all tables agree', () => {
  // What a thread does depends on its seed and on what it holds itself, so each table sees the same.
  for (const threads of [1, 2, 4, 8]) {
    it(`${threads} threads: every operation, in all tables`, async (t) => {
      const seed = seeded(t).uint32();
      const plan = { threads, span: 1 << 15, isShared: true, job: 'all', seed } as const;
      let first: Int32Array[] | undefined;
      for (const kind of COUNT_KINDS) {
        const held = await mix(t, kind, plan);
        first ??= held;
        assert.deepEqual(held, first, kind.name);
        t.diagnostic(`${kind.name}: ${OPERATIONS} operations`);
      }
    });
  }
});
