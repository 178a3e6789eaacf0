import { GIB_BYTES, SLOT_BYTES } from '../workloads/program.ts';

/** What page tables a piece of address space needs, on x86-64 with 4 levels: arithmetic alone. */

export const TABLE_KIB = 4;
const PUD_SPAN_BYTES: number = 512 * GIB_BYTES;

/**
 * Tables of a small static program with a stdio heap, all levels: `startProgram`
 * (workloads/program.ts). Measured on Linux 6.18 as VmPTE of such a program: 36 kB.
 */
export const PROGRAM_TABLES = 9;

/** KiB of PTE, PMD and PUD tables of so many bytes, aligned to all of them. */
export function tablesKiB(bytes: number): { pte: number; upper: number } {
  const pte = Math.ceil(bytes / SLOT_BYTES);
  const upper = Math.ceil(bytes / GIB_BYTES) + Math.ceil(bytes / PUD_SPAN_BYTES);
  return { pte: pte * TABLE_KIB, upper: upper * TABLE_KIB };
}
