import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { InputError } from '../../src/base/index.ts';
import { fragmentationOf, parseBuddyinfo, parseZoneinfo } from '../../src/lab/index.ts';
import { indexLines, unusableLines } from './kernel-print.ts';

/**
 * Free blocks captured on Linux 6.18 (24 GiB), with what the kernel's own debugfs said at the same
 * moment: quiet; memory filled; every other page of it given back; 1 MiB of every 4 given back too;
 * all of it given back.
 */
const DIR = 'test/lab/fixtures/fragmentation';
const MOMENTS = readdirSync(DIR).sort();

function captured(moment: string, file: string): string {
  return readFileSync(join(DIR, moment, file), 'utf8');
}

test('indexes of captured memory are those of debugfs, to the digit', () => {
  assert.deepEqual(MOMENTS, ['every-other-page', 'full', 'given-back', 'half-of-2-mib', 'quiet']);
  for (const moment of MOMENTS) {
    const zones = parseBuddyinfo(captured(moment, 'buddyinfo'), moment);
    const measures = fragmentationOf(zones, [], 9);
    assert.equal(indexLines(measures), captured(moment, 'extfrag_index'), moment);
    assert.equal(unusableLines(measures), captured(moment, 'unusable_index'), moment);
  }
});

test('free memory is what zoneinfo says, but for pages that change hands', () => {
  for (const moment of MOMENTS) {
    const zones = parseBuddyinfo(captured(moment, 'buddyinfo'), moment);
    const marks = parseZoneinfo(captured(moment, 'zoneinfo'), moment);
    for (const { node, zone, freeKiB } of fragmentationOf(zones, marks, 9)) {
      const free = marks.find((other) => other.node === node && other.zone === zone)?.freeFrames;
      // NR_FREE_PAGES is counted by cpu and folded in late: up to 125 pages a cpu, of two here.
      assert.ok(Math.abs(freeKiB / 4 - (free ?? 0)) <= 250, `${moment} ${zone}`);
    }
  }
});

test('whether compaction would run, by hand from zoneinfo', () => {
  const verdicts = (moment: string): (string | undefined)[] =>
    fragmentationOf(
      parseBuddyinfo(captured(moment, 'buddyinfo'), moment),
      parseZoneinfo(captured(moment, 'zoneinfo'), moment),
      9,
    ).map(({ compaction }) => compaction?.verdict);
  // DMA: 3,840 pages free, below low + reserve + 1,024 = 13 + 24,090 + 1,024, at any moment.
  // Normal, full: no block of order 9, index 898, 40,773 free, over low (20,163) + 1,024.
  assert.deepEqual(verdicts('full'), ['skipped', 'not needed', 'would run']);
  assert.deepEqual(verdicts('every-other-page'), ['skipped', 'not needed', 'would run']);
  assert.deepEqual(verdicts('quiet'), ['skipped', 'not needed', 'not needed']);
});

test('too little memory, or too few blocks to blame fragmentation', () => {
  const zone = { node: 0, zone: 'Normal', blocks: [0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0] };
  const marks = { node: 0, zone: 'Normal', minFrames: 10, lowFrames: 20, reserveFrames: 0 };
  const verdict = (freeFrames: number, order: number): string | undefined =>
    fragmentationOf([zone], [{ ...marks, freeFrames }], order)[0]?.compaction?.verdict;
  // 8 blocks of order 8: index 1000 - (1000 + 2048 * 1000 / 512) / 8 = 375, up to 500.
  assert.equal(verdict(2048, 9), 'skipped');
  assert.equal(verdict(1044, 9), 'skipped');
  // One single block of 2^8: the kernel prints ' 0.-500' for -500.
  const one = fragmentationOf([{ ...zone, blocks: [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0] }], [], 9);
  assert.match(indexLines(one), / 0\.-500 {2}0\.-250 $/m);
});

test('text that is not the kernel’s', () => {
  const refused = (text: string, message: RegExp): void =>
    assert.throws(
      () => parseBuddyinfo(text, 'f'),
      (error) => {
        assert.ok(error instanceof InputError);
        assert.match(error.message, message);
        return true;
      },
    );
  refused('', /f:1: no zones/);
  refused('Node 0, zone Normal 1 2\nNode 0, zone DMA 1 x\n', /f:2: want 'Node N/);
  refused('Node 0, zone Normal 1 2\nNode 0, zone DMA 1\n', /f:2: 1 orders, want 2/);
  refused('Node 0, zone Normal 1 2\nNode 0, zone Normal 1 2\n', /f:2: .*twice/);
  refused('Node 0, zone Normal 99999999999999999999\n', /f:1: more free memory than 4 PiB/);
  assert.throws(() => parseZoneinfo('hello', 'z'), /z:1: no zones/);
  assert.throws(() => parseZoneinfo('Node 0, zone DMA\n  pages free 3\n', 'z'), /z:1: .*'min'/);
});
