import {
  MADV_COLD,
  MADV_DODUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_REMOVE,
  MADV_WILLNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
  type Random,
} from '../../src/base/index.ts';

/** Random operations on hugetlb mappings: what the engine, the kernel and a plain model are driven by. */
export const HUGE_BYTES: number = 2 ** 21;
const GIB_BYTES = 2 ** 30;
const BASE = 0x100000000000;
/** Places where areas begin: whole GiB, so that tables can be shared, 4 GiB apart. */
const PLACES = 3;
/** Bytes of the file that the processes share. */
export const FILE_BYTES: number = 3 * GIB_BYTES;

export type Step =
  | {
      readonly op: 'mmap';
      readonly pid: number;
      readonly addr: number;
      readonly len: number;
      readonly prot: number;
      readonly flags: number;
      /** Of the shared file; else anonymous. */
      readonly isFile: boolean;
      readonly off: number;
    }
  | { readonly op: 'munmap'; readonly pid: number; readonly addr: number; readonly len: number }
  | {
      readonly op: 'mprotect';
      readonly pid: number;
      readonly addr: number;
      readonly len: number;
      readonly prot: number;
    }
  | {
      readonly op: 'madvise';
      readonly pid: number;
      readonly addr: number;
      readonly len: number;
      readonly advice: number;
    }
  | {
      readonly op: 'mremap';
      readonly pid: number;
      readonly addr: number;
      readonly len: number;
      readonly newLen: number;
      readonly flags: number;
      readonly newAddr: number;
    }
  | {
      readonly op: 'touch';
      readonly pid: number;
      readonly addr: number;
      readonly isWrite: boolean;
    }
  | { readonly op: 'fork'; readonly pid: number; readonly child: number }
  | { readonly op: 'exit'; readonly pid: number };

const ADVICE: readonly number[] = [
  MADV_DONTNEED,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_COLD,
  MADV_REMOVE,
  MADV_WILLNEED,
  MADV_DODUMP,
  MADV_DONTFORK,
];

/** The next step of up to four processes; process 1 never ends. */
export class HugetlbSteps {
  readonly #random: Random;
  readonly #live = new Set([1]);
  #nextPid = 2;

  constructor(random: Random) {
    this.#random = random;
  }

  next(): Step {
    const pid = this.#one([...this.#live]);
    const kind = this.#random.below(100);
    if (kind < 45) {
      return { op: 'touch', pid, addr: this.#page(), isWrite: this.#random.below(3) > 0 };
    }
    if (kind < 65) return this.#mmap(pid);
    if (kind < 75) return { op: 'munmap', pid, ...this.#range() };
    const prot = this.#one([PROT_READ, PROT_READ | PROT_WRITE]);
    if (kind < 80) return { op: 'mprotect', pid, ...this.#range(), prot };
    if (kind < 88) return { op: 'madvise', pid, ...this.#range(), advice: this.#one(ADVICE) };
    if (kind < 92) return this.#mremap(pid);
    if (kind < 97 && this.#live.size < 4) return { op: 'fork', pid, child: this.#nextPid++ };
    return pid === 1 ? this.#mmap(pid) : { op: 'exit', pid };
  }

  /** What the step did to the processes, where it succeeded. */
  done(step: Step): void {
    if (step.op === 'fork') this.#live.add(step.child);
    if (step.op === 'exit') this.#live.delete(step.pid);
  }

  get live(): readonly number[] {
    return [...this.#live];
  }

  #one<T>(of: readonly T[]): T {
    return of[this.#random.below(of.length)] as T;
  }

  /** One of the first pages of a GiB of a place, where things happen. */
  #page(): number {
    const gib = this.#random.below(2) * GIB_BYTES;
    return this.#place() + gib + this.#random.below(5) * HUGE_BYTES;
  }

  #place(): number {
    return BASE + this.#random.below(PLACES) * 4 * GIB_BYTES;
  }

  /** Mostly whole pages. */
  #range(): { addr: number; len: number } {
    const odd = this.#random.below(10);
    const addr = this.#page() + (odd === 0 ? 4096 : 0);
    const pages = this.#one([1, 1, 2, 3, 512, 513, 1024]);
    return { addr, len: pages * HUGE_BYTES - (odd === 1 ? 4096 : 0) };
  }

  #mmap(pid: number): Step {
    const isFile = this.#random.below(3) > 0;
    const isShared = this.#random.below(4) > 0;
    const pages = this.#one([1, 2, 4, 512, 512, 514, 1024]);
    const isReserved = pages < 10 && this.#random.below(3) > 0;
    return {
      op: 'mmap',
      pid,
      addr: this.#random.below(3) > 0 ? this.#place() : this.#page(),
      len: pages * HUGE_BYTES - (this.#random.below(8) === 0 ? 4096 : 0),
      prot: this.#random.below(4) === 0 ? PROT_READ : PROT_READ | PROT_WRITE,
      flags:
        MAP_FIXED |
        (isShared ? MAP_SHARED : MAP_PRIVATE) |
        (isFile ? 0 : MAP_ANONYMOUS | MAP_HUGETLB) |
        (isReserved ? 0 : MAP_NORESERVE),
      isFile,
      off: isFile ? this.#one([0, 0, 0, HUGE_BYTES, GIB_BYTES, 4096]) : 0,
    };
  }

  /**
   * Never a move. Linux 6.18 blocks for ever, and cannot be killed, where a shared mapping moves over a
   * whole GiB that another one has a table for: move_hugetlb_page_tables holds the file's i_mmap lock for
   * writing when huge_pmd_share wants it for reading.
   */
  #mremap(pid: number): Step {
    const pages = this.#one([1, 2, 512]);
    return {
      op: 'mremap',
      pid,
      addr: this.#place(),
      len: pages * HUGE_BYTES,
      newLen: this.#one([pages, pages, 1, pages + 1]) * HUGE_BYTES,
      flags: 0,
      newAddr: this.#place() + this.#one([0, 0, HUGE_BYTES, 4096]),
    };
  }
}
