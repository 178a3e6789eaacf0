import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { assertRefused, pagelab, scratch, twoAtATime } from './command.ts';

const dir = scratch();

function file(name: string, content: string | Uint8Array): string {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

/** Pages 0, 1, 0, 2, 1, 0 of loads; page 0 is modified once; two instructions. */
const LACKEY = `==1== Lackey
I  10000,4
 L 0000,4
 L 1000,4
 L 0100,4
I  10004,4
 S 2000,8
 L 1ff8,8
 M 0200,4
==1== end
`;

test('lackey text through two levels given by hand', async () => {
  const path = file('a.lackey', LACKEY);
  const levels = ['--level', 'sets=1,ways=1', '--level', 'sets=1,ways=2'];
  for (const trace of [path, file('b.lackey.gz', gzipSync(LACKEY))]) {
    const { code, stdout, stderr } = await pagelab(['tlb', trace, ...levels, '--json']);
    assert.equal(code, 0, stderr);
    assert.equal(stderr, '');
    const result = JSON.parse(stdout);
    assert.equal(result.accesses, 7);
    assert.equal(result.instructions, 2);
    const counts = result.levels.map((level: Record<string, unknown>) => [
      level['name'],
      level['lookups'],
      level['hits'],
      level['misses'],
      level['evictions'],
    ]);
    // L1 has only the store of the modify as a hit; L2 sees 0 1 0 2 1 0 and has two of them.
    assert.deepEqual(counts, [
      ['L1', 7, 1, 6, 5],
      ['L2', 6, 1, 5, 3],
    ]);
    assert.equal(result.walks.count, 5);
    assert.equal(typeof result.accessesPerSecond, 'number');
  }
  const fetches = await pagelab(['tlb', path, ...levels, '--json', '--instructions']);
  assert.equal(JSON.parse(fetches.stdout).accesses, 9);
});

test('generators, presets, sizes, nested walks; the table for people', async () => {
  const small = ['--set', 'mib=64', '--set', 'accesses=20000'];
  const cases: [string[], RegExp][] = [
    [['uniform', ...small], /L1D 4 KB +16 x 4 +4 kB +20,000/],
    [['sequential', ...small, '-p', 'zen4'], /AMD Zen 4/],
    [['chase', ...small, '--page-bytes', '2m'], /L1D 2 MB +8 x 4 +2 MB +20,000/],
    [['zipf', ...small, '--host-page-bytes', '4k', '--walk-caches', 'none'], /24\.0 loads/],
    [['uniform', ...small, '--pages', '0x7e0000000000-0x7e0002000000=2m'], /pages of 4 kB, 2 MB/],
    [['gcc-compile'], /gcc-compile \(pagelab\)/],
    [['sparse-whole'], /sparse-whole \(workload\)/],
  ];
  await twoAtATime(cases, async ([args, wanted]) => {
    const { code, stdout, stderr } = await pagelab(['tlb', ...args]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, wanted);
  });
});

test('the same seed gives the same counts, another one others', async () => {
  const run = async (seed: string): Promise<unknown> => {
    const args = ['tlb', 'uniform', '--set', 'accesses=50000', '--seed', seed, '--json'];
    return JSON.parse((await pagelab(args)).stdout).levels;
  };
  assert.deepEqual(await run('1'), await run('1'));
  assert.notDeepEqual(await run('1'), await run('2'));
});

test('what cannot be is refused in one line', async () => {
  const lackey = file('c.lackey', LACKEY);
  const xz = file('d.champsim.xz', Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 1));
  const cases: [string[], RegExp][] = [
    [['tlb'], /missing required argument/],
    [['tlb', 'nothing'], /'nothing' is no file, generator \(sequential, uniform, chase, zipf\)/],
    [['tlb', lackey, '-p', 'nope'], /preset 'nope' is unknown; there are sandy-bridge/],
    [['tlb', lackey, '-p', 'skylake', '--level', 'sets=1,ways=1'], /exclude each other/],
    [['tlb', lackey, '--level', 'sets=0,ways=4'], /--level sets=0,ways=4: want/],
    [['tlb', lackey, '--level', 'ways=4,x=1'], /--level ways=4,x=1: want sets=S,ways=W/],
    [['tlb', lackey, '--page-bytes', '3000'], /--page-bytes 3000: want a power of two/],
    [['tlb', lackey, '--pages', '0x1000-0x3000=2m'], /--pages .*borders of its pages/],
    [['tlb', lackey, '--pages', 'x'], /--pages x: want 0xFROM-0xTO=SIZE/],
    [['tlb', lackey, '--table-levels', '3'], /--table-levels 3: want 4 or 5/],
    [['tlb', lackey, '--format', 'nope'], /nope/],
    [['tlb', lackey, '--format', 'champsim'], /byte 64: .*after the last whole record/],
    [['tlb', lackey, '--set', 'nope=1'], /--set nope: no such constant; there are walkCacheCycles/],
    [['tlb', lackey, '--set', 'l2Lines=1'], /want ascending/],
    [['tlb', 'uniform', '--set', 'nope=1'], /uniform has no such parameter; it has mib, accesses/],
    [['tlb', xz], /xz -dc d\.champsim\.xz \| pagelab tlb \/dev\/stdin/],
    [['tlb', file('e.bin', 'What is this')], /format not recognised; want --format lackey/],
    [['tlb', file('f.lackey', `${LACKEY}nonsense\n`)], /f\.lackey:11: 'nonsense' is no line/],
    [['tlb', dir], /is a directory/],
  ];
  await twoAtATime(cases, ([args, message]) => assertRefused(args, message));
});

test('lines of two bytes: a level is a cache, counts by hand', async () => {
  // Bytes 0 to 15 one by one, then 15 read and written, then 0 again.
  const lines = Array.from({ length: 16 }, (_, at) => ` L ${at.toString(16)},1`);
  const path = file('bytes.lackey', `${[...lines, ' M f,1', ' L 0,1'].join('\n')}\n`);
  const args = ['tlb', path, '--level', 'sets=2,ways=1', '--page-bytes', '2', '--json'];
  const { code, stdout, stderr } = await pagelab(args);
  assert.equal(code, 0, stderr);
  const { accesses, levels } = JSON.parse(stdout);
  assert.equal(accesses, 19);
  // Eight lines are missed once and hit once; M hits twice; line 0 comes back in place of line 6.
  assert.deepEqual([levels[0].hits, levels[0].misses, levels[0].evictions], [10, 9, 7]);
});
