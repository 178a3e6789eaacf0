import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  findWorkload,
  openWorkload,
  parseKernels,
  replay,
  workloadValues,
} from '../../src/lab/index.ts';

/**
 * Two processes that want 48 huge pages each. Of 1 GiB (512 blocks) the first program fills 900 MiB and
 * keeps 450 of them in pieces; reserved are 4 MiB, tables take a few blocks: at most 60 blocks are left.
 */
const REGIONS = 48;

function held(kernelName: string, own: string[], settings: Record<string, number>): number[] {
  const workload = findWorkload('competing');
  assert.ok(workload !== undefined);
  const given = { processes: 2, regions: REGIONS, fragmentMiB: 900, seconds: 120, ...settings };
  const texts = new Map(Object.entries(given).map(([key, value]) => [key, String(value)]));
  const [kernel] = parseKernels([kernelName], own);
  assert.ok(kernel !== undefined);
  const isLinux = own.length === 0;
  const { final } = replay(openWorkload(workload, workloadValues(workload, texts), 1), kernel, {
    machine: {
      nodeBytes: [2 ** 30],
      bufferMiB: 256,
      // What is free in blocks is all there is, for both.
      ...(isLinux ? { huge: { enabled: 'always' as const }, compactionProactiveness: 0 } : {}),
    },
  });
  return [1, 2].map((pid) => (final.processes[pid]?.anonHugeKiB ?? 0) / 2048);
}

test('under Ingens both hold as many, whoever starts first; under Linux the first has all it wants', () => {
  for (const first of [1, 2]) {
    const own = ['ingens.compactMs=0', 'ingens.tauPercent=100'];
    const [one = 0, two = 0] = held('linux-6.18+ingens', own, { first });
    assert.ok(one + two > 20 && one + two <= 60, `${one} + ${two}`);
    // One block may be on its way from one to the other.
    assert.ok(Math.abs(one - two) <= 2, `${one} and ${two}`);
    // In that time khugepaged sees eight slots five times: those of the first, which are huge already.
    const linux = held('linux-6.18', [], { first, seconds: 55 });
    assert.equal(linux[first - 1], REGIONS);
    assert.ok((linux[2 - first] as number) <= 60 - REGIONS);
  }
});

test('an idle process that renews its memory loses huge pages with the penalty, not without', () => {
  const settings = { idle: 2, idleAtSeconds: 60, seconds: 200 };
  const taxed = held('linux-6.18+ingens', ['ingens.compactMs=0'], settings);
  const own = ['ingens.compactMs=0', 'ingens.tauPercent=100'];
  const untaxed = held('linux-6.18+ingens', own, settings);
  assert.ok((taxed[1] as number) < 0.9 * (taxed[0] as number), taxed.join(' and '));
  assert.ok(Math.abs((untaxed[0] as number) - (untaxed[1] as number)) <= 2, untaxed.join(' and '));
});
