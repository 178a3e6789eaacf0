import {
  F_INDEX,
  F_MAPCOUNT,
  F_MAPPING,
  F_STAMP,
  F_STATE,
  FRAME_SHIFT,
  TYPE_ANON,
} from '../frames/frame-record.ts';
import { MIGRATE_MOVABLE } from '../frames/pageblock.ts';
import { PCP_TOPS } from '../frames/pcp.ts';
import { B_CHUNK, BLOCK_FRAMES, BLOCK_SHIFT, CPU_CLOCK } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { C_FRESH } from '../space/mm.ts';
import { VM_WRITE } from '../space/vm-flags.ts';
import { V_ANON_VMA, V_FLAGS } from '../space/vma.ts';
import { ENTRY_NONE } from '../tables/entry.ts';
import { FORM_DENSE, FORM_MASK, T_CONTENTS, T_COUNT, T_STATE } from '../tables/table.ts';
import { FAULT_DONE, WRITTEN_PAGE } from './fault-codes.ts';
import { handleFault } from './handle-fault.ts';

export * from './fault-codes.ts';

/**
 * Touches a page of an address space: the page hi * loPages + lo (geometry.ts). Returns a FAULT_*
 * code.
 *
 * This function is the hot path and nothing else: the first write to a page of private anonymous
 * memory next to the last fault, on a machine of one thread. The machine remembers the table of the
 * last walk and its VMA, if that covers the table's whole slot; whoever changes either forgets them
 * (Machine.forgetWalk). So it costs one frame from the cpu's list, one entry, one record: about
 * fifteen loads and a dozen stores, no call, no allocation, no atomics. All else is `handleFault`.
 */
export function fault(m: Machine, mm: number, hi: number, lo: number, isWrite: boolean): number {
  const w = m.words;
  const leaf = m.walkLeaf;
  const vma = m.walkVma;
  if (
    !isWrite ||
    m.walkOwner !== mm ||
    m.isCareful ||
    m.walkHi !== hi ||
    m.walkSlot !== lo >> m.bits ||
    vma === 0 ||
    (w[vma + V_FLAGS] & VM_WRITE) === 0 ||
    (w[leaf + T_STATE] & FORM_MASK) !== FORM_DENSE
  ) {
    return handleFault(m, mm, hi, lo, isWrite);
  }
  const index = lo & m.mask;
  const contents = w[leaf + T_CONTENTS];
  const flagByte = ((contents + m.entryCount) << 2) + index;
  const topAt = m.preferredPcp + PCP_TOPS + MIGRATE_MOVABLE;
  const top = w[topAt] - 1;
  const pfn = w[top];
  if (pfn === 0 || m.bytes[flagByte] !== ENTRY_NONE) return handleFault(m, mm, hi, lo, isWrite);
  const rec =
    w[m.blocksAt + ((pfn >> BLOCK_SHIFT) << 3) + B_CHUNK] +
    ((pfn & (BLOCK_FRAMES - 1)) << FRAME_SHIFT);
  w[topAt] = top;
  w[rec + F_STATE] = TYPE_ANON;
  w[rec + F_MAPCOUNT] = 1;
  w[rec + F_MAPPING] = w[vma + V_ANON_VMA];
  w[rec + F_INDEX] = m.walkIndexBase + index;
  w[rec + F_STAMP] = w[m.cpuAt + CPU_CLOCK];
  w[contents + index] = pfn;
  m.bytes[flagByte] = WRITTEN_PAGE;
  w[leaf + T_COUNT] += 1; // the count
  const counters = mm + m.countersAt;
  w[counters + C_FRESH] += 1;
  return FAULT_DONE;
}

/** As `fault` with the page as one number. */
export function faultPage(m: Machine, mm: number, page: number, isWrite: boolean): number {
  const hi = Math.floor(page / m.loPages);
  return fault(m, mm, hi, page - hi * m.loPages, isWrite);
}
