import { type KsmHugeMode, regionUse, type System } from '../../engine/index.ts';
import { parseKernel } from '../kernels.ts';
import { parseMachine } from '../machines.ts';
import { replay } from '../replay/replay.ts';
import { type GuestRegion, guestRegionAddr, guestRegions } from '../workloads/identical-vms.ts';
import { findWorkload, openWorkload, workloadValues } from '../workloads/index.ts';
import type { Figure, FigureContext, FigurePart, FigureResult } from './figure.ts';
import { onlyHere } from './parts.ts';

/** Samepage merging beside huge pages, in the five ways of Ingens (seed 002). */
const BASE = 'linux-6.18';
const SEED = 1;
const WORKLOAD = 'identical-vms';
const KIB_PER_PAGE = 4;

interface Way {
  readonly name: string;
  readonly kernel: string;
  readonly hugePages: KsmHugeMode;
}

const WAYS: readonly Way[] = [
  { name: 'skip', kernel: BASE, hugePages: 'skip' },
  { name: 'split (Linux)', kernel: BASE, hugePages: 'split' },
  { name: 'whole', kernel: BASE, hugePages: 'whole' },
  { name: 'preserve 70 %', kernel: BASE, hugePages: 'preserve' },
  { name: 'frequency (Ingens)', kernel: `${BASE}+ingens`, hugePages: 'frequency' },
  {
    name: 'frequency, integer average (as released)',
    kernel: `${BASE}+ingens-artifact`,
    hugePages: 'frequency',
  },
];

/** What a way came to; regions of all guests. */
interface Outcome {
  readonly savedMiB: number;
  readonly hot: Kept;
  readonly cold: Kept;
}

interface Kept {
  regions: number;
  huge: number;
  /** Pages that could be merged, as others hold the same, and those that are. */
  equal: number;
  merged: number;
}

export const INGENS_KSM: Figure = {
  id: 'ingens.ksm',
  seed: '002',
  what: 'identical memory of virtual machines: what is saved, and which huge pages stay, in the five ways of Ingens',
  unit: 'MiB',
  published:
    'five ways, with and without coordination; sharing is coordinated by how often a huge page is used (no sizes)',
  source: 'README.md and mm/ksm.c of github.com/ut-osa/ingens',
  method: 'engine',
  inputs: [
    {
      name: 'guests',
      value: '4 of 64 MiB; 50 % equal in all, 25 % with one page in four equal; 25 % of each hot',
      source: 'ours: nothing is published',
    },
    {
      name: 'hot',
      value: 'read every second; cold: written once',
      source: 'ours',
    },
    {
      name: 'time',
      value: '40 s without merging, then 80 s with 100 pages in 20 ms',
      source: 'ours, so that Scan-kth knows what is hot; Linux’s defaults',
    },
  ],
  rule: 'direction only, as no sizes are published: Ingens keeps every hot huge page and merges nine tenths of the equal cold pages; Linux’s way keeps fewer hot huge pages, and sharing whole huge pages saves less',
  isQuick: false,
  run: ksmWays,
};

function ksmWays(context: FigureContext): FigureResult {
  const outcomes = WAYS.map((way) => runWay(context, way));
  const [, split, whole, , ingens, released] = outcomes as [
    Outcome,
    Outcome,
    Outcome,
    Outcome,
    Outcome,
    Outcome,
  ];
  const holds =
    ingens.hot.huge === ingens.hot.regions &&
    ingens.cold.merged >= 0.9 * ingens.cold.equal &&
    split.hot.huge < split.hot.regions &&
    whole.savedMiB < ingens.savedMiB;
  const parts: FigurePart[] = WAYS.flatMap(({ name }, i) => partsOf(name, outcomes[i] as Outcome));
  const text = (o: Outcome): string =>
    `${o.savedMiB} MiB saved and ${o.hot.huge} of ${o.hot.regions} hot huge pages kept`;
  return {
    here: `Ingens: ${text(ingens)}; Linux: ${text(split)}; huge pages as a whole only: ${text(whole)}; Ingens as released: ${text(released)}`,
    verdict: holds ? 'agrees' : 'differs',
    why: 'Linux splits a huge page for one equal page in it, hot or not; as a whole only equal huge pages are shared, so a partly equal one saves nothing; by frequency the cold ones are split and the hot ones are not. As released the average never gets above 0, which is what merging asks for, so every huge page counts as cold. What a split costs a guest was not measured: the published slow-downs could not be read again',
    parts,
  };
}

function partsOf(name: string, { savedMiB, hot, cold }: Outcome): FigurePart[] {
  return [
    onlyHere(`${name}: saved`, 'MiB', savedMiB),
    onlyHere(`${name}: hot huge pages kept, of ${hot.regions}`, 'pages', hot.huge),
    onlyHere(`${name}: cold huge pages kept, of ${cold.regions}`, 'pages', cold.huge),
    onlyHere(`${name}: equal cold pages merged, of ${cold.equal}`, 'pages', cold.merged),
  ];
}

function runWay(context: FigureContext, { name, kernel, hugePages }: Way): Outcome {
  const workload = findWorkload(WORKLOAD);
  if (workload === undefined) throw new Error(`no workload ${WORKLOAD}`);
  context.onProgress(`${WORKLOAD}, ${name}, under ${kernel}`);
  const values = workloadValues(workload, new Map());
  const regions = guestRegions(values, SEED);
  let kept = { hot: nothing(), cold: nothing() };
  const { final } = replay(openWorkload(workload, values, SEED), parseKernel(kernel), {
    machine: {
      ...parseMachine('default').options,
      huge: { enabled: 'always' },
      ksm: { hugePages },
    },
    seed: SEED,
    onEnd: (system) => {
      kept = keptOf(system, regions);
    },
  });
  const savedMiB = ((final.ksm?.pagesSharing ?? 0) * KIB_PER_PAGE) / 1024;
  return { savedMiB: Number(savedMiB.toFixed(1)), ...kept };
}

function nothing(): Kept {
  return { regions: 0, huge: 0, equal: 0, merged: 0 };
}

const EQUAL_PAGES = { same: 512, part: 128, own: 0 } as const;

function keptOf(system: System, regions: readonly GuestRegion[]): { hot: Kept; cold: Kept } {
  const kept = { hot: nothing(), cold: nothing() };
  for (const process of system.processes()) {
    for (const [i, { kind, isHot }] of regions.entries()) {
      const sum = isHot ? kept.hot : kept.cold;
      const use = regionUse(system.machine, process.mm, guestRegionAddr(i) / 4096);
      sum.regions += 1;
      sum.huge += use.isHuge ? 1 : 0;
      sum.equal += EQUAL_PAGES[kind];
      sum.merged += use.merged;
    }
  }
  return kept;
}
