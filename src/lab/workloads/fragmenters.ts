import { InputError, MADV_DONTNEED, MADV_HUGEPAGE, Random } from '../../base/index.ts';
import type { TraceEvent } from '../../trace/index.ts';
import { madvise, mark, mmapAnon, startProgram, writes } from './program.ts';
import type { Workload, WorkloadParameter } from './workload.ts';

/**
 * Programs that leave physical memory in pieces, after the micro-benchmarks that were released with
 * Ingens (ut-osa/ingens, programs/micro). What they free goes back by MADV_DONTNEED.
 *
 * The released ones advise huge pages and free each chunk as soon as it is filled: `asReleased`.
 * With base pages the next chunk would then fill the holes of the last, so else all is filled first.
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

const AS_RELEASED: WorkloadParameter = {
  value: 0,
  least: 0,
  what: '1: advises huge pages and frees each chunk when it is filled',
};

/** A run of bytes in a chunk. */
interface Piece {
  readonly offset: number;
  readonly spanBytes: number;
}

/**
 * What frag_normal frees of a chunk of 4 MiB: the first half of the first 2 MiB, of the next 1 MiB,
 * of the next 512 KiB, and so on down to 8 KiB, and of the 8 KiB that are left. That is exactly
 * half of the chunk, and no piece has 2 MiB. (The released program frees its last page too: a call of
 * 1 KiB that the kernel rounds up.)
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
  title: 'memory filled, half of it freed in pieces of 1 MiB to 4 KiB',
  parameters: {
    mib: { value: 16_384, least: 4, what: 'MiB that are filled' },
    passes: { value: 1, least: 1, what: 'times; each fills what the last one freed' },
    asReleased: AS_RELEASED,
  },
  *events({ mib = 16_384, passes = 1, asReleased = 0 }) {
    yield* startProgram(PID);
    const pieces = normalPieces();
    let addr = BASE_ADDR;
    let chunks = Math.floor((mib * MIB) / NORMAL_CHUNK_BYTES);
    for (let pass = 0; pass < passes && chunks > 0; pass++) {
      const memory = { addr, chunks, chunkBytes: NORMAL_CHUNK_BYTES };
      yield* fragmented(memory, asReleased === 1, () => pieces);
      yield mark(`pass ${pass + 1}`);
      addr += chunks * NORMAL_CHUNK_BYTES;
      chunks = Math.floor(chunks / 2);
    }
  },
};

/** frag_severe: of each 1 MiB of a chunk of 24 MiB the beginning, 4 KiB to all of it at random. */
export const fragSevere: Workload = {
  name: 'frag-severe',
  title: 'memory filled, the beginning of each MiB freed',
  parameters: {
    mib: { value: 16_368, least: 24, what: 'MiB that are filled' },
    asReleased: AS_RELEASED,
  },
  *events({ mib = 16_368, asReleased = 0 }, seed) {
    yield* startProgram(PID);
    const random = new Random(seed);
    const chunks = Math.floor((mib * MIB) / SEVERE_CHUNK_BYTES);
    const memory = { addr: BASE_ADDR, chunks, chunkBytes: SEVERE_CHUNK_BYTES };
    yield* fragmented(memory, asReleased === 1, () => severePieces(random));
    yield mark('fragmented');
  },
};

function severePieces(random: Random): Piece[] {
  const pieces: Piece[] = [];
  for (let offset = 0; offset < SEVERE_CHUNK_BYTES; offset += MIB) {
    pieces.push({ offset, spanBytes: 2 ** random.between(SEVERE_LOG_MIN, SEVERE_LOG_MAX) });
  }
  return pieces;
}

/**
 * sparse_access: a part of the pages, each once, in random order. (The released program draws with
 * repetition: its 50 % are 39 % of the pages.)
 */
export const sparseAccess: Workload = {
  name: 'sparse-access',
  title: 'some pages of a mapping touched in random order',
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

interface Memory {
  readonly addr: number;
  readonly chunks: number;
  readonly chunkBytes: number;
}

function* fragmented(
  { addr, chunks, chunkBytes }: Memory,
  isAsReleased: boolean,
  piecesOf: () => readonly Piece[],
): Iterable<TraceEvent> {
  const end = addr + chunks * chunkBytes;
  if (!isAsReleased) {
    yield mmapAnon(PID, addr, end - addr);
    yield writes(PID, addr, (end - addr) / PAGE_BYTES, PAGE_BYTES);
  }
  for (let at = addr; at < end; at += chunkBytes) {
    if (isAsReleased) {
      yield mmapAnon(PID, at, chunkBytes);
      yield madvise(PID, at, chunkBytes, MADV_HUGEPAGE);
      yield writes(PID, at, chunkBytes / PAGE_BYTES, PAGE_BYTES);
    }
    for (const { offset, spanBytes } of piecesOf()) {
      yield madvise(PID, at + offset, spanBytes, MADV_DONTNEED);
    }
  }
}
