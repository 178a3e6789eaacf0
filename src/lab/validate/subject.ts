import type { TraceEvent } from '../../trace/index.ts';

/** A range of addresses that is compared: [startAddr, endAddr). */
export interface Window {
  readonly startAddr: number;
  readonly endAddr: number;
}

/** What a subject says to one event. */
export interface Answer {
  readonly ok: boolean;
  /** Positive error number; 0 when ok, and for touches (a signal has no errno). */
  readonly errno: number;
  /** Result of a successful mmap or mremap. */
  readonly addr?: number;
}

/** One mapping: start, end, protection (`none`, `r`, `rw`, …), private or shared. */
export type VmaRow = readonly [startAddr: number, endAddr: number, prot: string, kind: 'p' | 's'];

/** The counters of one process, each as the difference from the empty start. */
export interface Observation {
  readonly vmPteKiB: number;
  readonly rssAnonKiB: number;
  readonly rssFileKiB: number;
  readonly rssShmemKiB: number;
  /** AnonHugePages; undefined where the subject does not say. */
  readonly anonHugeKiB?: number;
  /** Per window: entries with the present bit (zero page and PROT_NONE pages too). */
  readonly present: readonly number[];
  /** Per window: swap entries and guard markers. */
  readonly swapped: readonly number[];
  /** The mappings that touch a window, whole, in order of address. */
  readonly vmas: readonly VmaRow[];
}

/**
 * Something that executes events and can be looked at after each: the running kernel, the engine,
 * the reference model. It starts with process 1 and an empty address space.
 */
export interface Subject {
  /** Executes mmap, munmap, mprotect, madvise, mremap, mlock, munlock, touch, fork, exit, truncate, punch. */
  apply(event: TraceEvent): Answer;
  observe(pid: number, windows: readonly Window[]): Observation;
  /** Ends what the subject holds (processes, files). */
  close(): void;
}
