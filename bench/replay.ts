import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InputError } from '../src/base/index.ts';
import { parseKernel, replay } from '../src/lab/index.ts';
import { openTrace, type TraceReader } from '../src/trace/index.ts';
import { type Bench, measureAlone, measurePair, type Side } from './measure.ts';

/** From dist/bench. */
const RECORDINGS_DIR = fileURLToPath(new URL('../../recordings', import.meta.url));
const ENDING = '.pagelab';
/** What a replay should reach at least, in events a second. */
const GOAL = 2_000_000;
const KERNEL = parseKernel('linux-6.18');
/** One object: a clock that is another function each time would be compiled for anew. */
const OPTIONS = { nowMs: () => performance.now() };
const WARM_UP_SECONDS = 1;

/** A recording in memory. */
interface Recording {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Events a second from the binary form: read and executed, and read only. */
export async function benchReplay(bench: Bench): Promise<void> {
  const recordings = bundledRecordings();
  const all = { peer: 'goal', unit: 'events/s' } as const;
  const goal: Side = { run: () => GOAL };
  for (const { name, bytes } of recordings) {
    const head = { name: `replay/${name}`, what: `${name} read and executed`, ...all };
    await measurePair(bench, head, rateSide(bench, [{ name, bytes }], execute), goal);
  }
  const together = `all ${recordings.length} recordings, one after the other`;
  const head = { name: 'replay/all', what: `${together}, read and executed`, ...all };
  await measurePair(bench, head, rateSide(bench, recordings, execute), goal);
  await measureAlone(
    bench,
    { name: 'replay/decode', what: `${together}, read only`, peer: 'none', unit: 'events/s' },
    rateSide(bench, recordings, decode),
  );
}

function bundledRecordings(): Recording[] {
  const files = readdirSync(RECORDINGS_DIR).filter((file) => file.endsWith(ENDING));
  if (files.length === 0) throw new InputError(`${RECORDINGS_DIR}: no recordings`);
  return files.sort().map((file) => ({
    name: basename(file, ENDING),
    bytes: readFileSync(join(RECORDINGS_DIR, file)),
  }));
}

/** Runs through the recordings until the time is used; events a second. */
function rateSide(
  bench: Bench,
  recordings: readonly Recording[],
  pass: (reader: TraceReader) => { events: number; ms: number },
): Side {
  const run = (seconds: number): number => {
    const endMs = performance.now() + seconds * 1000;
    let events = 0;
    let ms = 0;
    do {
      for (const { name, bytes } of recordings) {
        const done = pass(openTrace(name, [bytes]));
        events += done.events;
        ms += done.ms;
      }
    } while (performance.now() < endMs);
    return (events / ms) * 1000;
  };
  const warmUpSeconds = Math.min(WARM_UP_SECONDS, bench.options.seconds * bench.options.repeats);
  return {
    run,
    warmUp: () => {
      run(warmUpSeconds);
    },
  };
}

/** As `pagelab run` counts: from the first event to the last, without setting up the machine. */
function execute(reader: TraceReader): { events: number; ms: number } {
  const result = replay(reader, KERNEL, OPTIONS);
  return { events: result.events, ms: result.elapsedMs };
}

function decode(reader: TraceReader): { events: number; ms: number } {
  const startMs = performance.now();
  let events = 0;
  while (reader.next() !== null) events += 1;
  return { events, ms: performance.now() - startMs };
}
