import { cgroupOf } from '../cgroup/cgroup.ts';
import { H_MM_LIST } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { C_ANON, C_FILE, C_SHMEM, C_SWAP, MM_NEXT, mmCounter } from '../space/mm.ts';
import { OWNER_TABLES } from '../tables/owner.ts';

/**
 * The address space whose end frees most (oom_badness, mm/oom_kill.c): resident pages, swap entries
 * and page tables together; of a cgroup, or (0) of all. 0 if there is none.
 */
export function chooseVictim(m: Machine, cgroup = 0): number {
  let victim = 0;
  let worst = -1;
  for (let mm = m.words[H_MM_LIST]; mm !== 0; mm = m.words[mm + MM_NEXT]) {
    if (cgroup !== 0 && cgroupOf(m, mm) !== cgroup) continue;
    const points = oomPoints(m, mm);
    if (points > worst) {
      worst = points;
      victim = mm;
    }
  }
  return victim;
}

/** oom_badness in pages. */
export function oomPoints(m: Machine, mm: number): number {
  let points = 0;
  for (const counter of [C_ANON, C_FILE, C_SHMEM, C_SWAP]) points += mmCounter(m, mm, counter);
  for (let level = 0; level < m.geometry.levels - 1; level++) {
    points += m.words[mm + OWNER_TABLES + level];
  }
  return points;
}
