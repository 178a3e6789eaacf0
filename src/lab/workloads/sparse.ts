import { MADV_DONTNEED } from '../../base/index.ts';
import type { TraceEvent } from '../../trace/index.ts';
import { GIB_BYTES, madvise, mark, mmapAnon, SLOT_BYTES, startProgram, writes } from './program.ts';
import type { Workload } from './workload.ts';

const PID = 1;
const BASE_ADDR = 0x7f0000000000;

/**
 * ByteDance's functional test ("Improvement of PTE page table management", CLK 2021): 50 GB
 * touched once per 2 MB and given back, so that only page tables are left.
 */
export const sparsePieces: Workload = {
  name: 'sparse-pieces',
  title: 'a page in each 2 MiB, given back one by one, as allocators do',
  parameters: { gib: { value: 50, least: 1, what: 'GiB of address space' } },
  *events({ gib = 50 }) {
    yield* touched(gib);
    for (let at = 0; at < gib * GIB_BYTES; at += SLOT_BYTES) {
      yield madvise(PID, BASE_ADDR + at, 4096, MADV_DONTNEED);
    }
    yield mark('given back');
  },
};

export const sparseWhole: Workload = {
  name: 'sparse-whole',
  title: 'a page in each 2 MiB, all given back by one MADV_DONTNEED',
  parameters: sparsePieces.parameters,
  *events({ gib = 50 }) {
    yield* touched(gib);
    yield madvise(PID, BASE_ADDR, gib * GIB_BYTES, MADV_DONTNEED);
    yield mark('given back');
  },
};

/** The loop of the series that followed (Qi Zheng, June 2024): 2 MB written and given back in turn. */
export const sparseLoop: Workload = {
  name: 'sparse-loop',
  title: '2 MiB written and given back at once, 2 MiB after 2 MiB',
  parameters: sparsePieces.parameters,
  *events({ gib = 50 }) {
    yield* startProgram(PID);
    yield mmapAnon(PID, BASE_ADDR, gib * GIB_BYTES);
    for (let at = 0; at < gib * GIB_BYTES; at += SLOT_BYTES) {
      yield writes(PID, BASE_ADDR + at, SLOT_BYTES / 4096, 4096);
      yield madvise(PID, BASE_ADDR + at, SLOT_BYTES, MADV_DONTNEED);
    }
    yield mark('given back');
  },
};

function* touched(gib: number): Iterable<TraceEvent> {
  yield* startProgram(PID);
  yield mmapAnon(PID, BASE_ADDR, gib * GIB_BYTES);
  yield writes(PID, BASE_ADDR, (gib * GIB_BYTES) / SLOT_BYTES, SLOT_BYTES);
  yield mark('touched');
}
