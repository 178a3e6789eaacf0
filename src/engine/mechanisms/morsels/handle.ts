import { Errno, MAP_FIXED, MAP_SHARED } from '../../../base/index.ts';
import { objectPut } from '../../objects/object.ts';
import type { Process, System } from '../../system.ts';
import { entrySpan } from '../../tables/walk.ts';
import {
  morselClone,
  morselClonePart,
  morselEmbed,
  morselFreeze,
  morselSplit,
  morselSplitOff,
} from './clone.ts';
import { attachMorsels } from './index.ts';
import { type MorselStore, morselCreate, spanPages } from './morsel.ts';

/** Spans that a Morsel can have, and the pages that it can be made of, by level of the page tables. */
export const MORSEL_SPANS = { '2M': 0, '1G': 1, '512G': 2 } as const;
export const MORSEL_PAGES = { '4K': 0, '2M': 1, '1G': 2 } as const;

/** What a program holds: a Morsel by handle. Offsets and lengths are bytes; results are as of system calls. */
export class Morsel {
  readonly #system: System;
  readonly #store: MorselStore;
  /** The object, for mmap(2); 0 after `close`. */
  object: number;

  private constructor(system: System, store: MorselStore, object: number) {
    this.#system = system;
    this.#store = store;
    this.object = object;
  }

  /** create(): empty. -EINVAL where pages are larger than the whole, -ENOMEM. */
  static create(
    system: System,
    span: keyof typeof MORSEL_SPANS,
    page: keyof typeof MORSEL_PAGES = '4K',
  ): Morsel | number {
    const store = attachMorsels(system.machine);
    const level = MORSEL_SPANS[span];
    const object = morselCreate(system.machine, store, level, MORSEL_PAGES[page]);
    return object < 0 ? object : new Morsel(system, store, object);
  }

  get spanBytes(): number {
    return spanPages(this.#system.machine, this.object) * 4096;
  }

  /** map(): one entry. At `addr`, or where the kernel likes (0); a part if given. The address. */
  map(process: Process, addr = 0, offset = 0, bytes = this.spanBytes): number {
    const flags = MAP_SHARED | (addr === 0 ? 0 : MAP_FIXED);
    return process.mmap(addr, bytes, 0, flags, this.object, offset);
  }

  unmap(process: Process, addr: number, bytes = this.spanBytes): number {
    return process.munmap(addr, bytes);
  }

  /** send(): from one address space to another; the new address. */
  send(from: Process, addr: number, to: Process, toAddr = 0): number {
    const gone = this.unmap(from, addr);
    if (gone < 0) return gone;
    const result = this.map(to, toAddr);
    // As nothing else can have taken the place, it goes back where it was.
    if (result < 0) this.map(from, addr);
    return result;
  }

  /** clone(): the same contents, copied as either side writes. */
  clone(): Morsel | number {
    return this.#wrap(morselClone(this.#system.machine, this.#store, this.object));
  }

  /** No more writes: a base for `split`. */
  freeze(): number {
    return morselFreeze(this.#system.machine, this.object);
  }

  /** The child of a frozen base, alone copy-on-write and without counts. */
  split(): Morsel | number {
    return this.#wrap(morselSplit(this.#system.machine, this.#store, this.object));
  }

  /** Takes the part at `offset` out, as an object of its own. */
  splitOff(offset: number, span: keyof typeof MORSEL_SPANS): Morsel | number {
    const page = this.#partAt(offset, span);
    if (page < 0) return page;
    const level = MORSEL_SPANS[span];
    return this.#wrap(morselSplitOff(this.#system.machine, this.#store, this.object, page, level));
  }

  /** Clones the part at `offset`. */
  clonePart(offset: number, span: keyof typeof MORSEL_SPANS): Morsel | number {
    const page = this.#partAt(offset, span);
    if (page < 0) return page;
    const level = MORSEL_SPANS[span];
    return this.#wrap(morselClonePart(this.#system.machine, this.#store, this.object, page, level));
  }

  /** Puts another object in at `offset`; its handle is closed by that. */
  embed(offset: number, part: Morsel): number {
    if (offset % 4096 !== 0) return -Errno.EINVAL;
    const m = this.#system.machine;
    const result = morselEmbed(m, this.#store, this.object, offset / 4096, part.object);
    if (result === 0) part.object = 0;
    return result;
  }

  /** Gives the handle back; windows keep the object. */
  close(): void {
    if (this.object !== 0) objectPut(this.#system.machine, this.object);
    this.object = 0;
  }

  #partAt(offset: number, span: keyof typeof MORSEL_SPANS): number {
    const bytes = entrySpan(this.#system.machine, MORSEL_SPANS[span] + 1) * 4096;
    return offset % bytes === 0 ? offset / 4096 : -Errno.EINVAL;
  }

  #wrap(object: number): Morsel | number {
    return object < 0 ? object : new Morsel(this.#system, this.#store, object);
  }
}
