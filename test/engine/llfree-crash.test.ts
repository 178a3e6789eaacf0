import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { Random } from '../../src/base/index.ts';
import {
  LLFree,
  type LLFreeOptions,
  recoverLLFree,
  validateLLFree,
} from '../../src/engine/index.ts';
import { anyOrder, type Held, withSteps } from './llfree-steps.ts';

/** An operation, and which writes of the log happened while it ran: [start, end). */
interface Operation extends Held {
  readonly isGet: boolean;
  readonly start: number;
  readonly end: number;
}

interface Log {
  readonly options: LLFreeOptions;
  readonly lowerWords: number;
  /** The lower part after `format`, and at the end. */
  readonly first: Int32Array;
  readonly last: Int32Array;
  readonly at: number[];
  readonly value: number[];
  /** In the order of their ends. */
  readonly operations: Operation[];
}

function seedOf(t: TestContext): number {
  const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
  t.diagnostic(`PAGELAB_SEED=${seed}`);
  return seed;
}

/** Random operations of three cores, with all writes to the lower part. */
function record(options: LLFreeOptions, count: number, random: Random): Log {
  const buffer = new SharedArrayBuffer(LLFree.bytesFor(options));
  const a = LLFree.format(buffer, options);
  const lowerWords = a.lowerBytes / 4;
  const first = a.words.slice(0, lowerWords);
  const at: number[] = [];
  const value: number[] = [];
  const operations: Operation[] = [];
  const held: Held[] = [];
  const written = (where: number, what: number): void => {
    if (where >= lowerWords) return;
    at.push(where);
    value.push(what);
  };
  withSteps(buffer, { written }, () => {
    for (let i = 0; i < count; i++) {
      const start = at.length;
      const core = random.below(options.cores);
      const isGet = held.length === 0 || random.chance(0.55);
      const done = isGet ? getOne(a, core, held, random) : putOne(a, core, held, random);
      if (done !== null) operations.push({ ...done, isGet, start, end: at.length });
    }
  });
  const last = a.words.slice(0, lowerWords);
  return { options, lowerWords, first, last, at, value, operations };
}

function getOne(a: LLFree, core: number, held: Held[], random: Random): Held | null {
  const order = anyOrder(random, a.treeShift);
  const frame = a.get(core, order);
  if (frame < 0) return null;
  held.push({ frame, order });
  return { frame, order };
}

/** Frees what one get gave, or half of it. */
function putOne(a: LLFree, core: number, held: Held[], random: Random): Held {
  const [one] = held.splice(random.below(held.length), 1) as [Held];
  const order = one.order > 0 && random.chance(0.3) ? one.order - 1 : one.order;
  if (order !== one.order) held.push({ frame: one.frame + 2 ** order, order });
  assert.equal(a.put(core, one.frame, order), 0);
  return { frame: one.frame, order };
}

/**
 * Goes through the log, and at each write for which `isCut` says so recovers what is there, the
 * volatile part full of rubbish.
 */
function crash(log: Log, random: Random, isCut: (write: number) => boolean): number {
  const disk = log.first.slice();
  const used = new Uint8Array(log.options.frames);
  let next = 0;
  let cuts = 0;
  for (let write = 0; write <= log.at.length; write++) {
    for (; next < log.operations.length && log.operations[next]!.end <= write; next++) {
      const { frame, order, isGet } = log.operations[next]!;
      used.fill(isGet ? 1 : 0, frame, frame + 2 ** order);
    }
    const running = log.operations[next];
    if (isCut(write)) {
      const isRunning = running !== undefined && running.start < write;
      recoverAndCheck(log, disk, used, isRunning ? running : null, random);
      cuts += 1;
    }
    if (write < log.at.length) disk[log.at[write]!] = log.value[write]!;
  }
  assert.deepEqual(disk, log.last, 'the log has every write');
  return cuts;
}

function recoverAndCheck(
  log: Log,
  disk: Int32Array,
  used: Uint8Array,
  running: Operation | null,
  random: Random,
): void {
  const words = new Int32Array(new SharedArrayBuffer(LLFree.bytesFor(log.options)));
  words.set(disk);
  for (let i = log.lowerWords; i < words.length; i++) words[i] = random.uint32();
  const a = recoverLLFree(words.buffer, false);
  validateLLFree(a);
  const free = a.freeFrames();
  const found = new Uint8Array(used.length);
  for (let i = 0; i < free; i++) {
    const frame = a.get(random.below(log.options.cores), 0);
    assert.ok(frame >= 0 && found[frame] === 0, `the ${i + 1}th of ${free} free frames: ${frame}`);
    found[frame] = 1;
  }
  assert.ok(a.get(0, 0) < 0, 'no more frames than counted');
  const from = running?.frame ?? 0;
  const end = running === null ? 0 : from + 2 ** running.order;
  for (let f = 0; f < used.length; f++) {
    if (f >= from && f < end) continue;
    assert.equal(found[f]! + used[f]!, 1, `frame ${f} was ${used[f] === 1 ? 'in use' : 'free'}`);
  }
}

describe('llfree: recovery', () => {
  it('a small allocator, cut at every write', (t) => {
    const random = new Random(seedOf(t));
    for (const design of ['current', 'atc23'] as const) {
      const options = { frames: 1900, cores: 3, treeChildren: 2, design };
      const log = record(options, 500, random);
      const cuts = crash(log, random, () => true);
      t.diagnostic(`${design}: ${cuts} cuts`);
      assert.ok(cuts > 900, `${cuts} cuts`);
    }
  });

  it('a larger one, cut at random writes', (t) => {
    const random = new Random(seedOf(t));
    const options = { frames: 60 * 512 + 100, cores: 3, classes: 3 } as const;
    const log = record(options, 6000, random);
    crash(log, random, () => random.chance(0.01));
  });

  it('a crash during recovery is recovered by another one', (t) => {
    const random = new Random(seedOf(t));
    const options = { frames: 1900, cores: 3, treeChildren: 2 };
    const log = record(options, 300, random);
    const size = LLFree.bytesFor(options);
    const disk = log.first.slice();
    for (let write = 0; write < log.at.length; write++) {
      disk[log.at[write]!] = log.value[write]!;
      const once = new Int32Array(new SharedArrayBuffer(size));
      once.set(disk);
      const writes: [number, number][] = [];
      const written = (at: number, value: number): void => {
        if (at < log.lowerWords) writes.push([at, value]);
      };
      withSteps(once.buffer, { written }, () => recoverLLFree(once.buffer));
      for (let cut = 0; cut < writes.length; cut++) {
        const again = new Int32Array(new SharedArrayBuffer(size));
        again.set(disk);
        for (const [at, value] of writes.slice(0, cut)) again[at] = value;
        recoverLLFree(again.buffer);
        assert.deepEqual(again, once, `write ${write}, recovery cut at ${cut}`);
      }
    }
  });
});
