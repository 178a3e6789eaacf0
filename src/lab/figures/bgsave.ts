import {
  SNAPSHOT_WAYS,
  type SnapshotCost,
  type SnapshotWay,
  snapshotCost,
} from '../experiments/bgsave.ts';
import { spreadOf } from '../experiments/spread.ts';
import { KERNEL_COSTS, type KernelCostName } from '../time/kernel-costs.ts';
import type { Figure, FigureContext, FigurePart, FigureResult } from './figure.ts';
import { onlyHere } from './parts.ts';

const RECORDING = 'redis-set-bgsave-flush';
const REPEATS = 5;
/** fork of a tiny process alone, on Linux 6.18; least of several runs. */
const TINY_FORK_NS = 38_000;

export const BGSAVE: Figure = {
  id: 'morsels.bgsave',
  seed: '003',
  what: 'BGSAVE of the recorded Redis: by fork, by a fork that shares last-level tables, by clones of Morsels',
  unit: 'µs',
  published: 'nothing of this program: a fork of 1 GB is 65 times faster with shared tables',
  source: 'K. Zhao, S. Gong, P. Fonseca, "On-demand-fork", EuroSys 2021 (abstract)',
  method: 'model',
  inputs: [
    { name: 'program', value: `the bundled recording ${RECORDING}`, source: 'recorded here' },
    {
      name: 'an entry written',
      value: `${costOf('forkPageNs')} ns`,
      source: 'a page in fork, measured on Linux 6.18',
    },
    {
      name: 'all else of a fork, and of making a process for a clone',
      value: `${TINY_FORK_NS / 1000} µs`,
      source: 'fork of a tiny process, measured on Linux 6.18',
    },
    {
      name: 'a page copied on write',
      value: `${costOf('faultNs') + costOf('copyPageNs')} ns`,
      source: 'faultNs and copyPageNs (docs/time.md)',
    },
  ],
  rule: 'none: nothing of this size was published',
  isQuick: false,
  run: snapshots,
};

function costOf(name: KernelCostName): number {
  return KERNEL_COSTS.find((cost) => cost.name === name)?.value ?? NaN;
}

function snapshots(context: FigureContext): FigureResult {
  const costs = new Map<SnapshotWay, SnapshotCost[]>();
  for (let i = 0; i < REPEATS; i++) {
    for (const way of SNAPSHOT_WAYS) {
      context.onProgress(`morsels.bgsave, ${way}, ${i + 1} of ${REPEATS}`);
      const cost = snapshotCost(context.openRecording(RECORDING), way, context.nowMs);
      costs.set(way, [...(costs.get(way) ?? []), cost]);
    }
  }
  const of = (way: SnapshotWay): SnapshotCost => costs.get(way)?.[0] as SnapshotCost;
  const stops = SNAPSHOT_WAYS.map((way) => `${way} ${us(stopNs(of(way)))} µs`);
  const afters = SNAPSHOT_WAYS.map((way) => us(afterNs(of(way))));
  return {
    here: `the parent stands still for ${stops.join(', ')}; copies on write until the child ends take ${afters.join(', ')} µs in all (modelled)`,
    verdict: 'not comparable',
    why: `nothing was published of a program of ${of('fork').pages.toLocaleString('en')} pages; the recording has one touch for each fault of plain Linux, the same for all three`,
    parts: SNAPSHOT_WAYS.flatMap((way) => partsOf(costs.get(way) ?? [])),
  };
}

/** Modelled: entries at the price of a page in fork. */
function stopNs({ entries }: SnapshotCost): number {
  return TINY_FORK_NS + entries * costOf('forkPageNs');
}

function afterNs({ pageCopies, entriesAfter }: SnapshotCost): number {
  const page = costOf('faultNs') + costOf('copyPageNs');
  return pageCopies * page + entriesAfter * costOf('forkPageNs');
}

function partsOf(costs: readonly SnapshotCost[]): FigurePart[] {
  const [cost] = costs as [SnapshotCost];
  const { way } = cost;
  const engineUs = spreadOf(costs.map(({ engineMs }) => engineMs * 1000)).median;
  return [
    onlyHere(`${way}: entries written`, 'entries', cost.entries),
    onlyHere(`${way}: tables made`, 'tables', cost.tables),
    onlyHere(`${way}: counts changed`, 'counts', cost.counts),
    onlyHere(`${way}: the parent stands still, modelled`, 'µs', us(stopNs(cost))),
    onlyHere(`${way}: the engine's own time, measured`, 'µs', Math.round(engineUs)),
    onlyHere(`${way}: page tables of the child after it`, 'kB', cost.childTablesKiB),
    onlyHere(`${way}: pages copied on write`, 'pages', cost.pageCopies),
    onlyHere(`${way}: tables copied on write`, 'tables', cost.tableCopies),
    onlyHere(`${way}: entries of those`, 'entries', cost.entriesAfter),
    onlyHere(`${way}: counts changed by them`, 'counts', cost.countsAfter),
    onlyHere(`${way}: all copies on write, modelled`, 'µs', us(afterNs(cost))),
  ];
}

function us(ns: number): number {
  return Math.round(ns / 1000);
}
