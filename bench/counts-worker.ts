import { parentPort, workerData } from 'node:worker_threads';
import { Random } from '../src/base/random.ts';
import { type Pattern, patternFrames, shuffledTo, TABLE_ENTRIES } from './counts-frames.ts';
import { findCountKind } from './counts-parameters.ts';

/**
 * One thread with one kind of table: each kind is compiled for by itself. A message names a job; the
 * answer is its figures.
 */
export interface CountsStart {
  readonly kind: string;
  readonly buffer: SharedArrayBuffer;
  readonly worker: number;
  readonly pattern: Pattern;
  readonly shared: number;
}

export interface CountsJob {
  readonly name: 'single' | 'batch' | 'split' | 'bytes' | 'fill' | 'mix' | 'churn';
  readonly seconds: number;
}

/** ns an operation, an entry or a table; bytes a frame; or operations and the seconds they took. */
export type CountsFigures = Readonly<Record<string, number>>;

const start = workerData as CountsStart;
const table = findCountKind(start.kind).attach(start.buffer, start.worker);
const frames = patternFrames(start.pattern, start.shared, 1);
const random = new Random(start.worker + 1);
const order = shuffledTo(start.shared, random);
const gone = new Int32Array(TABLE_ENTRIES);
/** What nobody reads would not be computed. */
let sink = 0;

function nsOf(work: () => void, operations: number): number {
  const startMs = performance.now();
  work();
  return ((performance.now() - startMs) * 1e6) / operations;
}

function incEach(): void {
  for (let i = 0; i < frames.length; i++) table.inc(frames[i]!);
}

function decEach(): void {
  for (let i = 0; i < frames.length; i++) table.dec(frames[i]!);
}

function getEach(): void {
  for (let i = 0; i < order.length; i++) sink += table.get(frames[order[i]!]!);
}

/** Up and down again, in an order that has nothing to do with that of insertion. */
function changeEach(): void {
  for (let i = 0; i < order.length; i++) {
    const frame = frames[order[i]!]!;
    table.inc(frame);
    sink += table.get(frame);
    table.dec(frame);
  }
}

/** Frames that have no entry: neighbours of the shared ones, or any. */
function missEach(): void {
  for (let i = 0; i < order.length; i++) sink += table.get(frames[order[i]!]! + start.shared * 128);
}

function single(): CountsFigures {
  const n = frames.length;
  const insert = nsOf(incEach, n);
  const hit = nsOf(getEach, n);
  const change = nsOf(changeEach, 3 * n);
  const miss = start.pattern === 'dense' ? 0 : nsOf(missEach, n);
  const remove = nsOf(decEach, n);
  return { insert, hit, change, miss, remove };
}

function incTables(): void {
  for (let at = 0; at < frames.length; at += TABLE_ENTRIES) {
    table.incBatch(frames, at, TABLE_ENTRIES);
  }
}

function decTables(): void {
  for (let at = 0; at < frames.length; at += TABLE_ENTRIES) {
    sink += table.decBatch(frames, at, TABLE_ENTRIES, gone);
  }
}

function batch(): CountsFigures {
  const n = frames.length;
  const appear = nsOf(incTables, n);
  const inc = nsOf(incTables, n);
  const dec = nsOf(decTables, n);
  const go = nsOf(decTables, n);
  return { appear, inc, dec, go, mean: (appear + inc + dec + go) / 4 };
}

const WRITABLE = 2;
const flags = new Uint8Array(frames.length).fill(7);
const copy = new Int32Array(TABLE_ENTRIES);
const copyFlags = new Uint8Array(TABLE_ENTRIES);

/** A shared table is written to: a copy of its entries, write-protected in both, and a reference to each frame. */
function splitTables(): void {
  for (let at = 0; at < frames.length; at += TABLE_ENTRIES) {
    for (let i = 0; i < TABLE_ENTRIES; i++) {
      copy[i] = frames[at + i]!;
      const kept = flags[at + i]! & ~WRITABLE;
      flags[at + i] = kept;
      copyFlags[i] = kept;
    }
    table.incBatch(copy, 0, TABLE_ENTRIES);
    sink += copy[0]! + copyFlags[1]!;
  }
}

function split(): CountsFigures {
  const ns = nsOf(splitTables, frames.length / TABLE_ENTRIES);
  decTables();
  return { split: ns };
}

/** Tables that grow by asking somebody else have done so by then. */
function bytes(): CountsFigures {
  incTables();
  const used = table.bytesInUse() - table.bytesDeferred();
  const perFrame = used / frames.length;
  decTables();
  return { bytes: perFrame };
}

/** Random operations for a while; all frames keep a count above 1. */
function mix(seconds: number): CountsFigures {
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  let operations = 0;
  do {
    for (let i = 0; i < 512; i++) {
      const frame = frames[random.below(frames.length)]!;
      table.inc(frame);
      sink += table.get(frame);
      table.dec(frame);
    }
    operations += 3 * 512;
  } while (performance.now() < endMs);
  table.idle();
  return { operations, seconds: (performance.now() - startMs) / 1000 };
}

/** Entries of other frames come and go, so that the table grows and shrinks. */
function churn(seconds: number): CountsFigures {
  const endMs = performance.now() + seconds * 1000;
  const other = start.shared * 128;
  const span = frames.length * 4;
  let rounds = 0;
  do {
    for (let i = 0; i < span; i++) table.inc(other + i);
    for (let i = 0; i < span; i++) table.dec(other + i);
    rounds += 1;
  } while (performance.now() < endMs);
  table.idle();
  return { rounds };
}

function run({ name, seconds }: CountsJob): CountsFigures {
  if (name === 'single') return single();
  if (name === 'batch') return batch();
  if (name === 'split') return split();
  if (name === 'bytes') return bytes();
  if (name === 'mix') return mix(seconds);
  if (name === 'churn') return churn(seconds);
  incTables();
  return {};
}

parentPort?.on('message', (job: CountsJob) => {
  const figures = run(job);
  table.idle();
  parentPort?.postMessage({ ...figures, sink: sink & 1 });
});
