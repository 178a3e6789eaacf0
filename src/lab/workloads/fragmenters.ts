import { InputError, MADV_DONTNEED, Random } from '../../base/index.ts';
import type { TraceEvent } from '../../trace/index.ts';
import { madvise, mark, mmapAnon, startProgram, writes } from './program.ts';
import type { Workload } from './workload.ts';

/**
 * Programs that leave physical memory in pieces, after the micro-benchmarks that were released with
 * Ingens (ut-osa/ingens, programs/micro). What they free goes back by MADV_DONTNEED.
 */
const PID = 1;
const BASE_ADDR = 0x100000000000;
const MIB = 2 ** 20;
const PAGE_BYTES = 4096;
const NORMAL_CHUNK_BYTES = 4 * MIB;
const SEVERE_CHUNK_BYTES = 24 * MIB;
/** 4 KiB to 1 MiB: 2^12 to 2^20. */
const SEVERE_LOG_MIN = 12;
const SEVERE_LOG_MAX = 20;

/** A run of bytes in a chunk. */
interface Piece {
  readonly offset: number;
  readonly spanBytes: number;
}

/**
 * What frag_normal frees of a chunk of 4 MiB: the first half of the first 2 MiB, of the next 1 MiB,
 * of the next 512 KiB, and so on down to 8 KiB, and of the 8 KiB that are left. That is exactly
 * half of the chunk, and no piece has 2 MiB.
 */
export function normalPieces(): Piece[] {
  const pieces: Piece[] = [];
  for (let offset = 0; offset < NORMAL_CHUNK_BYTES; ) {
    const scale = Math.max(2 * PAGE_BYTES, (NORMAL_CHUNK_BYTES - offset) / 2);
    pieces.push({ offset, spanBytes: scale / 2 });
    offset += scale;
  }
  return pieces;
}

export const fragNormal: Workload = {
  name: 'frag-normal',
  title: 'fills memory and frees half of it, in pieces of 1 MiB, 512 KiB, … 4 KiB',
  parameters: {
    mib: { value: 16_384, least: 4, what: 'MiB that are filled' },
    passes: { value: 1, least: 1, what: 'times; each fills what the last one freed' },
  },
  *events({ mib = 16_384, passes = 1 }) {
    yield* startProgram(PID);
    const pieces = normalPieces();
    let addr = BASE_ADDR;
    let chunks = Math.floor((mib * MIB) / NORMAL_CHUNK_BYTES);
    for (let pass = 0; pass < passes && chunks > 0; pass++) {
      const spanBytes = chunks * NORMAL_CHUNK_BYTES;
      yield* filled(addr, spanBytes);
      for (let at = addr; at < addr + spanBytes; at += NORMAL_CHUNK_BYTES) yield* freed(at, pieces);
      yield mark(`pass ${pass + 1}`);
      addr += spanBytes;
      chunks = Math.floor(chunks / 2);
    }
  },
};

/**
 * frag_severe: inside chunks of 24 MiB, free pieces of random sizes, each followed by as much that
 * stays. That as much stays is our reading; the sizes are the released ones.
 */
export const fragSevere: Workload = {
  name: 'frag-severe',
  title: 'fills memory and frees half of it, in pieces of random sizes of 4 KiB to 1 MiB',
  parameters: {
    mib: { value: 16_368, least: 24, what: 'MiB that are filled' },
  },
  *events({ mib = 16_368 }, seed) {
    yield* startProgram(PID);
    const random = new Random(seed);
    const chunks = Math.floor((mib * MIB) / SEVERE_CHUNK_BYTES);
    yield* filled(BASE_ADDR, chunks * SEVERE_CHUNK_BYTES);
    for (let chunk = 0; chunk < chunks; chunk++) {
      yield* freed(BASE_ADDR + chunk * SEVERE_CHUNK_BYTES, severePieces(random));
    }
    yield mark('fragmented');
  },
};

function severePieces(random: Random): Piece[] {
  const pieces: Piece[] = [];
  for (let offset = 0; offset < SEVERE_CHUNK_BYTES; ) {
    const drawn = 2 ** random.between(SEVERE_LOG_MIN, SEVERE_LOG_MAX);
    const spanBytes = Math.min(drawn, SEVERE_CHUNK_BYTES - offset);
    pieces.push({ offset, spanBytes });
    offset += 2 * spanBytes;
  }
  return pieces;
}

/** sparse_access: a part of the pages, each once, in random order. */
export const sparseAccess: Workload = {
  name: 'sparse-access',
  title: 'touches a part of the pages of a mapping, in random order',
  parameters: {
    mib: { value: 4096, least: 1, what: 'MiB of address space' },
    percent: { value: 50, least: 0, what: 'percent of the pages that are touched' },
  },
  *events({ mib = 4096, percent = 50 }, seed) {
    if (percent > 100) throw new InputError(`--set percent=${percent}: want at most 100`);
    yield* startProgram(PID);
    yield mmapAnon(PID, BASE_ADDR, mib * MIB);
    const random = new Random(seed);
    const pages = Int32Array.from({ length: (mib * MIB) / PAGE_BYTES }, (_, page) => page);
    const touched = Math.round((pages.length * percent) / 100);
    // One event for all touches: readers copy what they keep.
    const touch = writes(PID, BASE_ADDR, 1, PAGE_BYTES);
    for (let i = 0; i < touched; i++) {
      const at = i + random.below(pages.length - i);
      touch.addr = BASE_ADDR + (pages[at] as number) * PAGE_BYTES;
      pages[at] = pages[i] as number;
      yield touch;
    }
    yield mark('touched');
  },
};

function* filled(addr: number, spanBytes: number): Iterable<TraceEvent> {
  yield mmapAnon(PID, addr, spanBytes);
  yield writes(PID, addr, spanBytes / PAGE_BYTES, PAGE_BYTES);
}

function* freed(addr: number, pieces: readonly Piece[]): Iterable<TraceEvent> {
  for (const { offset, spanBytes } of pieces) {
    yield madvise(PID, addr + offset, spanBytes, MADV_DONTNEED);
  }
}
