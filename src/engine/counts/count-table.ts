/**
 * Share counts: how many entries of page tables refer to a frame or a table, kept outside of any
 * frame record. No entry means one (seed 003), so what nobody shares costs nothing.
 *
 * This folder holds one interface and the tables behind it, each in one buffer of 32-bit words:
 * static-counts, row-leaf, line-hash, rhashtable and rosebush. docs/counts.md compares them.
 */

/** Entries of a page table: the largest batch. */
export const BATCH_MAX = 512;

/** How large a table may become. */
export interface CountOptions {
  /** Frame numbers are below this; at most 2^32. */
  readonly frames: number;
  /** Frames that are shared at one time, at most: sizes the buffer. */
  readonly entries: number;
  /** Threads that attach, each with a number below this; at most 64. */
  readonly workers: number;
}

/**
 * One thread's view of a table. Frame numbers are 32-bit words (their sign does not matter). Who
 * counts a frame up or down holds a reference to it; nobody need hold any other lock.
 */
export interface CountTable {
  /** References to the frame; 1 where there is no entry. */
  get(frame: number): number;
  /** One more reference. Returns the new count, or -E2BIG where the table refuses an entry. */
  inc(frame: number): number;
  /** One less. Returns the new count: at 1 the entry went; at 0 there was none and the frame is the caller's to free. */
  dec(frame: number): number;
  /** `inc` of frames[from .. from + n), at most BATCH_MAX of them. */
  incBatch(frames: Int32Array, from: number, n: number): void;
  /** `dec` of the same; writes the frames that are the caller's to free into `gone`, returns how many. */
  decBatch(frames: Int32Array, from: number, n: number, gone: Int32Array): number;
  /** `inc` of n consecutive frames. */
  incRun(first: number, n: number): void;
  /** `dec` of n consecutive frames; `gone` as in decBatch. */
  decRun(first: number, n: number, gone: Int32Array): number;
  /** Frames with a count above 1. Exact while no other thread is inside. */
  entries(): number;
  /** Bytes that the table uses now, its fixed parts included; exact while no other thread is inside. */
  bytesInUse(): number;
  /** Bytes that wait until no reader can hold them any more; part of bytesInUse. */
  bytesDeferred(): number;
  /** Recomputes what is counted and throws AssertionError at a difference. No other thread may be inside. */
  validate(): void;
  /** This thread holds nothing of the table until its next operation; others' memory need not wait for it. */
  idle(): void;
}

/** A kind of table: how large its buffer must be, how one begins, how a thread joins. */
export interface CountKind {
  readonly name: string;
  /** Bytes of a buffer for these options. Throws InputError for options that cannot be. */
  bytesFor(options: CountOptions): number;
  /** Makes an empty table in a zeroed buffer of at least that size. */
  format(buffer: ArrayBufferLike, options: CountOptions): void;
  /** The view of one thread; each thread has a number of its own below `workers`. */
  attach(buffer: ArrayBufferLike, worker: number): CountTable;
}
