import { arenaAllocZeroed, arenaFree, classFor } from '../arena.ts';
import { H_CPUS, H_LIST_LOCK, H_MM_LIST, H_SEQ_BASE } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { OWNER_KIND, OWNER_MM, OWNER_ROOT, OWNER_TABLES } from '../tables/owner.ts';
import { setRoot, tableCreate } from '../tables/table.ts';

/**
 * An address space (struct mm_struct). Its id is the word offset of this record. The first words
 * are those of every owner of tables (tables/owner.ts).
 */
export const MM_USERS = 9; // processes that share it (vfork)
export const MM_VMA_COUNT = 10;
export const MM_VMA_CAPACITY = 11;
export const MM_VMA_ENDS = 12; // word offset of the VMAs' ends, doubles, ascending
export const MM_VMA_IDS = 13; // word offset of the VMAs in the same order
export const MM_LAST_VMA = 14; // the VMA of the last fault
export const MM_LOCK = 15; // mmap_lock: number of readers, or -1 for a writer
export const MM_SEQ = 16; // grows with each change of a VMA and with each table taken away
export const MM_LOCK_WAITERS = 17; // threads that wait for the mmap_lock as writers
export const MM_START_BRK = 18; // doubles, pages
export const MM_BRK = 20; // bytes
export const MM_MMAP_BASE = 22;
export const MM_TOTAL_VM = 24;
export const MM_LOCKED_VM = 26;
export const MM_DEF_FLAGS = 28;
export const MM_PID = 29;
export const MM_NEXT = 30;
export const MM_PREV = 31;
/** Its memory cgroup; 0 is the root. */
export const MM_CGROUP = 32;
/** Stored tables (tables/stored.ts): how many, bytes of those in memory, and how many came back. */
export const MM_STORED_TABLES = 33;
export const MM_POOL_BYTES = 34;
export const MM_TABLE_REFAULTS = 35;
export const MM_LOCK_SEQ = 36; // grows with each release of the mmap_lock by a writer (vma-lock.ts)
export const MM_IS_REAPED = 38; // 1 after the OOM killer of a shared machine chose it (reclaim/oom.ts)
export const MM_THP_DISABLE = 39; // THP_DISABLE_* (huge/eligible.ts)
/** The object whose pages it holds, where it is no process's (mshare's host); else 0. */
export const MM_REGION = 40;
/** Tables that hang in its tree without being its own alone, and pages of 2 MiB (hugetlb/). */
export const MM_HUGETLB_TABLES = 41;
export const MM_HUGETLB = 42;
export const MM_LIST_SEQ = 37; // odd while the VMA list is being changed
/** From here one group of counters a cpu, each written by its own thread only; the value is the sum. */
export const MM_COUNTERS = 48;
export const MM_COUNTER_WORDS = 16;

// Counters of a group.
export const C_ANON = 0; // anonymous pages (RssAnon)
export const C_FILE = 1; // pages of files (RssFile)
export const C_SHMEM = 2; // pages of shared memory (RssShmem)
export const C_SWAP = 3; // swap entries (VmSwap)
export const C_ZERO = 4; // entries of the zero page
export const C_SPECIAL = 5; // entries of frames that are not memory of ours
export const C_FAULTS = 6;
export const C_COW = 7;
export const C_SWAP_INS = 8;
export const C_TABLES_FREED = 9; // last-level tables freed for being empty, by a rule or a mechanism
/** First touches by the hot path: each is a fault and an anonymous page. `mmCounter` adds it to both. */
export const C_FRESH = 10;
export const C_GUARD = 11; // guard markers
export const C_HUGE = 12; // huge pages mapped as such (AnonHugePages), the huge zero page not counted
export const C_HUGE_FAULTS = 13; // faults that gave a huge page (thp_fault_alloc)
export const C_HUGE_SPLITS = 14; // mappings of huge pages made small ones (thp_split_pmd)
export const C_COLLAPSES = 15; // small pages made a huge one

/** Changes that one address space's sequence number has room for before the next one's begin. */
const SEQ_STRIDE = 2 ** 20;

/** Size class of an address space's record, and of a guest's. */
export function mmClass(m: Machine): number {
  return classFor(MM_COUNTERS + m.words[H_CPUS] * MM_COUNTER_WORDS);
}

/** A new empty address space: a top table and nothing else. 0 when memory is out. */
export function mmCreate(m: Machine, pid: number): number {
  const w = m.words;
  const mm = arenaAllocZeroed(m, mmClass(m));
  w[mm + OWNER_KIND] = OWNER_MM;
  w[mm + MM_USERS] = 1;
  w[mm + MM_PID] = pid;
  // The highest mapping's end that mmap without an address aims below; a margin for the stack.
  m.doubles[(mm + MM_MMAP_BASE) >> 1] = m.geometry.userPages - Math.min(2 ** 15, m.mask);
  const root = tableCreate(m, mm, m.geometry.levels - 1);
  if (root === 0) {
    arenaFree(m, mmClass(m), mm);
    return 0;
  }
  setRoot(m, mm, root);
  w[mm + MM_LOCK_SEQ] = 1;
  if (m.isShared) m.lock(H_LIST_LOCK);
  // No number that a dead address space at this place had comes again (walkSeq).
  w[H_SEQ_BASE] = (w[H_SEQ_BASE] + SEQ_STRIDE) | 0;
  w[mm + MM_SEQ] = w[H_SEQ_BASE];
  const next = w[H_MM_LIST];
  w[mm + MM_NEXT] = next;
  if (next !== 0) w[next + MM_PREV] = mm;
  w[H_MM_LIST] = mm;
  if (m.isShared) m.unlock(H_LIST_LOCK);
  return mm;
}

/** Frees the record; tables and VMAs must be gone (exit.ts). */
export function mmDestroy(m: Machine, mm: number): void {
  const w = m.words;
  if (m.isShared) m.lock(H_LIST_LOCK);
  const next = w[mm + MM_NEXT];
  const prev = w[mm + MM_PREV];
  if (next !== 0) w[next + MM_PREV] = prev;
  if (prev !== 0) w[prev + MM_NEXT] = next;
  else w[H_MM_LIST] = next;
  if (m.isShared) m.unlock(H_LIST_LOCK);
  w[mm + OWNER_KIND] = 0;
  w[mm + OWNER_ROOT] = 0;
  m.forgetWalk();
  m.events.spaceGone?.(m, mm);
  arenaFree(m, mmClass(m), mm);
}

/** Sum of a counter (C_*) over all cpus. */
export function mmCounter(m: Machine, mm: number, counter: number): number {
  const cpus = m.words[H_CPUS];
  const hasFresh = counter === C_ANON || counter === C_FAULTS;
  let sum = 0;
  for (let cpu = 0; cpu < cpus; cpu++) {
    const group = mm + MM_COUNTERS + cpu * MM_COUNTER_WORDS;
    sum += m.words[group + counter];
    if (hasFresh) sum += m.words[group + C_FRESH];
  }
  // The words wrap, the gauges themselves do not; faults count up to 2^32.
  return counter === C_FAULTS ? sum >>> 0 : sum | 0;
}

/** Word offset of this thread's counters. */
export function mmCounters(m: Machine, mm: number): number {
  return mm + m.countersAt;
}

/** Page tables as VmPTE counts them: all levels below the top one, and not the fifth (P4D). */
export function vmPteTables(m: Machine, mm: number): number {
  const w = m.words;
  const t = mm + OWNER_TABLES;
  const below = m.geometry.levels - 1;
  return w[t] + pmdTables(m, mm) + (below > 2 ? w[t + 2] : 0);
}

/** Tables of level 1; one that several address spaces have counts in each (huge_pmd_share). */
export function pmdTables(m: Machine, mm: number): number {
  return m.words[mm + OWNER_TABLES + 1] + m.words[mm + MM_HUGETLB_TABLES];
}

export function mmDouble(m: Machine, mm: number, field: number): number {
  return m.doubles[(mm + field) >> 1];
}

export function setMmDouble(m: Machine, mm: number, field: number, value: number): void {
  m.doubles[(mm + field) >> 1] = value;
}
