import type { RunResult } from '../replay/result.ts';
import type { Figure, FigureContext, FigurePart, FigureResult, Verdict } from './figure.ts';
import { onlyHere, verdictOf } from './parts.ts';
import { runWorkload } from './run-workload.ts';

const MIB = 2 ** 20;
const SOURCE = 'Karim Manaouil, Antonio Barbalace, "A Case for Page Table Reclaim"';
/** 10 processes of 10,000 tables and pages each: 391 MiB of tables, which alone exceed the memory. */
const PROCESSES = 10;
const MACHINE = { nodeBytes: [256 * MIB], swapBytes: 512 * MIB };

export const TABLE_OVERCOMMIT: Figure = {
  id: 'table-reclaim.overcommit',
  seed: '001',
  what: 'more page tables than memory: how often the OOM killer runs',
  unit: 'OOM kills',
  published:
    'swapping helps manage memory overcommitment situations; reduced OOM killer invocations',
  source: SOURCE,
  method: 'engine',
  inputs: [
    {
      name: 'workload and machine',
      value: `overcommit with ${PROCESSES} processes, 10,000 pages in as many tables each; 256 MiB, 512 MiB of swap`,
      source: 'ours: no sizes were published',
    },
  ],
  rule: 'the OOM killer runs without reclaim of page tables, and runs less often with it',
  isQuick: false,
  run: overcommitted,
};

function overcommitted(context: FigureContext): FigureResult {
  const [without, random, aged] = [
    'linux-6.1',
    'linux-6.1+table-reclaim',
    'linux-6.1+table-reclaim-aged',
  ].map((kernel) =>
    runWorkload(context, 'overcommit', kernel, { processes: PROCESSES }, MACHINE),
  ) as [RunResult, RunResult, RunResult];
  const kills = without.final.oomKills;
  const parts = [
    onlyHere('without: OOM kills', 'processes', kills),
    fewerKills('random victims: OOM kills', kills, random),
    fewerKills('aged victims: OOM kills', kills, aged),
    ...[random, aged].flatMap(({ kernel, final }) => {
      const stored = final['table-reclaim'] ?? final['table-reclaim-aged'] ?? {};
      return [
        onlyHere(`${kernel}: tables compressed`, 'tables', stored['compressions'] ?? 0),
        onlyHere(`${kernel}: tables swapped out`, 'tables', stored['swapOuts'] ?? 0),
        onlyHere(`${kernel}: brought back by faults`, 'tables', stored['refaults'] ?? 0),
      ];
    }),
  ];
  return {
    here: `${kills} of ${PROCESSES} processes killed; ${random.final.oomKills} with reclaim of random tables, ${aged.final.oomKills} with the least used`,
    verdict: verdictOf(parts),
    why: 'pages go to swap either way, tables only with the mechanism; no sizes were published, so only the direction is compared',
    parts,
  };
}

function fewerKills(what: string, without: number, run: RunResult): FigurePart {
  const here = run.final.oomKills;
  const verdict: Verdict = without > 0 && here < without ? 'agrees' : 'differs';
  return { what, unit: 'processes', published: without, here, verdict };
}
