import {
  Errno,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_SHARED,
  MAP_STACK,
  PROT_WRITE,
} from '../../src/base/index.ts';
import type { Answer, Observation, Subject, VmaRow, Window } from '../../src/lab/validate/index.ts';
import { OP_NAMES, Op, protWord, type TraceEvent } from '../../src/trace/index.ts';
import { madvise } from './advice.ts';
import { touch } from './faults.ts';
import { fork } from './fork.ts';
import { mremap } from './mremap.ts';
import { populateRange } from './populate.ts';
import { mlock, mlockall, mprotect, munlock, munlockall } from './protect.ts';
import { Space } from './space.ts';
import type { MemoryFile, VmaFlags } from './vma.ts';

const PAGE_BYTES = 4096;
const KIB_PER_PAGE = 4;

/**
 * The reference model: what Linux 6.18 answers and counts, written for clarity. Each rule and its
 * kernel function stand in docs/validate.md.
 */
export class Model implements Subject {
  readonly #spaces = new Map<number, Space>();
  readonly #files = new Map<string, MemoryFile>();

  constructor(options: { hasHugePages: boolean } = { hasHugePages: false }) {
    this.#spaces.set(1, new Space(options.hasHugePages));
  }

  close(): void {}

  apply(event: TraceEvent): Answer {
    const space = this.#space(event.pid);
    switch (event.op) {
      case Op.touch:
        return { ok: this.#touch(space, event), errno: 0 };
      case Op.fork:
        this.#spaces.set(event.child, fork(space));
        return answer(0);
      case Op.exit:
        space.unmap(0, Infinity);
        this.#spaces.delete(event.pid);
        return answer(0);
      case Op.mmap:
      case Op.mremap: {
        const result = event.op === Op.mmap ? this.#mmap(space, event) : this.#mremap(space, event);
        return result < 0 ? answer(result) : { ...answer(0), addr: result * PAGE_BYTES };
      }
      default:
        return answer(this.#call(space, event));
    }
  }

  observe(pid: number, windows: readonly Window[]): Observation {
    const space = this.#space(pid);
    const { tables } = space;
    const all = tables.countsIn(0, Infinity);
    const counts = windows.map((window) =>
      tables.countsIn(window.startAddr / PAGE_BYTES, window.endAddr / PAGE_BYTES),
    );
    const rows = space.vmas.map(
      (vma): VmaRow => [
        vma.start * PAGE_BYTES,
        vma.end * PAGE_BYTES,
        protWord(vma.flags.prot),
        vma.flags.isShared ? 's' : 'p',
      ],
    );
    return {
      vmPteKiB: tables.tableCount * KIB_PER_PAGE,
      rssAnonKiB: all.anon * KIB_PER_PAGE,
      rssFileKiB: all.file * KIB_PER_PAGE,
      rssShmemKiB: all.shmem * KIB_PER_PAGE,
      present: counts.map((count) => count.present),
      swapped: counts.map((count) => count.guards),
      vmas: rows.filter(([start, end]) =>
        windows.some((window) => start < window.endAddr && end > window.startAddr),
      ),
    };
  }

  #space(pid: number): Space {
    const space = this.#spaces.get(pid);
    if (space === undefined) throw new Error(`no process ${pid}`);
    return space;
  }

  #touch(space: Space, event: TraceEvent): boolean {
    for (let i = 0; i < event.count; i++) {
      const page = Math.floor((event.addr + i * event.strideBytes) / PAGE_BYTES);
      if (touch(space, page, event.isWrite) !== 'ok') return false;
    }
    return true;
  }

  #call(space: Space, event: TraceEvent): number {
    if (event.op === Op.truncate) return this.#truncate(event);
    if (event.op === Op.punch) return this.#punchEvent(event);
    if (event.op === Op.mlockall) return mlockall(space, event.flags);
    if (event.op === Op.munlockall) return munlockall(space);
    if (event.op === Op.prctl) return setHugeOff(space, event.flags);
    const isLock = event.op === Op.mlock || event.op === Op.munlock;
    const shift = event.addr % PAGE_BYTES;
    if (shift !== 0 && !isLock) return -Errno.EINVAL;
    const start = Math.floor(event.addr / PAGE_BYTES);
    // mlock and munlock lock every page that the bytes touch; the others round the length up.
    const end = start + pagesUp(isLock ? event.len + shift : event.len);
    switch (event.op) {
      case Op.munmap:
        if (start === end) return -Errno.EINVAL;
        space.unmap(start, end);
        return 0;
      case Op.mprotect:
        return mprotect(space, start, end, event.prot);
      case Op.madvise:
        return madvise(this, space, start, end, event.advice);
      case Op.mlock:
        return mlock(space, start, end, event.flags);
      case Op.munlock:
        return munlock(space, start, end);
      default:
        throw new Error(`the model does not know '${OP_NAMES[event.op]}'`);
    }
  }

  #mmap(space: Space, event: TraceEvent): number {
    const { flags, prot } = event;
    const len = pagesUp(event.len);
    const start = event.addr / PAGE_BYTES;
    const isShared = (flags & MAP_SHARED) !== 0;
    const growsDown = (flags & MAP_GROWSDOWN) !== 0;
    if (len === 0 || event.off % PAGE_BYTES !== 0 || start % 1 !== 0) return -Errno.EINVAL;
    const isTaken = space.overlapping(start, start + len).length > 0;
    if ((flags & MAP_FIXED_NOREPLACE) !== 0 && isTaken) return -Errno.EEXIST;
    if (growsDown && (isShared || event.file !== '')) return -Errno.EINVAL;
    const noReserve = (flags & MAP_NORESERVE) !== 0;
    const vmaFlags: VmaFlags = {
      prot,
      isShared,
      growsDown,
      noReserve,
      account: (prot & PROT_WRITE) !== 0 && !isShared && !noReserve,
      locked: space.lockNew === 'no' && (flags & MAP_LOCKED) !== 0 ? 'yes' : space.lockNew,
      dontFork: false,
      wipeOnFork: false,
      // Thread stacks are mapped with MAP_STACK and get no huge pages.
      huge: (flags & MAP_STACK) !== 0 ? 'no' : 'unset',
      readAhead: 'normal',
      dontDump: false,
      mergeable: false,
    };
    space.unmap(start, start + len);
    const file = this.#fileOf(event, isShared, len);
    const pgoff = file === null ? start : event.off / PAGE_BYTES;
    space.place({ start, end: start + len, pgoff, flags: vmaFlags, file, source: null });
    const isPopulated = (flags & (MAP_POPULATE | MAP_NONBLOCK)) === MAP_POPULATE;
    if (isPopulated || vmaFlags.locked !== 'no') {
      populateRange(space, start, start + len, { ignoreErrors: true });
    }
    return start;
  }

  /** The memfd, a new hidden file for shared anonymous memory, or none. */
  #fileOf(event: TraceEvent, isShared: boolean, pages: number): MemoryFile | null {
    if (event.file !== '') return this.#file(event.file);
    return isShared ? { name: '', sizePages: pages, cached: new Map() } : null;
  }

  #file(name: string): MemoryFile {
    let file = this.#files.get(name);
    if (file === undefined) {
      file = { name, sizePages: 0, cached: new Map() };
      this.#files.set(name, file);
    }
    return file;
  }

  #mremap(space: Space, event: TraceEvent): number {
    if (event.addr % PAGE_BYTES !== 0 || event.newAddr % PAGE_BYTES !== 0) return -Errno.EINVAL;
    return mremap(space, {
      addr: event.addr / PAGE_BYTES,
      oldLen: pagesUp(event.len),
      newLen: pagesUp(event.newLen),
      flags: event.flags,
      newAddr: event.newAddr / PAGE_BYTES,
    });
  }

  /** Beyond the new end everything goes, private copies too (shmem_setattr: even_cows). */
  #truncate(event: TraceEvent): number {
    const file = this.#file(event.file);
    const pages = pagesUp(event.len);
    if (pages < file.sizePages) {
      this.#dropMapped(file, pages, Infinity, true);
      for (const offset of [...file.cached.keys()]) if (offset >= pages) file.cached.delete(offset);
    }
    file.sizePages = pages;
    return 0;
  }

  #punchEvent(event: TraceEvent): number {
    if (event.len === 0) return -Errno.EINVAL;
    const from = pagesUp(event.off);
    this.punch(this.#file(event.file), from, Math.floor((event.off + event.len) / PAGE_BYTES));
    return 0;
  }

  /** Whole pages leave the file; private copies stay (shmem_fallocate). */
  punch(file: MemoryFile, from: number, to: number): void {
    this.#dropMapped(file, from, to, false);
    for (const offset of [...file.cached.keys()]) {
      if (offset >= from && offset < to) file.cached.delete(offset);
    }
  }

  #dropMapped(file: MemoryFile, from: number, to: number, evenCopies: boolean): void {
    for (const space of this.#spaces.values()) {
      for (const vma of space.vmas) {
        if (vma.file !== file) continue;
        const start = Math.max(vma.start, vma.start + from - vma.pgoff);
        const end = Math.min(vma.end, vma.start + to - vma.pgoff);
        for (const [page, entry] of space.tables.entriesIn(start, Math.max(start, end))) {
          if (entry.kind === 'file' || (evenCopies && entry.kind === 'anon')) {
            space.tables.delete(page);
          }
        }
      }
    }
  }
}

function answer(result: number): Answer {
  return result < 0 ? { ok: false, errno: -result } : { ok: true, errno: 0 };
}

function pagesUp(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES);
}

/** Of the bits, 2 says what 1 leaves out, and means nothing without it. */
function setHugeOff(space: Space, flags: number): number {
  const setting = (['no', 'all', null, 'advised'] as const)[flags];
  if (setting == null) return -Errno.EINVAL;
  space.hugeOff = setting;
  return 0;
}
