import { blockOf } from '../frames/frame-record.ts';
import {
  blockExtent,
  blockZone,
  EXTENT_OFFLINE,
  isBlockOnline,
  NO_ZONE,
} from '../frames/pageblock.ts';
import { zoneAt, zoneName } from '../frames/zones.ts';
import { BLOCK_FRAMES, H_MEMORY_BLOCK, Z_FRAMES, Z_KIND, Z_START } from '../layout.ts';
import type { Machine } from '../machine.ts';

/**
 * Memory hot-plug (mm/memory_hotplug.c, drivers/base/memory.c). The unit is the memory block, as in
 * /sys/devices/system/memory: 128 MiB on x86-64 (`memoryBlockBytes`). A block is absent, or there but
 * offline, or online in one zone. This file shows blocks; online.ts and offline.ts change them.
 */
export interface MemoryBlock {
  readonly index: number;
  /** First frame, and number of frames. */
  readonly start: number;
  readonly frames: number;
  /** `mixed`: parts differ (the machine's last block may be partial, and one may span two zones). */
  readonly state: 'absent' | 'offline' | 'online' | 'mixed';
  /** Zone number of an online block; -1 for others. */
  readonly zone: number;
  /** `DMA32`, `Normal`, `Movable`, or `` for a block that is not online. */
  readonly zoneName: string;
}

/** All memory blocks, also those that only hot-plug can bring. */
export function memoryBlocks(m: Machine): MemoryBlock[] {
  const size = m.words[H_MEMORY_BLOCK];
  const count = Math.ceil((m.blockCount * BLOCK_FRAMES) / size);
  return Array.from({ length: count }, (_, index) => memoryBlock(m, index));
}

export function memoryBlock(m: Machine, index: number): MemoryBlock {
  const frames = m.words[H_MEMORY_BLOCK];
  const start = index * frames;
  const first = blockOf(m, start);
  const zone = blockZone(m, first);
  const shown = { index, start, frames };
  if (!isWhole(m, start, frames)) return { ...shown, state: 'mixed', zone: -1, zoneName: '' };
  if (zone !== NO_ZONE) {
    return { ...shown, state: 'online', zone, zoneName: zoneName(m, zone) };
  }
  const state = blockExtent(m, first) === EXTENT_OFFLINE ? 'offline' : 'absent';
  return { ...shown, state, zone: -1, zoneName: '' };
}

/** All pageblocks are there, and in one zone and state. */
function isWhole(m: Machine, start: number, frames: number): boolean {
  const first = blockOf(m, start);
  for (let pfn = start; pfn < start + frames; pfn += BLOCK_FRAMES) {
    if (pfn >= m.blockCount * BLOCK_FRAMES) return false;
    const block = blockOf(m, pfn);
    if (blockZone(m, block) !== blockZone(m, first)) return false;
    if (!isBlockOnline(m, block) && blockExtent(m, block) !== blockExtent(m, first)) return false;
  }
  return true;
}

/** The zone of a kind whose span has the block; -1 if the machine has none (no room was reserved). */
export function zoneForBlock(m: Machine, start: number, kinds: readonly number[]): number {
  for (let zone = m.zoneCount - 1; zone >= 0; zone--) {
    const z = zoneAt(m, zone);
    const isInSpan =
      m.words[z + Z_START] <= start && start < m.words[z + Z_START] + m.words[z + Z_FRAMES];
    if (isInSpan && kinds.includes(m.words[z + Z_KIND])) return zone;
  }
  return -1;
}
