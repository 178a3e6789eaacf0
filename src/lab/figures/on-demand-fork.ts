import { onDemandFork } from '../../engine/index.ts';
import { Op } from '../../trace/index.ts';
import { parseKernel } from '../kernels.ts';
import { replay } from '../replay/replay.ts';
import type { ProcessCounters, RunResult } from '../replay/result.ts';
import { openWorkload, type Workload } from '../workloads/index.ts';
import { event, GIB_BYTES, mmapAnon, startProgram, writes } from '../workloads/program.ts';
import type { Figure, FigureContext, FigureResult } from './figure.ts';
import { onlyHere, verdictOf, within } from './parts.ts';

/** Sharing last-level tables at fork: EuroSys 2021, and what was posted for Linux after it. */
const PAPER = 'K. Zhao, S. Gong, P. Fonseca, "On-demand-fork", EuroSys 2021 (abstract)';
const POSTED = 'C. Lin, "[RFC PATCH v2 0/9] Introduce Copy-On-Write to Page Table", September 2022';

const PAGE_BYTES = 4096;
const PAGES: number = GIB_BYTES / PAGE_BYTES;
/** fork of a tiny process alone, on Linux 6.18; least of several runs. */
const TINY_FORK_NS = 38_000;
const BASE_ADDR = 0x7f0000000000;
const PLAIN = 'linux-6.18';
const SHARING = `linux-6.18+${onDemandFork.id}`;

/** A small program with 1 GiB of written pages that forks. */
const forkOfGib: Workload = {
  name: 'fork of 1 GiB',
  title: 'one fork of a process with 1 GiB of written pages',
  parameters: {},
  *events() {
    yield* startProgram(1);
    yield mmapAnon(1, BASE_ADDR, GIB_BYTES);
    yield writes(1, BASE_ADDR, PAGES, PAGE_BYTES);
    yield event({ op: Op.fork, pid: 1, child: 2 });
  },
};

export const ON_DEMAND_FORK_FIGURES: readonly Figure[] = [
  {
    id: 'on-demand-fork.memory',
    seed: '003',
    what: 'page tables and resident memory of the child, right after the fork of 1 GB',
    unit: 'kB',
    published: 'child VmPTE 2,096 → 44 kB; child VmRSS 1,048,688 → 2,576 kB',
    source: POSTED,
    method: 'engine',
    inputs: [
      {
        name: 'the program itself',
        value: 'a small static one, 36 kB of page tables',
        source: 'measured on Linux 6.18; theirs is not published',
      },
    ],
    rule: 'VmPTE of a plain child within 16 kB. What sharing saves, of VmPTE and of VmRSS, within 0.3 %: the rest is the program, which is not theirs',
    isQuick: true,
    run: memory,
  },
  {
    id: 'on-demand-fork.time',
    seed: '003',
    what: 'the fork of 1 GB, without and with sharing',
    unit: 'times faster',
    published: '65 times faster at 1 GB',
    source: PAPER,
    method: 'model',
    inputs: [
      { name: 'an entry copied or handed on', value: '107 ns', source: 'measured on Linux 6.18' },
      {
        name: 'all else of a fork',
        value: `${TINY_FORK_NS / 1000} µs`,
        source: 'fork of a tiny process, measured on Linux 6.18',
      },
    ],
    rule: 'within 20 %',
    isQuick: false,
    run: time,
  },
];

function run(context: FigureContext, kernel: string): RunResult {
  context.onProgress(`fork of 1 GiB under ${kernel}`);
  return replay(openWorkload(forkOfGib, {}, 1), parseKernel(kernel), { seed: 1, time: {} });
}

function rssKiB(c: ProcessCounters): number {
  return c.rssAnonKiB + c.rssFileKiB + c.rssShmemKiB;
}

function childOf({ final }: RunResult): ProcessCounters {
  const child = final.processes['2'];
  if (child === undefined) throw new Error('the child is gone');
  return child;
}

function memory(context: FigureContext): FigureResult {
  const plain = childOf(run(context, PLAIN));
  const sharing = childOf(run(context, SHARING));
  const saved = plain.vmPteKiB - sharing.vmPteKiB;
  const savedRss = rssKiB(plain) - rssKiB(sharing);
  const parts = [
    within('VmPTE of a plain child', 'kB', 2096, plain.vmPteKiB, 16),
    within('VmPTE that sharing saves', 'kB', 2096 - 44, saved, 6),
    within('VmRSS that sharing saves', 'kB', 1_048_688 - 2576, savedRss, 3100),
    onlyHere('VmPTE of the child', 'kB', sharing.vmPteKiB),
    onlyHere('VmRSS of the child', 'kB', rssKiB(sharing)),
  ];
  return {
    here: `child VmPTE ${plain.vmPteKiB} → ${sharing.vmPteKiB} kB, VmRSS ${rssKiB(plain)} → ${rssKiB(sharing)} kB`,
    verdict: verdictOf(parts),
    why: 'The 512 tables of the shared memory, and their pages, count for the parent; what is left are the tables above and the small program. Theirs has more libraries, so more is left there.',
    parts,
  };
}

function time(context: FigureContext): FigureResult {
  const [plain, sharing] = [PLAIN, SHARING].map((kernel) => {
    const { time: times } = run(context, kernel);
    return (times?.forks?.maxNs ?? 0) + TINY_FORK_NS;
  }) as [number, number];
  const factor = plain / sharing;
  const parts = [
    within('plain fork against on-demand fork', 'times', 65, Number(factor.toFixed(1)), 13),
    onlyHere('plain fork', 'µs', Math.round(plain / 1000)),
    onlyHere('on-demand fork', 'µs', Math.round(sharing / 1000)),
  ];
  return {
    here: `${factor.toFixed(0)} times faster: ${(plain / 1e6).toFixed(1)} ms against ${(sharing / 1e6).toFixed(3)} ms`,
    verdict: verdictOf(parts),
    why: 'The engine hands 512 entries on instead of copying 262,144. That one handed on costs as much as one copied is our assumption, and what a fork of theirs costs beside its entries is not published: with 0.38 ms of that ours would be 65 times.',
    parts,
  };
}
