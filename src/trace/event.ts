import { type HugeEnabled, PROT_EXEC, PROT_READ, PROT_WRITE } from '../base/index.ts';

/**
 * What a trace consists of. One record shape for every event, so that readers can reuse one record
 * for a whole trace and the replay's dispatch stays monomorphic.
 */
export const Op = {
  mmap: 1,
  munmap: 2,
  mprotect: 3,
  madvise: 4,
  mremap: 5,
  brk: 6,
  mlock: 7,
  munlock: 8,
  mlockall: 9,
  munlockall: 10,
  touch: 11,
  fork: 12,
  exec: 13,
  exit: 14,
  truncate: 15,
  punch: 16,
  sample: 17,
  mark: 18,
  request: 20,
  prctl: 21,
} as const;
export type Op = (typeof Op)[keyof typeof Op];

/** `OP_NAMES[Op.mmap] === 'mmap'`. */
export const OP_NAMES: readonly string[] = (() => {
  const names: string[] = [];
  for (const [name, code] of Object.entries(Op)) names[code] = name;
  return names;
})();

/** The recorded answer of the kernel. */
export const Outcome = { unknown: 0, ok: 1, failed: 2 } as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/**
 * The kernel's own counters of one process at one moment; a field that was not recorded is absent.
 * KiB as in /proc/PID/status; pages are 4 KiB pages that the page tables hold.
 */
export interface Sample {
  vmPteKiB?: number;
  presentPages?: number;
  swappedPages?: number;
  rssAnonKiB?: number;
  rssFileKiB?: number;
  rssShmemKiB?: number;
  anonHugeKiB?: number;
  vmSizeKiB?: number;
  vmSwapKiB?: number;
}

/** The fields of a sample in the order of the binary form's bit mask. Append only. */
export const SAMPLE_FIELDS = [
  'vmPteKiB',
  'presentPages',
  'swappedPages',
  'rssAnonKiB',
  'rssFileKiB',
  'rssShmemKiB',
  'anonHugeKiB',
  'vmSizeKiB',
  'vmSwapKiB',
] as const satisfies readonly (keyof Sample)[];

/**
 * One event. Which fields mean something depends on `op`; the others hold their neutral value
 * (0, '', -1 for `timeNs`, null).
 *
 * Addresses and lengths are bytes as numbers: exact below 2^53; above it (5-level address spaces)
 * addresses keep their page and lose low bits, always rounded down.
 */
export interface TraceEvent {
  op: Op;
  /** Process. Threads share their process's number and differ in `tid`. */
  pid: number;
  /** Thread; 0 where unknown. */
  tid: number;
  /** Nanoseconds on the recording's clock; -1 where unknown. */
  timeNs: number;
  /** mmap (hint, or the result without `fixed`), munmap, mprotect, madvise, mremap, brk, mlock, touch. */
  addr: number;
  /**
   * Bytes: mmap, munmap, mprotect, madvise, mremap (old), brk (with it `addr` is the heap's start),
   * mlock, truncate, punch.
   */
  len: number;
  /** mremap: new length in bytes. */
  newLen: number;
  /** mremap: destination (with fixed), or the recorded result. */
  newAddr: number;
  /** PROT_* bits: mmap, mprotect. */
  prot: number;
  /**
   * MAP_* bits (mmap), MREMAP_* bits (mremap), MLOCK_* (mlock), MCL_* (mlockall), THP_DISABLE_*
   * (prctl); fork: 1 = vfork.
   */
  flags: number;
  /** MADV_* number: madvise. */
  advice: number;
  /** File offset in bytes: mmap, punch. */
  off: number;
  /** Name of the file or memfd: mmap, truncate, punch; '' for anonymous memory. */
  file: string;
  /** touch: true for a write. */
  isWrite: boolean;
  /** touch: how many touches (default 1) ... */
  count: number;
  /** ... and the bytes between them (default 4096). */
  strideBytes: number;
  /**
   * touch: what the pages hold after a write, 0 to CONTENT_MAX: equal numbers are equal pages, 0 is a
   * page of zeros. -1 where the trace does not say. Only traces with `contents` in their header.
   */
  content: number;
  /** fork: the new process. */
  child: number;
  outcome: Outcome;
  /** Recorded error number (positive) when `outcome` is failed; 0 where unknown. */
  errno: number;
  /**
   * sample: the counters. With `extra.within` (ns) they were read at some moment of
   * [timeNs, timeNs + within].
   */
  sample: Sample | null;
  /** mark: its name; request: its class, '' where the process goes idle. */
  name: string;
  /** request: what it takes beside memory management, ns. */
  workNs: number;
  /** Unknown keys of the text form, kept. */
  extra: Readonly<Record<string, unknown>> | null;
  /** Where it stood: line in text (from 1), event number in binary (from 1). */
  line: number;
}

/** The largest content of a page; a machine keeps the other half of 32 bits for contents not known. */
export const CONTENT_MAX: number = 2 ** 31 - 1;

/** A neutral event for a reader to fill. */
export function emptyEvent(): TraceEvent {
  return {
    op: Op.mark,
    pid: 0,
    tid: 0,
    timeNs: -1,
    addr: 0,
    len: 0,
    newLen: 0,
    newAddr: 0,
    prot: 0,
    flags: 0,
    advice: 0,
    off: 0,
    file: '',
    isWrite: false,
    count: 1,
    strideBytes: 4096,
    content: -1,
    child: 0,
    outcome: Outcome.unknown,
    errno: 0,
    sample: null,
    name: '',
    workNs: 0,
    extra: null,
    line: 0,
  };
}

/** What serves requests: `workers` at a time; `clients` that each wait for an answer and then think. */
export interface ServerShape {
  readonly workers: number;
  readonly clients: number;
  /** Mean of a client's pause between an answer and its next request, ns. */
  readonly thinkNs: number;
}

/** What the first line of a trace says about the whole. */
export interface TraceHeader {
  /** Version of the trace format. */
  pagelab: 1;
  /** Where the recording comes from, for people. */
  source: string;
  /**
   * Transparent huge pages where it was recorded (/sys/kernel/mm/transparent_hugepage/enabled); without
   * it there were none.
   */
  thp?: HugeEnabled;
  /** Touches say what they write (`content`): a replay keeps page contents. */
  contents?: boolean;
  /** Who serves the requests of the trace, and for whom (lab/time/request-loop.ts). */
  server?: ServerShape;
  /** Other keys of the first line, kept. */
  [key: string]: unknown;
}

/**
 * A trace being read, event by event. `next` fills and returns the SAME record each time; copy it
 * to keep it. Throws InputError (file, line or offset, what would be right) on malformed input.
 */
export interface TraceReader {
  readonly header: TraceHeader;
  next(): TraceEvent | null;
}

/** Takes events one by one and gives the bytes of a trace file. */
export interface TraceWriter {
  write(event: TraceEvent): void;
  /** Ends the trace; afterwards no event may follow. */
  finish(): void;
}

/** `rwx` letters for PROT_* bits; `none` for 0. */
export function protWord(prot: number): string {
  if (prot === 0) return 'none';
  return (
    (prot & PROT_READ ? 'r' : '') + (prot & PROT_WRITE ? 'w' : '') + (prot & PROT_EXEC ? 'x' : '')
  );
}
