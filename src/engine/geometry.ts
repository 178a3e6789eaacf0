import { assert } from '../base/index.ts';

/**
 * The shape of an address space: how many levels of tables, and how many address bits each level
 * decodes. 4 and 5 levels of 9 bits are x86-64; a small one is for tests and teaching.
 *
 * A virtual page number (vpn, address >> pageShift) can exceed 32 bits, so hot code carries it as
 * two small integers: `lo`, the part decoded by the two lowest levels (an x86-64 page within its
 * GiB), and `hi`, the rest (the number of the GiB).
 */
export interface Geometry {
  readonly name: string;
  readonly levels: number;
  /** Address bits decoded by one table; a table has 2 ** bits entries. */
  readonly bits: number;
  readonly pageShift: number;
  /** Highest user address + 1, in pages. */
  readonly userPages: number;
}

export const X86_64_4LEVEL: Geometry = {
  name: 'x86-64, 4 levels',
  levels: 4,
  bits: 9,
  pageShift: 12,
  // TASK_SIZE_MAX is one page below 2^47 (arch/x86/include/asm/page_64_types.h).
  userPages: 2 ** 35 - 1,
};

export const X86_64_5LEVEL: Geometry = {
  name: 'x86-64, 5 levels',
  levels: 5,
  bits: 9,
  pageShift: 12,
  userPages: 2 ** 44 - 1,
};

/** Three levels of 16 entries: a space of 4096 pages that can be drawn whole. */
export const TOY_GEOMETRY: Geometry = {
  name: 'toy, 3 levels of 16',
  levels: 3,
  bits: 4,
  pageShift: 12,
  userPages: 16 ** 3,
};

export function checkGeometry(g: Geometry): void {
  assert(g.levels >= 3 && g.levels <= 5, `levels ${g.levels} not in 3..5`);
  assert(g.bits >= 2 && g.bits <= 9, `bits ${g.bits} not in 2..9`);
  assert(g.userPages <= 2 ** (g.levels * g.bits), 'user pages beyond the top table');
}
