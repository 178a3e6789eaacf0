import { InputError } from '../../base/index.ts';
import { BLOCK_FRAMES, H_BLOCKS } from '../layout.ts';
import type { Machine } from '../machine.ts';
import type { CountKind, CountTable } from './count-table.ts';
import { ROW_LEAF_4 } from './row-leaf.ts';

/** Frames that may be shared at one time where a kind of table must know: all, up to this many. */
const ENTRIES_MAX = 2 ** 21;

/**
 * The machine's own share counts, by frame number: of tables that several entries lead to, and of pages
 * that no frame record counts. Made at first use, as the table `kind`, row-leaf-4 where nobody minds.
 * Throws InputError where two mechanisms want different ones.
 */
export function shareCountsOf(m: Machine, kind?: CountKind): CountTable {
  const { shareCountKind } = m;
  if (m.shareCounts !== null && shareCountKind !== null) {
    if (kind === undefined || kind === shareCountKind) return m.shareCounts;
    throw new InputError(`share counts are in ${shareCountKind.name}; ${kind.name} is wanted too`);
  }
  const chosen = kind ?? ROW_LEAF_4;
  const frames = m.words[H_BLOCKS] * BLOCK_FRAMES;
  const options = { frames, entries: Math.min(frames, ENTRIES_MAX), workers: 1 };
  const buffer = new ArrayBuffer(chosen.bytesFor(options));
  chosen.format(buffer, options);
  m.shareCounts = chosen.attach(buffer, 0);
  m.shareCountKind = chosen;
  return m.shareCounts;
}
