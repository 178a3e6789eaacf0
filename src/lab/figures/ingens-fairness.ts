import type { MachineOptions, System } from '../../engine/index.ts';
import { parseKernels } from '../kernels.ts';
import { parseMachine } from '../machines.ts';
import { replay } from '../replay/replay.ts';
import { findWorkload, openWorkload, workloadValues } from '../workloads/index.ts';
import type { Figure, FigureContext, FigurePart, FigureResult } from './figure.ts';
import { atMost, onlyHere, verdictOf, within } from './parts.ts';
import { INGENS_PAPER } from './sources.ts';

/** Who gets the huge pages when there are not enough (seed 002). */
const LINUX = 'linux-6.18';
const INGENS = `${LINUX}+ingens`;
const PROCESSES = 4;
const REGIONS = 128;
const SECONDS = 300;
const IDLE_PID = 2;
const IDLE_AT = 200;
const IDLE_SECONDS = 500;
/** What was held is averaged over so many seconds. */
const WINDOW = 60;
const EQUAL_PERCENT = 5;
const LOSS_PERCENT = 10;
/** What is free in blocks is all there is: compaction would make enough for everyone. */
const FIXED_SUPPLY = ['ingens.compactMs=0'];

export const INGENS_FAIRNESS: Figure = {
  id: 'ingens.fairness',
  seed: '002',
  what: 'huge pages of processes that want the same and start one after the other, on a fragmented machine',
  unit: 'huge pages',
  published:
    'unfair huge page allocation in Linux; Ingens: equal shares, with a penalty for idle memory (no numbers on the slides)',
  source: INGENS_PAPER,
  method: 'engine',
  inputs: [
    {
      name: 'workload',
      value: `competing: ${PROCESSES} processes of ${REGIONS} regions, 5 s apart, each renews one region a second; 4 GiB, of which 3,600 MiB are filled before and half given back`,
      source: 'ours: no sizes were published',
    },
    {
      name: 'supply',
      value: 'what is free in blocks at the start; compaction ahead of need is off in both',
      source:
        'ours: with it everyone soon has all, as the last two parts show (Linux 4.3, the published one, had none)',
    },
    { name: 'tau', value: '50 %', source: 'ours: no value is known' },
    {
      name: 'shown',
      value: `means of the last ${WINDOW} s of ${SECONDS}`,
      source: 'ours: by then each has renewed all of its regions twice',
    },
  ],
  rule: `Ingens: less than all want is there, and whoever starts first, the largest and the smallest part differ by at most ${EQUAL_PERCENT} % of the mean; two shares give twice as much within ${EQUAL_PERCENT} % (without penalty). A process that goes idle but renews its memory loses at least ${LOSS_PERCENT} % of its huge pages with the penalty, and the others have more in all; without it (tau 100 %) what it holds stays within ${EQUAL_PERCENT} %`,
  isQuick: false,
  run: fairness,
};

interface Held {
  /** Huge pages of each process, in each second. */
  readonly seconds: readonly (readonly number[])[];
}

function fairness(context: FigureContext): FigureResult {
  const parts: FigurePart[] = [];
  const spreads: number[] = [];
  for (let first = 1; first <= PROCESSES; first++) {
    const means = meansOf(run(context, INGENS, { first }, FIXED_SUPPLY), SECONDS);
    const spread = spreadPercent(means);
    spreads.push(spread);
    parts.push(atMost(`Ingens, ${first} starts first: apart`, '%', EQUAL_PERCENT, spread));
    if (first === 1) parts.push(atMost('held by all', 'huge pages', wanted() - 1, sum(means)));
  }
  const shares = [...FIXED_SUPPLY, 'ingens.tauPercent=100', `ingens.share.${IDLE_PID}=2`];
  parts.push(twice(meansOf(run(context, INGENS, {}, shares), SECONDS)));
  parts.push(...idleParts(context));
  const always = { huge: { enabled: 'always' } } as const;
  const fixed = { ...always, compactionProactiveness: 0 };
  const linux = meansOf(run(context, LINUX, {}, [], fixed), SECONDS);
  linux.forEach((mean, at) => {
    parts.push(onlyHere(`Linux, started as number ${at + 1}`, 'huge pages', mean));
  });
  const compacted = meansOf(run(context, INGENS, {}), SECONDS);
  parts.push(
    onlyHere('Ingens with its compaction: the least of all', 'huge pages', Math.min(...compacted)),
  );
  const proactive = meansOf(run(context, LINUX, {}, [], always), SECONDS);
  parts.push(
    onlyHere(
      'Linux with proactive compaction: the least of all',
      'huge pages',
      Math.min(...proactive),
    ),
  );
  return {
    here: `Ingens: parts differ by at most ${Math.max(...spreads)} % of the mean whoever starts first; Linux: ${linux.join(', ')} in the order of start`,
    verdict: verdictOf(parts),
    why: 'Linux gives blocks to the faults that come first, and khugepaged goes through the first process before the next; Ingens gives each block that comes free to the process with the largest metric. A huge page moves only when its holder gives it back: the paper does not say that one is demoted for another process, so a process that goes idle and keeps its memory keeps its huge pages too',
    parts,
  };
}

/** What a process has that goes idle, and the others, before and at the end. */
function idleParts(context: FigureContext): FigurePart[] {
  const idle = { idle: IDLE_PID, idleAtSeconds: IDLE_AT, seconds: IDLE_SECONDS };
  const change = (settings: readonly string[], more = {}): { idle: number; others: number } => {
    const held = run(context, INGENS, { ...idle, ...more }, [...FIXED_SUPPLY, ...settings]);
    const before = meansOf(held, IDLE_AT);
    const after = meansOf(held, IDLE_SECONDS);
    const at = IDLE_PID - 1;
    const own = before[at] as number;
    return {
      idle: percent((after[at] as number) / own - 1),
      others: Number((sum(after) - (after[at] as number) - (sum(before) - own)).toFixed(1)),
    };
  };
  const taxed = change([]);
  const untaxed = change(['ingens.tauPercent=100']);
  const kept = change([], { idleKeeps: 1 });
  return [
    atMost('idle process, with penalty: change', '%', -LOSS_PERCENT, taxed.idle),
    atMost('fewer at the others, with penalty', 'huge pages', 0, -taxed.others),
    within('idle process, without penalty: change', '%', 0, untaxed.idle, EQUAL_PERCENT),
    onlyHere('idle process that keeps its memory, with penalty: change', '%', kept.idle),
  ];
}

function twice(means: readonly number[]): FigurePart {
  const own = means[IDLE_PID - 1] as number;
  const others = (sum(means) - own) / (PROCESSES - 1);
  const ratio = Number((own / others).toFixed(2));
  return within('Ingens, two shares against one', 'ratio', 2, ratio, (2 * EQUAL_PERCENT) / 100);
}

function run(
  context: FigureContext,
  kernelName: string,
  settings: Readonly<Record<string, number>>,
  own: readonly string[] = [],
  machine: Readonly<MachineOptions> = {},
): Held {
  const workload = findWorkload('competing');
  if (workload === undefined) throw new Error('no workload competing');
  const said = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  context.onProgress(`competing ${[...said, ...own].join(' ')} under ${kernelName}`);
  const given = { processes: PROCESSES, regions: REGIONS, seconds: SECONDS, ...settings };
  const texts = new Map(Object.entries(given).map(([key, value]) => [key, String(value)]));
  const seconds: number[][] = [];
  const [kernel] = parseKernels([kernelName], own);
  if (kernel === undefined) throw new Error(`no kernel ${kernelName}`);
  replay(openWorkload(workload, workloadValues(workload, texts), 1), kernel, {
    machine: { ...parseMachine(workload.machine ?? 'default').options, ...machine },
    seed: 1,
    onMark: (system, name) => {
      if (name.startsWith('second ')) seconds.push(hugePages(system));
    },
  });
  return { seconds };
}

function hugePages(system: System): number[] {
  return Array.from({ length: PROCESSES }, (_, at) => {
    const kib = system.process(at + 1)?.counters().anonHugeKiB ?? 0;
    return kib / 2048;
  });
}

/** Mean of each process over the seconds before `end`. */
function meansOf({ seconds }: Held, end: number): number[] {
  const window = seconds.slice(end - WINDOW, end);
  return Array.from({ length: PROCESSES }, (_, at) => {
    const total = window.reduce((before, held) => before + (held[at] as number), 0);
    return Number((total / window.length).toFixed(1));
  });
}

function spreadPercent(means: readonly number[]): number {
  const mean = sum(means) / means.length;
  return percent((Math.max(...means) - Math.min(...means)) / mean);
}

function percent(part: number): number {
  return Number((100 * part).toFixed(1));
}

function sum(values: readonly number[]): number {
  return values.reduce((before, value) => before + value, 0);
}

function wanted(): number {
  return PROCESSES * REGIONS;
}
