import assert from 'node:assert/strict';
import { MADV_DONTNEED } from '../../src/base/index.ts';
import {
  INGENS_ARTIFACT_DEFAULTS,
  INGENS_DEFAULTS,
  type IngensOptions,
  ingensWith,
  type Machine,
  type Process,
  RELEASED,
  System,
} from '../../src/engine/index.ts';
import { entryWord } from '../../src/engine/tables/leaf.ts';
import { leafWord } from '../../src/engine/tables/walk.ts';

/** A machine with Ingens whose time the test moves on, and processes with slots of 2 MiB. */
export const PAGE = 4096;
export const SLOT = 512 * PAGE;
export const AT = 0x10000000000;
const ANON = 0x4032;
const SECOND = 1e9;
/** More than any region can have in use: nothing is promoted. */
export const NEVER = 101;

export interface Bench {
  readonly system: System;
  readonly machine: Machine;
  tick(seconds: number): void;
  counts(): Record<string, number>;
}

export interface BenchOptions {
  readonly isReleased?: boolean;
  readonly memoryMiB?: number;
  readonly options?: Partial<IngensOptions>;
  readonly shares?: Readonly<Record<number, number>>;
}

export function benchOf(given: BenchOptions = {}): Bench {
  const { isReleased = false, memoryMiB = 64, options = {}, shares = {} } = given;
  const system = new System({ nodeBytes: [memoryMiB * 2 ** 20], bufferMiB: 64 });
  const { machine } = system;
  const own = new Map(Object.entries(shares).map(([pid, share]) => [Number(pid), share]));
  const mechanism = isReleased
    ? ingensWith({ ...INGENS_ARTIFACT_DEFAULTS, ...options }, RELEASED, own)
    : ingensWith({ ...INGENS_DEFAULTS, ...options }, undefined, own);
  mechanism.attach(machine, 1);
  return {
    system,
    machine,
    tick: (seconds) => machine.events.returnToUser?.(machine, 0, seconds * SECOND),
    counts: () => mechanism.counters?.(machine) ?? {},
  };
}

export function spawn(system: System, pid: number, slots: number): Process {
  const process = system.spawn(pid);
  assert.equal(process.mmap(AT, slots * SLOT, 3, ANON), AT);
  return process;
}

export function hugePages(process: Process): number {
  return (process.counters().anonHugeKiB ?? 0) / 2048;
}

/** Fills slots [from, to) and gives every second page back: they are half in use. */
export function halve(process: Process, from: number, to: number): void {
  process.touch(AT + from * SLOT, true, (to - from) * 512);
  giveBackHalf(process, from, to);
}

/** Every second page of slots [from, to). */
export function giveBackHalf(process: Process, from: number, to: number): void {
  for (let page = from * 512; page < to * 512; page += 2) {
    process.madvise(AT + page * PAGE, PAGE, MADV_DONTNEED);
  }
}

/** The frame of a page that is present. */
export function frameOf(machine: Machine, process: Process, addr: number): number {
  const page = addr / PAGE;
  const hi = Math.floor(page / machine.loPages);
  const lo = page - hi * machine.loPages;
  return entryWord(machine, leafWord(machine, process.mm, hi, lo), lo & machine.mask);
}
