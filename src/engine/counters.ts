import type { Machine } from './machine.ts';
import {
  C_ANON,
  C_COLLAPSES,
  C_COW,
  C_FAULTS,
  C_FILE,
  C_GUARD,
  C_HUGE,
  C_HUGE_FAULTS,
  C_HUGE_SPLITS,
  C_SHMEM,
  C_SPECIAL,
  C_SWAP,
  C_SWAP_INS,
  C_TABLES_FREED,
  C_ZERO,
  MM_TOTAL_VM,
  mmCounter,
  pmdTables,
  vmPteTables,
} from './space/mm.ts';
import { OWNER_EMPTY_TABLES, OWNER_TABLES } from './tables/owner.ts';

/** Only of a machine that has huge pages. */
export interface HugeCounters {
  /** AnonHugePages of /proc/PID/smaps_rollup. */
  anonHugeKiB: number;
  /** Faults that gave a huge page; small pages made huge ones; huge mappings made small ones. */
  hugeFaults: number;
  promotions: number;
  demotions: number;
}

/** What one address space costs and did, as the kernel would report it. KiB, pages, events. */
export interface Counters extends Partial<HugeCounters> {
  /** VmPTE of /proc/PID/status: PTE, PMD and PUD tables. */
  vmPteKiB: number;
  pteTables: number;
  pmdTables: number;
  pudTables: number;
  /** PTE tables without any entry. */
  emptyTables: number;
  /** Entries that are present: pages, zero pages, special ones (pagemap bit 63). */
  presentPages: number;
  /** Entries that are not present but say something: swap slots and guard markers (pagemap bit 62). */
  swappedPages: number;
  /** Swap slots alone: VmSwap. */
  vmSwapKiB: number;
  rssAnonKiB: number;
  rssFileKiB: number;
  rssShmemKiB: number;
  vmSizeKiB: number;
  faults: number;
  cowFaults: number;
  swapIns: number;
  /** PTE tables given back for being empty, by the base's rule or a mechanism. */
  tablesFreed: number;
}

/** The counters of an address space now. */
export function countersOf(m: Machine, mm: number): Counters {
  const w = m.words;
  const anon = mmCounter(m, mm, C_ANON);
  const file = mmCounter(m, mm, C_FILE);
  const shmem = mmCounter(m, mm, C_SHMEM);
  const special = mmCounter(m, mm, C_SPECIAL);
  return {
    vmPteKiB: vmPteTables(m, mm) * 4,
    pteTables: w[mm + OWNER_TABLES],
    pmdTables: pmdTables(m, mm),
    pudTables: m.geometry.levels > 3 ? w[mm + OWNER_TABLES + 2] : 0,
    emptyTables: w[mm + OWNER_EMPTY_TABLES],
    presentPages: anon + file + shmem + special + mmCounter(m, mm, C_ZERO),
    swappedPages: mmCounter(m, mm, C_SWAP) + mmCounter(m, mm, C_GUARD),
    vmSwapKiB: mmCounter(m, mm, C_SWAP) * 4,
    rssAnonKiB: anon * 4,
    rssFileKiB: file * 4,
    rssShmemKiB: shmem * 4,
    vmSizeKiB: m.doubles[(mm + MM_TOTAL_VM) >> 1] * 4,
    faults: mmCounter(m, mm, C_FAULTS),
    cowFaults: mmCounter(m, mm, C_COW),
    swapIns: mmCounter(m, mm, C_SWAP_INS),
    tablesFreed: mmCounter(m, mm, C_TABLES_FREED),
    ...(m.huge.enabled === 'disabled' ? {} : hugeCountersOf(m, mm)),
  };
}

function hugeCountersOf(m: Machine, mm: number): HugeCounters {
  return {
    anonHugeKiB: mmCounter(m, mm, C_HUGE) * m.entryCount * 4,
    hugeFaults: mmCounter(m, mm, C_HUGE_FAULTS),
    promotions: mmCounter(m, mm, C_COLLAPSES),
    demotions: mmCounter(m, mm, C_HUGE_SPLITS),
  };
}

export const COUNTER_NAMES = [
  'vmPteKiB',
  'pteTables',
  'pmdTables',
  'pudTables',
  'emptyTables',
  'presentPages',
  'swappedPages',
  'vmSwapKiB',
  'rssAnonKiB',
  'rssFileKiB',
  'rssShmemKiB',
  'vmSizeKiB',
  'faults',
  'cowFaults',
  'swapIns',
  'tablesFreed',
] as const satisfies readonly (keyof Counters)[];

const HUGE_COUNTER_NAMES = ['anonHugeKiB', 'hugeFaults', 'promotions', 'demotions'] as const;

export function zeroCounters(): Counters {
  return {
    vmPteKiB: 0,
    pteTables: 0,
    pmdTables: 0,
    pudTables: 0,
    emptyTables: 0,
    presentPages: 0,
    swappedPages: 0,
    vmSwapKiB: 0,
    rssAnonKiB: 0,
    rssFileKiB: 0,
    rssShmemKiB: 0,
    vmSizeKiB: 0,
    faults: 0,
    cowFaults: 0,
    swapIns: 0,
    tablesFreed: 0,
  };
}

/** Adds `more` to `sum`, field by field. */
export function addCounters(sum: Counters, more: Counters): void {
  for (const name of COUNTER_NAMES) sum[name] += more[name];
  for (const name of HUGE_COUNTER_NAMES) {
    const value = more[name];
    if (value !== undefined) sum[name] = (sum[name] ?? 0) + value;
  }
}

/** Counters that go up and down, in the order of `readGauges`; the others only grow. */
export const GAUGE_NAMES = [
  'vmPteKiB',
  'pteTables',
  'pmdTables',
  'pudTables',
  'emptyTables',
  'presentPages',
  'swappedPages',
  'rssAnonKiB',
  'rssFileKiB',
  'rssShmemKiB',
  'vmSizeKiB',
  'vmSwapKiB',
] as const satisfies readonly (keyof Counters)[];

/** The gauges of an address space without an object: for callers that look very often. */
export function readGauges(m: Machine, mm: number, into: Float64Array): void {
  const w = m.words;
  const anon = mmCounter(m, mm, C_ANON);
  const file = mmCounter(m, mm, C_FILE);
  const shmem = mmCounter(m, mm, C_SHMEM);
  into[0] = vmPteTables(m, mm) * 4;
  into[1] = w[mm + OWNER_TABLES];
  into[2] = pmdTables(m, mm);
  into[3] = m.geometry.levels > 3 ? w[mm + OWNER_TABLES + 2] : 0;
  into[4] = w[mm + OWNER_EMPTY_TABLES];
  into[5] = anon + file + shmem + mmCounter(m, mm, C_SPECIAL) + mmCounter(m, mm, C_ZERO);
  into[6] = mmCounter(m, mm, C_SWAP) + mmCounter(m, mm, C_GUARD);
  into[7] = anon * 4;
  into[8] = file * 4;
  into[9] = shmem * 4;
  into[10] = m.doubles[(mm + MM_TOTAL_VM) >> 1] * 4;
  into[11] = mmCounter(m, mm, C_SWAP) * 4;
}
