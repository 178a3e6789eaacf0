import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InputError } from '../../src/base/index.ts';
import { type KsmHugeMode, type RegionUse, regionUse } from '../../src/engine/index.ts';
import {
  findWorkload,
  openWorkload,
  parseKernel,
  replay,
  type Workload,
  workloadValues,
} from '../../src/lab/index.ts';
import {
  type GuestRegion,
  guestRegionAddr,
  guestRegions,
} from '../../src/lab/workloads/identical-vms.ts';
import { TextReader } from '../../src/trace/index.ts';

/** Guests with equal memory under the ways to take huge pages, and traces that say what they write. */
const SEED = 3;
const SETTINGS = { guests: 2, mib: 32, warmSeconds: 40, seconds: 60 };

interface Guests {
  saved: number;
  regions: (GuestRegion & RegionUse)[];
}

function guests(kernel: string, hugePages: KsmHugeMode): Guests {
  const workload = findWorkload('identical-vms') as Workload;
  const texts = new Map(Object.entries(SETTINGS).map(([key, value]) => [key, String(value)]));
  const values = workloadValues(workload, texts);
  const plan = guestRegions(values, SEED);
  const regions: (GuestRegion & RegionUse)[] = [];
  const { final } = replay(openWorkload(workload, values, SEED), parseKernel(kernel), {
    machine: { nodeBytes: [128 * 2 ** 20], huge: { enabled: 'always' }, ksm: { hugePages } },
    seed: SEED,
    onEnd: (system) => {
      for (const { mm } of system.processes()) {
        plan.forEach((region, i) => {
          const use = regionUse(system.machine, mm, guestRegionAddr(i) / 4096);
          regions.push({ ...region, ...use });
        });
      }
    },
  });
  return { saved: final.ksm?.pagesSharing ?? -1, regions };
}

test('a guest has the parts that were asked for, hot and cold in each', () => {
  const plan = guestRegions({ mib: 64, samePercent: 50, partPercent: 25, hotPercent: 25 }, SEED);
  const count = (kind: string, isHot: boolean): number =>
    plan.filter((region) => region.kind === kind && region.isHot === isHot).length;
  assert.deepEqual([count('same', true), count('same', false)], [4, 12]);
  assert.deepEqual([count('part', true), count('part', false)], [2, 6]);
  assert.deepEqual([count('own', true), count('own', false)], [2, 6]);
});

// Two guests of 16 regions: 8 the same (2 hot), 4 in part (1 hot), 4 of their own (1 hot).
test('Linux splits every huge page with an equal page in it', () => {
  const { saved, regions } = guests('linux', 'split');
  assert.equal(saved, 8 * 512 + 4 * 128);
  for (const { kind, isHuge } of regions) assert.equal(isHuge, kind === 'own');
});

test('as a whole only equal huge pages are shared, and all stay', () => {
  const { saved, regions } = guests('linux', 'whole');
  assert.equal(saved, 8 * 512);
  assert.ok(regions.every(({ isHuge }) => isHuge));
});

test('Ingens splits what is cold and keeps what is hot', () => {
  const { saved, regions } = guests('linux+ingens', 'frequency');
  // The hot one with few equal pages is worth more as a huge page.
  assert.equal(saved, 8 * 512 + 3 * 128);
  for (const { kind, isHot, isHuge } of regions) assert.equal(isHuge, isHot || kind === 'own');
});

test('as released no huge page is hot enough: all are split', () => {
  const { saved, regions } = guests('linux+ingens-artifact', 'frequency');
  assert.equal(saved, 8 * 512 + 4 * 128);
  for (const { kind, isHuge } of regions) assert.equal(isHuge, kind === 'own');
});

test('a kernel that does not watch huge pages cannot choose by it', () => {
  assert.throws(() => guests('linux', 'frequency'), InputError);
});

test('what a trace says is merged, what it does not say is not', () => {
  const lines = [
    '{"pagelab":1,"source":"by hand","contents":true}',
    '{"op":"mmap","pid":1,"addr":"0x100000000000","len":40960,"prot":"rw","flags":"private,anon,fixed"}',
    '{"op":"madvise","pid":1,"addr":"0x100000000000","len":40960,"advice":"mergeable"}',
    '{"op":"touch","pid":1,"t":0,"addr":"0x100000000000","write":true,"count":6,"content":5}',
    '{"op":"touch","pid":1,"t":0,"addr":"0x100000006000","write":true,"count":4}',
    '{"op":"touch","pid":1,"t":1000000000,"addr":"0x100000000000","write":false}',
  ];
  const reader = new TextReader('trace', [Buffer.from(lines.join('\n'))]);
  const { final } = replay(reader, parseKernel('linux'), {
    machine: { nodeBytes: [2 ** 26], ksm: {} },
  });
  const { pagesShared, pagesSharing } = final.ksm ?? {};
  assert.deepEqual([pagesShared, pagesSharing], [1, 5]);
});
