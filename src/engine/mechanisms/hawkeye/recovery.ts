import { freeFrameCount } from '../../frames/alloc.ts';
import { splitFolioOf } from '../../frames/folio.ts';
import { mapCount } from '../../frames/map-count.ts';
import { zoneAt } from '../../frames/zones.ts';
import { BLOCK_FRAMES, H_MM_LIST, Z_MANAGED } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { contentsOfFrame, readContents } from '../../objects/contents.ts';
import { C_HUGE, MM_NEXT, MM_PID, mmCounter } from '../../space/mm.ts';
import { vmaAt, vmaEnd, vmaStart } from '../../space/vma.ts';
import { ENTRY_PAGE, KIND_MASK } from '../../tables/entry.ts';
import { isHuge, isHugeZero, splitHuge } from '../../tables/huge-entry.ts';
import { entryFlags, entryWord } from '../../tables/leaf.ts';
import { T_CONTENTS } from '../../tables/table.ts';
import { findLeaf, isLeaf, LeafCursor } from '../../tables/walk.ts';
import { zapEntries } from '../../tables/zap.ts';
import type { HawkeyeOptions, MmuOverhead } from './options.ts';

const cursor = new LeafCursor();

/**
 * Bloat recovery (hawkeye_modules/bloat_recovery): where memory is short, huge pages are searched for
 * small ones that are all zero, and those are given back, so that what a huge page added to a process
 * is bounded. Processes with the least MMU overhead come first.
 *
 * What is zero: a page of a huge page that a fault gave, or that was a hole when small pages became
 * one, until it is written. A page whose writing left zeros is not found; one that came by a copy
 * (fork, swap, MADV_COLLAPSE, migration) counts as written. With contents, they must be 0 too.
 */
export class Recovery {
  recovered = 0;
  nextNs = -1;
  readonly #m: Machine;
  readonly #options: HawkeyeOptions;
  readonly #overhead: MmuOverhead;
  /** 1 for each frame that is known to be zero. */
  readonly #isZero: Uint8Array;

  constructor(m: Machine, options: HawkeyeOptions, overhead: MmuOverhead) {
    this.#m = m;
    this.#options = options;
    this.#overhead = overhead;
    this.#isZero = new Uint8Array(m.blockCount * BLOCK_FRAMES);
  }

  taken(pfn: number, frames: number): void {
    if (frames === 1) this.#isZero[pfn] = 0;
    else this.#isZero.fill(0, pfn, pfn + frames);
  }

  gaveHuge(base: number): void {
    this.#isZero.fill(1, base, base + BLOCK_FRAMES);
  }

  promoted(base: number, isHole: Uint8Array): void {
    this.#isZero.set(isHole, base);
  }

  written(mm: number, hi: number, lo: number): void {
    const m = this.#m;
    const leaf = findLeaf(m, mm, hi, lo);
    if (leaf === 0 || (entryFlags(m, leaf, lo & m.mask) & KIND_MASK) !== ENTRY_PAGE) return;
    this.#isZero[entryWord(m, leaf, lo & m.mask)] = 0;
  }

  run(): void {
    this.nextNs += this.#options.recoverMs * 1e6;
    let want = this.#missing();
    if (want <= 0) return;
    for (const mm of this.#byOverhead()) {
      if (want <= 0) break;
      want -= this.#recover(mm, want);
    }
    this.#m.forgetWalk();
  }

  /** Frames to free; 0 while enough are. */
  #missing(): number {
    const m = this.#m;
    let managed = 0;
    for (let zone = 0; zone < m.zoneCount; zone++) managed += m.words[zoneAt(m, zone) + Z_MANAGED];
    const free = freeFrameCount(m);
    if (free >= (managed * this.#options.recoverBelowPercent) / 100) return 0;
    return (managed * this.#options.recoverToPercent) / 100 - free;
  }

  #byOverhead(): number[] {
    const m = this.#m;
    const all: number[] = [];
    for (let mm = m.words[H_MM_LIST]; mm !== 0; mm = m.words[mm + MM_NEXT]) {
      if (mmCounter(m, mm, C_HUGE) > 0) all.push(mm);
    }
    const overheadOf = (mm: number): number => this.#overhead.get(m.words[mm + MM_PID]) ?? 0;
    return all.reverse().sort((a, b) => overheadOf(a) - overheadOf(b));
  }

  /** From the lowest address on, until so many frames are free; how many. */
  #recover(mm: number, want: number): number {
    const m = this.#m;
    let freed = 0;
    for (let i = 0, vma = vmaAt(m, mm, 0); vma !== 0 && freed < want; vma = vmaAt(m, mm, ++i)) {
      cursor.begin(mm, vmaStart(m, vma), vmaEnd(m, vma));
      for (let table = cursor.next(m); table !== 0 && freed < want; table = cursor.next(m)) {
        if (isLeaf(m, table) && isHuge(m, table) && !isHugeZero(m, table)) {
          freed += this.#recoverHuge(mm, table);
        }
      }
    }
    return freed;
  }

  /** Gives back the pages of a huge page that are zero, all of its 512 being mapped here alone. */
  #recoverHuge(mm: number, table: number): number {
    const m = this.#m;
    const base = m.words[table + T_CONTENTS];
    const zeros: number[] = [];
    for (let i = 0; i < BLOCK_FRAMES; i++) {
      if (this.#isZeroPage(base + i) && mapCount(m, base + i) === 1) zeros.push(i);
    }
    if (zeros.length === 0) return 0;
    splitHuge(m, table);
    splitFolioOf(m, base);
    for (const i of zeros) zapEntries(m, mm, table, i, i + 1);
    this.recovered += zeros.length;
    return zeros.length;
  }

  #isZeroPage(pfn: number): boolean {
    return this.#isZero[pfn] === 1 && readContents(this.#m, contentsOfFrame(this.#m, pfn)) === 0;
  }
}
