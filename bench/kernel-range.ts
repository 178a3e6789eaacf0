import { createRequire } from 'node:module';
import {
  CapabilityError,
  MADV_DONTNEED,
  MADV_NOHUGEPAGE,
  MAP_ANONYMOUS,
  MAP_NORESERVE,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from '../src/base/index.ts';
import { libc } from '../src/host/index.ts';
import type { Plan } from './orders.ts';

const PAGE_BYTES = 4096;
const RUSAGE_THREAD = 1;
const RUSAGE_BYTES = 144;
const RUSAGE_MINFLT_OFFSET = 64;
/** Faults beyond the touches that are let pass: those of the program itself, of timers, of V8. */
const FAULTS_SLACK = 256;

interface Calls {
  mmap(addr: number, bytes: number, prot: number, flags: number, fd: number, off: number): number;
  munmap(addr: number, bytes: number): number;
  madvise(addr: number, bytes: number, advice: number): number;
  getrusage(who: number, into: Uint8Array): number;
  view(addr: bigint, bytes: number): ArrayBuffer;
}

let loaded: Calls | null = null;

/** Why this process cannot be compared with the running kernel; null where it can. */
export function whyNoKernel(): string | null {
  try {
    calls();
    return null;
  } catch (error) {
    if (error instanceof CapabilityError) return error.message;
    throw error;
  }
}

function calls(): Calls {
  if (loaded !== null) return loaded;
  libc(); // says what is missing where something is
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const lib = koffi.load('libc.so.6');
  const word = 'uintptr_t';
  loaded = {
    mmap: lib.func('mmap', word, [word, 'size_t', 'int', 'int', 'int', 'long']),
    munmap: lib.func('munmap', 'int', [word, 'size_t']),
    madvise: lib.func('madvise', 'int', [word, 'size_t', 'int']),
    getrusage: lib.func('getrusage', 'int', ['int', 'void *']),
    view: (addr, bytes) => koffi.view(addr, bytes),
  };
  return loaded;
}

/** Private anonymous memory of this very process, touched through an ArrayBuffer that lies on it. */
export class KernelRange {
  readonly #plan: Plan;
  readonly #addr: number;
  readonly #bytes: Uint8Array;
  readonly #usage = new Uint8Array(RUSAGE_BYTES);

  constructor(plan: Plan) {
    this.#plan = plan;
    const c = calls();
    const bytes = plan.spanPages * PAGE_BYTES;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    this.#addr = c.mmap(0, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (this.#addr % PAGE_BYTES !== 0) throw new Error('kernel: mmap failed');
    c.madvise(this.#addr, bytes, MADV_NOHUGEPAGE);
    this.#bytes = new Uint8Array(c.view(BigInt(this.#addr), bytes));
    this.#cutHoles();
  }

  #cutHoles(): void {
    const { areas, spanPages } = this.#plan;
    for (const [index, [first, pages]] of areas.entries()) {
      const end = first + pages;
      const next = areas[index + 1]?.[0] ?? spanPages;
      if (next === end) continue;
      const at = this.#addr + end * PAGE_BYTES;
      if (calls().munmap(at, (next - end) * PAGE_BYTES) !== 0) throw new Error('kernel: munmap');
    }
  }

  /** Touches every page, which must be absent, by one access each; ms. */
  touch(isWrite: boolean): number {
    const { order } = this.#plan;
    const bytes = this.#bytes;
    const before = this.#faults();
    const startMs = performance.now();
    if (isWrite) writeEach(bytes, order);
    else readEach(bytes, order);
    const elapsedMs = performance.now() - startMs;
    const faults = this.#faults() - before;
    if (faults < order.length || faults > order.length * 1.05 + FAULTS_SLACK) {
      throw new Error(`kernel: ${faults} faults for ${order.length} touches`);
    }
    return elapsedMs;
  }

  /** MADV_DONTNEED of the whole range, in calls of so many pages; ms. */
  zap(callPages: number = this.#plan.spanPages): number {
    const { madvise } = calls();
    const { spanPages } = this.#plan;
    const addr = this.#addr;
    const startMs = performance.now();
    for (let page = 0; page < spanPages; page += callPages) {
      madvise(addr + page * PAGE_BYTES, callPages * PAGE_BYTES, MADV_DONTNEED);
    }
    return performance.now() - startMs;
  }

  /** Minor faults of the calling thread so far. */
  #faults(): number {
    if (calls().getrusage(RUSAGE_THREAD, this.#usage) !== 0) throw new Error('kernel: getrusage');
    return new DataView(this.#usage.buffer).getUint32(RUSAGE_MINFLT_OFFSET, true);
  }

  /** Gives the pages back. The addresses stay taken: the view on them lives until V8 collects it. */
  close(): void {
    this.zap();
  }
}

function writeEach(bytes: Uint8Array, order: Int32Array): void {
  for (let i = 0; i < order.length; i++) bytes[order[i]! << 12] = 1;
}

/** The sum keeps the compiler from dropping the loads; pages that nobody wrote are zero. */
function readEach(bytes: Uint8Array, order: Int32Array): void {
  let sum = 0;
  for (let i = 0; i < order.length; i++) sum += bytes[order[i]! << 12]!;
  if (sum !== 0) throw new Error('kernel: fresh memory is not zero');
}
