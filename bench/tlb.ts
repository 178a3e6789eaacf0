import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { AddressBatch, CapabilityError } from '../src/base/index.ts';
import { findGenerator, makeHardware, openGenerator } from '../src/lab/index.ts';
import { type AddressSource, LackeySource } from '../src/trace/index.ts';
import { type Bench, measurePair, type Side } from './measure.ts';
import { makeTemporary, removeTemporary } from './temporary.ts';

/** What translation should reach at least, in accesses a second. */
const LACKEY_GOAL = 70_000_000;
const UNIFORM_GOAL = 20_000_000;
/** Two levels and walks. */
const PRESET = 'skylake';
/** The traced program: prints numbers up to its argument; on every Linux, and always the same. */
const PROGRAM = 'seq';
const CHUNK_BYTES = 1 << 20;

/**
 * Accesses that are in memory, through a two-level TLB with page walks: a lackey trace of a real
 * program, and uniformly random pages; and cachegrind on the same program.
 */
export async function benchTlb(bench: Bench): Promise<void> {
  const unit = 'accesses/s';
  const { tlbAccesses } = bench.options;
  const uniform = batchesOf(
    openGenerator(findGenerator('uniform')!, new Map([['accesses', String(tlbAccesses)]]), 1),
  );
  await measurePair(
    bench,
    { name: 'tlb/uniform', what: 'uniformly random pages of 1 GiB', peer: 'goal', unit },
    translateSide(uniform),
    { run: () => UNIFORM_GOAL },
  );
  const reason = whyNoValgrind();
  if (reason !== null) {
    bench.onNote(`tlb/lackey and tlb/cachegrind are left out: ${reason}`);
    return;
  }
  const count = Math.max(1, Math.round(tlbAccesses / 200));
  const what = `lackey's trace of ${PROGRAM} ${count}`;
  const { data, all } = traceProgram(count);
  await measurePair(
    bench,
    { name: 'tlb/lackey', what: `${what}, loads and stores`, peer: 'goal', unit },
    translateSide(data),
    { run: () => LACKEY_GOAL },
  );
  await measurePair(
    bench,
    { name: 'tlb/cachegrind', what: `${what}, instructions too`, peer: 'cachegrind', unit },
    translateSide(all),
    { run: () => cachegrindRate(count * CACHEGRIND_FACTOR) },
  );
}

/** All accesses of a source. */
interface Loaded {
  readonly batches: readonly AddressBatch[];
  readonly accesses: number;
}

function batchesOf(source: AddressSource): Loaded {
  const { translator } = makeHardware({ preset: PRESET });
  const batches: AddressBatch[] = [];
  let accesses = 0;
  for (;;) {
    const batch = new AddressBatch(4096, translator.merging);
    if (!source.fill(batch)) return { batches, accesses };
    batches.push(batch);
    accesses += batch.accesses;
  }
}

function translateSide({ batches, accesses }: Loaded): Side {
  const { translator } = makeHardware({ preset: PRESET });
  const run = (seconds: number): number => {
    const startMs = performance.now();
    let passes = 0;
    let elapsedMs = 0;
    do {
      for (const batch of batches) translator.run(batch);
      passes += 1;
      elapsedMs = performance.now() - startMs;
    } while (elapsedMs < seconds * 1000);
    return ((accesses * passes) / elapsedMs) * 1000;
  };
  return {
    run,
    warmUp: () => {
      run(0);
    },
  };
}

/** Why there is no trace of lackey; null if there can be one. */
function whyNoValgrind(): string | null {
  const isThere = (name: string): boolean =>
    (process.env['PATH'] ?? '').split(delimiter).some((dir) => existsSync(join(dir, name)));
  if (!isThere('valgrind')) return 'valgrind is not installed';
  return isThere(PROGRAM) ? null : `there is no program ${PROGRAM}`;
}

/** The program's loads and stores, and those with its fetches, both in the order of execution. */
function traceProgram(count: number): { data: Loaded; all: Loaded } {
  const folder = makeTemporary('pagelab-tlb-');
  const path = join(folder, 'trace');
  try {
    valgrind(['--tool=lackey', '--trace-mem=yes', `--log-file=${path}`], count);
    const open = (hasFetches: boolean): Loaded =>
      batchesOf(new LackeySource(readChunks(path), { name: 'lackey', hasFetches }));
    return { data: open(false), all: open(true) };
  } finally {
    removeTemporary(folder);
  }
}

/** Runs valgrind on the program; returns what it says and the time it took. */
function valgrind(args: readonly string[], count: number): { text: string; seconds: number } {
  const startMs = performance.now();
  const { status, stderr } = spawnSync('valgrind', [...args, PROGRAM, String(count)], {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status !== 0) throw new CapabilityError(`valgrind failed on ${PROGRAM}: ${stderr}`);
  return { text: stderr, seconds: (performance.now() - startMs) / 1000 };
}

/** cachegrind runs longer than the trace is, so that its speed counts and not its start. */
const CACHEGRIND_FACTOR = 200;

/** References a second of cachegrind, its start and that of the program taken off. */
function cachegrindRate(count: number): number {
  const args = ['--tool=cachegrind', '--cache-sim=yes', '--cachegrind-out-file=/dev/null'];
  const short = valgrind(args, 1);
  const long = valgrind(args, count + 1);
  const references = referencesOf(long.text) - referencesOf(short.text);
  return references / Math.max(1e-3, long.seconds - short.seconds);
}

/** `I refs: 1,234` and `D refs: 5,678` of cachegrind's summary. */
function referencesOf(text: string): number {
  const counts = [...text.matchAll(/[ID] +refs: +([\d,]+)/g)];
  if (counts.length !== 2) throw new CapabilityError('cachegrind printed no counts of references');
  return counts.reduce((sum, [, digits]) => sum + Number(digits?.replaceAll(',', '')), 0);
}

function* readChunks(path: string): Iterable<Uint8Array> {
  const fd = openSync(path, 'r');
  try {
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      const bytes = readSync(fd, chunk, 0, CHUNK_BYTES, null);
      if (bytes === 0) return;
      yield chunk.subarray(0, bytes);
    }
  } finally {
    closeSync(fd);
  }
}
