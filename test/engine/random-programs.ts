import {
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_PAGEOUT,
  type Random,
} from '../../src/base/index.ts';
import type { Process, System } from '../../src/engine/index.ts';
import { ANON, PAGE } from './places.ts';

const SLOT_PAGES = 512;
/** MREMAP_MAYMOVE | MREMAP_FIXED. */
const MOVE = 3;
const PROCESSES_MAX = 3;

/** Of 100 operations how many are of each kind; what is left are exits. */
export type OperationMix = Readonly<
  Record<
    | 'mmap'
    | 'touch'
    | 'dontneed'
    | 'hugepage'
    | 'collapse'
    | 'pageout'
    | 'munmap'
    | 'mprotect'
    | 'mremap'
    | 'fork',
    number
  >
>;

export interface RandomProgramOptions {
  readonly mix: OperationMix;
  /** Where everything happens: so many 2 MiB from here on. */
  readonly at: number;
  readonly slots: number;
  /** Ranges have 1 to so many pages, or by this chance 512; by half of it an aligned slot. */
  readonly pagesMax: number;
  readonly wholeChance: number;
  /** A touch is of 1 to so many pages, up to `strideMax` apart. */
  readonly touchesMax: number;
  readonly strideMax: number;
}

/** Up to three related processes that do random things to private anonymous memory. */
export class RandomPrograms {
  readonly live: Process[];
  readonly #system: System;
  readonly #random: Random;
  readonly #options: RandomProgramOptions;
  #nextPid = 100;

  constructor(system: System, first: Process, random: Random, options: RandomProgramOptions) {
    this.#system = system;
    this.live = [first];
    this.#random = random;
    this.#options = options;
  }

  /** One operation; false once nobody is left, memory having been too short. */
  step(): boolean {
    this.#operate(this.#random.pick(this.live));
    for (let k = this.live.length - 1; k >= 0; k--) {
      if (this.#system.process((this.live[k] as Process).pid) === undefined) this.live.splice(k, 1);
    }
    return this.live.length > 0;
  }

  #operate(one: Process): void {
    const random = this.#random;
    const { mix, wholeChance, pagesMax, touchesMax, strideMax } = this.#options;
    let addr = this.#addr();
    const isWhole = random.chance(wholeChance);
    if (isWhole && random.chance(0.5)) addr -= addr % (SLOT_PAGES * PAGE);
    const bytes = (isWhole ? SLOT_PAGES : 1 + random.below(pagesMax)) * PAGE;
    switch (this.#kind(mix)) {
      case 'mmap':
        one.mmap(addr, bytes, 3, ANON);
        break;
      case 'touch': {
        const stride = PAGE * (1 + random.below(strideMax));
        one.touch(addr, random.chance(0.8), 1 + random.below(touchesMax), stride);
        break;
      }
      case 'dontneed':
        one.madvise(addr, bytes, MADV_DONTNEED);
        break;
      case 'hugepage':
        one.madvise(addr, bytes, random.chance(0.7) ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
        break;
      case 'collapse':
        one.madvise(addr, bytes, MADV_COLLAPSE);
        break;
      case 'pageout':
        one.madvise(addr, bytes, MADV_PAGEOUT);
        break;
      case 'munmap':
        one.munmap(addr, bytes);
        break;
      case 'mprotect':
        one.mprotect(addr, bytes, random.pick([1, 3]));
        break;
      case 'mremap':
        one.mremap(addr, bytes, bytes, MOVE, this.#addr());
        break;
      case 'fork':
        this.#fork(one);
        break;
      default:
        if (this.live.length === 1) break;
        this.#system.exit(random.pick(this.live));
    }
  }

  #addr(): number {
    const { at, slots } = this.#options;
    return at + this.#random.below(slots * SLOT_PAGES) * PAGE;
  }

  #kind(mix: OperationMix): keyof OperationMix | undefined {
    let roll = this.#random.below(100);
    for (const [kind, share] of Object.entries(mix)) {
      if (roll < share) return kind as keyof OperationMix;
      roll -= share;
    }
    return undefined;
  }

  #fork(one: Process): void {
    if (this.live.length >= PROCESSES_MAX) return;
    const child = this.#system.fork(one, this.#nextPid++);
    if (child !== undefined) this.live.push(child);
  }
}
