import { Errno, PROT_READ, PROT_WRITE } from '../../src/base/index.ts';
import { FAULT_SIGSEGV } from '../../src/engine/index.ts';

/**
 * What processes have in their memory, the plain way: lists of numbers. A shared object is a list that
 * several pages name, a region or a Morsel a list of pages that several windows show; a copy is a copy.
 */
export interface ModelPage {
  prot: number;
  /** The words of what is mapped, one a page, and which of them this page has. */
  readonly memory: number[];
  readonly index: number;
  /** Copied at fork. */
  readonly isPrivate: boolean;
}

export const READ_WRITE: number = PROT_READ | PROT_WRITE;

export function zeros(pages: number): number[] {
  return new Array<number>(pages).fill(0);
}

/** Pages that windows show: what an mshare region has mapped, or a Morsel. */
export class ModelObject {
  pages: (ModelPage | undefined)[] = [];

  /** A Morsel: all of it is there, from the words given. */
  static of(memory: number[]): ModelObject {
    const object = new ModelObject();
    object.map(0, memory.length, READ_WRITE, memory, 0);
    return object;
  }

  get words(): number[] {
    return this.pages.map((page) => (page === undefined ? 0 : (page.memory[page.index] as number)));
  }

  map(from: number, count: number, prot: number, memory: number[], index: number): void {
    for (let i = 0; i < count; i++) {
      this.pages[from + i] = { prot, memory, index: index + i, isPrivate: false };
    }
  }

  unmap(from: number, count: number): void {
    for (let i = 0; i < count; i++) this.pages[from + i] = undefined;
  }

  /** mprotect(2): area by area up to the first hole. */
  protect(from: number, count: number, prot: number): number {
    for (let i = 0; i < count; i++) {
      const page = this.pages[from + i];
      if (page === undefined) return -Errno.ENOMEM;
      page.prot = prot;
    }
    return 0;
  }

  /** True without a hole. */
  isWhole(from: number, count: number): boolean {
    for (let i = 0; i < count; i++) if (this.pages[from + i] === undefined) return false;
    return true;
  }

  /** MADV_REMOVE: the words go for all who have them. */
  remove(from: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const page = this.pages[from + i];
      if (page !== undefined) page.memory[page.index] = 0;
    }
  }
}

export interface ModelWindow {
  readonly page: number;
  readonly pages: number;
  readonly object: ModelObject;
  readonly offset: number;
}

/** One process's memory, by page number. */
export class ModelSpace {
  windows: ModelWindow[] = [];
  readonly own = new Map<number, ModelPage>();

  at(page: number): ModelPage | undefined {
    const window = this.windows.find((one) => page >= one.page && page < one.page + one.pages);
    if (window === undefined) return this.own.get(page);
    return window.object.pages[page - window.page + window.offset];
  }

  load(page: number): number {
    const found = this.at(page);
    if (found === undefined || found.prot === 0) return FAULT_SIGSEGV;
    return found.memory[found.index] as number;
  }

  /** What stood there, or FAULT_SIGSEGV. */
  store(page: number, value: number): number {
    const found = this.at(page);
    if (found === undefined || found.prot !== READ_WRITE) return FAULT_SIGSEGV;
    const before = found.memory[found.index] as number;
    found.memory[found.index] = value;
    return before;
  }

  /** Memory of the process's own, or a shared object mapped page by page. */
  map(from: number, count: number, prot: number, memory: number[], index: number): void {
    for (let i = 0; i < count; i++) {
      this.own.set(from + i, { prot, memory, index: index + i, isPrivate: false });
    }
  }

  mapPrivate(from: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const memory = [0];
      this.own.set(from + i, { prot: READ_WRITE, memory, index: 0, isPrivate: true });
    }
  }

  protect(from: number, count: number, prot: number): number {
    for (let i = 0; i < count; i++) {
      const page = this.own.get(from + i);
      if (page === undefined) return -Errno.ENOMEM;
      page.prot = prot;
    }
    return 0;
  }

  /** True if the pages are part of a window and leave a part of it. */
  cuts(from: number, count: number): boolean {
    const end = from + count;
    return this.windows.some(
      ({ page, pages }) => page < end && page + pages > from && (page < from || page + pages > end),
    );
  }

  unmap(from: number, count: number): number {
    if (this.cuts(from, count)) return -Errno.EINVAL;
    this.windows = this.windows.filter(({ page }) => page < from || page >= from + count);
    for (let i = 0; i < count; i++) this.own.delete(from + i);
    return 0;
  }

  isFree(from: number, count: number): boolean {
    const isWindow = this.windows.some(
      ({ page, pages }) => page < from + count && page + pages > from,
    );
    if (isWindow) return false;
    for (let i = 0; i < count; i++) if (this.own.has(from + i)) return false;
    return true;
  }

  fork(): ModelSpace {
    const child = new ModelSpace();
    child.windows = [...this.windows];
    for (const [at, page] of this.own) {
      const { prot, memory, index, isPrivate } = page;
      const copy = isPrivate ? [memory[index] as number] : memory;
      child.own.set(at, { prot, memory: copy, index: isPrivate ? 0 : index, isPrivate });
    }
    return child;
  }
}
