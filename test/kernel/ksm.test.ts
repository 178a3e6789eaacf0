import assert from 'node:assert/strict';
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { test } from 'node:test';
import { MADV_DONTNEED, MADV_MERGEABLE, MADV_UNMERGEABLE, Random } from '../../src/base/index.ts';
import { type Process, System, validateMachine } from '../../src/engine/index.ts';
import { ENTRY_PAGE, ENTRY_ZERO, KIND_MASK } from '../../src/engine/tables/entry.ts';
import { entryFlags, entryWord } from '../../src/engine/tables/leaf.ts';
import { leafWord } from '../../src/engine/tables/walk.ts';
import { Puppet } from '../../src/host/puppet.ts';
import { seedOf } from '../seed.ts';
import { skipReason } from './needs-kernel.ts';

/**
 * The engine's samepage merging against the running kernel's: the same programs in both, ksmd let run
 * until nothing changes, then /sys/kernel/mm/ksm, RssAnon, and how many different frames the programs
 * have (pagemap). All settings are put back.
 */
const KSM = '/sys/kernel/mm/ksm';
const PAGE = 4096;
const AT = 0x100000000000;
const AWAY = AT + 2 ** 32;
const PAGES = 300;
const ANON = 0x4032;
const [SYS_MMAP, SYS_MREMAP, SYS_MADVISE] = [9, 25, 28];
const MREMAP_FIXED = 3;
const COUNTERS = ['pages_shared', 'pages_sharing', 'pages_unshared', 'pages_volatile'];

const read = (name: string): number => Number(readFileSync(`${KSM}/${name}`, 'utf8'));
const write = (name: string, value: number): void => writeFileSync(`${KSM}/${name}`, `${value}`);

function whyNoKsm(): string | false {
  const reason = skipReason();
  if (reason !== false) return reason;
  if (!existsSync(`${KSM}/run`)) return 'this kernel has no samepage merging';
  return existsSync(`${KSM}/smart_scan`) ? false : 'this kernel has no smart_scan';
}

/**
 * There is one ksmd: only one test may have it at a time, also of other runs of the suite. The abstract
 * socket goes with its process. Undefined where somebody else keeps it.
 */
async function takeKsmd(): Promise<Server | undefined> {
  for (let tries = 0; tries < 300; tries++) {
    const server = createServer();
    const isMine = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen('\0pagelab-ksmd', () => resolve(true));
    });
    if (isMine) return server;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return undefined;
}

/** Settings for the time of a test. */
function withSettings(settings: Record<string, number>, run: () => void): void {
  const before = Object.keys(settings).map((name) => [name, read(name)] as const);
  try {
    for (const [name, value] of Object.entries(settings)) write(name, value);
    run();
  } finally {
    // With pages still merged some settings cannot be changed.
    write('run', 2);
    for (const [name, value] of before) write(name, value);
    write('run', 0);
  }
}

/** Lets the kernel's ksmd finish `scans` scans that begin from now on. */
function scanKernel(scans: number): void {
  const until = read('full_scans') + scans + 1;
  write('run', 1);
  const deadline = Date.now() + 20_000;
  while (read('full_scans') < until) {
    assert.ok(Date.now() < deadline, 'ksmd does not run');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  }
  write('run', 0);
}

/** One program in both worlds. */
interface Twin {
  readonly puppet: Puppet;
  readonly process: Process;
  readonly baseKiB: number;
}

class Twins {
  readonly system: System;
  readonly all: Twin[] = [];
  #nextPid = 1;

  constructor(settings: { usesZeroPages: boolean; maxPageSharing: number }) {
    const ksm = { ...settings, isSmartScan: false };
    this.system = new System({ ksm, nodeBytes: [64 * 2 ** 20], bufferMiB: 64 });
  }

  spawn(): void {
    const puppet = Puppet.start();
    const process = this.system.spawn(this.#nextPid++);
    this.all.push({ puppet, process, baseKiB: puppet.status().rssAnonKiB });
    puppet.syscall(SYS_MMAP, AT, PAGES * PAGE, 3, ANON, -1, 0);
    process.mmap(AT, PAGES * PAGE, 3, ANON);
    this.advise(this.all.at(-1) as Twin, 0, PAGES, MADV_MERGEABLE);
  }

  fork(twin: Twin): void {
    const puppet = twin.puppet.fork();
    const process = this.system.fork(twin.process, this.#nextPid++);
    assert.ok(typeof puppet !== 'number' && process !== undefined);
    this.all.push({ puppet, process, baseKiB: twin.baseKiB });
  }

  exit(twin: Twin): void {
    this.all.splice(this.all.indexOf(twin), 1);
    twin.puppet.exit();
    this.system.exit(twin.process);
  }

  /** Big-endian, so that both compare pages alike. */
  fill({ puppet, process }: Twin, first: number, count: number, content: number): void {
    const page = Buffer.alloc(PAGE);
    page.writeUInt32BE(content);
    const fd = openSync(`/proc/${puppet.pid}/mem`, 'r+');
    for (let i = 0; i < count; i++) writeSync(fd, page, 0, PAGE, AT + (first + i) * PAGE);
    closeSync(fd);
    process.fill(AT + first * PAGE, content, count);
  }

  advise({ puppet, process }: Twin, first: number, count: number, advice: number): void {
    const args = [AT + first * PAGE, count * PAGE, advice] as const;
    assert.equal(process.madvise(...args), puppet.syscall(SYS_MADVISE, ...args));
  }

  touch({ puppet, process }: Twin, first: number, count: number): void {
    assert.equal(puppet.touchMany(AT + first * PAGE, false, count, PAGE), count);
    process.touch(AT + first * PAGE, false, count);
  }

  /** Away and back. */
  move({ puppet, process }: Twin, first: number, count: number): void {
    const here = AT + first * PAGE;
    const bytes = count * PAGE;
    for (const [from, to] of [
      [here, AWAY],
      [AWAY, here],
    ] as const) {
      assert.equal(puppet.syscall(SYS_MREMAP, from, bytes, bytes, MREMAP_FIXED, to), to);
      assert.equal(process.mremap(from, bytes, bytes, MREMAP_FIXED, to), to);
    }
  }

  scan(scans: number): void {
    scanKernel(scans);
    const ksmd = this.system.machine.ksm?.ksmd;
    for (const until = (ksmd?.scans ?? 0) + scans; ksmd !== undefined && ksmd.scans < until; ) {
      ksmd.scan(10_000);
    }
  }

  kernel(): unknown {
    const frames = new Set<number>();
    for (const { puppet } of this.all) for (const pfn of framesOf(puppet.pid)) frames.add(pfn);
    return {
      counters: COUNTERS.map(read),
      zeroPages: read('ksm_zero_pages'),
      rssAnonKiB: this.all.map(({ puppet, baseKiB }) => puppet.status().rssAnonKiB - baseKiB),
      frames: frames.size,
    };
  }

  engine(): unknown {
    const m = this.system.machine;
    const frames = new Set<number>();
    for (const { process } of this.all) {
      for (let i = 0; i < PAGES; i++) {
        const page = AT / PAGE + i;
        const hi = Math.floor(page / m.loPages);
        const leaf = leafWord(m, process.mm, hi, page - hi * m.loPages);
        const index = page % m.entryCount;
        const kind = leaf > 0 ? entryFlags(m, leaf, index) & KIND_MASK : 0;
        if (kind === ENTRY_PAGE) frames.add(entryWord(m, leaf, index));
        else if (kind === ENTRY_ZERO) frames.add(0);
      }
    }
    const counters = m.ksm?.counters();
    assert.ok(counters !== undefined);
    const { pagesShared, pagesSharing, pagesUnshared, pagesVolatile, zeroPages } = counters;
    return {
      counters: [pagesShared, pagesSharing, pagesUnshared, pagesVolatile],
      zeroPages,
      rssAnonKiB: this.all.map(({ process }) => process.counters().rssAnonKiB),
      frames: frames.size,
    };
  }

  compare(after: string): void {
    assert.deepEqual(this.engine(), this.kernel(), after);
    validateMachine(this.system.machine);
  }

  close(): void {
    for (const { puppet } of this.all) puppet.kill();
  }
}

/** Frames of the window's present pages. */
function framesOf(pid: number): number[] {
  const entries = Buffer.alloc(PAGES * 8);
  const fd = openSync(`/proc/${pid}/pagemap`, 'r');
  readSync(fd, entries, 0, entries.length, (AT / PAGE) * 8);
  closeSync(fd);
  const frames: number[] = [];
  for (let at = 0; at < entries.length; at += 8) {
    const high = entries.readUInt32LE(at + 4);
    if (high >>> 31 === 0) continue;
    frames.push((high & 0x7fffff) * 2 ** 32 + entries.readUInt32LE(at));
  }
  return frames;
}

function someStep(twins: Twins, random: Random): string {
  const twin = random.pick(twins.all);
  const first = random.below(PAGES);
  const count = 1 + random.below(Math.min(60, PAGES - first));
  const where = `program ${twins.all.indexOf(twin)}, pages ${first} to ${first + count}`;
  const roll = random.below(100);
  if (roll < 50) {
    const content = random.below(5);
    twins.fill(twin, first, count, content);
    return `fill ${content}: ${where}`;
  }
  if (roll < 60) {
    twins.touch(twin, first, count);
    return `read: ${where}`;
  }
  if (roll < 85) {
    const advice = random.pick([MADV_DONTNEED, MADV_MERGEABLE, MADV_UNMERGEABLE]);
    twins.advise(twin, first, count, advice);
    return `advice ${advice}: ${where}`;
  }
  if (roll < 92) {
    twins.move(twin, first, count);
    return `mremap: ${where}`;
  }
  if (roll < 96 && twins.all.length < 5) {
    twins.fork(twin);
    return `fork: ${where}`;
  }
  if (twins.all.length > 2) twins.exit(twin);
  return `exit: ${where}`;
}

const skip = whyNoKsm();
const FAST = { pages_to_scan: 100_000, sleep_millisecs: 1, smart_scan: 0 };

for (const usesZeroPages of [false, true]) {
  for (const maxPageSharing of [256, 8]) {
    const name = `kernel, samepage merging: zero pages ${usesZeroPages}, at most ${maxPageSharing}`;
    test(name, { skip }, async (t) => {
      const lock = await takeKsmd();
      t.after(() => lock?.close());
      if (lock === undefined || read('run') !== 0 || read('pages_shared') !== 0) {
        t.skip('samepage merging is in use here');
        return;
      }
      const seed = seedOf(t);
      const random = new Random(seed);
      const more = { use_zero_pages: usesZeroPages ? 1 : 0, max_page_sharing: maxPageSharing };
      withSettings({ ...FAST, ...more }, () => {
        const twins = new Twins({ usesZeroPages, maxPageSharing });
        try {
          for (let i = 0; i < 3; i++) twins.spawn();
          for (let round = 0; round < 12; round++) {
            const steps: string[] = [];
            for (let i = 0; i < 6; i++) {
              steps.push(someStep(twins, random));
              twins.compare(`round ${round}, before a scan: ${steps.join('; ')}`);
            }
            twins.scan(4);
            twins.compare(`round ${round}, after scans: ${steps.join('; ')}`);
          }
        } finally {
          twins.close();
        }
      });
    });
  }
}
