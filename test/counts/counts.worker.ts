import { parentPort, workerData } from 'node:worker_threads';
import { Random } from '../../src/base/index.ts';
import { BATCH_MAX, type CountTable } from '../../src/engine/counts/count-table.ts';
import { COUNT_KINDS } from '../../src/engine/counts/kinds.ts';

/** One thread of threads.test.ts. */
export interface CountStart {
  readonly kind: string;
  readonly buffer: SharedArrayBuffer;
  readonly worker: number;
  readonly seed: number;
  /** Frames [first, first + span) that this thread counts. */
  readonly first: number;
  readonly span: number;
  readonly operations: number;
  /** References that this thread holds at the end, a word a frame. */
  readonly held: SharedArrayBuffer;
  /** [ready, go] */
  readonly gate: Int32Array;
  readonly threads: number;
  /**
   * `mix`: single operations and runs; `all`: these, scattered batches, and a few frames that are
   * counted far up; `release`: gives every frame of the span back once, and counts in `held` those it
   * was last to hold.
   */
  readonly job: 'mix' | 'all' | 'release';
}

const start = workerData as CountStart;
const kind = COUNT_KINDS.find(({ name }) => name === start.kind)!;
const table = kind.attach(start.buffer, start.worker);
const held = new Int32Array(start.held);
const random = new Random(start.seed);
const frames = new Int32Array(BATCH_MAX);
const gone = new Int32Array(BATCH_MAX);
let wrong = 0;

function mix(t: CountTable): void {
  for (let done = 0; done < start.operations; ) {
    const n = random.chance(0.02) ? random.between(2, BATCH_MAX) : 1;
    const at = random.below(start.span - n + 1);
    const isInc = random.chance(0.5);
    let taken = 0;
    for (let i = 0; i < n; i++) {
      const index = at + i;
      if (!isInc && held[index] === 0) continue;
      held[index] += isInc ? 1 : -1;
      frames[taken++] = start.first + index;
    }
    if (n === 1 && taken === 1) {
      if ((isInc ? t.inc(frames[0]!) : t.dec(frames[0]!)) < 1) wrong += 1;
      // What this thread holds, and the one reference that nobody gives back.
      if (t.get(frames[0]!) < held[at]! + 1) wrong += 1;
    } else if (isInc) t.incBatch(frames, 0, taken);
    else if (t.decBatch(frames, 0, taken, gone) !== 0) wrong += 1;
    done += n;
  }
}

/** Frames that come into tables again and again: their counts leave the entry's own bits. */
const HOT = 4;
const HOT_HELD = 120;

/** Indices of a batch: a run, a few rows, or anywhere. A frame may come twice. */
function someIndices(n: number): number[] {
  const spread = random.pick([n, 4 * n, start.span]);
  const width = Math.min(spread, start.span);
  const at = random.below(start.span - width + 1);
  const isRun = random.chance(0.4);
  return Array.from({ length: n }, (_, i) => at + (isRun ? i % width : random.below(width)));
}

function allKinds(t: CountTable): void {
  for (let done = 0; done < start.operations; ) {
    const n = random.chance(0.03) ? random.between(2, BATCH_MAX) : 1;
    const isHot = n === 1 && random.chance(0.02);
    const indices = isHot ? [random.below(HOT)] : someIndices(n);
    const wantsInc = isHot ? random.below(2 * HOT_HELD) >= held[indices[0]!]! : random.chance(0.5);
    changeAll(t, indices, wantsInc);
    const index = random.below(start.span);
    if (t.get(start.first + index) < held[index]! + 1) wrong += 1;
    done += n + 1;
  }
}

function changeAll(t: CountTable, indices: readonly number[], isInc: boolean): void {
  let taken = 0;
  for (const index of indices) {
    if (!isInc && held[index] === 0) continue;
    held[index] += isInc ? 1 : -1;
    frames[taken++] = start.first + index;
  }
  if (taken === 1) {
    if ((isInc ? t.inc(frames[0]!) : t.dec(frames[0]!)) < 1) wrong += 1;
  } else if (isInc) t.incBatch(frames, 0, taken);
  else if (t.decBatch(frames, 0, taken, gone) !== 0) wrong += 1;
}

function release(t: CountTable): void {
  for (let at = 0; at < start.span; at += BATCH_MAX) {
    for (let i = 0; i < BATCH_MAX; i++) frames[i] = start.first + at + i;
    const last = t.decBatch(frames, 0, BATCH_MAX, gone);
    for (let i = 0; i < last; i++) held[gone[i]! - start.first] += 1;
  }
}

Atomics.add(start.gate, 0, 1);
Atomics.notify(start.gate, 0);
while (Atomics.load(start.gate, 1) === 0) Atomics.wait(start.gate, 1, 0, 1);
if (start.job === 'mix') mix(table);
else if (start.job === 'all') allKinds(table);
else release(table);
table.idle();
parentPort?.postMessage(wrong);
