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

/** Draws addresses and lengths in a layout, mostly where rules change: at borders, and at ends of earlier ranges. */
export class PlacePicker {
  readonly windows: readonly Window[];
  readonly #random: Random;
  readonly #name: LayoutName;
  /** Ends of ranges that were used lately. */
  readonly #edges: number[] = [];

  constructor(name: LayoutName, random: Random) {
    this.#name = name;
    this.#random = random;
    this.windows = layoutWindows(name);
  }

  /** A page address inside some window. */
  addr(): number {
    const random = this.#random;
    const roll = random.below(100);
    if (roll < 35 && this.#edges.length > 0) return random.pick(this.#edges);
    const window = random.pick(this.windows);
    if (roll >= 75) {
      const pages = (window.endAddr - window.startAddr) / PAGE_BYTES;
      return window.startAddr + random.below(pages) * PAGE_BYTES;
    }
    const firstSlot = Math.floor(window.startAddr / SLOT_BYTES);
    const lastSlot = Math.ceil(window.endAddr / SLOT_BYTES) - 1;
    const border = random.between(firstSlot, lastSlot) * SLOT_BYTES;
    const shift = roll < 62 ? 0 : random.between(-4, 4) * PAGE_BYTES;
    return Math.min(window.endAddr - PAGE_BYTES, Math.max(window.startAddr, border + shift));
  }

  /** Bytes from `addr`, at least one page, to its window's end at most. */
  len(addr: number, maxBytes: number = Number.MAX_SAFE_INTEGER): number {
    const random = this.#random;
    const roll = random.below(100);
    let pages: number;
    if (this.#name === 'tiny' || roll < 35) pages = random.between(1, 12);
    else if (roll < 65) pages = 512 * random.between(1, this.#name === 'spread' ? 8 : 3);
    else if (roll < 80) pages = 512 * random.between(1, 2) + random.between(-3, 3);
    else pages = random.between(1, 1300);
    const room = this.#roomAt(addr);
    return Math.max(PAGE_BYTES, Math.min(pages * PAGE_BYTES, room, maxBytes));
  }

  /** Remembers a range, so that later ones meet its ends. */
  remember(addr: number, len: number): void {
    for (const edge of [addr, addr + len]) {
      if (this.#roomAt(edge) > 0) this.#edges.push(edge);
    }
    while (this.#edges.length > EDGES_KEPT) this.#edges.shift();
  }

  #roomAt(addr: number): number {
    const window = this.windows.find((w) => addr >= w.startAddr && addr < w.endAddr);
    return window === undefined ? 0 : window.endAddr - addr;
  }
}

const EDGES_KEPT = 24;
