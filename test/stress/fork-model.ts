import { Errno, MREMAP_FIXED } from '../../src/base/index.ts';
import { FAULT_SIGSEGV } from '../../src/engine/index.ts';

/**
 * What processes have in their memory, the plain way: for each page of each process what may be done
 * with it and what stands in it, copied at fork. A window of pages only; shared mappings name pages of
 * one object.
 */
interface PageModel {
  prot: number;
  /** What a load gives. For a shared mapping, and a private one that was not written: see `index`. */
  value: number;
  /** Page of the object that is mapped; -1 for anonymous memory, or once written in private. */
  index: number;
  isShared: boolean;
  /** The area is one of an object, whatever was written. */
  isOfObject: boolean;
  isGuard: boolean;
  /** After MADV_FREE: the page may be zeros any time. */
  isFree: boolean;
}

export class ForkModel {
  readonly #pages = new Map<number, Map<number, PageModel>>();
  readonly #object: number[];

  constructor(objectPages: number) {
    this.#object = new Array<number>(objectPages).fill(0);
  }

  spawn(pid: number): void {
    this.#pages.set(pid, new Map());
  }

  #of(pid: number): Map<number, PageModel> {
    return this.#pages.get(pid) as Map<number, PageModel>;
  }

  fork(pid: number, child: number): void {
    const copy = [...this.#of(pid)].map(([at, page]) => [at, { ...page }] as const);
    this.#pages.set(child, new Map(copy));
  }

  exit(pid: number): void {
    this.#pages.delete(pid);
  }

  /** mmap of [from, from + pages), of the object from `index` on or (-1) anonymous. */
  map(pid: number, from: number, pages: number, index: number, isShared: boolean): void {
    for (let i = 0; i < pages; i++) {
      const at = index < 0 ? -1 : index + i;
      const fresh = { prot: 3, value: 0, isShared, isGuard: false, isFree: false };
      const isOfObject = index >= 0;
      this.#of(pid).set(from + i, { ...fresh, isOfObject, index: at });
    }
  }

  unmap(pid: number, from: number, pages: number): void {
    for (let i = 0; i < pages; i++) this.#of(pid).delete(from + i);
  }

  protect(pid: number, from: number, pages: number, prot: number): number {
    for (let i = 0; i < pages; i++) {
      const page = this.#of(pid).get(from + i);
      if (page === undefined) return -Errno.ENOMEM;
      page.prot = prot;
    }
    return 0;
  }

  /** Advice for each page there is; -ENOMEM in the end if one is not. */
  advise(
    pid: number,
    from: number,
    pages: number,
    advice: 'zap' | 'free' | 'guard' | 'open',
  ): number {
    let result = 0;
    for (let i = 0; i < pages; i++) {
      const page = this.#of(pid).get(from + i);
      if (page === undefined) result = -Errno.ENOMEM;
      else this.#advisePage(page, advice);
    }
    return result;
  }

  #advisePage(page: PageModel, advice: 'zap' | 'free' | 'guard' | 'open'): void {
    if (advice === 'free') page.isFree ||= !page.isGuard;
    if (advice === 'open') page.isGuard = false;
    if (advice === 'guard') page.isGuard = true;
    if (advice !== 'zap' && advice !== 'guard') return;
    page.value = 0;
    page.isFree = false;
  }

  mayWrite(pid: number, at: number): boolean {
    const page = this.#of(pid).get(at);
    return page !== undefined && !page.isGuard && page.prot === 3;
  }

  /** mremap with MREMAP_FIXED and equal lengths: area by area, holes stay what they are. */
  move(pid: number, from: number, to: number, pages: number): number {
    const space = this.#of(pid);
    if (!space.has(from)) return -Errno.EFAULT;
    for (let i = 0; i < pages; i++) {
      const page = space.get(from + i);
      if (page === undefined) continue;
      space.delete(from + i);
      space.set(to + i, page);
    }
    return MREMAP_FIXED;
  }

  /** True if all pages are anonymous private memory. */
  isAnonymous(pid: number, from: number, pages: number): boolean {
    for (let i = 0; i < pages; i++) {
      const page = this.#of(pid).get(from + i);
      if (page === undefined || page.isOfObject) return false;
    }
    return true;
  }

  /** What a store gives back: the word before. */
  store(pid: number, at: number, value: number): number {
    const page = this.#of(pid).get(at);
    if (!this.mayWrite(pid, at) || page === undefined) return FAULT_SIGSEGV;
    const before = this.load(pid, at);
    if (page.isShared && page.index >= 0) this.#object[page.index] = value;
    else {
      page.value = value;
      page.index = -1;
      page.isFree = false;
    }
    return before;
  }

  load(pid: number, at: number): number {
    const page = this.#of(pid).get(at);
    if (page === undefined || page.isGuard || page.prot === 0) return FAULT_SIGSEGV;
    return page.index >= 0 ? (this.#object[page.index] as number) : page.value;
  }

  /** True if a machine's load is what it may be: of a page given up by MADV_FREE zeros too. */
  isRight(pid: number, at: number, found: number): boolean {
    if (this.load(pid, at) === found) return true;
    return found === 0 && this.#of(pid).get(at)?.isFree === true;
  }

  mapped(pid: number): IterableIterator<number> {
    return this.#of(pid).keys();
  }
}
