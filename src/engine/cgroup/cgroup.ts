import { arenaAllocZeroed, classFor } from '../arena.ts';
import { H_CGROUPS, H_GUESTS, H_MM_LIST } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { C_ANON, MM_CGROUP, MM_NEXT, MM_POOL_BYTES, mmCounter } from '../space/mm.ts';
import { OWNER_TABLES } from '../tables/owner.ts';

/**
 * Memory cgroups: groups of processes whose memory is charged and limited together. A process is in
 * one, a fork's child in its parent's; who was put into none is in the root, which has no limit.
 * Flat: no cgroup inside another.
 *
 * Nothing is counted at a fault. What a cgroup uses is added up, when somebody asks, from counters
 * that its address spaces have anyway (docs/table-reclaim.md, "Charging").
 */
const CG_NEXT = 0;
/** In pages; 0 is none. */
const CG_LIMIT = 1;
/** Its upper tables (table-list.ts). */
export const CG_LIST = 2;
export const CG_CAPACITY = 3;
export const CG_COUNT = 4;
/** Where the aging scan stands: a place in the list, and an entry there. */
export const CG_HAND = 5;
export const CG_HAND_ENTRY = 6;
export const CG_OOM_KILLS = 7;
/** Limits that were hit. */
export const CG_MAX_EVENTS = 8;
const CGROUP_WORDS = 16;

/** The root cgroup, made at the first call. */
export function rootCgroup(m: Machine): number {
  const w = m.words;
  if (w[H_CGROUPS] === 0) w[H_CGROUPS] = arenaAllocZeroed(m, classFor(CGROUP_WORDS));
  return w[H_CGROUPS];
}

/** A new cgroup that may use `limitPages` pages; 0 for no limit. Its id. */
export function cgroupCreate(m: Machine, limitPages: number): number {
  const w = m.words;
  const root = rootCgroup(m);
  const cgroup = arenaAllocZeroed(m, classFor(CGROUP_WORDS));
  w[cgroup + CG_LIMIT] = limitPages;
  w[cgroup + CG_NEXT] = w[root + CG_NEXT];
  w[root + CG_NEXT] = cgroup;
  return cgroup;
}

/** The next cgroup of the machine, beginning with the root; 0 after the last. */
export function nextCgroup(m: Machine, cgroup: number): number {
  return cgroup === 0 ? m.words[H_CGROUPS] : m.words[cgroup + CG_NEXT];
}

/** The cgroup of an address space (or a guest). */
export function cgroupOf(m: Machine, mm: number): number {
  const cgroup = m.words[mm + MM_CGROUP];
  return cgroup !== 0 ? cgroup : rootCgroup(m);
}

export function cgroupLimit(m: Machine, cgroup: number): number {
  return m.words[cgroup + CG_LIMIT];
}

/**
 * What its processes are charged, in pages: anonymous pages, page tables of all levels, and what the
 * pool holds of their stored tables; the same of guests, whose pages are not charged. A page that fork shares counts for each.
 */
export function cgroupUsage(m: Machine, cgroup: number): number {
  const w = m.words;
  let pages = 0;
  let poolBytes = 0;
  for (let mm = w[H_MM_LIST]; mm !== 0; mm = w[mm + MM_NEXT]) {
    if (cgroupOf(m, mm) !== cgroup) continue;
    pages += mmCounter(m, mm, C_ANON);
    poolBytes += w[mm + MM_POOL_BYTES];
    for (let level = 0; level < m.geometry.levels; level++) pages += w[mm + OWNER_TABLES + level];
  }
  for (let guest = w[H_GUESTS]; guest !== 0; guest = w[guest + MM_NEXT]) {
    if (cgroupOf(m, guest) !== cgroup) continue;
    poolBytes += w[guest + MM_POOL_BYTES];
    for (let level = 0; level < m.geometry.levels; level++) {
      pages += w[guest + OWNER_TABLES + level];
    }
  }
  return pages + Math.ceil(poolBytes / 4096);
}

/** Pages above its limit; 0 or less: none. */
export function cgroupExcess(m: Machine, cgroup: number): number {
  const limit = cgroupLimit(m, cgroup);
  return limit === 0 ? 0 : cgroupUsage(m, cgroup) - limit;
}
