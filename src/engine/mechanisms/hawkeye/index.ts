import { assert } from '../../../base/index.ts';
import { setWatermarks } from '../../frames/zones.ts';
import type { Machine } from '../../machine.ts';
import type { Mechanism } from '../mechanism.ts';
import { AccessMap } from './access-map.ts';
import {
  HAWKEYE_DEFAULTS,
  HAWKEYE_SETTING_TEXTS,
  type HawkeyeOptions,
  type MmuOverhead,
} from './options.ts';
import { Promoter } from './promoter.ts';
import { Recovery } from './recovery.ts';
import { Zeroing } from './zeroing.ts';

/**
 * HawkEye (Panwar, Bansal, Gopinath: "HawkEye: Efficient Fine-grained OS Support for Huge Pages",
 * ASPLOS 2019). A fault gives a huge page at once, from memory that a thread has zeroed before; small
 * pages become huge ones in the background, the most used regions first; and where memory is short,
 * the zero pages inside huge ones are given back. Where the machine says nothing of huge pages, they
 * are on everywhere.
 */
interface Attached {
  readonly zeroing: Zeroing;
  readonly map: AccessMap;
  readonly promoter: Promoter;
  readonly recovery: Recovery;
}

const attached = new WeakMap<Machine, Attached>();

/** `hawkeye.mmu.PID=PERCENT`: what update_mm_ohp_stats would tell of a process. */
const MMU_SETTING = /^mmu\.(\d+)$/;

export function hawkeyeWith(options: HawkeyeOptions, overhead: MmuOverhead = new Map()): Mechanism {
  const TABLES = 'huge pages and tables that are taken away are not brought together';
  const OTHER = 'each decides alone which regions become huge pages';
  return {
    id: 'hawkeye',
    title: 'huge pages from memory zeroed ahead, zeros back (HawkEye)',
    excludes: {
      ingens: OTHER,
      'ingens-artifact': OTHER,
      reservations: OTHER,
      'movable-tables': 'regions are known by their tables, which must not move',
      'table-reclaim': TABLES,
      'table-reclaim-aged': TABLES,
    },
    settings: { ...options },
    settingTexts: HAWKEYE_SETTING_TEXTS,
    takes: (name) => MMU_SETTING.test(name),
    withSettings(values) {
      const known: Record<string, number> = { ...options };
      const percents = new Map(overhead);
      for (const [name, value] of Object.entries(values)) {
        const pid = MMU_SETTING.exec(name)?.[1];
        if (pid === undefined) known[name] = value;
        else percents.set(Number(pid), value);
      }
      return hawkeyeWith(known as unknown as HawkeyeOptions, percents);
    },
    attach(m) {
      attached.set(m, attach(m, options, overhead));
    },
    counters(m) {
      const found = attached.get(m);
      assert(found !== undefined, 'hawkeye is not attached');
      const { zeroedInFaults, ...faults } = found.zeroing.counters;
      return {
        promotions: found.promoter.promotions,
        failures: found.promoter.failures,
        ...faults,
        zeroedInFaultsKiB: zeroedInFaults * 4,
        preZeroedKiB: m.zeroing.ahead * 4,
        recoveredKiB: found.recovery.recovered * 4,
      };
    },
  };
}

export const hawkeye: Mechanism = hawkeyeWith(HAWKEYE_DEFAULTS);

function attach(m: Machine, options: HawkeyeOptions, overhead: MmuOverhead): Attached {
  assert(!m.isShared, 'huge pages are for machines of one thread');
  if (m.huge.enabled === 'disabled') m.huge = { ...m.huge, enabled: 'always' };
  setWatermarks(m);
  const zeroing = new Zeroing(m, options);
  const map = new AccessMap(m, options);
  const recovery = new Recovery(m, options, overhead);
  const promoter = new Promoter(m, options, overhead, map, (base, isHole) =>
    recovery.promoted(base, isHole),
  );
  // Every fault and write is heard of: none takes the way that tells nobody.
  m.isCareful = true;
  m.sizeOrders = null;
  m.hasHugeFaults = true;
  m.hasKhugepaged = false;
  const { events } = m;
  events.placePage = zeroing.placePage;
  const { frameTaken } = events;
  events.frameTaken = (machine, pfn, frames, floor, as) => {
    if (frameTaken?.(machine, pfn, frames, floor, as) === false) return false;
    zeroing.taken(pfn, frames);
    recovery.taken(pfn, frames);
    return true;
  };
  events.hugeAdded = (_m, _mm, base) => {
    zeroing.gaveHuge(base);
    recovery.gaveHuge(base);
  };
  events.pageWritten = (_m, mm, hi, lo) => recovery.written(mm, hi, lo);
  const { spaceGone, returnToUser } = events;
  events.spaceGone = (machine, mm) => {
    spaceGone?.(machine, mm);
    map.forget(mm);
    promoter.forget(mm);
  };
  const threads = [zeroing, map, promoter, recovery];
  events.returnToUser = (machine, mm, nowNs) => {
    returnToUser?.(machine, mm, nowNs);
    runUntil(m, threads, options, nowNs);
  };
  return { zeroing, map, promoter, recovery };
}

/** Something that has its next turn at a time. */
interface Thread {
  nextNs: number;
  run(nowNs: number): void;
}

/** All turns up to now, in the order of their times; each thread begins with a sleep. */
function runUntil(
  m: Machine,
  threads: readonly Thread[],
  options: HawkeyeOptions,
  nowNs: number,
): void {
  const sleeps = [
    options.zeroSleepMs,
    options.scanMs,
    m.huge.khugepaged.scanSleepMs,
    options.recoverMs,
  ];
  for (const [i, thread] of threads.entries()) {
    if (thread.nextNs < 0) thread.nextNs = nowNs + (sleeps[i] as number) * 1e6;
  }
  for (;;) {
    const next = threads.reduce((first, other) => (other.nextNs < first.nextNs ? other : first));
    if (next.nextNs > nowNs) return;
    next.run(nowNs);
  }
}
