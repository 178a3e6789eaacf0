import type { Random } from '../../base/index.ts';
import type { Window } from './subject.ts';

export const PAGE_BYTES = 4096;
/** What one PTE table, one PMD table and one PUD table span. */
export const SLOT_BYTES: number = 512 * PAGE_BYTES;
export const GIB_BYTES: number = 512 * SLOT_BYTES;
export const PUD_BYTES: number = 512 * GIB_BYTES;

/** 512 GB regions that nothing else in a process uses. */
const BASE_ADDR = 0x100000000000;

/**
 * Where the operations take place. `spread`: windows in neighbouring GBs and in other 512 GB
 * regions; `dense`: few slots, so that mappings meet; `tiny`: a few pages around slot borders;
 * `borders`: windows across GB borders and a 512 GB border.
 */
export const LAYOUT_NAMES = ['spread', 'dense', 'tiny', 'borders'] as const;
export type LayoutName = (typeof LAYOUT_NAMES)[number];

export function layoutWindows(name: LayoutName): Window[] {
  const slots = (startAddr: number, count: number): Window => ({
    startAddr,
    endAddr: startAddr + count * SLOT_BYTES,
  });
  const aroundBorder = (borderAddr: number, pages: number): Window => ({
    startAddr: borderAddr - (pages / 2) * PAGE_BYTES,
    endAddr: borderAddr + (pages / 2) * PAGE_BYTES,
  });
  switch (name) {
    case 'spread':
      return [0, GIB_BYTES, PUD_BYTES, 2 * PUD_BYTES].map((at) => slots(BASE_ADDR + at, 24));
    case 'dense':
      return [0, GIB_BYTES, PUD_BYTES].map((at) => slots(BASE_ADDR + at, 5));
    case 'tiny':
      return [SLOT_BYTES, PUD_BYTES].map((at) => aroundBorder(BASE_ADDR + at, 32));
    case 'borders':
      return [
        slots(BASE_ADDR + GIB_BYTES - 2 * SLOT_BYTES, 5),
        slots(BASE_ADDR + PUD_BYTES - 3 * SLOT_BYTES, 5),
        slots(BASE_ADDR + 3 * PUD_BYTES + 2 * GIB_BYTES - SLOT_BYTES, 4),
      ];
  }
}

interface Range {
  readonly addr: number;
  readonly len: number;
}

const RANGES_KEPT = 16;

/**
 * Draws ranges in a layout, mostly where rules change: at borders, at ends of earlier ranges, and
 * exactly on them.
 */
export class PlacePicker {
  readonly windows: readonly Window[];
  readonly #random: Random;
  readonly #name: LayoutName;
  readonly #prefersSlots: boolean;
  /** Ranges that were used lately, and those of them that were mapped then. */
  readonly #ranges: Range[] = [];
  readonly #mapped: Range[] = [];

  constructor(name: LayoutName, random: Random, prefersSlots: boolean) {
    this.#name = name;
    this.#random = random;
    this.#prefersSlots = prefersSlots;
    this.windows = layoutWindows(name);
  }

  range(maxBytes: number = Number.MAX_SAFE_INTEGER): Range {
    if (this.#ranges.length > 0 && this.#random.chance(0.2)) {
      const { addr, len } = this.#random.pick(this.#ranges);
      return { addr, len: Math.min(len, maxBytes) };
    }
    const addr = this.addr();
    return { addr, len: this.len(addr, maxBytes) };
  }

  /** A page address inside some window. */
  addr(): number {
    const random = this.#random;
    const roll = random.below(100);
    if (roll < 45 && this.#ranges.length > 0) return this.#nearRange(random.pick(this.#ranges));
    const window = random.pick(this.windows);
    if (roll >= (this.#prefersSlots ? 92 : 78)) {
      const pages = (window.endAddr - window.startAddr) / PAGE_BYTES;
      return window.startAddr + random.below(pages) * PAGE_BYTES;
    }
    const firstSlot = Math.floor(window.startAddr / SLOT_BYTES);
    const lastSlot = Math.ceil(window.endAddr / SLOT_BYTES) - 1;
    const border = random.between(firstSlot, lastSlot) * SLOT_BYTES;
    const isExact = roll < (this.#prefersSlots ? 84 : 67);
    const shift = isExact ? 0 : random.between(-4, 4) * PAGE_BYTES;
    return Math.min(window.endAddr - PAGE_BYTES, Math.max(window.startAddr, border + shift));
  }

  /** A page that was mapped lately, as far as there is one. */
  mappedAddr(): number {
    if (this.#mapped.length === 0) return this.addr();
    const { addr, len } = this.#random.pick(this.#mapped);
    return addr + this.#random.below(len / PAGE_BYTES) * PAGE_BYTES;
  }

  /** An end of the range, or a page inside. */
  #nearRange({ addr, len }: Range): number {
    const random = this.#random;
    const isEnd = random.chance(0.4);
    if (isEnd) return random.chance(0.5) || this.#roomAt(addr + len) === 0 ? addr : addr + len;
    return addr + random.below(len / PAGE_BYTES) * PAGE_BYTES;
  }

  /** Bytes from `addr`, at least one page, to its window's end at most. */
  len(addr: number, maxBytes: number = Number.MAX_SAFE_INTEGER): number {
    const random = this.#random;
    const roll = random.below(100);
    let pages: number;
    if (this.#name === 'tiny' || roll < (this.#prefersSlots ? 20 : 35))
      pages = random.between(1, 12);
    else if (roll < 65) pages = 512 * random.between(1, this.#name === 'spread' ? 8 : 3);
    else if (roll < 80) pages = 512 * random.between(1, 2) + random.between(-3, 3);
    else pages = random.between(1, 1300);
    return Math.max(PAGE_BYTES, Math.min(pages * PAGE_BYTES, this.#roomAt(addr), maxBytes));
  }

  /** Remembers a range, so that later ones meet it. */
  remember(addr: number, len: number, isMapped: boolean): void {
    const pages = Math.ceil(len / PAGE_BYTES);
    const start = Math.floor(addr / PAGE_BYTES) * PAGE_BYTES;
    if (pages === 0 || this.#roomAt(start) === 0) return;
    const range = { addr: start, len: Math.min(pages * PAGE_BYTES, this.#roomAt(start)) };
    for (const list of isMapped ? [this.#ranges, this.#mapped] : [this.#ranges]) {
      list.push(range);
      if (list.length > RANGES_KEPT) list.shift();
    }
  }

  #roomAt(addr: number): number {
    const window = this.windows.find((w) => addr >= w.startAddr && addr < w.endAddr);
    return window === undefined ? 0 : window.endAddr - addr;
  }
}
