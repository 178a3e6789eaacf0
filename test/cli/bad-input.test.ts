import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Random } from '../../src/base/index.ts';
import { seedOf } from '../seed.ts';
import { assertRefused, PROGRAM, scratch, twoAtATime } from './command.ts';

/** What is wrong is said in one line, with the place, and the exit code is 2. */

const dir = scratch();
const HEAD = '{"pagelab":1,"source":"a test"}';
const MMAP =
  '{"op":"mmap","pid":1,"addr":"0x100000000000","len":4096,"prot":"rw","flags":"private,anon,fixed","ok":true}';
const recording = readFileSync('recordings/gcc-compile.pagelab');

function file(name: string, content: string | Uint8Array): string {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

test('wrong usage', { concurrency: true }, async () => {
  const cases: [string[], RegExp][] = [
    [['nonsense'], /nonsense/],
    [['run'], /missing required argument/],
    [['run', 'gcc-compile', '--nonsense'], /unknown option '--nonsense'/],
    [['run', 'gcc-compile', '-k', 'linux-9'], /linux-9.*linux-6\.18/],
    [['run', 'gcc-compile', '-k', 'linux+nope'], /nope.*pte-ref/],
    [['run', 'gcc-compile', '-m', 'nope'], /nope/],
    [['run', 'gcc-compile', '--set', 'nope=1'], /nope/],
    [['run', 'gcc-compile', '--seed', '-1'], /--seed -1: want a whole number/],
    [['run', 'no-such-recording'], /no-such-recording.*jemalloc-sparse.*real-case/],
    [['list', 'nope'], /nope/],
    [['dump', 'recordings/gcc-compile.pagelab', '-n', 'x'], /--events x: want a whole number/],
    [['import', 'x.trace', '--format', 'nope', '-o', 'y'], /nope.*tracefs, strace, perf/],
    [['import', 'x.trace', '--format', 'perf'], /-o, --output/],
    [['validate', '--ops', 'many'], /--ops many: want a whole number/],
    [['validate', '--ops', '0'], /--ops 0/],
    [['fragmentation', 'missing'], /missing: cannot be read/],
    [['fragmentation', 'package.json'], /package\.json:1: want 'Node N, zone NAME'/],
    [['fragmentation', '--order', '99'], /--order 99: want a whole number from 0 to/],
    [['fragmentation', '--zoneinfo', 'package.json'], /package\.json:1: no zones/],
    [['bench', 'nope'], /nope.*replay/],
    [['bench', '--repeats', '1'], /--repeats 1: want/],
  ];
  await twoAtATime(cases, ([args, message]) => assertRefused(args, message));
});

test('files that are no traces', async () => {
  const cases: [string, RegExp][] = [
    [join(dir, 'missing.pagelab'), /missing\.pagelab.* is no file/],
    [dir, /is a directory, want a file/],
    [file('empty', ''), /empty:1: .*the file is empty/],
    [file('text.ndjson', 'Hello,\nworld\n'), /text\.ndjson:1: not a trace/],
    [file('version.ndjson', '{"pagelab":99,"source":"x"}\n'), /version\.ndjson:1: .*99/],
    [
      file('thp.ndjson', '{"pagelab":1,"source":"x","thp":"often"}\n'),
      /thp\.ndjson:1: "thp".*madvise/,
    ],
    [file('version.pagelab', changed(recording, 4, 99)), /version\.pagelab: byte 4: .*99/],
    [file('half.gz', gzipSync(recording).subarray(0, 3000)), /half\.gz: damaged gzip data/],
    [file('noise.gz', changed(gzipSync(recording), 2000, 1)), /noise\.gz: damaged gzip data/],
    [file('in.gz', gzipSync('Hello\n')), /in\.gz:1: not a trace/],
  ];
  await twoAtATime(cases, ([path, message]) =>
    assertRefused(['run', path, '-k', 'linux'], message),
  );
});

test('lines that cannot be: file and line are named', async () => {
  const touch = (rest: string) => `{"op":"touch","pid":1,${rest}}`;
  const cases: [string, RegExp][] = [
    ['{"op":"frobnicate","pid":1}', /frobnicate/],
    ['{"op":"touch","pid":1}', /addr/],
    ['{"op":"touch"', /JSON/i],
    [touch('"addr":4096'), /addr/],
    [touch('"addr":"0x8000000000000000"'), /addr/],
    [touch('"addr":"0x100000000000","count":-1'), /count/],
    [MMAP.replace('0x100000000000', '0x100000000001'), /addr.*0x100000000001/],
    [MMAP.replace('"len":4096', '"len":18446744073709551615'), /reach beyond user space/],
    [MMAP.replace('"prot":"rw"', '"prot":"wat"'), /prot.*wat/],
    [MMAP.replace('private,anon', 'private,anin'), /flags.*anin/],
    ['{"op":"exit","pid":1}\n{"op":"exit","pid":1}', /pid 1|process 1/],
    ['{"op":"fork","pid":1,"child":1}', /child/],
    ['{"op":"madvise","pid":1,"addr":"0x100000000000","len":4096,"advice":"nope"}', /advice.*nope/],
    ['{"op":"touch","pid":1e99,"addr":"0x100000000000"}', /pid/],
  ];
  let number = 0;
  await twoAtATime(cases, async ([lines, message]) => {
    const name = `line-${number++}.ndjson`;
    const path = file(name, `${HEAD}\n${MMAP}\n${lines}\n`);
    const bad = 2 + lines.split('\n').length;
    const { source } = message;
    await assertRefused(
      ['run', path],
      new RegExp(`${name}:${bad}: .*(?:${source})`, message.flags),
    );
  });
});

test('a binary trace that was cut or changed anywhere', async (t) => {
  const seed = seedOf(t);
  const random = new Random(seed);
  const rounds = [...Array(10).keys()];
  await twoAtATime(rounds, async (round) => {
    const at = 4 + random.below(recording.length - 4);
    const bytes =
      round % 2 === 0
        ? recording.subarray(0, at)
        : changed(recording, at, (recording[at] as number) ^ (1 + random.below(255)));
    const path = file(`damaged-${round}`, bytes);
    await assertRefused(['run', path, '-k', 'linux'], /damaged-\d+: byte \d+: /);
  });
});

test('4 GiB of garbage on one line: refused at once, in little memory', async () => {
  const path = join(dir, 'garbage.ndjson');
  const fd = openSync(path, 'w');
  ftruncateSync(fd, 4 * 2 ** 30);
  closeSync(fd);
  await assertRefused(['run', path], /garbage\.ndjson:1: a line longer than 1048576 bytes/);
});

test('a good beginning, then 500 MB on one line through a pipe: bounded memory', () => {
  const atExit = "process.on('exit',()=>console.error('peak',process.resourceUsage().maxRSS))";
  const command = `(echo '${HEAD}'; head -c 500000000 /dev/zero) | "$0" --import "$1" "$2" run /dev/stdin`;
  const args = ['-c', command, process.execPath, `data:text/javascript,${atExit}`, PROGRAM];
  const { status, stderr } = spawnSync('bash', args, { encoding: 'utf8' });
  assert.equal(status, 2);
  const match = /^pagelab: stdin:2: a line longer than 1048576 bytes[^\n]*\npeak (\d+)\n$/.exec(
    stderr,
  );
  assert.ok(match, stderr);
  assert.ok(Number(match[1]) < 200 * 1024, `${match[1]} KiB`);
});

function changed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = value;
  return copy;
}
