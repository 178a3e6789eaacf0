import { InputError } from '../../base/index.ts';

/** A line of /proc/buddyinfo. */
export interface BuddyZone {
  readonly node: number;
  readonly zone: string;
  /** Free blocks of order 0, 1, … */
  readonly blocks: readonly number[];
}

/** `Node 0, zone   Normal   3098   7194 …` (frag_show_print, mm/vmstat.c). */
const LINE = /^Node (\d+), zone +(\S+)((?: +\d+)+) *$/;
/** Orders that any kernel may have: MAX_PAGE_ORDER is below 32. */
const ORDERS_MAX = 32;

/**
 * The zones of /proc/buddyinfo's text, in its order. Throws InputError, with `name` and the line,
 * for anything that the kernel does not write.
 */
export function parseBuddyinfo(text: string, name: string): BuddyZone[] {
  const zones: BuddyZone[] = [];
  for (const [at, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const where = `${name}:${at + 1}`;
    const [, node, zone = '', counts = ''] = LINE.exec(line) ?? [];
    if (node === undefined) {
      throw new InputError(`${where}: want 'Node N, zone NAME' and the free blocks of each order`);
    }
    const blocks = counts.trim().split(/ +/).map(Number);
    checkBlocks(where, blocks, zones[0]?.blocks.length ?? blocks.length);
    if (zones.some((other) => other.node === Number(node) && other.zone === zone)) {
      throw new InputError(`${where}: node ${node}, zone ${zone} stands there twice`);
    }
    zones.push({ node: Number(node), zone, blocks });
  }
  if (zones.length === 0) throw new InputError(`${name}:1: no zones; want /proc/buddyinfo's text`);
  return zones;
}

function checkBlocks(where: string, blocks: readonly number[], expected: number): void {
  if (blocks.length !== expected || blocks.length > ORDERS_MAX) {
    throw new InputError(`${where}: ${blocks.length} orders, want ${expected} in each line`);
  }
  const frames = blocks.reduce((sum, count, order) => sum + count * 2 ** order, 0);
  // 2^40 frames are 4 PiB, the most that x86-64 can address (52 bits).
  if (frames > 2 ** 40) throw new InputError(`${where}: more free memory than 4 PiB`);
}
