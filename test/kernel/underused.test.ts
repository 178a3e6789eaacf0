import assert from 'node:assert/strict';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { Random } from '../../src/base/index.ts';
import { type Process, System, splitDeferred, validateMachine } from '../../src/engine/index.ts';
import { Puppet, whyNoHugePages } from '../../src/host/index.ts';
import { seedOf } from '../seed.ts';
import { skipReason } from './needs-kernel.ts';

/**
 * Huge pages that are mostly zeros, and others that wait to be split, under memory pressure: in the
 * engine and in a memory cgroup of the running kernel, all of whose shrinkers are asked by force_empty.
 * Needs cgroups of version 1, no swap (else pages leave too), and root; max_ptes_none is put back.
 */
const GROUPS = '/sys/fs/cgroup/memory';
const MAX_PTES_NONE = '/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none';
const PAGE = 4096;
const HUGE = 512 * PAGE;
const AT = 0x100000000000;
const SLOTS = 8;
const ANON = 0x4032;
const [SYS_MMAP, SYS_MADVISE, SYS_MLOCK] = [9, 28, 149];
const [MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE] = [4, 8, 14];
const [MADV_COLD, MADV_PAGEOUT, MADV_COLLAPSE] = [20, 21, 25];

function whyNot(): string | false {
  const reason = skipReason() || whyNoHugePages();
  if (reason) return reason;
  if (!existsSync(`${GROUPS}/memory.force_empty`)) return 'needs memory cgroups of version 1';
  if (readFileSync('/proc/swaps', 'utf8').trim().split('\n').length > 1) return 'needs no swap';
  return underusedSplits() < 0 ? 'this kernel does not look for underused huge pages' : false;
}

/** thp_underused_split_page; -1 where there is no such counter. */
function underusedSplits(): number {
  const found = /^thp_underused_split_page (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'));
  return found === null ? -1 : Number(found[1]);
}

/** One program in both. */
class Twin {
  readonly system: System;
  readonly #puppet: Puppet;
  readonly #process: Process;
  readonly #group: string;
  readonly #baseKiB: number;
  readonly #splitsBefore: number;
  readonly #memory: number;

  constructor(maxPtesNone: number, group: string) {
    this.#group = group;
    const khugepaged = {
      ...{ pagesToScan: 4096, scanSleepMs: 10_000, allocSleepMs: 60_000, maxPtesNone },
      ...{ maxPtesSwap: 64, maxPtesShared: 256 },
    };
    this.system = new System({
      hasContents: true,
      huge: { enabled: 'madvise', khugepaged },
      nodeBytes: [128 * 2 ** 20],
      bufferMiB: 64,
    });
    this.#process = this.system.spawn(1);
    this.#puppet = Puppet.start({ hasHugePages: true });
    writeFileSync(`${group}/cgroup.procs`, `${this.#puppet.pid}`);
    this.#memory = openSync(`/proc/${this.#puppet.pid}/mem`, 'r+');
    this.#baseKiB = this.#puppet.status().rssAnonKiB;
    this.#splitsBefore = underusedSplits();
    this.#puppet.syscall(SYS_MMAP, AT, SLOTS * HUGE, 3, ANON, -1, 0);
    this.#process.mmap(AT, SLOTS * HUGE, 3, ANON);
    this.advise(0, SLOTS * 512, MADV_HUGEPAGE);
  }

  fill(first: number, count: number, content: number): void {
    const page = Buffer.alloc(PAGE, content);
    for (let i = first; i < first + count; i++)
      writeSync(this.#memory, page, 0, PAGE, AT + i * PAGE);
    this.#process.fill(AT + first * PAGE, content, count);
  }

  read(first: number): void {
    this.#puppet.touch(AT + first * PAGE, false);
    this.#process.touch(AT + first * PAGE, false);
  }

  advise(first: number, count: number, advice: number): void {
    const args = [AT + first * PAGE, count * PAGE, advice] as const;
    assert.equal(this.#process.madvise(...args), this.#puppet.syscall(SYS_MADVISE, ...args));
  }

  lock(first: number, count: number): void {
    this.#puppet.syscall(SYS_MLOCK, AT + first * PAGE, count * PAGE);
    this.#process.mlock(AT + first * PAGE, count * PAGE);
  }

  /** Memory is short. */
  press(): void {
    writeFileSync(`${this.#group}/memory.force_empty`, '0');
    splitDeferred(this.system.machine, Number.POSITIVE_INFINITY);
    this.system.machine.forgetWalk();
  }

  compare(after: string): void {
    const { rssAnonKiB, anonHugeKiB, presentPages } = this.#process.counters();
    const { present } = this.#puppet.pages(AT, AT + SLOTS * HUGE);
    const engine = [rssAnonKiB, anonHugeKiB, presentPages, this.system.machine.underusedSplits];
    const kernel = [
      this.#puppet.status().rssAnonKiB - this.#baseKiB,
      this.#puppet.anonHugeKiB(),
      present,
      underusedSplits() - this.#splitsBefore,
    ];
    assert.deepEqual(engine, kernel, after);
    validateMachine(this.system.machine);
  }

  close(): void {
    closeSync(this.#memory);
    this.#puppet.kill();
  }
}

/** Runs with max_ptes_none set and a cgroup of its own; one test at a time, of all runs of the suite. */
async function withTwin(maxPtesNone: number, run: (twin: Twin) => void): Promise<void> {
  const lock = createServer();
  for (let isMine = false; !isMine; ) {
    isMine = await new Promise<boolean>((resolve) => {
      lock.once('error', () => setTimeout(() => resolve(false), 200));
      lock.listen('\0pagelab-underused', () => resolve(true));
    });
  }
  const before = readFileSync(MAX_PTES_NONE, 'utf8');
  const group = `${GROUPS}/pagelab-${process.pid}`;
  mkdirSync(group);
  try {
    writeFileSync(MAX_PTES_NONE, `${maxPtesNone}`);
    const twin = new Twin(maxPtesNone, group);
    try {
      run(twin);
    } finally {
      twin.close();
    }
  } finally {
    writeFileSync(MAX_PTES_NONE, before);
    rmdirSync(group);
    lock.close();
  }
}

const skip = whyNot();

for (const [maxPtesNone, filled] of [
  [409, [0, 100, 102, 103, 512]],
  [511, [0, 1, 2, 512]],
  [510, [0, 1, 2, 512]],
  [0, [510, 511, 512]],
] as const) {
  test(`kernel, underused huge pages: at most ${maxPtesNone} zeros`, { skip }, async () => {
    await withTwin(maxPtesNone, (twin) => {
      filled.forEach((count, slot) => {
        twin.fill(slot * 512, 1, 0);
        twin.fill(slot * 512, count, 7);
      });
      twin.compare('filled');
      twin.press();
      twin.compare('split');
    });
  });
}

for (const advice of [MADV_FREE, MADV_COLD, MADV_PAGEOUT]) {
  test(`kernel, advice ${advice} about a part of a huge page splits it`, { skip }, async () => {
    await withTwin(511, (twin) => {
      twin.fill(0, 1, 7);
      twin.fill(512, 512, 7);
      twin.advise(1, 1, advice);
      twin.compare('with zeros');
      twin.advise(512, 1, advice);
      twin.compare('without');
    });
  });
}

test('kernel, huge pages that wait to be split: random programs', { skip }, async (t) => {
  const seed = seedOf(t);
  const random = new Random(seed);
  for (const maxPtesNone of [random.pick([100, 300, 409, 511]), 409]) {
    await withTwin(maxPtesNone, (twin) => {
      for (let step = 0; step < 40; step++) {
        const slot = random.below(SLOTS) * 512;
        const first = slot + random.below(512);
        const count = 1 + random.below(Math.min(300, slot + 512 - first));
        const roll = random.below(100);
        const what = `step ${step}, ${roll}: pages ${first} to ${first + count}`;
        if (roll < 45) twin.fill(first, count, random.below(3));
        else if (roll < 55) twin.read(first);
        else if (roll < 70) twin.advise(first, count, MADV_DONTNEED);
        else if (roll < 76) twin.advise(slot, 512, MADV_DONTNEED);
        else if (roll < 82) twin.advise(slot, 512, MADV_COLLAPSE);
        else if (roll < 84) twin.lock(first, count);
        else if (roll < 87) twin.advise(first, count, random.pick([MADV_COLD, MADV_PAGEOUT]));
        else twin.press();
        twin.compare(what);
      }
    });
  }
});
