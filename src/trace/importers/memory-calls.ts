import {
  Errno,
  MAP_ANONYMOUS,
  MAP_FIXED,
  PR_SET_THP_DISABLE,
  PROT_READ,
  PROT_WRITE,
  THP_DISABLE,
  THP_DISABLE_EXCEPT_ADVISED,
} from '../../base/index.ts';
import { PAGE_BYTES, pageCeil } from '../address.ts';
import { Op, Outcome } from '../event.ts';
import type { EventFields, EventList } from './event-list.ts';
import type { FileNames, OpenFile } from './file-names.ts';
import { SEEN_WRITE, type Space } from './image.ts';

/** One finished system call, however it was recorded. */
export interface MemoryCall {
  pid: number;
  tid: number;
  timeNs: number;
  /** Its name without `sys_`. */
  call: string;
  /** By the kernel's names of its parameters. */
  args: Readonly<Record<string, number>>;
  result: number;
  /** 0, or the positive error number, or -1 for an error that has no number here. */
  errno: number;
  /** Name of the mapped file where the recorder knew it. */
  file?: string;
}

type Base = Pick<EventFields, 'pid' | 'tid' | 'timeNs' | 'outcome' | 'errno'>;

const NO_FD = 0xffffffff;

/** Turns system calls on memory into events, and keeps up what they do to the address space. */
export class MemoryCalls {
  readonly #list: EventList;
  readonly #files: FileNames;

  constructor(list: EventList, files: FileNames) {
    this.#list = list;
    this.#files = files;
  }

  /** False: a call that does not show what it acts on. */
  add(call: MemoryCall, space: Space): boolean {
    const { pid, tid, timeNs, errno } = call;
    const outcome = errno === 0 ? Outcome.ok : Outcome.failed;
    const base: Base = { pid, tid, timeNs, outcome, errno: Math.max(0, errno) };
    const arg = (...names: string[]): number => {
      for (const name of names) if (call.args[name] !== undefined) return call.args[name];
      return 0;
    };
    switch (call.call) {
      case 'mmap':
        this.#mmap(call, base, space, arg);
        return true;
      case 'munmap':
        this.#range(Op.munmap, base, arg('addr'), arg('len'), {});
        if (errno === 0) space.mappings.cut(arg('addr'), arg('addr') + pageCeil(arg('len')));
        return true;
      case 'mprotect':
      case 'pkey_mprotect':
        this.#mprotect(call, base, space, arg);
        return true;
      case 'madvise':
        this.#range(Op.madvise, base, arg('start'), arg('len_in', 'len'), {
          advice: arg('behavior'),
        });
        if (errno === 0) this.#see(call, space, arg('start'), arg('len_in', 'len'), -1);
        return true;
      case 'mlock':
      case 'mlock2':
        this.#range(Op.mlock, base, arg('start'), arg('len'), { flags: arg('flags') });
        return true;
      case 'munlock':
        this.#range(Op.munlock, base, arg('start'), arg('len'), {});
        return true;
      case 'mlockall':
        this.#list.push({ op: Op.mlockall, ...base, flags: arg('flags') });
        return true;
      case 'munlockall':
        this.#list.push({ op: Op.munlockall, ...base });
        return true;
      case 'prctl':
        this.#prctl(base, arg);
        return true;
      case 'mremap':
        this.#mremap(call, base, space, arg);
        return true;
      case 'brk':
        this.#brk(call, base, space, arg('brk'));
        return true;
      default:
        return false;
    }
  }

  /** Of all that prctl(2) can, huge pages off for a process; what no kernel takes is left out. */
  #prctl(base: Base, arg: (name: string) => number): void {
    const isExcepting = arg('arg3') === THP_DISABLE_EXCEPT_ADVISED;
    const isKnown = (isExcepting || arg('arg3') === 0) && arg('arg4') + arg('arg5') === 0;
    if (arg('option') !== PR_SET_THP_DISABLE || !isKnown) return;
    const flags = (arg('arg2') !== 0 ? THP_DISABLE : 0) | arg('arg3');
    this.#list.push({ op: Op.prctl, ...base, flags });
  }

  #range(op: Op, base: Base, addr: number, len: number, own: Partial<EventFields>): void {
    this.#list.push({ op, ...base, addr, len, ...own });
  }

  #mmap(call: MemoryCall, base: Base, space: Space, arg: (name: string) => number): void {
    const flags = arg('flags') >>> 0;
    const len = arg('len');
    const start = call.errno === 0 ? call.result : arg('addr');
    const event = this.#list.push({
      op: Op.mmap,
      ...base,
      addr: start,
      len,
      prot: arg('prot') >>> 0,
      flags,
      off: (flags & MAP_ANONYMOUS) !== 0 ? 0 : arg('off'),
      file: call.file ?? '',
    });
    if (call.errno !== 0) return;
    const end = start + pageCeil(len);
    const hasFile = (flags & MAP_ANONYMOUS) === 0 && arg('fd') !== NO_FD;
    const file =
      hasFile && call.file === undefined
        ? this.#openFile(space, arg('fd'), flags, start, end)
        : null;
    if (file !== null) this.#files.add(file, event);
    space.mappings.add({ start, end, prot: arg('prot'), source: file });
    this.#record(call, space, start, end);
  }

  #openFile(space: Space, fd: number, flags: number, start: number, end: number): OpenFile {
    if ((flags & MAP_FIXED) !== 0) {
      for (const { source } of space.mappings.overlapping(start, end)) {
        if (source !== null && (source as OpenFile).fd === fd) return source as OpenFile;
      }
    }
    return this.#files.open(fd);
  }

  #mprotect(call: MemoryCall, base: Base, space: Space, arg: (name: string) => number): void {
    const [start, len, prot] = [arg('start'), arg('len'), arg('prot')];
    this.#range(Op.mprotect, base, start, len, { prot });
    if (call.errno !== 0) return;
    this.#see(call, space, start, len, prot);
    space.mappings.protect(start, start + pageCeil(len), prot);
  }

  #mremap(call: MemoryCall, base: Base, space: Space, arg: (name: string) => number): void {
    const [addr, len, newLen] = [arg('addr'), arg('old_len'), arg('new_len')];
    const newAddr = call.errno === 0 ? call.result : arg('new_addr');
    this.#range(Op.mremap, base, addr, len, { newLen, newAddr, flags: arg('flags') });
    if (call.errno !== 0) return;
    space.mappings.move(addr, pageCeil(len), newAddr, pageCeil(newLen));
    this.#record(call, space, newAddr, newAddr + pageCeil(newLen));
  }

  /** brk gives the break that is now, whether or not it moved; brk(0) asks for it. */
  #brk(call: MemoryCall, base: Base, space: Space, wanted: number): void {
    const now = call.result;
    if (space.heapStart === 0 && wanted === 0) {
      space.heapStart = now;
      space.breakAt = now;
      this.#list.push({ op: Op.brk, ...base, addr: now });
      return;
    }
    if (wanted === 0) return;
    if (now !== wanted) {
      const refused = { outcome: Outcome.failed, errno: Errno.ENOMEM };
      this.#list.push({ op: Op.brk, ...base, addr: wanted, ...refused });
      return;
    }
    const start = space.heapStart;
    const fields = start === 0 ? { addr: now } : { addr: start, len: now - start };
    this.#list.push({ op: Op.brk, ...base, ...fields });
    this.#moveBreak(call, space, now);
  }

  #moveBreak(call: MemoryCall, space: Space, now: number): void {
    const [from, to] = [pageCeil(space.breakAt), pageCeil(now)];
    space.breakAt = now;
    if (space.heapStart === 0) return;
    if (to < from) space.mappings.cut(to, from);
    space.mappings.add({ start: from, end: to, prot: PROT_READ | PROT_WRITE, source: null });
    if (to > from) this.#record(call, space, from, to);
  }

  #record(call: MemoryCall, space: Space, start: number, end: number): void {
    if (call.pid === space.image.pid)
      space.image.recorded.push({ start, end, timeNs: call.timeNs });
  }

  /** A call that succeeded on memory that no call had mapped shows that exec had. */
  #see(call: MemoryCall, space: Space, start: number, len: number, prot: number): void {
    const holes = space.mappings.holes(start, start + pageCeil(len));
    for (const hole of holes) {
      space.image.calls.push({ ...hole, prot, timeNs: call.timeNs });
      // What ld.so makes read-only it had written.
      const bits = prot === PROT_READ ? SEEN_WRITE : 0;
      space.image.seePage(hole.start / PAGE_BYTES, bits, this.#list.length - 1);
      space.image.seePage(hole.end / PAGE_BYTES - 1, bits, this.#list.length - 1);
    }
  }
}
