import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { recommendedMinFreeFrames, zoneWatermarks } from '../../src/engine/frames/watermarks.ts';

/** The running kernel's reserve of free memory and its zones' watermarks, by our arithmetic. */

interface Zone {
  readonly name: string;
  readonly values: ReadonlyMap<string, number>;
}

const KEYS = /^ +(boost|min|low|high|managed) +(\d+)$/;

/** Zones that have memory of /proc/zoneinfo's text. */
function zonesOf(text: string): Zone[] {
  return text
    .split(/^Node \d+, zone +/m)
    .slice(1)
    .map((part) => {
      const values = new Map<string, number>();
      for (const line of part.split('\n')) {
        const [, key = '', value] = KEYS.exec(line) ?? [];
        if (key !== '' && !values.has(key)) values.set(key, Number(value));
      }
      return { name: part.split('\n', 1)[0] ?? '', values };
    })
    .filter(({ values }) => (values.get('managed') ?? 0) > 0);
}

function read(path: string): string {
  return readFileSync(path, 'utf8').trim();
}

function sum(zones: readonly Zone[], key: string): number {
  return zones.reduce((total, { values }) => total + (values.get(key) ?? 0), 0);
}

const enabled = read('/sys/kernel/mm/transparent_hugepage/enabled');
const isOn = enabled.includes('[always]') || enabled.includes('[madvise]');
const minFreeKiB = Number(read('/proc/sys/vm/min_free_kbytes'));
const zones = zonesOf(readFileSync('/proc/zoneinfo', 'utf8')).filter((z) => z.name !== 'Movable');

test('min_free_kbytes with huge pages on', { skip: isOn ? false : `enabled: ${enabled}` }, (t) => {
  const buffer = sum(zones, 'managed') - sum(zones, 'high');
  const recommended = recommendedMinFreeFrames(zones.length, buffer) * 4;
  if (minFreeKiB > recommended) {
    t.skip(`somebody has set it higher: ${minFreeKiB} above ${recommended}`);
    return;
  }
  assert.equal(minFreeKiB, recommended);
});

const isPlain = read('/proc/sys/vm/watermark_scale_factor') === '10' && sum(zones, 'boost') === 0;

test('watermarks of each zone', { skip: isPlain ? false : 'scaled or boosted' }, () => {
  for (const { name, values } of zones) {
    const { min, low, high } = zoneWatermarks(
      values.get('managed') as number,
      sum(zones, 'managed'),
      minFreeKiB / 4,
    );
    const kernel = ['min', 'low', 'high'].map((key) => values.get(key));
    assert.deepEqual([min, low, high], kernel, name);
  }
});
