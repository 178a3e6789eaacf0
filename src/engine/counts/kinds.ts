import type { CountKind } from './count-table.ts';
import { ROW_LEAF, ROW_LEAF_4 } from './row-leaf.ts';
import { STATIC_COUNTS } from './static-counts.ts';

/** All tables, the ones to beat last. */
export const COUNT_KINDS: readonly CountKind[] = [ROW_LEAF_4, ROW_LEAF, STATIC_COUNTS];
