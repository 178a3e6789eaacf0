import { Errno } from '../../base/index.ts';
import { blockOf } from '../frames/frame-record.ts';
import { bringRangeOnline } from '../frames/isolate.ts';
import {
  EXTENT_ABSENT,
  EXTENT_OFFLINE,
  MIGRATE_MOVABLE,
  setBlockExtent,
} from '../frames/pageblock.ts';
import { updatePcpHigh } from '../frames/pcp.ts';
import { setWatermarks, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL, zoneAt } from '../frames/zones.ts';
import { BLOCK_FRAMES, H_CPUS, H_FRAMES, Z_MANAGED } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { type MemoryBlock, memoryBlock, zoneForBlock } from './memory-block.ts';

/** What is written to a block's `state` file. */
export type OnlineType = 'online_kernel' | 'online_movable';

/** Plugs a memory block in (add_memory): it is there, and offline. 0, or -EEXIST. */
export function addMemory(m: Machine, index: number): number {
  const block = memoryBlock(m, index);
  if (block.state !== 'absent') return -Errno.EEXIST;
  setExtents(m, block, EXTENT_OFFLINE);
  return 0;
}

/** Pulls an offline block out (try_remove_memory). 0, -EBUSY for one online, -EINVAL for none. */
export function removeMemory(m: Machine, index: number): number {
  const block = memoryBlock(m, index);
  if (block.state === 'online') return -Errno.EBUSY;
  if (block.state !== 'offline') return -Errno.EINVAL;
  setExtents(m, block, EXTENT_ABSENT);
  return 0;
}

function setExtents(m: Machine, block: MemoryBlock, extent: number): void {
  for (let pfn = block.start; pfn < block.start + block.frames; pfn += BLOCK_FRAMES) {
    setBlockExtent(m, blockOf(m, pfn), extent);
  }
}

/**
 * Gives an offline block's memory to a zone (online_pages): the kernel's own zone of that address,
 * or the node's Movable zone. 0; -EINVAL for a block that is not offline, or a machine without such
 * a zone.
 */
export function onlineMemory(m: Machine, index: number, type: OnlineType): number {
  const block = memoryBlock(m, index);
  if (block.state !== 'offline') return -Errno.EINVAL;
  const kinds = type === 'online_movable' ? [ZONE_MOVABLE] : [ZONE_DMA32, ZONE_NORMAL];
  const zone = zoneForBlock(m, block.start, kinds);
  if (zone < 0) return -Errno.EINVAL;
  // online_pages makes the pageblocks movable, whatever they were.
  bringRangeOnline(m, zone, block.start, block.start + block.frames, MIGRATE_MOVABLE);
  changeManaged(m, zone, block.frames);
  return 0;
}

/** The zone has that many frames more (or less): totals, watermarks and lists' limits follow. */
export function changeManaged(m: Machine, zone: number, frames: number): void {
  m.words[zoneAt(m, zone) + Z_MANAGED] += frames;
  m.words[H_FRAMES] += frames;
  setWatermarks(m);
  const cpus = m.words[H_CPUS];
  for (let cpu = 0; cpu < cpus; cpu++) updatePcpHigh(m, cpu, cpus);
  m.preferZone();
}
