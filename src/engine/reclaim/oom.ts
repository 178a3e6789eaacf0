import { cgroupOf } from '../cgroup/cgroup.ts';
import { H_MM_LIST } from '../layout.ts';
import type { Machine } from '../machine.ts';
import {
  C_ANON,
  C_FILE,
  C_SHMEM,
  C_SWAP,
  MM_HUGETLB_TABLES,
  MM_IS_REAPED,
  MM_NEXT,
  MM_PID,
  MM_POOL_BYTES,
  MM_REGION,
  mmCounter,
  vmPteTables,
} from '../space/mm.ts';
import { VM_LOCKED, VM_PFNMAP, VM_SHARED } from '../space/vm-flags.ts';
import { V_FLAGS, V_OBJECT, vmaAt, vmaEnd, vmaStart } from '../space/vma.ts';
import { OWNER_TABLES } from '../tables/owner.ts';
import { zapRange } from '../tables/zap.ts';
import { resumeWorld, stopWorld } from '../threads/world.ts';

/**
 * The address space whose end frees most (oom_badness, mm/oom_kill.c): resident pages, swap entries
 * and page tables together; of a cgroup, or (0) of all. 0 if there is none.
 */
export function chooseVictim(m: Machine, cgroup = 0): number {
  let victim = 0;
  let worst = -1;
  for (let mm = m.words[H_MM_LIST]; mm !== 0; mm = m.words[mm + MM_NEXT]) {
    if (cgroup !== 0 && cgroupOf(m, mm) !== cgroup) continue;
    if (m.words[mm + MM_IS_REAPED] !== 0 || m.words[mm + MM_REGION] !== 0) continue;
    const points = oomPoints(m, mm);
    if (points > worst) {
      worst = points;
      victim = mm;
    }
  }
  return victim;
}

/** A process that was ended for memory, as the kernel's log has it. */
export interface OomKill {
  readonly pid: number;
  /** Whose allocation it was for; 0 where that is nobody's in particular. */
  readonly forPid: number;
  readonly residentKiB: number;
  readonly swapKiB: number;
  readonly pageTablesKiB: number;
}

/** What there is to say of a victim while it is still there. */
export function oomKillOf(m: Machine, mm: number, forPid: number): OomKill {
  const of = (counter: number): number => mmCounter(m, mm, counter) * 4;
  return {
    pid: m.words[mm + MM_PID] as number,
    forPid,
    residentKiB: of(C_ANON) + of(C_FILE) + of(C_SHMEM),
    swapKiB: of(C_SWAP),
    pageTablesKiB: vmPteTables(m, mm) * 4,
  };
}

/**
 * On a shared machine the victim may be in the middle of an operation in another thread. So its
 * private anonymous memory is emptied at once (oom_reaper, mm/oom_kill.c), it faults no more, and
 * whoever runs it ends it. Returns the victim, 0 if there is none. The caller holds no spin lock.
 */
export function reapVictim(m: Machine, cgroup = 0): number {
  stopWorld(m);
  const mm = chooseVictim(m, cgroup);
  if (mm !== 0) {
    m.words[mm + MM_IS_REAPED] = 1;
    for (let at = 0; ; at++) {
      const vma = vmaAt(m, mm, at);
      if (vma === 0) break;
      // can_madv_lru_vma, and nothing that others can see.
      if ((m.words[vma + V_FLAGS] & (VM_LOCKED | VM_PFNMAP | VM_SHARED)) !== 0) continue;
      if (m.words[vma + V_OBJECT] === 0) zapRange(m, mm, vma, vmaStart(m, vma), vmaEnd(m, vma), 0);
    }
  }
  resumeWorld(m);
  return mm;
}

/** oom_badness in pages; of stored tables what the pool holds of them, in whole pages. */
export function oomPoints(m: Machine, mm: number): number {
  let points = 0;
  for (const counter of [C_ANON, C_FILE, C_SHMEM, C_SWAP]) points += mmCounter(m, mm, counter);
  for (let level = 0; level < m.geometry.levels - 1; level++) {
    points += m.words[mm + OWNER_TABLES + level];
  }
  points += m.words[mm + MM_HUGETLB_TABLES];
  return points + Math.ceil(m.words[mm + MM_POOL_BYTES] / 4096);
}
