import { H_MM_LIST } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { registerWindowOps } from '../../objects/window.ts';
import { C_FILE, C_SHMEM, MM_NEXT, MM_REGION, mmCounter, vmPteTables } from '../../space/mm.ts';
import { OWNER_TABLES } from '../../tables/owner.ts';
import type { Mechanism } from '../mechanism.ts';
import { R_INTERFACE, REGION_ANNOUNCED, regionOrphan, regionPut, regionsOf } from './region.ts';
import { MshareWindows } from './window-ops.ts';

/**
 * mshare: processes that opt in share the page tables of a region (A. Yznaga, K. Aziz, "[PATCH v3 00/22]
 * Add support for shared PTEs across processes", 20 August 2025; seed 004). region.ts is the core,
 * posted.ts and announced.ts are its two interfaces, window-ops.ts the fault and the links.
 */
export const mshare: Mechanism = {
  id: 'mshare',
  title: 'shared page tables for mappings that ask for them (mshare)',
  excludes: {
    'table-scan': 'it would take empty tables that windows lead to',
    'movable-tables': 'a shared table has more than one entry above it',
  },
  attach: attachMshare,
  counters: (m) => mshareCounters(m),
};

/** Makes the machine know mshare's windows; its flavor of objects. May be called again. */
export function attachMshare(m: Machine): number {
  const known = m.windowOps.findIndex((ops) => ops instanceof MshareWindows);
  if (known >= 0) return known;
  const flavor = registerWindowOps(m, new MshareWindows());
  const { processExit } = m.events;
  m.events.processExit = (machine, pid) => {
    processExit?.(machine, pid);
    for (const region of regionsOf(machine, flavor, pid)) {
      regionOrphan(machine, region);
      // Its descriptor is closed; as posted, names and open files hold a region.
      if (machine.words[region + R_INTERFACE] === REGION_ANNOUNCED) regionPut(machine, region);
    }
  };
  return flavor;
}

/** What windows did, and what the hosts hold, which no process's own counters have. KiB, tables, events. */
export function mshareCounters(m: Machine): Record<string, number> {
  const ops = m.windowOps.find((one) => one instanceof MshareWindows) as MshareWindows | undefined;
  if (ops === undefined) return {};
  const held = { regions: 0, hostVmPteKiB: 0, hostPteTables: 0, hostRssKiB: 0 };
  for (let mm = m.words[H_MM_LIST]; mm !== 0; mm = m.words[mm + MM_NEXT]) {
    if (m.words[mm + MM_REGION] === 0) continue;
    held.regions += 1;
    held.hostVmPteKiB += vmPteTables(m, mm) * 4;
    held.hostPteTables += m.words[mm + OWNER_TABLES];
    held.hostRssKiB += (mmCounter(m, mm, C_FILE) + mmCounter(m, mm, C_SHMEM)) * 4;
  }
  return { ...held, ...ops.work };
}
