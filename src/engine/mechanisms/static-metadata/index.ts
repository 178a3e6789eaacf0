import { assert, InputError } from '../../../base/index.ts';
import { buddyAlloc } from '../../frames/buddy.ts';
import { blockOf, F_STATE, FRAME_WORDS, TYPE_KERNEL } from '../../frames/frame-record.ts';
import { attachChunk, MIGRATE_MOVABLE } from '../../frames/pageblock.ts';
import { setWatermarks, ZONE_MOVABLE, zoneAt } from '../../frames/zones.ts';
import { BLOCK_FRAMES, BLOCK_SHIFT, Z_FREE, Z_KIND, Z_MANAGED } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { STRUCT_PAGE_BYTES } from '../../metadata/need.ts';
import type { Mechanism } from '../mechanism.ts';

/**
 * A struct page for every frame from the start, charged to the machine as Linux does: memory that the
 * buddy never gets (sparse_init, mm/sparse.c). It comes in pieces of 2 MiB, each for 128 MiB, as the
 * kernel maps its vmemmap (vmemmap_populate_hugepages), a part of one counting as a whole. What
 * dynamic-metadata is to be compared with.
 */
export const staticMetadata: Mechanism = {
  id: 'static-metadata',
  title: 'struct pages of all frames charged to the memory, as Linux has them',
  excludes: {},
  attach,
  counters: (m) => ({ structPageKiB: (blocksFor(m) * BLOCK_FRAMES * 4096) / 1024 }),
};

function attach(m: Machine): void {
  assert(!m.isShared, 'static-metadata is for machines of one thread');
  for (let left = blocksFor(m); left > 0; left--) {
    if (!takeBlock(m)) throw new InputError('static-metadata: no memory for all struct pages');
  }
  setWatermarks(m);
}

function blocksFor(m: Machine): number {
  return Math.ceil((m.blockCount * BLOCK_FRAMES * STRUCT_PAGE_BYTES) / (BLOCK_FRAMES * 4096));
}

/** From the highest zone down, as memblock allocates. */
function takeBlock(m: Machine): boolean {
  const w = m.words;
  for (let zone = m.zoneCount - 1; zone >= 0; zone--) {
    const z = zoneAt(m, zone);
    if (w[z + Z_FREE] < BLOCK_FRAMES || w[z + Z_KIND] === ZONE_MOVABLE) continue;
    const pfn = buddyAlloc(m, z, BLOCK_SHIFT, MIGRATE_MOVABLE);
    if (pfn === 0) continue;
    const chunk = attachChunk(m, blockOf(m, pfn));
    for (let i = 0; i < BLOCK_FRAMES; i++) w[chunk + i * FRAME_WORDS + F_STATE] = TYPE_KERNEL;
    w[z + Z_MANAGED] -= BLOCK_FRAMES;
    return true;
  }
  return false;
}
