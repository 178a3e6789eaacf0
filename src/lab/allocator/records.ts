import type { MemorySink } from './memory-sink.ts';
import type { AllocatorRules } from './rules.ts';

const PAGE_BYTES = 4096;
/** HUGEPAGE: blocks in which jemalloc 5 gets memory for its own records (src/base.c). */
const BLOCK_BYTES = 2 ** 21;
/** Address space that lies between the two kinds of records, more than either ever needs. */
const APART_BYTES = 2 ** 36;

/**
 * The allocator's own records where they are not in its chunks: one for each extent, used again
 * last in first out, and one for each page (rtree leaves). Only the first write to each page of them
 * is told.
 */
export class Records {
  readonly #sink: MemorySink;
  readonly #extents: Area;
  readonly #pages: Area;

  constructor(sink: MemorySink, rules: AllocatorRules, addr: number) {
    this.#sink = sink;
    this.#extents = new Area(addr, rules.extentRecordBytes);
    this.#pages = new Area(addr + APART_BYTES, rules.pageRecordBytes);
  }

  /** There are so many extents, in use or free. */
  useExtents(count: number): void {
    this.#extents.use(this.#sink, 0, count);
  }

  /** Pages [first, first + pages) were handed out. */
  usePages(first: number, pages: number): void {
    this.#pages.use(this.#sink, first, first + pages);
  }
}

class Area {
  readonly #addr: number;
  readonly #recordBytes: number;
  #mappedBytes = 0;
  /** Pages below have all been written. */
  #writtenPages = 0;
  readonly #written: Set<number> = new Set();

  constructor(addr: number, recordBytes: number) {
    this.#addr = addr;
    this.#recordBytes = recordBytes;
  }

  use(sink: MemorySink, from: number, to: number): void {
    if (this.#recordBytes === 0 || to <= from) return;
    const last = Math.floor((to * this.#recordBytes - 1) / PAGE_BYTES);
    if (last < this.#writtenPages) return;
    while ((last + 1) * PAGE_BYTES > this.#mappedBytes) {
      sink.map(this.#addr + this.#mappedBytes, BLOCK_BYTES);
      this.#mappedBytes += BLOCK_BYTES;
    }
    const first = Math.floor((from * this.#recordBytes) / PAGE_BYTES);
    for (let page = Math.max(first, this.#writtenPages); page <= last; page++) {
      if (this.#written.has(page)) continue;
      this.#written.add(page);
      sink.write(this.#addr + page * PAGE_BYTES, PAGE_BYTES);
    }
    while (this.#written.delete(this.#writtenPages)) this.#writtenPages++;
  }
}
