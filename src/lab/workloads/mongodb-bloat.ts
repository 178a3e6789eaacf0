import { InputError, Random } from '../../base/index.ts';
import type { TraceEvent } from '../../trace/index.ts';
import { mark, mmapAnon, startProgram, writes } from './program.ts';
import type { Workload } from './workload.ts';
import { YcsbZipf } from './ycsb-zipf.ts';

const PID = 1;
const BASE_ADDR = 0x100000000000;
const KIB = 1024;
const PAGE_BYTES = 4096;
/** Buffers of the cache are mapped so many bytes at a time. */
const GROW_BYTES = 2 ** 21;

/**
 * Ingens' MongoDB experiment: 15 million gets of 1 KB objects by YCSB; 10.1 GB resident with base
 * pages, 12.4 GB with huge pages. The mechanism is a model: a cache of leaf pages, each read at the
 * first get of one of its records into the next buffer of leaf_page_max bytes, which its image does
 * not fill. Base pages that the image does not reach are never touched; a huge page has them. How
 * full a buffer is, is not published: `fillPercent` and `spreadKiB` are set by the published ratio.
 */
export const mongodbBloat: Workload = {
  name: 'mongodb-bloat',
  title: 'MongoDB: a cache of leaf pages, YCSB gets of 1 KB objects',
  machine: 'ingens',
  parameters: {
    records: { value: 10_000_000, least: 1, what: 'records' },
    recordBytes: { value: 1024, least: 1, what: 'bytes of a record' },
    gets: { value: 15_000_000, least: 0, what: 'gets' },
    skewPercent: { value: 99, least: 1, what: 'exponent of their Zipf law, in hundredths' },
    bufferKiB: { value: 32, least: 4, what: 'KiB of a buffer' },
    fillPercent: { value: 75, least: 1, what: 'part of it that an image has, on average' },
    spreadKiB: { value: 2, least: 0, what: 'images evenly from so much below to above' },
  },
  *events(values, seed) {
    yield* startProgram(PID);
    yield* new Cache(values, seed).events();
  },
};

class Cache {
  readonly #values: Readonly<Record<string, number>>;
  readonly #random: Random;
  readonly #bufferBytes: number;
  readonly #recordsPerLeaf: number;
  /** By leaf page: its buffer's address, 0 while it is not in the cache. */
  readonly #buffers: Float64Array;
  /** And how long its image is. */
  readonly #imageBytes: Int32Array;
  #nextAddr = BASE_ADDR;
  #endAddr = BASE_ADDR;

  constructor(values: Readonly<Record<string, number>>, seed: number) {
    this.#values = values;
    this.#random = new Random(seed);
    this.#bufferBytes = this.#value('bufferKiB') * KIB;
    const imageBytes = this.#meanImageBytes();
    if (imageBytes + this.#value('spreadKiB') * KIB > this.#bufferBytes) {
      throw new InputError('--set fillPercent and spreadKiB: images are larger than their buffers');
    }
    this.#recordsPerLeaf = Math.floor(imageBytes / this.#value('recordBytes'));
    if (this.#recordsPerLeaf < 1) throw new InputError('--set recordBytes: no room in an image');
    const leaves = Math.ceil(this.#value('records') / this.#recordsPerLeaf);
    this.#buffers = new Float64Array(leaves);
    this.#imageBytes = new Int32Array(leaves);
  }

  *events(): Iterable<TraceEvent> {
    const skew = this.#value('skewPercent') / 100;
    if (skew >= 1) throw new InputError('--set skewPercent: want less than 100');
    const zipf = new YcsbZipf(this.#value('records'), skew, this.#random);
    // One event for all touches: readers copy what they keep.
    const touch = writes(PID, 0, 1, PAGE_BYTES);
    for (let i = 0; i < this.#value('gets'); i++) {
      const record = zipf.next();
      const leaf = Math.floor(record / this.#recordsPerLeaf);
      if (this.#buffers[leaf] === 0) yield* this.#readIn(leaf, touch);
      const bytes = this.#value('recordBytes');
      // The last records of a short image overlap: what counts is that they lie inside.
      const last = (this.#imageBytes[leaf] as number) - bytes;
      const offset = Math.min((record % this.#recordsPerLeaf) * bytes, last);
      span(touch, (this.#buffers[leaf] as number) + offset, bytes);
      touch.isWrite = false;
      yield touch;
    }
    yield mark('read');
  }

  *#readIn(leaf: number, touch: TraceEvent): Iterable<TraceEvent> {
    while (this.#nextAddr + this.#bufferBytes > this.#endAddr) {
      yield mmapAnon(PID, this.#endAddr, GROW_BYTES);
      this.#endAddr += GROW_BYTES;
    }
    const reach = this.#value('spreadKiB') * KIB;
    const drawn = reach === 0 ? 0 : this.#random.below(2 * reach + 1);
    const bytes = Math.max(this.#value('recordBytes'), this.#meanImageBytes() - reach + drawn);
    this.#imageBytes[leaf] = bytes;
    this.#buffers[leaf] = this.#nextAddr;
    span(touch, this.#nextAddr, bytes);
    touch.isWrite = true;
    this.#nextAddr += this.#bufferBytes;
    yield touch;
  }

  #meanImageBytes(): number {
    return Math.floor((this.#value('bufferKiB') * KIB * this.#value('fillPercent')) / 100);
  }

  #value(name: string): number {
    return this.#values[name] ?? mongodbBloat.parameters[name]?.value ?? 0;
  }
}

/** Makes a touch that of the pages of [addr, addr + bytes). */
function span(touch: TraceEvent, addr: number, bytes: number): void {
  const first = Math.floor(addr / PAGE_BYTES);
  touch.addr = first * PAGE_BYTES;
  touch.count = Math.floor((addr + bytes - 1) / PAGE_BYTES) - first + 1;
}
