import {
  MADV_DONTNEED,
  MADV_NOHUGEPAGE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from '../src/base/index.ts';
import { Puppet } from '../src/host/index.ts';
import { RANGE_ADDR } from './engine-range.ts';

const PAGE_BYTES = 4096;
const SYS_MMAP = 9;
const SYS_MADVISE = 28;

/**
 * Private anonymous memory of a process that does nothing but what it is told: the kernel's side
 * where a process of its own is wanted. Its touches are a loop of machine code; what a command
 * costs (tens of microseconds) is less than a thousandth of a round.
 */
export class PuppetRange {
  readonly #puppet: Puppet;
  readonly #pages: number;

  constructor(pages: number) {
    this.#puppet = Puppet.start();
    this.#pages = pages;
    const bytes = pages * PAGE_BYTES;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    const prot = PROT_READ | PROT_WRITE;
    const addr = this.#puppet.syscall(SYS_MMAP, RANGE_ADDR, bytes, prot, flags, -1, 0);
    if (addr !== RANGE_ADDR) throw new Error(`kernel: mmap gave ${addr}`);
    this.#puppet.syscall(SYS_MADVISE, addr, bytes, MADV_NOHUGEPAGE);
  }

  /** Touches every page once; ms. */
  touch(isWrite: boolean): number {
    const startMs = performance.now();
    const touched = this.#puppet.touchMany(RANGE_ADDR, isWrite, this.#pages, PAGE_BYTES);
    const elapsedMs = performance.now() - startMs;
    if (touched !== this.#pages) throw new Error(`kernel: ${touched} of ${this.#pages} touches`);
    return elapsedMs;
  }

  /** MADV_DONTNEED of the whole range. */
  zap(): void {
    this.#puppet.syscall(SYS_MADVISE, RANGE_ADDR, this.#pages * PAGE_BYTES, MADV_DONTNEED);
  }

  /** fork, and the child's exit; ms. */
  forkAndExit(): number {
    const startMs = performance.now();
    const child = this.#puppet.fork();
    if (typeof child === 'number') throw new Error(`kernel: fork gave ${child}`);
    child.exit();
    return performance.now() - startMs;
  }

  close(): void {
    this.#puppet.kill();
  }
}
