import { addFree, removeFree } from '../../frames/buddy.ts';
import { blockOf } from '../../frames/frame-record.ts';
import { MIGRATE_MOVABLE } from '../../frames/pageblock.ts';
import { zoneAt } from '../../frames/zones.ts';
import { B_NEXT, BLOCK_FRAMES, MAX_ORDER, MIGRATE_TYPES, Z_LISTS } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { ENTRY_NONE, ENTRY_ZERO, KIND_MASK } from '../../tables/entry.ts';
import { entryFlags } from '../../tables/leaf.ts';
import type { HawkeyeOptions } from './options.ts';

const LARGEST = 1 << MAX_ORDER;

/**
 * The thread that zeroes free memory (hawkeye_modules/async-zero): the largest movable blocks, so many
 * between two sleeps. Which frames are zero is kept for each; a frame that leaves free memory is not
 * any more. Zeroed blocks are given out first, as from the paper's list of zeroed pages [R]; the
 * released module puts them last, and marks only their first page.
 */
export class Zeroing {
  readonly counters = {
    /** Faults that found their memory zeroed, and those that had to. */
    faultsPreZeroed: 0,
    faultsZeroed: 0,
    hugeFaultsPreZeroed: 0,
    hugeFaultsZeroed: 0,
    /** Frames that faults had to zero. */
    zeroedInFaults: 0,
  };
  nextNs = -1;
  readonly #m: Machine;
  readonly #options: HawkeyeOptions;
  /** 1 for each free frame that was zeroed, and how many of those each 4 MiB have. */
  readonly #isZeroed: Uint8Array;
  readonly #inLargest: Uint16Array;
  /** The frame that is taken next is for a page of zeros. */
  #isZeroWanted = false;
  /** The last 2 MiB taken, and how many of its frames were zeroed. */
  #extent = 0;
  #extentZeroed = 0;

  constructor(m: Machine, options: HawkeyeOptions) {
    this.#m = m;
    this.#options = options;
    this.#isZeroed = new Uint8Array(m.blockCount * BLOCK_FRAMES);
    this.#inLargest = new Uint16Array(Math.ceil((m.blockCount * BLOCK_FRAMES) / LARGEST));
  }

  /** One turn of the thread, at a time until `nowNs`; what comes next. */
  run(nowNs: number): void {
    this.nextNs += this.#options.zeroSleepMs * 1e6;
    // Nothing left: nothing comes free before the next event.
    if (this.#zeroSome() < this.#options.zeroBlocks) this.nextNs = Math.max(this.nextNs, nowNs);
  }

  placePage = (m: Machine, _vma: number, leaf: number, _hi: number, lo: number): number => {
    const kind = entryFlags(m, leaf, lo & m.mask) & KIND_MASK;
    this.#isZeroWanted = kind === ENTRY_NONE || kind === ENTRY_ZERO;
    return 0;
  };

  taken(pfn: number, frames: number): void {
    let zeroed = 0;
    for (let i = pfn; i < pfn + frames; i++) {
      if (this.#isZeroed[i] === 0) continue;
      zeroed += 1;
      this.#isZeroed[i] = 0;
      const at = i >> MAX_ORDER;
      this.#inLargest[at] = (this.#inLargest[at] as number) - 1;
    }
    if (frames > 1) {
      this.#extent = pfn;
      this.#extentZeroed = zeroed;
      return;
    }
    if (!this.#isZeroWanted) return;
    this.#isZeroWanted = false;
    this.#m.zeroing.found += zeroed;
    this.counters.faultsPreZeroed += zeroed;
    this.counters.faultsZeroed += 1 - zeroed;
    this.counters.zeroedInFaults += 1 - zeroed;
  }

  /** A fault gave the 2 MiB from frame `base` on. */
  gaveHuge(base: number): void {
    const zeroed = base === this.#extent ? this.#extentZeroed : 0;
    if (zeroed === BLOCK_FRAMES) this.counters.hugeFaultsPreZeroed += 1;
    else this.counters.hugeFaultsZeroed += 1;
    this.#m.zeroing.found += zeroed;
    this.counters.zeroedInFaults += BLOCK_FRAMES - zeroed;
  }

  /** How many blocks were zeroed, in the order in which zones give memory out. */
  #zeroSome(): number {
    let blocks = 0;
    for (let zone = this.#m.zoneCount - 1; zone >= 0; zone--) {
      for (const pfn of this.#unzeroed(zone, this.#options.zeroBlocks - blocks)) {
        this.#zero(zone, pfn);
        blocks += 1;
      }
    }
    return blocks;
  }

  /** The first `most` free blocks of a zone that are not zero. */
  #unzeroed(zone: number, most: number): number[] {
    const m = this.#m;
    const found: number[] = [];
    const head = zoneAt(m, zone) + Z_LISTS + MAX_ORDER * MIGRATE_TYPES + MIGRATE_MOVABLE;
    let pfn = m.words[head];
    while (pfn !== 0 && found.length < most) {
      if (this.#inLargest[pfn >> MAX_ORDER] !== LARGEST) found.push(pfn);
      pfn = m.words[blockOf(m, pfn) + B_NEXT];
    }
    return found;
  }

  #zero(zone: number, pfn: number): void {
    const m = this.#m;
    m.zeroing.ahead += LARGEST - (this.#inLargest[pfn >> MAX_ORDER] as number);
    this.#isZeroed.fill(1, pfn, pfn + LARGEST);
    this.#inLargest[pfn >> MAX_ORDER] = LARGEST;
    // To the list's front.
    removeFree(m, zoneAt(m, zone), pfn, MAX_ORDER, MIGRATE_MOVABLE);
    addFree(m, zoneAt(m, zone), pfn, MAX_ORDER, MIGRATE_MOVABLE);
  }
}
