import type { CountKind } from './count-table.ts';
import { LINE_HASH } from './line-hash.ts';
import { RHASHTABLE } from './rhashtable.ts';
import { ROSEBUSH, ROSEBUSH_INLINE } from './rosebush.ts';
import { ROW_LEAF, ROW_LEAF_4 } from './row-leaf.ts';
import { STATIC_COUNTS } from './static-counts.ts';

/** All tables, the ones to beat last. */
export const COUNT_KINDS: readonly CountKind[] = [
  ROW_LEAF_4,
  ROW_LEAF,
  STATIC_COUNTS,
  LINE_HASH,
  ROSEBUSH_INLINE,
  ROSEBUSH,
  RHASHTABLE,
];
