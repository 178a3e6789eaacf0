import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fragmentationOf, parseBuddyinfo } from '../../src/lab/index.ts';
import { indexLines, unusableLines } from '../lab/kernel-print.ts';

/** The running kernel's own indexes, where debugfs is mounted. */

const DIR = '/sys/kernel/debug/extfrag';
const BUDDYINFO = '/proc/buddyinfo';
const ATTEMPTS = 1000;

const reason = existsSync(`${DIR}/extfrag_index`)
  ? false
  : `no ${DIR}: needs root and debugfs (mount -t debugfs none /sys/kernel/debug)`;

test('indexes of the live memory are those of debugfs', { skip: reason }, (t) => {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const before = readFileSync(BUDDYINFO, 'utf8');
    const index = readFileSync(`${DIR}/extfrag_index`, 'utf8');
    const unusable = readFileSync(`${DIR}/unusable_index`, 'utf8');
    if (readFileSync(BUDDYINFO, 'utf8') !== before) continue;
    const zones = fragmentationOf(parseBuddyinfo(before, BUDDYINFO), [], 9);
    assert.equal(indexLines(zones), index);
    assert.equal(unusableLines(zones), unusable);
    return;
  }
  t.skip(`free memory changed between each of ${ATTEMPTS} looks`);
});
