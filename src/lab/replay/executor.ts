import { Errno, MAP_ANONYMOUS, MAP_SHARE_TABLES } from '../../base/index.ts';
import {
  FAULT_OOM,
  OBJECT_FILE,
  OBJECT_KERNEL,
  OBJECT_SHMEM,
  OBJECT_SPECIAL,
  objectSize,
  type Process,
  punchObject,
  type System,
  truncateObject,
} from '../../engine/index.ts';
import { Op, Outcome, type TraceEvent } from '../../trace/index.ts';
import { type TableSharer, tableSharerOf } from './table-sharing.ts';

/** A touch that ended in a signal (SIGSEGV or SIGBUS). */
export const SIGNALLED = -1000;
/** The event's process is gone: the OOM killer took it earlier in this replay. */
export const SKIPPED = -1001;

/** Files of unknown size: as good as endless. */
const UNKNOWN_SIZE_BYTES = 2 ** 52;

/**
 * Executes trace events on a system. Results are as system calls give them: 0 or an address, a
 * negative errno, SIGNALLED for a touch, SKIPPED.
 */
export class Executor {
  readonly system: System;
  /** What is written is kept; only where somebody looks at it. */
  readonly #hasContents: boolean;
  readonly #objects = new Map<string, number>();
  readonly #killed = new Set<number>();
  readonly #tableSharer: TableSharer | null;
  #killsSeen = 0;
  /** Who times touches does them; null: nobody (lab/time/timekeeper.ts). */
  toucher: ((process: Process, event: TraceEvent) => number) | null = null;
  #lastPid = -1;
  #lastProcess: Process | undefined = undefined;

  constructor(system: System) {
    this.system = system;
    this.#hasContents = system.machine.contentsAt !== 0;
    this.#tableSharer = tableSharerOf(system);
  }

  /** Processes that were killed for memory, and whose later events are skipped. */
  get killed(): ReadonlySet<number> {
    this.#takeInKilled();
    return this.#killed;
  }

  apply(event: TraceEvent): number {
    if (event.op === Op.mark || event.op === Op.sample || event.op === Op.request) return 0;
    const process = this.#processOf(event.pid);
    if (process === undefined) {
      // What a killed process would have started does not run either.
      if (event.op === Op.fork) this.#killed.add(event.child);
      return SKIPPED;
    }
    const { addr, len } = event;
    switch (event.op) {
      case Op.touch: {
        const { isWrite, count, strideBytes } = event;
        const result =
          this.toucher?.(process, event) ??
          (isWrite && this.#hasContents
            ? process.fill(addr, event.content, count, strideBytes)
            : process.touch(addr, isWrite, count, strideBytes));
        if (result >= 0) return 0;
        return result === FAULT_OOM ? this.#outOfMemory() : SIGNALLED;
      }
      case Op.mmap:
        return this.#mmap(process, event);
      case Op.munmap: {
        // A window goes as a whole, and may be larger than what the program asked for.
        const window = this.#tableSharer?.windowBytes(event.pid, addr) ?? 0;
        return process.munmap(addr, window === 0 ? len : window);
      }
      case Op.mprotect:
        return process.mprotect(addr, len, event.prot);
      case Op.madvise:
        return process.madvise(addr, len, event.advice);
      case Op.mremap:
        return process.mremap(addr, len, event.newLen, event.flags, event.newAddr);
      case Op.brk:
        return brkOf(process, event);
      case Op.mlock:
        return process.mlock(addr, len, event.flags);
      case Op.munlock:
        return process.munlock(addr, len);
      case Op.mlockall:
        return process.mlockall(event.flags);
      case Op.munlockall:
        return process.munlockall();
      case Op.prctl:
        return process.setThpDisable(event.flags);
      default:
        return this.#processEvent(process, event);
    }
  }

  #processEvent(process: Process, event: TraceEvent): number {
    const m = this.system.machine;
    switch (event.op) {
      case Op.fork:
        return this.#fork(process, event);
      case Op.exec:
        this.#lastPid = -1;
        this.system.exec(process);
        return 0;
      case Op.exit:
        this.#lastPid = -1;
        this.system.exit(process);
        return 0;
      case Op.truncate:
        truncateObject(m, this.#object(event.file), event.len);
        return 0;
      case Op.punch: {
        if (event.len === 0) return -Errno.EINVAL;
        const first = Math.ceil(event.off / 4096);
        const last = Math.floor((event.off + event.len) / 4096);
        if (last > first) punchObject(m, this.#object(event.file), first, last);
        return 0;
      }
      default:
        return 0;
    }
  }

  #processOf(pid: number): Process | undefined {
    if (pid === this.#lastPid && this.#lastProcess?.isAlive) return this.#lastProcess;
    let process = this.system.process(pid);
    if (process === undefined) {
      this.#takeInKilled();
      if (this.#killed.has(pid)) return undefined;
      process = this.system.spawn(pid);
    }
    this.#lastPid = pid;
    this.#lastProcess = process;
    return process;
  }

  #outOfMemory(): number {
    this.#lastPid = -1;
    return SKIPPED;
  }

  /** Any allocation may have cost any process its life. */
  #takeInKilled(): void {
    const { oomKilled } = this.system;
    for (; this.#killsSeen < oomKilled.length; this.#killsSeen++) {
      this.#killed.add(oomKilled[this.#killsSeen] as number);
    }
  }

  #fork(parent: Process, event: TraceEvent): number {
    this.#lastPid = -1;
    this.#takeInKilled();
    this.#killed.delete(event.child);
    for (;;) {
      if (this.system.fork(parent, event.child, event.flags === 1) !== undefined) return 0;
      const victim = this.system.killForMemory();
      if (victim === undefined) return -Errno.ENOMEM;
      if (victim !== parent) continue;
      this.#killed.add(event.child);
      return SKIPPED;
    }
  }

  #mmap(process: Process, event: TraceEvent): number {
    const object = event.file === '' ? 0 : this.#object(event.file);
    const flags = (object === 0 ? event.flags | MAP_ANONYMOUS : event.flags) & ~MAP_SHARE_TABLES;
    if ((event.flags & MAP_SHARE_TABLES) !== 0 && object !== 0 && this.#tableSharer !== null) {
      const { machine } = this.system;
      const bytes = Math.min(objectSize(machine, object), event.off + event.len);
      const shared = this.#tableSharer.mmap(process, event, object, bytes);
      if (shared !== undefined) return shared;
    }
    return process.mmap(event.addr, event.len, event.prot, flags, object, event.off);
  }

  /** The object behind a name, made at its first use. */
  #object(name: string): number {
    let object = this.#objects.get(name);
    if (object === undefined) {
      const type = objectTypeOf(name);
      // A new memfd is empty until it is truncated; a file that a program maps has some size.
      const size = name.startsWith('memfd:') ? 0 : UNKNOWN_SIZE_BYTES;
      object = this.system.createObject(type, size);
      this.#objects.set(name, object);
    }
    return object;
  }
}

function objectTypeOf(name: string): number {
  if (name === '[vvar]' || name === '[vvar_vclock]') return OBJECT_SPECIAL;
  if (name === '[vdso]') return OBJECT_KERNEL;
  return /^(memfd:|\/memfd:|\/dev\/shm\/|\/SYSV|\/dev\/zero|shm:)/.test(name)
    ? OBJECT_SHMEM
    : OBJECT_FILE;
}

/** With a length, `addr` is where the heap begins. A refused brk changes nothing: ENOMEM. */
function brkOf(process: Process, event: TraceEvent): number {
  if (process.startBrk === 0 || (event.len > 0 && process.startBrk !== event.addr)) {
    process.setStartBrk(event.addr);
  }
  const wanted = event.addr + event.len;
  return process.brk(wanted) === wanted ? 0 : -Errno.ENOMEM;
}

/** True if the result is what the recording says; unknown outcomes always are. */
export function isAsRecorded(event: TraceEvent, result: number): boolean {
  if (event.outcome === Outcome.unknown || result === SKIPPED) return true;
  if (event.outcome === Outcome.ok) return result >= 0;
  if (result >= 0) return false;
  return event.op === Op.touch || event.errno === 0 || event.errno === -result;
}
