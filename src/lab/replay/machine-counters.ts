import { HUGE_SIZES, type Machine, unmappedFolioFrames } from '../../engine/index.ts';
import type { Kernel } from '../kernels.ts';
import type { KernelThreads } from './kernel-threads.ts';
import type { HugePageCounters, MachineCounters, MechanismCounters } from './result.ts';

/** What a result says of the whole machine, beside its processes; what the machine lacks is absent. */
export function machineCounters(
  machine: Machine,
  kernel: Kernel,
  threads: KernelThreads,
): MachineCounters & MechanismCounters {
  const { vmstat, ksm } = machine;
  const isShort = vmstat.pgscanKswapd + vmstat.pgscanDirect > 0;
  const hasHuge = machine.huge.enabled !== 'disabled';
  return {
    ...(isShort ? { reclaim: { ...vmstat } } : {}),
    ...(hasHuge ? { hugePages: hugePagesOf(machine, threads) } : {}),
    ...(ksm === null ? {} : { ksm: ksm.counters() }),
    ...mechanismCounters(machine, kernel),
  };
}

function hugePagesOf(machine: Machine, { khugepaged, kcompactd }: KernelThreads): HugePageCounters {
  const { hugeFallbacks, compactionsInFault, deferredSplits } = machine;
  return {
    hugeFallbacks,
    compactionsInFault,
    deferredSplits,
    ...(machine.contentsAt === 0 ? {} : { underusedSplits: machine.underusedSplits }),
    unmappedKiB: unmappedFolioFrames(machine) * 4,
    ...sizesOf(machine),
    ...(khugepaged === null ? {} : { khugepaged: { ...khugepaged.counters } }),
    ...(kcompactd === null ? {} : { kcompactd: { ...kcompactd.counters } }),
  };
}

/** Of each size below 2 MiB that is on. */
function sizesOf(machine: Machine): Pick<HugePageCounters, 'sizes'> {
  if (machine.sizeOrders === null) return {};
  const sizes: NonNullable<HugePageCounters['sizes']> = {};
  for (const [i, size] of HUGE_SIZES.entries()) {
    if ((machine.huge.sizes[size] ?? 'never') === 'never') continue;
    const order = i + 2;
    sizes[size] = {
      faults: machine.sizeFaults[order] as number,
      fallbacks: machine.sizeFallbacks[order] as number,
    };
  }
  return { sizes };
}

/** What the kernel's mechanisms measure now, each under its id; without those that had better wait. */
export function mechanismGauges(machine: Machine, { mechanisms }: Kernel): MechanismCounters {
  const all: MechanismCounters = {};
  for (const { id, gauges } of mechanisms) {
    const values = gauges?.(machine) ?? null;
    if (values !== null) Object.assign(all, { [id]: values });
  }
  return all;
}

/** The highest that they measured. */
export function mechanismPeaks(machine: Machine, { mechanisms }: Kernel): MechanismCounters {
  const all: MechanismCounters = {};
  for (const { id, peaks } of mechanisms) {
    if (peaks !== undefined) Object.assign(all, { [id]: peaks(machine) });
  }
  return all;
}

/** Counters that the kernel's mechanisms keep, each under its id. */
function mechanismCounters(machine: Machine, { mechanisms }: Kernel): MechanismCounters {
  const all: MechanismCounters = {};
  for (const { id, counters } of mechanisms) {
    if (counters !== undefined) Object.assign(all, { [id]: counters(machine) });
  }
  return all;
}
