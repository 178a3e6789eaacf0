import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_GROWSDOWN,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARE_TABLES,
  MAP_SHARED,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../../base/index.ts';
import { emptyEvent, Op, type TraceEvent } from '../../trace/index.ts';

/** Writes events as a program would make them. */

export const RW: number = PROT_READ | PROT_WRITE;
export const ANON_NORESERVE: number = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
export const SHARED_FILE: number = MAP_SHARED | MAP_FIXED;
/** The program asks for shared page tables. */
export const SHARED_TABLES: number = SHARED_FILE | MAP_SHARE_TABLES;
export const SLOT_BYTES: number = 2 ** 21;
export const GIB_BYTES: number = 2 ** 30;

export function event(fields: Partial<TraceEvent> & { op: TraceEvent['op'] }): TraceEvent {
  return { ...emptyEvent(), ...fields };
}

export function mmapAnon(pid: number, addr: number, len: number): TraceEvent {
  return event({ op: Op.mmap, pid, addr, len, prot: RW, flags: ANON_NORESERVE });
}

/** `count` writes, `strideBytes` apart. */
export function writes(pid: number, addr: number, count: number, strideBytes: number): TraceEvent {
  return event({ op: Op.touch, pid, addr, isWrite: true, count, strideBytes });
}

/** The same, each page with that content (-1: like no other page). */
export function fills(pid: number, addr: number, count: number, content: number): TraceEvent {
  return event({ op: Op.touch, pid, addr, isWrite: true, count, content });
}

export function reads(pid: number, addr: number, count: number): TraceEvent {
  return event({ op: Op.touch, pid, addr, count });
}

export function madvise(pid: number, addr: number, len: number, advice: number): TraceEvent {
  return event({ op: Op.madvise, pid, addr, len, advice });
}

export function mark(name: string): TraceEvent {
  return event({ op: Op.mark, name });
}

/** The process begins to serve a request. */
export function request(pid: number, name: string, workNs: number): TraceEvent {
  return event({ op: Op.request, pid, name, workNs });
}

/** The process has answered and waits. */
export function idle(pid: number): TraceEvent {
  return event({ op: Op.request, pid });
}

/**
 * What a small static program with a stdio heap has of its own: 36 kB of page tables (measured on
 * Linux 6.18: 28 kB bare, 36 kB with the heap), 44 kB of anonymous pages.
 */
export function* startProgram(pid: number): Iterable<TraceEvent> {
  const fixed = MAP_PRIVATE | MAP_FIXED;
  const anon = fixed | MAP_ANONYMOUS;
  const text = { op: Op.mmap, pid, file: 'program' } as const;
  yield event({ ...text, addr: 0x400000, len: 0xa0000, prot: PROT_READ | PROT_EXEC, flags: fixed });
  yield event({ ...text, addr: 0x4a0000, len: 0x8000, prot: RW, flags: fixed, off: 0xa0000 });
  yield event({ op: Op.brk, pid, addr: 0x4a8ca000, len: 0x22000 });
  const vvar = { op: Op.mmap, pid, flags: fixed } as const;
  yield event({ ...vvar, addr: 0x7ffff7ff5000, len: 0x4000, prot: PROT_READ, file: '[vvar]' });
  yield event({
    ...vvar,
    addr: 0x7ffff7ffb000,
    len: 0x2000,
    prot: PROT_READ | PROT_EXEC,
    file: '[vdso]',
  });
  yield event({
    op: Op.mmap,
    pid,
    addr: 0x7ffffffde000,
    len: 0x21000,
    prot: RW,
    flags: anon | MAP_GROWSDOWN,
  });
  yield event({ op: Op.touch, pid, addr: 0x401000 });
  yield writes(pid, 0x4a0000, 4, 4096);
  yield writes(pid, 0x4a8ca000, 4, 4096);
  yield event({ op: Op.touch, pid, addr: 0x7ffff7ffb000 });
  yield writes(pid, 0x7fffffffc000, 3, 4096);
}
