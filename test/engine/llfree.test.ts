import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { Errno, InputError, Random } from '../../src/base/index.ts';
import {
  HUGE_FRAMES,
  LLFree,
  type LLFreeOptions,
  recoverLLFree,
  validateLLFree,
} from '../../src/engine/index.ts';
import { anyOrder, type Held, withSteps } from './llfree-steps.ts';

function seedOf(t: TestContext): number {
  const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
  t.diagnostic(`PAGELAB_SEED=${seed}`);
  return seed;
}

function make(options: LLFreeOptions, isShared = false): LLFree {
  return LLFree.format(new SharedArrayBuffer(LLFree.bytesFor(options)), options, isShared);
}

function anyOptions(random: Random, maxChildren: number): LLFreeOptions {
  const cores = random.between(1, 4);
  const frames = random.between(1, maxChildren * HUGE_FRAMES);
  const treeChildren = 2 ** random.between(0, 5);
  if (random.chance(0.4)) return { frames, cores, treeChildren, design: 'atc23' };
  return { frames, cores, treeChildren, classes: random.pick([1, 2, 3] as const) };
}

/** The huge frames that a run of the order touches. */
function hugeOf(frame: number, order: number): number[] {
  const count = order > 9 ? 2 ** (order - 9) : 1;
  return Array.from({ length: count }, (_, i) => frame + i * HUGE_FRAMES);
}

/** One byte a frame, searched from the start: what may be answered, written for clarity. */
class Model {
  readonly used: Uint8Array;
  readonly #huge = new Set<number>();

  constructor(frames: number) {
    this.used = new Uint8Array(frames);
  }

  get freeFrames(): number {
    return this.used.filter((u) => u === 0).length;
  }

  get freeHugeFrames(): number {
    let count = 0;
    for (let f = 0; f + HUGE_FRAMES <= this.used.length; f += HUGE_FRAMES) {
      if (this.isFree(f, 9)) count += 1;
    }
    return count;
  }

  isFree(frame: number, order: number): boolean {
    return this.used.subarray(frame, frame + 2 ** order).every((u) => u === 0);
  }

  hasRun(order: number): boolean {
    const step = 2 ** order;
    for (let f = 0; f + step <= this.used.length; f += step) if (this.isFree(f, order)) return true;
    return false;
  }

  get(frame: number, order: number): void {
    assert.equal(frame % 2 ** order, 0, `frame ${frame} of order ${order} is aligned`);
    assert.ok(frame + 2 ** order <= this.used.length, `frame ${frame} exists`);
    assert.ok(this.isFree(frame, order), `frame ${frame}, order ${order}: handed out twice`);
    this.used.fill(1, frame, frame + 2 ** order);
    if (order >= 9) for (const huge of hugeOf(frame, order)) this.#huge.add(huge);
  }

  /** Whether a put is right; a huge frame is freed as one only while it is one. */
  put(frame: number, order: number): boolean {
    const end = frame + 2 ** order;
    if (frame < 0 || end > this.used.length || frame % 2 ** order !== 0) return false;
    const huge = hugeOf(frame - (frame % HUGE_FRAMES), order);
    if (order >= 9) {
      if (!huge.every((one) => this.#huge.has(one))) return false;
    } else if (this.used.subarray(frame, end).includes(0)) return false;
    for (const one of huge) this.#huge.delete(one);
    this.used.fill(0, frame, end);
    return true;
  }
}

describe('llfree: hand-computed', () => {
  // Trees of 4 bit fields, two classes; one core begins at tree 0.
  const options: LLFreeOptions = { frames: 8 * HUGE_FRAMES, cores: 1 };

  it('single frames come from one bit field in ascending order', () => {
    const a = make(options);
    for (let i = 0; i < 600; i++) assert.equal(a.get(0, 0), i);
    assert.equal(a.freeFrames(), 8 * 512 - 600);
    assert.equal(a.freeHugeFrames(), 6);
    validateLLFree(a);
  });

  it('a huge frame comes from another tree than single frames', () => {
    const a = make(options);
    assert.equal(a.get(0, 0), 0);
    assert.equal(a.get(0, 9), 4 * 512);
    assert.equal(a.get(0, 0), 1);
    assert.equal(a.get(0, 9), 5 * 512);
    validateLLFree(a);
  });

  it('a run lies at a multiple of its size, behind what is in use', () => {
    const a = make(options);
    assert.equal(a.get(0, 0), 0);
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6, 7, 8].map((order) => a.get(0, order)),
      [2, 4, 8, 16, 32, 64, 128, 256],
    );
    assert.equal(a.get(0, 8), 512);
    validateLLFree(a);
  });

  it('orders above a huge frame are several in a row, up to a tree', () => {
    const a = make({ frames: 8 * HUGE_FRAMES + 300, cores: 1 });
    assert.equal(a.get(0, 9), 0);
    assert.equal(a.get(0, 10), 2 * 512, 'the first pair is broken');
    assert.equal(a.get(0, 11), 4 * 512, 'the second tree');
    assert.equal(a.get(0, 11), -Errno.ENOMEM);
    assert.equal(a.get(0, 9), 512);
    validateLLFree(a);
    assert.equal(a.put(0, 0, 11), 0, 'all four are in use as huge frames');
    assert.equal(a.put(0, 4 * 512, 9), 0, 'a part of a tree');
    assert.equal(a.put(0, 4 * 512, 11), -Errno.EINVAL);
    assert.equal(a.put(0, 6 * 512 + 7, 0), 0, 'a single frame of it');
    assert.equal(a.put(0, 6 * 512, 10), -Errno.EINVAL);
    validateLLFree(a);
    assert.equal(a.freeFrames(), 4 * 512 + 512 + 1 + 300);
    assert.equal(a.get(0, 11), 0);
  });

  it('what is left of a huge frame can be freed piece by piece', () => {
    const a = make({ frames: 512, cores: 1 });
    assert.equal(a.get(0, 9), 0);
    assert.equal(a.put(0, 3, 0), 0);
    assert.equal(a.freeFrames(), 1);
    assert.equal(a.put(0, 0, 9), -Errno.EINVAL);
    assert.equal(a.put(0, 3, 0), -Errno.EINVAL);
    assert.equal(a.put(0, 256, 8), 0);
    validateLLFree(a);
    assert.equal(a.get(0, 8), 256);
    assert.equal(a.get(0, 0), 3);
    assert.equal(a.get(0, 0), -Errno.ENOMEM);
  });

  it('frames that others freed in the own tree are found again (sync)', () => {
    const a = make({ frames: 512, cores: 2 });
    for (let i = 0; i < 512; i++) a.get(0, 0);
    assert.equal(a.put(1, 77, 0), 0);
    assert.equal(a.get(0, 0), 77);
    assert.equal(a.get(0, 0), -Errno.ENOMEM);
    validateLLFree(a);
  });

  it('what another core has reserved is stolen, or its tree demoted, before memory is out', () => {
    const one = { frames: 2048, cores: 2 } as const;
    const steals = make(one);
    assert.equal(steals.get(0, 0), 0);
    assert.equal(steals.get(1, 0), 1, 'from the tree of core 0');
    validateLLFree(steals);
    const demotes = make(one);
    assert.equal(demotes.get(0, 9), 0);
    assert.equal(demotes.get(1, 0), 512, 'from the huge tree of core 0');
    validateLLFree(demotes);
  });

  it('as published: who frees on in a tree that is more than a 16th free reserves it', () => {
    const a = make({ frames: 2 * 2048, cores: 2, treeChildren: 4, design: 'atc23' });
    for (let i = 0; i < 4096; i++) a.get(0, 0);
    // Core 0 has the second tree reserved; core 1 frees in the first one. A 16th are 128 frames.
    for (let frame = 0; frame < 128; frame++) a.put(1, frame, 0);
    assert.equal(a.words[a.treesAt]! & 0x1fffffff, 128, 'counted in the tree');
    a.put(1, 128, 0);
    a.put(1, 129, 0);
    validateLLFree(a);
    assert.equal(a.words[a.treesAt]! & 0x1fffffff, 0x10000000, 'reserved, all counted locally');
    assert.equal(a.words[a.localsAt + 16]! & 0xfff, 130);
  });

  it('as published: four frees in a row come before the one that reserves', () => {
    const a = make({ frames: 2 * 2048, cores: 2, treeChildren: 4, design: 'atc23' });
    for (let i = 0; i < 4096; i++) a.get(0, 0);
    // Core 0 frees in its own tree, the second, in between: no two in a row.
    for (let frame = 0; frame < 200; frame++) {
      a.put(0, frame, 0);
      a.put(0, 2048 + frame, 0);
    }
    for (let frame = 200; frame < 204; frame++) a.put(1, frame, 0);
    assert.equal(a.words[a.localsAt + 16], 0, 'not yet');
    a.put(1, 204, 0);
    assert.notEqual(a.words[a.localsAt + 16], 0);
    validateLLFree(a);
  });

  it('reservations of all cores come back by drain', () => {
    const a = make({ frames: 8 * 2048, cores: 4 });
    for (let core = 0; core < 4; core++) assert.equal(a.put(core, a.get(core, 0), 0), 0);
    a.drain();
    validateLLFree(a);
    for (let tree = 0; tree < 8; tree++)
      assert.equal(a.words[a.treesAt + tree]! & 0x1fffffff, 2048);
  });

  it('the published sizes: 33 KiB for each GiB', () => {
    const frames = 2 ** 18;
    const lowerBytes = frames / 8 + (frames / 512) * 2 + 64;
    const a = make({ frames, cores: 1, design: 'atc23' });
    assert.equal(a.lowerBytes, lowerBytes);
    // 16 trees of 4 bytes, and a line for the core.
    assert.equal(LLFree.bytesFor({ frames, cores: 1, design: 'atc23' }), lowerBytes + 64 + 64);
  });

  it('an allocator in the middle of a buffer keeps to its place', () => {
    const bytes = LLFree.bytesFor(options);
    const buffer = new SharedArrayBuffer(bytes + 2 * 64);
    const whole = new Int32Array(buffer);
    whole.fill(0x5a5a5a5a);
    LLFree.format(buffer, options, true, 64);
    const a = LLFree.attach(buffer, true, 64);
    for (let i = 0; i < 4096; i++) assert.ok(a.get(0, 0) >= 0);
    assert.equal(a.get(0, 0), -Errno.ENOMEM);
    const b = recoverLLFree(buffer, true, 64);
    assert.equal(b.freeFrames(), 0);
    const outside = [...whole.subarray(0, 16), ...whole.subarray(16 + bytes / 4)];
    assert.deepEqual(new Set(outside), new Set([0x5a5a5a5a]));
    assert.equal(outside.length, 32);
  });

  it('options and buffers that cannot be are refused', () => {
    for (const bad of [
      { frames: 0, cores: 1 },
      { frames: 2 ** 30 + 1, cores: 1 },
      { frames: 512, cores: 0 },
      { frames: 512, cores: 1, treeChildren: 3 },
      { frames: 512, cores: 1, design: 'atc23', classes: 2 },
    ] as const) {
      assert.throws(() => LLFree.bytesFor(bad), InputError);
    }
    assert.throws(() => LLFree.attach(new SharedArrayBuffer(4096)), InputError);
    const a = make(options);
    const cut = (a.words.buffer as SharedArrayBuffer).slice(0, 512);
    assert.throws(() => LLFree.attach(cut), InputError);
    assert.throws(() => recoverLLFree(new SharedArrayBuffer(64)), InputError);
  });
});

describe('llfree: against a model', () => {
  it('one worker: every answer is a right one, and memory is out only when it is', (t) => {
    const random = new Random(seedOf(t));
    for (let round = 0; round < 40; round++) {
      const options = anyOptions(random, 12);
      const a = make(options, random.chance(0.5));
      const model = new Model(options.frames);
      const held: Held[] = [];
      const wanted = random.pick([0.3, 0.55, 0.9]);
      for (let i = 0; i < 1500; i++) {
        const core = random.below(options.cores);
        if (random.chance(wanted)) getOne(a, model, held, core, random);
        else putOne(a, model, held, core, random);
      }
      assert.equal(a.freeFrames(), model.freeFrames);
      assert.equal(a.freeHugeFrames(), model.freeHugeFrames);
      validateLLFree(a);
    }
  });

  it('cores that lose the processor at any atomic step hand out nothing twice', (t) => {
    const random = new Random(seedOf(t));
    for (let round = 0; round < 250; round++) interleave(random);
  });
});

function getOne(a: LLFree, model: Model, held: Held[], core: number, random: Random): void {
  const order = anyOrder(random, a.treeShift);
  const cls = random.chance(0.8) ? a.defaultClass(order) : random.below(a.classes);
  const frame = a.get(core, order, cls);
  if (frame < 0) {
    assert.equal(frame, -Errno.ENOMEM);
    assert.ok(!model.hasRun(order), `order ${order}: out of memory with a run left`);
    return;
  }
  model.get(frame, order);
  held.push({ frame, order });
}

function putOne(a: LLFree, model: Model, held: Held[], core: number, random: Random): void {
  let one = takeAny(held, random);
  if (one === undefined || random.chance(0.1)) {
    // Anything: mostly wrong, or a part of what is held by others.
    if (one !== undefined) held.push(one);
    one = { frame: random.between(-1, a.frames), order: random.below(a.treeShift + 1) };
  }
  const isRight = model.put(one.frame, one.order);
  assert.equal(a.put(core, one.frame, one.order), isRight ? 0 : -Errno.EINVAL);
}

function takeAny(held: Held[], random: Random): Held | undefined {
  if (held.length === 0) return undefined;
  const i = random.below(held.length);
  const one = held[i]!;
  held[i] = held.at(-1)!;
  held.pop();
  return one;
}

/** Whole operations of other cores happen inside an operation, up to three deep. */
function interleave(random: Random): void {
  const options: LLFreeOptions = { ...anyOptions(random, 6), cores: 4 };
  const a = make(options, true);
  const { buffer } = a.words;
  const handles = [0, 1, 2, 3].map(() => LLFree.attach(buffer));
  const used = new Uint8Array(options.frames);
  const held: Held[] = [];
  const fill = random.pick([0.4, 0.6, 0.95]);
  const odds = random.pick([0.02, 0.1, 0.3]);
  let depth = 0;
  const operation = (core: number): void => {
    const handle = handles[core]!;
    if (random.chance(fill)) {
      const order = anyOrder(random, a.treeShift);
      const frame = handle.get(core, order);
      if (frame < 0) return;
      const run = used.subarray(frame, frame + 2 ** order);
      assert.ok(run.length === 2 ** order && !run.includes(1), `frame ${frame}: handed out twice`);
      run.fill(1);
      held.push({ frame, order });
      return;
    }
    const one = takeAny(held, random);
    if (one === undefined) return;
    // Who waits for another's split would wait for ever inside it.
    const isSplitting = (childEntry(a, one.frame >> 9) & 0x4000) !== 0;
    const part = one.order > 0 && !isSplitting && random.chance(0.3);
    if (isSplitting) {
      held.push(one);
      return;
    }
    const order = part ? one.order - 1 : one.order;
    if (part) held.push({ frame: one.frame + 2 ** order, order });
    used.fill(0, one.frame, one.frame + 2 ** order);
    assert.equal(handle.put(core, one.frame, order), 0, `frame ${one.frame} is in use`);
  };
  const before = (): void => {
    if (depth >= 3 || !random.chance(odds)) return;
    depth += 1;
    // Several of one core: what it takes there it can give back there, in parts.
    do operation(depth);
    while (random.chance(0.4));
    depth -= 1;
  };
  withSteps(buffer, { before }, () => {
    for (let i = 0; i < 400; i++) operation(0);
  });
  validateLLFree(a);
  assert.equal(a.freeFrames(), used.filter((u) => u === 0).length, 'no frame is lost');
  for (const { frame, order } of held) assert.equal(a.put(0, frame, order), 0);
  a.drain();
  validateLLFree(a);
  assert.equal(a.freeFrames(), options.frames);
}

function childEntry(a: LLFree, child: number): number {
  return (a.words[a.childrenAt + (child >> 1)]! >>> ((child & 1) * 16)) & 0xffff;
}
