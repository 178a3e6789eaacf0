import { assert, type Random } from '../../base/index.ts';
import { buddyAlloc, buddyFree } from '../../engine/frames/buddy.ts';
import { MIGRATE_MOVABLE } from '../../engine/frames/pageblock.ts';
import { zoneAt } from '../../engine/frames/zones.ts';
import {
  freeBlocksOf,
  HUGE_FRAMES,
  HUGE_ORDER,
  LLFree,
  type LLFreeOptions,
  Machine,
} from '../../engine/index.ts';
import { Z_FREE } from '../../engine/layout.ts';

/**
 * LLFree's benchmark `frag` (USENIX ATC 2023): memory is filled with single frames, these are dealt
 * out to the cores at random, and half are freed; then each round frees some and takes as many. How
 * many huge frames are free in the end says how well the allocator keeps them together. One thread
 * plays all cores, in turns, so that a seed gives one result.
 */
export interface FragAllocator {
  /** A frame, or a negative number. */
  get(core: number): number;
  put(core: number, frame: number): void;
  freeFrames(): number;
  /** Of 512 frames each. */
  freeHugeFrames(): number;
}

export interface FragOptions {
  readonly cores: number;
  /** Part of all frames that is in use before half of it is freed. The paper: 0.9. */
  readonly filled: number;
  /** The paper: 100. */
  readonly rounds: number;
  /** Part of the frames in use that a round frees and takes again. The paper: 0.1. */
  readonly turnover: number;
}

export const FRAG_DEFAULTS: FragOptions = { cores: 8, filled: 0.9, rounds: 100, turnover: 0.1 };

export interface FragResult {
  /** Huge frames that the free frames would make if they lay together. */
  readonly possible: number;
  /** Those that are free: after the half was freed, and after each round. */
  readonly free: number[];
}

export function frag(a: FragAllocator, random: Random, options: FragOptions): FragResult {
  const { cores, filled, rounds, turnover } = options;
  const held = new Int32Array(Math.floor(a.freeFrames() * filled));
  for (let i = 0; i < held.length; i++) held[i] = took(a.get(i % cores));
  shuffle(held, random);
  let count = held.length >> 1;
  for (let i = count; i < held.length; i++) a.put(i % cores, held[i] as number);
  const free = [a.freeHugeFrames()];
  const changes = Math.floor(count * turnover);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < changes; i++) {
      const at = random.below(count);
      a.put(i % cores, held[at] as number);
      count -= 1;
      held[at] = held[count] as number;
    }
    for (let i = 0; i < changes; i++) held[count++] = took(a.get(i % cores));
    free.push(a.freeHugeFrames());
  }
  return { possible: Math.floor(a.freeFrames() / HUGE_FRAMES), free };
}

function took(frame: number): number {
  assert(frame >= 0, 'there are more frames than frag asks for');
  return frame;
}

function shuffle(values: Int32Array, random: Random): void {
  for (let i = values.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const value = values[i] as number;
    values[i] = values[j] as number;
    values[j] = value;
  }
}

export function fragLLFree(options: LLFreeOptions): FragAllocator {
  const a = LLFree.format(new ArrayBuffer(LLFree.bytesFor(options)), options, false);
  return {
    get: (core) => a.get(core, 0),
    put: (core, frame) => assert(a.put(core, frame, 0) === 0, 'a frame in use is freed'),
    freeFrames: () => a.freeFrames(),
    freeHugeFrames: () => a.freeHugeFrames(),
  };
}

/** The engine's buddy, one zone and migrate type, without per-cpu lists; `frames` below 4 GiB. */
export function fragBuddy(frames: number): FragAllocator {
  const machine = Machine.create({ nodeBytes: [frames * 4096] });
  assert(machine.zoneCount === 1, 'one zone');
  const zone = zoneAt(machine, 0);
  return {
    // Frame 0 is "none".
    get: () => buddyAlloc(machine, zone, 0, MIGRATE_MOVABLE) || -1,
    put: (_core, frame) => buddyFree(machine, zone, frame, 0),
    freeFrames: () => machine.words[zone + Z_FREE] as number,
    freeHugeFrames: () => freeBlocksOf(machine, 0, HUGE_ORDER),
  };
}
