import { InputError } from '../../base/index.ts';
import type { SourcedNumber } from '../../engine/index.ts';
import { wholeNumber } from '../setting-values.ts';

/**
 * src/lab/time: what a replay would have taken. The engine counts work (faults, pages zeroed, copied,
 * moved, looked at); this folder multiplies by the constants below and calls the product modelled.
 * Nothing in the engine depends on it. Every constant can be set: `--set time.faultNs=3000`.
 *
 * The default is the machine of Ingens' authors (two Xeon E5-2640, 2.6 GHz).
 */
export const KERNEL_COSTS = [
  {
    name: 'faultNs',
    value: 2870,
    unit: 'ns',
    ground: 'derived',
    source: 'a 4 KiB fault without zeroing: 3.6 µs published (Ingens, OSDI 2016) less zeroPageNs',
  },
  {
    name: 'hugeFaultNs',
    value: 13_000,
    unit: 'ns',
    ground: 'recalled',
    source: 'a 2 MiB fault without zeroing (HawkEye, ASPLOS 2019)',
  },
  {
    name: 'zeroPageNs',
    value: 713,
    unit: 'ns',
    ground: 'derived',
    source: '4 KiB at 5.75 GB/s, from 378 µs published for a 2 MiB fault less hugeFaultNs',
  },
  {
    name: 'copyPageNs',
    value: 731,
    unit: 'ns',
    ground: 'assumption',
    source: 'reading and writing 4 KiB at 5.6 GB/s, about as fast as zeroing',
  },
  {
    name: 'callNs',
    value: 1500,
    unit: 'ns',
    ground: 'source',
    source: 'a system call on memory, measured on Linux 6.18 (docs/replay.md)',
  },
  {
    name: 'zapPageNs',
    value: 337,
    unit: 'ns',
    ground: 'source',
    source: 'giving back a page in a large call, measured on Linux 6.18',
  },
  {
    name: 'zapHugeNs',
    value: 6600,
    unit: 'ns',
    ground: 'source',
    source: 'giving back a huge page, measured on Linux 6.18',
  },
  {
    name: 'forkPageNs',
    value: 107,
    unit: 'ns',
    ground: 'source',
    source: 'a page in fork, measured on Linux 6.18',
  },
  {
    name: 'swapInNs',
    value: 12_100,
    unit: 'ns',
    ground: 'source',
    source: 'a page from zram, measured on Linux 6.18',
  },
  {
    name: 'pageOutNs',
    value: 10_100,
    unit: 'ns',
    ground: 'source',
    source: 'a page to zram, measured on Linux 6.18',
  },
  {
    name: 'reclaimScanNs',
    value: 100,
    unit: 'ns',
    ground: 'assumption',
    source: 'a page that reclaim looks at',
  },
  {
    name: 'movePageNs',
    value: 2231,
    unit: 'ns',
    ground: 'assumption',
    source: 'a page that compaction moves: 1.5 µs to isolate, unmap and map, and copyPageNs',
  },
  {
    name: 'scanFrameNs',
    value: 35,
    unit: 'ns',
    ground: 'assumption',
    source: 'a frame that a compaction scanner looks at: 20 to 50 ns',
  },
  {
    name: 'collapseNs',
    value: 10_000,
    unit: 'ns',
    ground: 'assumption',
    source: 'making a huge page of small ones, beside copying and zeroing 512 pages',
  },
  {
    name: 'coreMHz',
    value: 2600,
    unit: 'MHz',
    ground: 'notes',
    source: 'clock of the core whose page walks are counted (Ingens, OSDI 2016: E5-2640, 2.60 GHz)',
  },
] as const satisfies readonly SourcedNumber[];

export type KernelCostName = (typeof KERNEL_COSTS)[number]['name'];
export type KernelCosts = Readonly<Record<KernelCostName, number>>;

export const TIME_PREFIX = 'time.';

/** The table with some constants set by the user (`faultNs`, without the prefix). Throws InputError. */
export function kernelCostsWith(settings: ReadonlyMap<string, string>): {
  costs: KernelCosts;
  constants: readonly SourcedNumber[];
} {
  for (const name of settings.keys()) {
    if (KERNEL_COSTS.some((cost) => cost.name === name)) continue;
    const known = KERNEL_COSTS.map((cost) => cost.name).join(', ');
    throw new InputError(`--set ${TIME_PREFIX}${name}: no such constant; there are ${known}`);
  }
  const constants = KERNEL_COSTS.map((cost): SourcedNumber => {
    const text = settings.get(cost.name);
    if (text === undefined) return cost;
    const value = wholeNumber(`${TIME_PREFIX}${cost.name}`, text, cost.name === 'coreMHz' ? 1 : 0);
    return { ...cost, value, ground: 'assumption', source: 'set by --set' };
  });
  const costs = Object.fromEntries(constants.map(({ name, value }) => [name, value]));
  return { costs: costs as KernelCosts, constants };
}
