import { assert } from '../../../base/index.ts';
import { H_MM_LIST, H_STORED } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { MM_NEXT } from '../../space/mm.ts';
import { OWNER_ROOT } from '../../tables/owner.ts';
import { enableStoredTables } from '../../tables/stored.ts';
import { T_CONTENTS, tableLevel } from '../../tables/table.ts';
import type { Mechanism } from '../mechanism.ts';
import { AgedVictims } from './aged-victims.ts';
import { tableReclaimCounters } from './counters.ts';
import { listTable, tableMoved, unlistTable } from './listing.ts';
import { migrateAway } from './migrate-away.ts';
import { RandomVictims } from './random-victims.ts';
import { DEFAULT_WAYS, reclaimTable, type StoreWay } from './reclaim-table.ts';
import type { Victims } from './victims.ts';

/**
 * Reclaim of page tables under memory pressure (Manaouil and Barbalace, "A Case for Page Table
 * Reclaim"): each memory cgroup has a list of its tables; where memory is short, some are picked
 * and frozen. Those without entries, or with zero pages only, are freed; others are stored,
 * compressed in memory or on the swap device, until a fault wants them back.
 *
 * As published the pick is random. The aged variant picks by access frequency, which the talk leaves
 * open.
 */
export interface TableReclaimOptions {
  victims: 'random' | 'aged';
  /** How tables with entries may be stored, the first that works; default: compress, swap. */
  ways?: readonly StoreWay[];
}

/** The mechanism with settings of its own, as tests and experiments need it. */
export function makeTableReclaim(
  id: string,
  title: string,
  options: TableReclaimOptions,
  excludes: Readonly<Record<string, string>> = {},
): Mechanism {
  return {
    id,
    title,
    excludes,
    attach(m, seed = 1) {
      assert(m.tableRefs === 0, 'on a shared machine tables are reclaimed with pte-ref-lock only');
      const isFirst = m.words[H_STORED] === 0;
      enableStoredTables(m);
      if (isFirst) listAllTables(m);
      m.events.upperTableMade = listTable;
      m.events.upperTableGone = unlistTable;
      m.events.tableMoved = tableMoved;
      const victims = options.victims === 'aged' ? new AgedVictims() : new RandomVictims(seed);
      const ways = options.ways ?? DEFAULT_WAYS;
      m.events.tablesShort = (machine, frames, cgroup) =>
        reclaimTables(machine, victims, ways, frames, cgroup);
      if (!m.isShared)
        m.events.nodeShort = (machine, zone, frames) => migrateAway(machine, victims, zone, frames);
    },
    counters: tableReclaimCounters,
  };
}

const ONE_ONLY = 'both reclaim page tables, by different victims';

export const tableReclaim: Mechanism = makeTableReclaim(
  'table-reclaim',
  'page tables freed, compressed or swapped under pressure; random victims',
  { victims: 'random' },
  { 'table-reclaim-aged': ONE_ONLY },
);

export const tableReclaimAged: Mechanism = makeTableReclaim(
  'table-reclaim-aged',
  'page tables freed, compressed or swapped under pressure; least used victims',
  { victims: 'aged' },
  { 'table-reclaim': ONE_ONLY },
);

/** Picks tables, of one cgroup or (0) of all, until that many frames are free; how many are. */
function reclaimTables(
  m: Machine,
  victims: Victims,
  ways: readonly StoreWay[],
  frames: number,
  cgroup: number,
): number {
  let freed = 0;
  victims.begin(m, cgroup, frames);
  // Tables that cannot be stored cost picks: there is an end to that.
  for (let picks = 4 * frames + 64; picks > 0 && freed < frames; picks--) {
    if (!victims.next(m)) break;
    freed += reclaimTable(m, victims.parent, victims.index, ways);
  }
  return freed;
}

/** For a machine that has address spaces already. */
function listAllTables(m: Machine): void {
  for (let mm = m.words[H_MM_LIST]; mm !== 0; mm = m.words[mm + MM_NEXT]) {
    const root = m.words[mm + OWNER_ROOT];
    if (root !== 0) listBelow(m, mm, root);
  }
}

function listBelow(m: Machine, mm: number, table: number): void {
  const level = tableLevel(m, table);
  listTable(m, mm, table, level);
  if (level === 1) return;
  for (let i = 0; i < m.entryCount; i++) {
    const child = m.words[m.words[table + T_CONTENTS] + i];
    if (child !== 0) listBelow(m, mm, child);
  }
}
