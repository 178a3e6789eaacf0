import { isFolio } from '../../engine/frames/folio.ts';
import { blockOf } from '../../engine/frames/frame-record.ts';
import { isBlockOnline } from '../../engine/frames/pageblock.ts';
import { frameUse, isMovableUse, type Machine } from '../../engine/index.ts';
import { BLOCK_FRAMES, H_BLOCKS } from '../../engine/layout.ts';

/** What stands in one pageblock (2 MiB) of physical memory, in frames. */
export interface BlockUse {
  /** Free, cpus' lists included; 512 and not in one piece is possible on lists only. */
  free: number;
  /** In use and movable: pages; in use and not: tables, the kernel's own. */
  movable: number;
  unmovable: number;
  /** One page of 2 MiB. */
  isHuge: boolean;
}

/** Physical memory by pageblock, in the order of frame numbers; memory that is not online is left out. */
export interface FrameMap {
  blockFrames: number;
  blocks: BlockUse[];
}

/** Looks at every frame: for the end of a run. */
export function takeFrameMap(m: Machine): FrameMap {
  const blocks: BlockUse[] = [];
  const end = m.words[H_BLOCKS] * BLOCK_FRAMES;
  for (let first = 0; first < end; first += BLOCK_FRAMES) {
    const block = blockOf(m, first);
    if (!isBlockOnline(m, block)) continue;
    const use: BlockUse = { free: 0, movable: 0, unmovable: 0, isHuge: isFolio(m, block) };
    for (let pfn = first; pfn < first + BLOCK_FRAMES; pfn++) {
      const what = frameUse(m, pfn);
      if (what === 'free' || what === 'pcp' || what === 'held') use.free += 1;
      else if (isMovableUse(m, what)) use.movable += 1;
      else if (what !== 'absent') use.unmovable += 1;
    }
    blocks.push(use);
  }
  return { blockFrames: BLOCK_FRAMES, blocks };
}
