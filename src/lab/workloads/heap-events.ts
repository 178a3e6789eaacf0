import { MADV_DONTNEED, MADV_FREE } from '../../base/index.ts';
import { emptyEvent, Op, type TraceEvent } from '../../trace/index.ts';
import type { MemorySink } from '../allocator/index.ts';
import { ANON_NORESERVE, RW } from './program.ts';

const PAGE_BYTES = 4096;
/** Events are handed on in batches of about so many. */
const BATCH = 256;

/**
 * What a program with an allocator does, as events: the allocator's calls and the program's own
 * reads and writes, in their order. Events are used again: readers copy what they keep.
 */
export class HeapEvents implements MemorySink {
  /** Time of the events that follow, ns. */
  nowNs = 0;
  readonly #pid: number;
  readonly #pool: TraceEvent[] = [];
  #count = 0;

  constructor(pid: number) {
    this.#pid = pid;
  }

  get isFull(): boolean {
    return this.#count >= BATCH;
  }

  /** Hands on what has gathered. */
  *drain(): Iterable<TraceEvent> {
    for (let i = 0; i < this.#count; i++) yield this.#pool[i] as TraceEvent;
    this.#count = 0;
  }

  map(addr: number, spanBytes: number): void {
    const event = this.#next(Op.mmap, addr);
    event.len = spanBytes;
    event.prot = RW;
    event.flags = ANON_NORESERVE;
  }

  /** What follows, until the next request, belongs to it. */
  request(name: string, workNs: number): void {
    const event = this.#next(Op.request, 0);
    event.name = name;
    event.workNs = workNs;
  }

  purge(addr: number, spanBytes: number): void {
    this.#madvise(addr, spanBytes, MADV_DONTNEED);
  }

  purgeLazily(addr: number, spanBytes: number): void {
    this.#madvise(addr, spanBytes, MADV_FREE);
  }

  write(addr: number, spanBytes: number): void {
    this.#touch(addr, spanBytes, true);
  }

  read(addr: number, spanBytes: number): void {
    this.#touch(addr, spanBytes, false);
  }

  #touch(addr: number, spanBytes: number, isWrite: boolean): void {
    const first = Math.floor(addr / PAGE_BYTES);
    const last = Math.floor((addr + spanBytes - 1) / PAGE_BYTES);
    const event = this.#next(Op.touch, first * PAGE_BYTES);
    event.isWrite = isWrite;
    event.count = last - first + 1;
    event.strideBytes = PAGE_BYTES;
  }

  #madvise(addr: number, spanBytes: number, advice: number): void {
    const event = this.#next(Op.madvise, addr);
    event.len = spanBytes;
    event.advice = advice;
  }

  #next(op: TraceEvent['op'], addr: number): TraceEvent {
    if (this.#count === this.#pool.length) this.#pool.push(emptyEvent());
    const event = this.#pool[this.#count++] as TraceEvent;
    event.op = op;
    event.pid = this.#pid;
    event.addr = addr;
    event.timeNs = Math.floor(this.nowNs);
    return event;
  }
}
