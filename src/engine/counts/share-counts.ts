import { BLOCK_FRAMES, H_BLOCKS } from '../layout.ts';
import type { Machine } from '../machine.ts';
import type { CountKind, CountTable } from './count-table.ts';
import { ROW_LEAF_4 } from './row-leaf.ts';

/** Frames that may be shared at one time where a kind of table must know: all, up to this many. */
const ENTRIES_MAX = 2 ** 21;

/**
 * The machine's own share counts, by frame number: of tables that several entries lead to, and of pages
 * that no frame record counts. Made at first use; `kind` decides which table it is.
 */
export function shareCountsOf(m: Machine, kind: CountKind = ROW_LEAF_4): CountTable {
  if (m.shareCounts === null) {
    const frames = m.words[H_BLOCKS] * BLOCK_FRAMES;
    const options = { frames, entries: Math.min(frames, ENTRIES_MAX), workers: 1 };
    const buffer = new ArrayBuffer(kind.bytesFor(options));
    kind.format(buffer, options);
    m.shareCounts = kind.attach(buffer, 0);
  }
  return m.shareCounts;
}
