import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { LLFree, type LLFreeOptions, validateLLFree } from '../../src/engine/index.ts';
import type { Answer, Start } from './llfree.worker.ts';

/** Longer with PAGELAB_STRESS_OPS. */
const OPERATIONS = Number(process.env['PAGELAB_STRESS_OPS'] ?? 8_000);

async function run(t: TestContext, options: LLFreeOptions, workers: number): Promise<void> {
  const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
  t.diagnostic(`PAGELAB_SEED=${seed}`);
  const buffer = new SharedArrayBuffer(LLFree.bytesFor(options));
  const a = LLFree.format(buffer, options);
  const owned = new SharedArrayBuffer(options.frames * 4);
  const swaps = new SharedArrayBuffer(64);
  const answers = await Promise.all(
    Array.from({ length: workers }, async (_, core) => {
      const operations = Math.ceil(OPERATIONS / Math.sqrt(workers));
      const workerData: Start = { buffer, core, seed: seed + core, operations, owned, swaps };
      const worker = new Worker(new URL('./llfree.worker.js', import.meta.url), { workerData });
      const [answer] = (await once(worker, 'message')) as [Answer];
      await worker.terminate();
      return answer;
    }),
  );
  assert.deepEqual(answers.flatMap(({ errors }) => errors).slice(0, 5), []);
  const gets = answers.reduce((sum, answer) => sum + answer.gets, 0);
  const refusals = answers.reduce((sum, answer) => sum + answer.refusals, 0);
  t.diagnostic(`${gets} gets, ${refusals} refused`);
  assert.ok(gets > 0);
  validateLLFree(a);
  const used = new Int32Array(owned).reduce((sum, owner) => sum + owner, 0);
  assert.equal(a.freeFrames(), options.frames - used, 'what nobody has is free');
  for (const { frame, order } of answers.flatMap(({ held }) => held)) {
    assert.equal(a.put(0, frame, order), 0);
  }
  for (const packed of new Int32Array(swaps)) {
    if (packed !== 0) assert.equal(a.put(0, (packed - 1) >> 4, (packed - 1) & 15), 0);
  }
  a.drain();
  validateLLFree(a);
  assert.equal(a.freeFrames(), options.frames, 'nothing is lost');
  assert.equal(a.freeHugeFrames(), Math.floor(options.frames / 512));
}

describe('llfree: real threads, random orders, an ownership map', () => {
  const plenty = 512 * 512;
  const scarce = 24 * 512 + 333;
  for (const workers of [1, 2, 4, 8, 16]) {
    it(`${workers}: current design`, async (t) => {
      await run(t, { frames: plenty, cores: workers }, workers);
      await run(t, { frames: scarce, cores: workers, classes: 3, treeChildren: 2 }, workers);
    });
  }
  for (const workers of [2, 16]) {
    it(`${workers}: as published`, async (t) => {
      await run(t, { frames: plenty, cores: workers, design: 'atc23' }, workers);
      const small = { frames: scarce, cores: workers, design: 'atc23', treeChildren: 2 } as const;
      await run(t, small, workers);
    });
  }
});
