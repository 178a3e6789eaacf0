import { closeSync, ftruncateSync } from 'node:fs';
import {
  CapabilityError,
  errnoName,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  PR_SET_THP_DISABLE,
  PROT_NONE,
  THP_DISABLE,
} from '../base/index.ts';
import { OP_NAMES, Op, protWord, type TraceEvent } from '../trace/index.ts';
import { stayOnOneCpu } from './affinity.ts';
import { libc } from './libc.ts';
import type { MapsEntry, Status } from './proc.ts';
import { Puppet, type PuppetOptions } from './puppet.ts';

/**
 * The running kernel as something that executes a trace: every process of the trace is a puppet.
 * Fits `Subject` of lab/validate by shape (this layer does not import the lab).
 */
export class KernelSubject {
  readonly #puppets = new Map<number, Puppet>();
  /** What an empty puppet counts; the same for forked ones, which inherit those pages. */
  readonly #base: Status;
  /** Our descriptors of the memfds by name. */
  readonly #files = new Map<string, number>();
  /** The puppets' descriptors, by process and name. */
  readonly #puppetFds = new Map<string, number>();
  readonly #undoAffinity: () => void;
  readonly #hasHugePages: boolean;

  constructor(options: PuppetOptions = {}) {
    this.#undoAffinity = stayOnOneCpu();
    this.#hasHugePages = options.hasHugePages === true;
    try {
      const first = Puppet.start(options);
      this.#puppets.set(1, first);
      this.#base = first.status();
    } catch (error) {
      this.#undoAffinity();
      throw error;
    }
  }

  apply(event: TraceEvent): { ok: boolean; errno: number; addr?: number } {
    const puppet = this.#puppets.get(event.pid);
    if (puppet === undefined) throw new Error(`no process ${event.pid}`);
    switch (event.op) {
      case Op.touch: {
        const done = puppet.touchMany(event.addr, event.isWrite, event.count, event.strideBytes);
        return { ok: done === event.count, errno: 0 };
      }
      case Op.fork:
        return this.#fork(puppet, event.pid, event.child);
      case Op.exit:
        puppet.exit();
        this.#puppets.delete(event.pid);
        return OK;
      default: {
        const result = this.#call(puppet, event);
        if (result < 0) return { ok: false, errno: -result };
        const hasAddr = event.op === Op.mmap || event.op === Op.mremap;
        return hasAddr ? { ok: true, errno: 0, addr: result } : OK;
      }
    }
  }

  observe(
    pid: number,
    windows: readonly { readonly startAddr: number; readonly endAddr: number }[],
  ): KernelObservation {
    const puppet = this.#puppets.get(pid);
    if (puppet === undefined) throw new Error(`no process ${pid}`);
    const status = puppet.status();
    const counts = windows.map(({ startAddr, endAddr }) => puppet.pages(startAddr, endAddr));
    const lastAddr = Math.max(...windows.map((window) => window.endAddr));
    const touches = ({ startAddr, endAddr }: MapsEntry): boolean =>
      windows.some((window) => startAddr < window.endAddr && endAddr > window.startAddr);
    return {
      vmPteKiB: status.vmPteKiB - this.#base.vmPteKiB,
      rssAnonKiB: status.rssAnonKiB - this.#base.rssAnonKiB,
      rssFileKiB: status.rssFileKiB - this.#base.rssFileKiB,
      rssShmemKiB: status.rssShmemKiB - this.#base.rssShmemKiB,
      ...(this.#hasHugePages ? { anonHugeKiB: puppet.anonHugeKiB() } : {}),
      present: counts.map((count) => count.present),
      swapped: counts.map((count) => count.swapped),
      vmas: puppet.maps(0, lastAddr).filter(touches).map(vmaRow),
    };
  }

  close(): void {
    for (const puppet of this.#puppets.values()) puppet.kill();
    this.#puppets.clear();
    for (const fd of this.#files.values()) closeSync(fd);
    this.#files.clear();
    this.#undoAffinity();
  }

  #fork(parent: Puppet, pid: number, childPid: number): { ok: boolean; errno: number } {
    const child = parent.fork();
    if (typeof child === 'number') return { ok: false, errno: -child };
    this.#puppets.set(childPid, child);
    for (const [key, fd] of [...this.#puppetFds]) {
      const [owner, name] = splitKey(key);
      if (owner === pid) this.#puppetFds.set(fdKey(childPid, name), fd);
    }
    return OK;
  }

  #call(puppet: Puppet, event: TraceEvent): number {
    const { addr, len } = event;
    switch (event.op) {
      case Op.mmap:
        return this.#mmap(puppet, event);
      case Op.munmap:
        return puppet.syscall(SYS_MUNMAP, addr, len);
      case Op.mprotect:
        return puppet.syscall(SYS_MPROTECT, addr, len, event.prot);
      case Op.madvise:
        return puppet.syscall(SYS_MADVISE, addr, len, event.advice);
      case Op.mremap:
        return puppet.syscall(SYS_MREMAP, addr, len, event.newLen, event.flags, event.newAddr);
      case Op.mlock:
        return event.flags === 0
          ? puppet.syscall(SYS_MLOCK, addr, len)
          : puppet.syscall(SYS_MLOCK2, addr, len, event.flags);
      case Op.munlock:
        return puppet.syscall(SYS_MUNLOCK, addr, len);
      case Op.mlockall:
        return puppet.syscall(SYS_MLOCKALL, event.flags);
      case Op.munlockall:
        return puppet.syscall(SYS_MUNLOCKALL);
      case Op.prctl: {
        const isDisabled = event.flags & THP_DISABLE;
        const more = event.flags & ~THP_DISABLE;
        return puppet.syscall(SYS_PRCTL, PR_SET_THP_DISABLE, isDisabled, more, 0, 0);
      }
      case Op.truncate:
        ftruncateSync(this.#file(event.file), len);
        return 0;
      case Op.punch: {
        const fd = this.#puppetFd(puppet, event);
        return puppet.syscall(SYS_FALLOCATE, fd, FALLOC_PUNCH_HOLE_KEEP_SIZE, event.off, len);
      }
      default:
        throw new CapabilityError(`a puppet cannot execute '${OP_NAMES[event.op]}'`);
    }
  }

  /** An mmap without `fixed` whose result was recorded is placed there. */
  #mmap(puppet: Puppet, event: TraceEvent): number {
    let { flags } = event;
    if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) === 0 && event.addr !== 0) flags |= MAP_FIXED;
    const isAnonymous = event.file === '';
    if (isAnonymous) flags |= MAP_ANONYMOUS;
    const fd = isAnonymous ? -1 : this.#puppetFd(puppet, event);
    return puppet.syscall(SYS_MMAP, event.addr, event.len, event.prot, flags, fd, event.off);
  }

  /** Our descriptor of a memfd, made empty at its first use. */
  #file(name: string): number {
    let fd = this.#files.get(name);
    if (fd === undefined) {
      fd = libc().memfdCreate(name, MFD_CLOEXEC);
      if (fd < 0) throw new Error(`memfd_create: ${errnoName(libc().errno())}`);
      this.#files.set(name, fd);
    }
    return fd;
  }

  /** The puppet opens our memfd by its path under /proc. */
  #puppetFd(puppet: Puppet, event: TraceEvent): number {
    const key = fdKey(event.pid, event.file);
    let fd = this.#puppetFds.get(key);
    if (fd === undefined) {
      const path = `/proc/${process.pid}/fd/${this.#file(event.file)}\0`;
      fd = puppet.syscall(SYS_OPEN, puppet.putData(Buffer.from(path)), O_RDWR, 0);
      if (fd < 0) throw new Error(`a puppet cannot open ${event.file}: ${errnoName(-fd)}`);
      this.#puppetFds.set(key, fd);
    }
    return fd;
  }
}

/** The shape of lab/validate's Observation. */
export interface KernelObservation {
  readonly vmPteKiB: number;
  readonly rssAnonKiB: number;
  readonly rssFileKiB: number;
  readonly rssShmemKiB: number;
  readonly anonHugeKiB?: number;
  readonly present: readonly number[];
  readonly swapped: readonly number[];
  readonly vmas: readonly (readonly [number, number, string, 'p' | 's'])[];
}

const OK = { ok: true, errno: 0 } as const;

const SYS_OPEN = 2;
const SYS_MMAP = 9;
const SYS_MPROTECT = 10;
const SYS_MUNMAP = 11;
const SYS_MREMAP = 25;
const SYS_MADVISE = 28;
const SYS_MLOCK = 149;
const SYS_MUNLOCK = 150;
const SYS_MLOCKALL = 151;
const SYS_MUNLOCKALL = 152;
const SYS_PRCTL = 157;
const SYS_FALLOCATE = 285;
const SYS_MLOCK2 = 325;
const O_RDWR = 2;
const MFD_CLOEXEC = 1;
const FALLOC_PUNCH_HOLE_KEEP_SIZE = 3;

function fdKey(pid: number, name: string): string {
  return `${pid} ${name}`;
}

function splitKey(key: string): [pid: number, name: string] {
  const space = key.indexOf(' ');
  return [Number(key.slice(0, space)), key.slice(space + 1)];
}

function vmaRow(entry: MapsEntry): readonly [number, number, string, 'p' | 's'] {
  let prot = PROT_NONE;
  for (const [index, bit] of [1, 2, 4].entries()) {
    if (entry.permissions[index] !== '-') prot |= bit;
  }
  const kind = entry.permissions[3] === 's' ? 's' : 'p';
  return [entry.startAddr, entry.endAddr, protWord(prot), kind];
}
