import { MADV_DONTNEED } from '../../base/index.ts';
import { GIB_BYTES, madvise, mark, mmapAnon, SLOT_BYTES, startProgram, writes } from './program.ts';
import type { Workload } from './workload.ts';

const PID = 1;
const BASE_ADDR = 0x100000000000;

/**
 * The case that made ByteDance look into page tables (CLK 2021): VIRT 55 TB, RES 590 GB, VmPTE
 * 110 GB. 110 GB are one table for every 2 MiB of 55 TB; the 1.2 GB that would do are those of
 * 590 GB mapped densely. So: an allocator goes through 55 TiB, arena by arena, touches each 2 MiB,
 * frees in 4 KiB pieces, and keeps a dense part.
 */
export const realCase: Workload = {
  name: 'real-case',
  title: '55 TiB touched sparsely, all but 590 GiB given back',
  machine: 'server',
  parameters: {
    tib: { value: 55, least: 1, what: 'TiB of address space' },
    residentGib: { value: 590, least: 0, what: 'GiB that stay, dense' },
  },
  *events({ tib = 55, residentGib = 590 }) {
    yield* startProgram(PID);
    const spaceBytes = tib * 1024 * GIB_BYTES;
    yield mmapAnon(PID, BASE_ADDR, spaceBytes);
    const denseBytes = residentGib * GIB_BYTES;
    if (denseBytes > 0) yield writes(PID, BASE_ADDR, denseBytes / 4096, 4096);
    yield mark('resident');
    // One event for all 28 million pieces: readers copy what they keep.
    const piece = madvise(PID, 0, 4096, MADV_DONTNEED);
    for (let at = denseBytes; at < spaceBytes; at += GIB_BYTES) {
      yield writes(PID, BASE_ADDR + at, GIB_BYTES / SLOT_BYTES, SLOT_BYTES);
      for (let slot = 0; slot < GIB_BYTES; slot += SLOT_BYTES) {
        piece.addr = BASE_ADDR + at + slot;
        yield piece;
      }
    }
    yield mark('given back');
  },
};
