import { MADV_DONTNEED, MADV_NOHUGEPAGE, PROT_READ, Random } from '../../base/index.ts';
import { Op, type TraceEvent } from '../../trace/index.ts';
import { normalPieces } from './fragmenters.ts';
import {
  event,
  GIB_BYTES,
  idle,
  mark,
  mmapAnon,
  request,
  SHARED_FILE,
  SLOT_BYTES,
  startProgram,
  writes,
} from './program.ts';
import type { Workload } from './workload.ts';
import { YcsbZipf } from './ycsb-zipf.ts';

const MIB = 2 ** 20;
const PAGE_BYTES = 4096;
/** InnoDB's page. */
const ROW_PAGE_BYTES = 16_384;
const CHUNK_BYTES = 4 * MIB;
/** HTTP requests of an operation, on average (Olio's documentation): so many files make a page. */
const RESOURCES = 20;
/** The average web page of 2016, to which two of the seven were made (Ingens' slides). */
const BIG_PAGE_BYTES = 2_202_010;
const FILE_BYTES: number = Math.ceil(BIG_PAGE_BYTES / RESOURCES / PAGE_BYTES) * PAGE_BYTES;
/** A picture of 1024 x 768 in true colour, of which thumbnails are made (ours). */
const PICTURE_BYTES = 1024 * 768 * 4;
const POOL_ADDR = 0x100000000000;
const HEAP_ADDR = 0x7f0000000000;
const BLOCKS_ADDR = 0x7e0000000000;
const AGED_ADDR = 0x200000000000;
const FILES_ADDR = 0x300000000000;
const DATABASE = 1;
const FILES = 2;
const AGED = 3;
const FIRST_WORKER = 10;
/** A program's own pages that every request uses: scripts, stack, buffers (ours). */
const HOT_PAGES = 64;

/**
 * One of Olio's seven operations. Shares: 85 % read, 10 % login, 5 % write (Ingens' slides), those that
 * read, and those that write, alike.
 */
interface Operation {
  readonly name: string;
  readonly share: number;
  /** Rows' pages that the database reads (ours, by what the page shows). */
  readonly rows: number;
  /** Bytes of blocks that PHP maps for it, each by itself as they are above 2 MiB (zend_alloc.c). */
  readonly blocks: readonly number[];
  /** Files that its page has (pictures, documents). */
  readonly files: number;
  /** Its work, as a multiple of the others'. Thumbnails are expensive (Olio's documentation). */
  readonly work: number;
}

/** A page is built in one block and compressed into another. */
const BIG_PAGE = [BIG_PAGE_BYTES, BIG_PAGE_BYTES];
const OPERATIONS: readonly Operation[] = [
  { name: 'visit home page', share: 21.25, rows: 40, blocks: BIG_PAGE, files: RESOURCES, work: 1 },
  { name: 'view event', share: 21.25, rows: 20, blocks: BIG_PAGE, files: RESOURCES, work: 1 },
  { name: 'search by tag', share: 21.25, rows: 125, blocks: [], files: 1, work: 1 },
  { name: 'view person', share: 21.25, rows: 10, blocks: [], files: 1, work: 1 },
  { name: 'login', share: 10, rows: 5, blocks: [], files: 1, work: 1 },
  { name: 'add person', share: 2.5, rows: 5, blocks: [PICTURE_BYTES], files: 1, work: 3 },
  { name: 'add event', share: 2.5, rows: 20, blocks: [PICTURE_BYTES], files: 1, work: 3 },
];

/**
 * A web server like Cloudstone's (Olio: nginx, PHP, MySQL) on a machine whose memory is in pieces. Each
 * request runs in one of PHP's processes, which maps fresh memory for what exceeds a chunk of 2 MiB and
 * gives it back at the end; the database reads rows into a pool that fills up as it runs, which the
 * request waits for; files go through the page cache, which takes
 * whatever is free. Another process keeps memory in pieces at the rate that was published (24 GB in two
 * minutes, frag_normal).
 */
export const cloudstone: Workload = {
  name: 'cloudstone',
  title: 'requests to a web server on fragmented memory',
  machine: 'default',
  parameters: {
    requests: { value: 20_000, least: 1, what: 'requests that are measured' },
    warmUp: { value: 0, least: 0, what: 'requests before that' },
    workers: { value: 16, least: 1, what: 'processes of PHP, with a processor each' },
    usedPercent: { value: 100, least: 1, what: 'part of a block that its request writes' },
    clients: { value: 64, least: 1, what: 'clients that wait for their answers' },
    workUs: { value: 10_000, least: 0, what: 'own time of a plain request, microseconds' },
    poolMiB: { value: 4096, least: 1, what: 'buffer pool of the database' },
    agedMiB: { value: 14_336, least: 0, what: 'memory of which every other piece was given back' },
    cacheMiB: { value: 20_480, least: 0, what: 'files that are read before the first request' },
    fileGiB: { value: 32, least: 1, what: 'file store' },
    agingRequests: {
      value: 20,
      least: 1,
      what: 'requests in which 4 MiB are taken and given back',
    },
  },
  server({ workers = 16, clients = 64 }) {
    return { workers, clients, thinkNs: 0 };
  },
  *events(values, seed) {
    yield* new CloudstoneRun(values, new Random(seed)).events();
  },
};

class CloudstoneRun {
  readonly #values: Readonly<Record<string, number>>;
  readonly #random: Random;
  readonly #rows: YcsbZipf;
  readonly #pieces = normalPieces();
  /** Blocks that each worker's last request has mapped. */
  readonly #mapped = new Map<number, number[]>();

  constructor(values: Readonly<Record<string, number>>, random: Random) {
    this.#values = values;
    this.#random = random;
    const rowPages = (this.#value('poolMiB') * MIB) / ROW_PAGE_BYTES;
    this.#rows = new YcsbZipf(rowPages, 0.99, random);
  }

  *events(): Iterable<TraceEvent> {
    yield* this.#start();
    yield* this.#age();
    yield* this.#fillCache();
    yield mark('fragmented');
    yield* this.#serve(this.#value('warmUp'), false);
    yield mark('warm');
    yield* this.#serve(this.#value('requests'), true);
    for (let i = 0; i < this.#value('workers'); i++) yield* this.#answer(FIRST_WORKER + i);
    yield mark('served');
  }

  #value(name: string): number {
    return this.#values[name] ?? cloudstone.parameters[name]?.value ?? 0;
  }

  *#start(): Iterable<TraceEvent> {
    for (const pid of [DATABASE, FILES, AGED]) yield* startProgram(pid);
    const poolBytes = this.#value('poolMiB') * MIB;
    yield mmapAnon(DATABASE, POOL_ADDR, poolBytes);
    for (let i = 0; i < this.#value('workers'); i++) {
      const pid = FIRST_WORKER + i;
      yield* startProgram(pid);
      yield mmapAnon(pid, HEAP_ADDR, SLOT_BYTES);
      yield writes(pid, HEAP_ADDR, HOT_PAGES, PAGE_BYTES);
    }
  }

  /** What ran before has left every other piece of its memory; nobody makes it huge. */
  *#age(): Iterable<TraceEvent> {
    const agedBytes = this.#chunks * CHUNK_BYTES;
    if (agedBytes === 0) return;
    yield mmapAnon(AGED, AGED_ADDR, agedBytes);
    yield event({
      op: Op.madvise,
      pid: AGED,
      addr: AGED_ADDR,
      len: agedBytes,
      advice: MADV_NOHUGEPAGE,
    });
    yield writes(AGED, AGED_ADDR, agedBytes / PAGE_BYTES, PAGE_BYTES);
    for (let i = 0; i < this.#chunks; i++) yield* this.#giveBack(AGED_ADDR + i * CHUNK_BYTES);
  }

  get #chunks(): number {
    return Math.floor((this.#value('agedMiB') * MIB) / CHUNK_BYTES);
  }

  *#giveBack(chunk: number): Iterable<TraceEvent> {
    for (const { offset, spanBytes } of this.#pieces) {
      yield event({
        op: Op.madvise,
        pid: AGED,
        addr: chunk + offset,
        len: spanBytes,
        advice: MADV_DONTNEED,
      });
    }
  }

  /** As many files as memory holds are read, so that the page cache has taken what was free. */
  *#fillCache(): Iterable<TraceEvent> {
    const files = (this.#value('cacheMiB') * MIB) / FILE_BYTES;
    for (let i = 0; i < files; i++) yield* this.#readFile();
  }

  /** Some file of the store, through the page cache. */
  *#readFile(): Iterable<TraceEvent> {
    const files = Math.floor((this.#value('fileGiB') * GIB_BYTES) / FILE_BYTES);
    const pid = FILES;
    const range = { pid, addr: FILES_ADDR, len: FILE_BYTES } as const;
    const off = this.#random.below(files) * FILE_BYTES;
    const mapping = { prot: PROT_READ, flags: SHARED_FILE, file: 'store', off };
    yield event({ op: Op.mmap, ...range, ...mapping });
    yield event({ op: Op.touch, pid, addr: FILES_ADDR, count: FILE_BYTES / PAGE_BYTES });
    yield event({ op: Op.munmap, ...range });
  }

  *#serve(count: number, isMeasured: boolean): Iterable<TraceEvent> {
    const workers = this.#value('workers');
    for (let i = 0; i < count; i++) {
      const pid = FIRST_WORKER + (i % workers);
      const operation = this.#draw();
      // The others' requests ran meanwhile: what a worker mapped lives until its next turn.
      yield* this.#answer(pid);
      for (let file = 0; file < operation.files; file++) yield* this.#readFile();
      if (isMeasured) {
        yield request(pid, operation.name, this.#value('workUs') * 1000 * operation.work);
      }
      yield* this.#run(pid, operation);
      if (i % this.#value('agingRequests') === 0) yield* this.#ageOn();
    }
  }

  #draw(): Operation {
    let left = (this.#random.uint32() / 2 ** 32) * 100;
    for (const operation of OPERATIONS) {
      if (left < operation.share) return operation;
      left -= operation.share;
    }
    return OPERATIONS[0] as Operation;
  }

  *#run(pid: number, { rows, blocks }: Operation): Iterable<TraceEvent> {
    yield writes(pid, HEAP_ADDR, HOT_PAGES, PAGE_BYTES);
    for (let row = 0; row < rows; row++) {
      const addr = POOL_ADDR + this.#rows.next() * ROW_PAGE_BYTES;
      yield event({
        op: Op.touch,
        pid: DATABASE,
        addr,
        isWrite: true,
        count: 4,
        extra: { for: pid },
      });
    }
    const mapped: number[] = [];
    let addr = BLOCKS_ADDR;
    for (const bytes of blocks) {
      const len = Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
      yield mmapAnon(pid, addr, len);
      const used = Math.ceil(((len / PAGE_BYTES) * this.#value('usedPercent')) / 100);
      yield writes(pid, addr, used, PAGE_BYTES);
      mapped.push(len);
      addr += Math.ceil(len / SLOT_BYTES) * SLOT_BYTES;
    }
    this.#mapped.set(pid, mapped);
  }

  /** The end of a worker's request: its blocks go. */
  *#answer(pid: number): Iterable<TraceEvent> {
    let addr = BLOCKS_ADDR;
    for (const len of this.#mapped.get(pid) ?? []) {
      yield event({ op: Op.munmap, pid, addr, len });
      addr += Math.ceil(len / SLOT_BYTES) * SLOT_BYTES;
    }
    this.#mapped.delete(pid);
    yield idle(pid);
  }

  /** 4 MiB of the aged memory are filled anew and given back in pieces. */
  *#ageOn(): Iterable<TraceEvent> {
    if (this.#chunks === 0) return;
    const chunk = AGED_ADDR + this.#random.below(this.#chunks) * CHUNK_BYTES;
    yield writes(AGED, chunk, CHUNK_BYTES / PAGE_BYTES, PAGE_BYTES);
    yield* this.#giveBack(chunk);
  }
}
