import { BLOCK_FRAMES } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { llfreeBytes, rowLeafBytes, schemeBytes } from '../../metadata/schemes.ts';
import { tallyFrames } from '../../metadata/tally.ts';
import { type DynamicMetadataOptions, memdescSizesOf } from './options.ts';
import type { Vmemmap } from './vmemmap.ts';

/** A look at the frames that costs more than this many of them is not made at each point. */
const FRAMES_PER_LOOK = 1 << 18;

type Values = Record<string, number>;

/**
 * Bytes of metadata by scheme, in KiB. `onDemandKiB` is what the mechanism holds; the others are computed
 * from what stands in the frames.
 */
export class Gauge {
  readonly #m: Machine;
  readonly #vmemmap: Vmemmap;
  readonly #options: DynamicMetadataOptions;
  readonly #peaks: Values = {};
  /** Points to come without a look, for what the last one cost. */
  #pause = 0;

  constructor(m: Machine, vmemmap: Vmemmap, options: DynamicMetadataOptions) {
    this.#m = m;
    this.#vmemmap = vmemmap;
    this.#options = options;
  }

  /** null where the last look was too long to be repeated already. */
  readNowAndThen(): Values | null {
    if (this.#pause > 0) {
      this.#pause -= 1;
      return null;
    }
    return this.read();
  }

  read(): Values {
    const tally = tallyFrames(this.#m);
    this.#pause = Math.floor((tally.chunks * BLOCK_FRAMES + tally.blocks) / FRAMES_PER_LOOK);
    const bytes = schemeBytes(tally, memdescSizesOf(this.#options));
    const values: Values = {
      structPageKiB: bytes.structPage,
      hvoKiB: bytes.hvo,
      hvoAllKiB: bytes.hvoAll,
      memdescKiB: bytes.memdesc,
      onDemandKiB: this.#heldBytes(this.#vmemmap.pages),
      engineKiB: bytes.engine,
      countsKiB: bytes.counts,
      shareCountsKiB: rowLeafBytes(tally.frames, tally.sharedRows),
    };
    for (const [name, value] of Object.entries(values)) {
      const kib = Math.round((value / 1024) * 100) / 100;
      values[name] = kib;
      this.#peaks[name] = Math.max(this.#peaks[name] ?? 0, kib);
    }
    return values;
  }

  /** The highest values of the looks; of `onDemandKiB` the highest that there was. */
  peaks(): Values {
    const heldKiB = this.#heldBytes(this.#vmemmap.peakPages) / 1024;
    return { ...this.#peaks, onDemandKiB: Math.round(heldKiB * 100) / 100 };
  }

  #heldBytes(pages: number): number {
    const llfree =
      this.#options.hasLLFree === 0 ? 0 : llfreeBytes(this.#m.blockCount * BLOCK_FRAMES);
    return pages * 4096 + llfree;
  }
}
