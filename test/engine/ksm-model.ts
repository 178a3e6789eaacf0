import {
  MADV_DONTNEED,
  MADV_MERGEABLE,
  MADV_PAGEOUT,
  MADV_UNMERGEABLE,
  type Random,
} from '../../src/base/index.ts';
import {
  compactMemory,
  loadPage,
  type MachineOptions,
  type Process,
  System,
} from '../../src/engine/index.ts';

/**
 * Programs that write, give back, fork and move memory while ksmd merges it, beside a map of what each
 * page must hold: merging may never be seen by a program.
 */
const AT = 0x100000000000;
const PAGE_BYTES = 4096;
const ANON = 0x22 | 0x10;
const PAGES = 2048;
const MREMAP = 3;
const COLLAPSE = 25;

export class KsmPrograms {
  readonly system: System;
  readonly #random: Random;
  /** What each process's pages hold; a page that is not in it is not mapped. */
  readonly #held = new Map<number, Map<number, number>>();
  #nextPid = 1;

  constructor(options: MachineOptions, random: Random) {
    this.system = new System(options);
    this.#random = random;
    for (let i = 0; i < 3; i++) this.#spawn();
  }

  get processes(): Process[] {
    return [...this.system.processes()];
  }

  step(): void {
    const random = this.#random;
    if (this.processes.length === 0) this.#spawn();
    const process = random.pick(this.processes);
    const roll = random.below(100);
    if (roll < 40) this.#fill(process);
    else if (roll < 47) this.#advise(process, MADV_DONTNEED);
    else if (roll < 52) this.#advise(process, MADV_PAGEOUT);
    else if (roll < 60) this.#advise(process, MADV_MERGEABLE);
    else if (roll < 62) this.#advise(process, MADV_UNMERGEABLE);
    else if (roll < 66) this.#advise(process, COLLAPSE);
    else if (roll < 70) this.#move(process);
    else if (roll < 74) this.#fork(process);
    else if (roll < 76) this.#exit(process);
    else if (roll < 78) compactMemory(this.system.machine);
    else if (roll < 81) this.system.machine.events.memoryShort?.(this.system.machine, 500);
    else this.system.machine.ksm?.ksmd.scan(random.pick([10, 300, 3000]));
  }

  /** The first page that holds something else than was written there, or null. */
  difference(): string | null {
    for (const process of this.processes) {
      for (const [page, content] of this.#of(process)) {
        const found = loadPage(process.machine, process.mm, page);
        if (found !== content)
          return `process ${process.pid}, page ${page}: ${found}, not ${content}`;
      }
    }
    return null;
  }

  #of(process: Process): Map<number, number> {
    return this.#held.get(process.pid) as Map<number, number>;
  }

  #spawn(): void {
    const process = this.system.spawn(this.#nextPid++);
    this.#held.set(process.pid, new Map());
    process.mmap(AT, PAGES * PAGE_BYTES, 3, ANON);
    const held = this.#of(process);
    for (let i = 0; i < PAGES; i++) held.set(AT / PAGE_BYTES + i, 0);
    process.madvise(AT, PAGES * PAGE_BYTES, MADV_MERGEABLE);
  }

  #range(most: number): [page: number, count: number] {
    const first = this.#random.below(PAGES);
    return [AT / PAGE_BYTES + first, 1 + this.#random.below(Math.min(most, PAGES - first))];
  }

  #fill(process: Process): void {
    const [page, count] = this.#range(this.#random.pick([4, 100, 1200]));
    // Few contents, so that many pages are equal, whole huge pages among them.
    const content = this.#random.below(4);
    process.fill(page * PAGE_BYTES, content, count);
    for (let i = 0; i < count; i++) this.#of(process).set(page + i, content);
  }

  #advise(process: Process, advice: number): void {
    let [page, count] = this.#range(advice === MADV_PAGEOUT ? 40 : 700);
    if (advice === COLLAPSE) {
      page -= page % 512;
      count = 512;
    }
    process.madvise(page * PAGE_BYTES, count * PAGE_BYTES, advice);
    if (advice !== MADV_DONTNEED) return;
    for (let i = 0; i < count; i++) this.#of(process).set(page + i, 0);
  }

  /** Away and back again, so that the addresses stay. */
  #move(process: Process): void {
    const [page, count] = this.#range(600);
    const away = AT + 2 ** 32;
    const bytes = count * PAGE_BYTES;
    const moved = process.mremap(page * PAGE_BYTES, bytes, bytes, MREMAP, away);
    if (moved !== away) return;
    process.mremap(away, bytes, bytes, MREMAP, page * PAGE_BYTES);
  }

  #fork(process: Process): void {
    if (this.processes.length > 5) return;
    const child = this.system.fork(process, this.#nextPid);
    if (child === undefined) return;
    this.#held.set(this.#nextPid++, new Map(this.#of(process)));
  }

  #exit(process: Process): void {
    if (this.processes.length < 3) return;
    this.system.exit(process);
    this.#held.delete(process.pid);
  }
}
