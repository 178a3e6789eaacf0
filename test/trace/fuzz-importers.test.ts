import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { InputError, Random } from '../../src/base/index.ts';
import {
  copyTrace,
  importPerfScript,
  importStrace,
  importTracefs,
  openTrace,
  TextWriter,
  type TraceReader,
} from '../../src/trace/index.ts';
import { seedOf } from './arbitrary-trace.ts';

const unpack = (name: string): string =>
  gunzipSync(readFileSync(`test/trace/fixtures/${name}`)).toString();

const MAPS = unpack('gcc-compile.maps.gz');
const STATUS = readFileSync('test/trace/fixtures/gcc-compile.status.txt', 'utf8');
const TRACEFS = unpack('gcc-compile.trace.gz').trimEnd().split('\n');
const STRACE = [
  '10 1.000001 brk(NULL) = 0x5574bd229000',
  '10 1.000002 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000',
  '10 1.000003 clone(child_stack=NULL, flags=SIGCHLD, child_tidptr=0x7f13c0ea4510) = 11',
  '11 1.000004 madvise(0x7f0000000000, 4096, MADV_DONTNEED <unfinished ...>',
  '10 1.000005 mremap(0x7f0000000000, 8192, 16384, MREMAP_MAYMOVE) = 0x7f0000020000',
  '11 1.000006 <... madvise resumed>) = 0',
  '11 1.000007 execve("/bin/x", ["x"], 0x7ff /* 3 vars */) = 0',
  '11 1.000008 +++ exited with 0 +++',
];
const PERF = [
  'sh 10/10 1.000000: PERF_RECORD_COMM exec: sh:10/10',
  'sh 10/10 1.000001: PERF_RECORD_MMAP2 10/10: [0x400000(0x2000) @ 0 fe:00 1 2]: r-xp /bin/sh',
  'sh 10/10 1.000002: page-faults: 400123 ffffffff81000000',
  'sh 10/10 1.000004: PERF_RECORD_FORK(12:12):(10:10)',
  'sh 12/12 1.000005: page-faults: 7f0000001123 400000',
  'sh 12/12 1.000006: PERF_RECORD_EXIT(12:12):(10:10)',
];

/** Changes, drops, doubles, swaps lines, and letters in them. */
function damage(lines: readonly string[], random: Random): string[] {
  const start = random.below(lines.length);
  const part = lines.slice(start, start + 400);
  for (let times = 1 + random.below(8); times > 0; times--) {
    const at = random.below(part.length);
    const line = part[at] ?? '';
    const letter = random.below(line.length + 1);
    const kind = random.below(5);
    if (kind === 0) part.splice(at, 1);
    else if (kind === 1) part.splice(random.below(part.length + 1), 0, line);
    else if (kind === 2)
      part[at] = line.slice(0, letter) + line.slice(letter + 1 + random.below(4));
    else if (kind === 3)
      part[at] = line.replace(/[0-9a-f]/g, (d) => (random.chance(0.05) ? 'f' : d));
    else
      part[at] =
        line.slice(0, letter) + random.pick(['0', 'f', '-1', ' ', '(', ', ']) + line.slice(letter);
  }
  return part;
}

test('a damaged recording is converted to a readable trace, or refused with one line', (t) => {
  const random = new Random(seedOf(t));
  const importers: [lines: readonly string[], run: (trace: string[]) => TraceReader][] = [
    [TRACEFS, (trace) => importTracefs({ trace, maps: MAPS, status: STATUS, name: 'rec' })],
    [TRACEFS, (trace) => importTracefs({ trace, name: 'rec' })],
    [STRACE, (trace) => importStrace({ trace, name: 'rec' })],
    [PERF, (trace) => importPerfScript({ trace, name: 'rec' })],
  ];
  let refused = 0;
  for (let round = 0; round < 400; round++) {
    const [lines, run] = importers[round % importers.length]!;
    const trace = damage(lines, random);
    try {
      const reader = run(trace);
      const out: Uint8Array[] = [];
      const written = copyTrace(reader, new TextWriter((bytes) => out.push(bytes), reader.header));
      const again = openTrace('written', out);
      let read = 0;
      while (again.next() !== null) read++;
      assert.equal(read, written);
    } catch (error) {
      assert.ok(error instanceof InputError, `round ${round}: ${(error as Error).stack}`);
      assert.match(error.message, /^rec(?:\.\w+)?:[^\n]+$/, `round ${round}`);
      refused++;
    }
  }
  t.diagnostic(`${refused} of 400 refused`);
});
