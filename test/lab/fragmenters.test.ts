import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  externalFragmentation,
  freeBlocksOf,
  type System,
  validateMachine,
} from '../../src/engine/index.ts';
import {
  openWorkload,
  parseKernel,
  replay,
  WORKLOADS,
  workloadValues,
} from '../../src/lab/index.ts';
import { normalPieces } from '../../src/lab/workloads/fragmenters.ts';
import { Op } from '../../src/trace/index.ts';

const SEED = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const MIB = 2 ** 20;

function open(name: string, settings: Record<string, number>): ReturnType<typeof openWorkload> {
  const workload = WORKLOADS.find((other) => other.name === name);
  assert.ok(workload);
  const texts = new Map(Object.entries(settings).map(([key, value]) => [key, String(value)]));
  return openWorkload(workload, workloadValues(workload, texts), SEED);
}

test('frag-normal frees exactly half of 4 MiB, at every scale', () => {
  // By hand, in KiB: where a piece begins, and how long it is.
  const expected = [
    [0, 1024],
    [2048, 512],
    [3072, 256],
    [3584, 128],
    [3840, 64],
    [3968, 32],
    [4032, 16],
    [4064, 8],
    [4080, 4],
    [4088, 4],
  ];
  const pieces = normalPieces().map(({ offset, spanBytes }) => [offset / 1024, spanBytes / 1024]);
  assert.deepEqual(pieces, expected);
  assert.equal(
    expected.reduce((sum, [, kib = 0]) => sum + kib, 0),
    2048,
  );
});

/** Fills most of a machine of 256 MiB by a fragmenter: what is free then, in MiB, by size. */
function fragmented(name: string): {
  rssMiB: number;
  freeMiB: number;
  hugeMiB: number;
  fmfi: number;
} {
  let found = { freeMiB: 0, hugeMiB: 0, fmfi: -1 };
  const onEnd = ({ machine }: System): void => {
    validateMachine(machine);
    found = {
      freeMiB: freeBlocksOf(machine, 0, 0) / 256,
      hugeMiB: freeBlocksOf(machine, 0, 9) * 2,
      fmfi: externalFragmentation(machine, 0, 9),
    };
  };
  const machine = { nodeBytes: [256 * MIB] };
  const { final } = replay(open(name, { mib: 240 }), parseKernel('linux-6.18'), { machine, onEnd });
  assert.equal(final.oomKills, 0);
  return { ...found, rssMiB: final.rssAnonKiB / 1024 };
}

test('frag-normal leaves no free 2 MiB: FMFI of what it frees is 1', () => {
  const { rssMiB, freeMiB, hugeMiB, fmfi } = fragmented('frag-normal');
  // 120 of 240 MiB stay, and 11 pages of the program itself.
  assert.equal(rssMiB, 120 + 44 / 1024);
  // What is free in blocks of 2 MiB and more was free before: none of it is of the 120 MiB freed.
  // Frames on per-cpu lists are in neither.
  assert.ok(hugeMiB <= freeMiB - 118, `${freeMiB} MiB free, ${hugeMiB} in large blocks`);
  assert.ok(fmfi >= 90, `FMFI ${fmfi}`);
});

test('frag-severe frees the beginning of each MiB', () => {
  const { rssMiB } = fragmented('frag-severe');
  // Nine sizes, 4 to 1,024 KiB, each as likely: 2,044 / 9 of 1,024 KiB on average, of 240 pieces.
  const freed = 1 - (rssMiB - 44 / 1024) / 240;
  const mean = 2044 / 9 / 1024;
  const variance = (4 ** 11 - 16) / 3 / 9 / 2 ** 20 - mean ** 2;
  const fiveSigma = 5 * Math.sqrt(variance / 240);
  assert.ok(Math.abs(freed - mean) < fiveSigma, `${freed} of ${mean} PAGELAB_SEED=${SEED}`);
});

test('as released: each chunk by itself, with huge pages where the kernel has them', () => {
  const machine = { nodeBytes: [256 * MIB], huge: { enabled: 'madvise' } } as const;
  const settings = { mib: 300, asReleased: 1 };
  // 300 MiB fit in 256: half of each chunk is given back before the next is filled.
  const run = replay(open('frag-normal', settings), parseKernel('linux-6.18'), { machine });
  assert.equal(run.final.oomKills, 0);
  assert.equal(run.final.rssAnonKiB, 150 * 1024 + 44);
  assert.ok((run.final.hugeFaults ?? 0) > 60, `${run.final.hugeFaults} huge faults`);
});

test('sparse-access touches each of its pages once', () => {
  const reader = open('sparse-access', { mib: 16, percent: 50 });
  const pages = new Set<number>();
  let touches = 0;
  for (let event = reader.next(); event !== null; event = reader.next()) {
    if (event.op !== Op.touch || event.addr < 0x100000000000 || event.addr > 0x100010000000)
      continue;
    pages.add(event.addr / 4096);
    touches++;
  }
  assert.deepEqual([touches, pages.size], [2048, 2048]);
});
