import {
  InputError,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from '../../base/index.ts';
import { PAGE_BYTES, pageCeil, pageStart, USER_SPACE_END } from '../address.ts';
import { Op, Outcome, type TraceReader } from '../event.ts';
import { annotateTouches } from './annotate.ts';
import { EventList, ListReader } from './event-list.ts';
import { clusters } from './evidence-layout.ts';
import { type Image, SEEN_WRITE } from './image.ts';
import { layoutEvents, type Piece } from './layout.ts';
import { Notes } from './notes.ts';
import { type PerfHead, type PerfLine, parsePerfLine } from './perf-line.ts';
import { Processes } from './processes.ts';

/** Output of `perf script` of a recording of page faults. */
export interface PerfScriptInput {
  /** Lines of `perf script -F comm,pid,tid,time,event,addr,ip`, better with `--show-task-events --show-mmap-events`. */
  trace: Iterable<string>;
  /** Of the recording, for the header and for messages. */
  name: string;
}

/** Faults at most so far apart are taken to lie in one mapping: one page table holds them. */
const RUN_GAP_PAGES = 512;

/**
 * Turns faults recorded by perf into a trace. perf does not tell reads from writes, nor what was
 * mapped, freed or protected: mappings are put under the faults, and nothing is ever given back.
 * Throws InputError for what is no such output.
 */
export function importPerfScript(input: PerfScriptInput): TraceReader {
  const conversion = new Conversion();
  let lineNumber = 0;
  for (const text of input.trace) {
    lineNumber++;
    const line = parsePerfLine(text);
    if (line === null) {
      throw new InputError(
        `${input.name}:${lineNumber}: not a line of perf script's; it must look like comm 12/12 1.234567: page-faults: 7f0000001000 401000`,
      );
    }
    conversion.add(line);
  }
  const layouts = conversion.finish();
  return new ListReader(
    input.name,
    {
      pagelab: 1,
      source: `perf recording ${input.name}: mappings and writes are guessed`,
      name: input.name,
      layouts,
      notes: conversion.notes.lines(),
    },
    conversion.list,
  );
}

class Conversion {
  readonly list = new EventList();
  readonly notes = new Notes();
  readonly #processes = new Processes(this.list);
  readonly #tids = new Map<number, Set<number>>();

  add(line: PerfLine): void {
    if (line.kind === 'fault') this.#fault(line.head, line.addr, line.ip);
    else if (line.kind === 'fork') this.#fork(line);
    else if (line.kind === 'exit') this.#exit(line);
    else if (line.kind === 'exec') {
      const { tid, timeNs } = line.head;
      if (!this.#processes.isDead(line.pid)) this.#processes.exec(line.pid, line.file, tid, timeNs);
    } else if (line.kind === 'mmap') this.#mmap(line);
  }

  finish(): { pid: number; program: string; mappings: number }[] {
    const layouts = this.#processes.images.map((image) => {
      const pieces = runs(image);
      this.list.insertBefore(image.position, layoutEvents(image, pieces, 'evidence'));
      return { pid: image.pid, program: image.file, mappings: pieces.length };
    });
    annotateTouches(this.list);
    this.notes.say('writes are guessed: perf does not tell them from reads');
    this.notes.say('mappings are guessed from the faults; what was unmapped or freed is not known');
    return layouts;
  }

  #fault(head: PerfHead, addr: number, ip: number): void {
    const { pid, tid, timeNs } = head;
    if (addr >= USER_SPACE_END) this.notes.count('faults dropped: a kernel address');
    else if (this.#processes.isDead(pid))
      this.notes.count('faults dropped: the process was exiting');
    else {
      const { image, mappings } = this.#processes.space(pid, timeNs);
      const mapping = mappings.find(addr);
      const isFetch = pageStart(ip) === pageStart(addr);
      const canWrite = mapping === undefined || (mapping.prot & PROT_WRITE) !== 0;
      const position = this.list.pushTouch(pid, tid, timeNs, addr, !isFetch && canWrite);
      if (mapping === undefined) {
        image.seePage(Math.floor(addr / PAGE_BYTES), SEEN_WRITE, position);
      }
    }
  }

  #fork(line: Extract<PerfLine, { kind: 'fork' }>): void {
    if (line.pid === line.parentPid) {
      this.#tidsOf(line.pid).add(line.tid);
      return;
    }
    if (this.#processes.isDead(line.parentPid)) return;
    this.#tids.set(line.pid, new Set([line.tid]));
    this.#processes.fork(line.parentPid, line.pid, false, line.head.tid, line.head.timeNs);
  }

  #exit(line: Extract<PerfLine, { kind: 'exit' }>): void {
    const tids = this.#tidsOf(line.pid);
    tids.delete(line.tid);
    if (tids.size === 0) this.#processes.exit(line.pid, line.tid, line.head.timeNs);
  }

  #tidsOf(pid: number): Set<number> {
    let tids = this.#tids.get(pid);
    if (tids === undefined) this.#tids.set(pid, (tids = new Set([pid])));
    return tids;
  }

  #mmap(line: Extract<PerfLine, { kind: 'mmap' }>): void {
    const { mapping, pid, head } = line;
    if (mapping.start >= USER_SPACE_END || this.#processes.isDead(pid)) return;
    const space = this.#processes.space(pid, head.timeNs);
    const isAnonymous = /^(?:\/\/anon.*|\[heap\]|\[stack\]|)$/.test(mapping.name);
    this.list.push({
      op: Op.mmap,
      pid,
      tid: head.tid,
      timeNs: head.timeNs,
      addr: mapping.start,
      len: mapping.len,
      prot: mapping.prot,
      flags:
        MAP_FIXED |
        (mapping.isShared ? MAP_SHARED : MAP_PRIVATE) |
        (isAnonymous ? MAP_ANONYMOUS : 0),
      file: isAnonymous ? '' : mapping.name,
      off: isAnonymous ? 0 : mapping.off,
      outcome: Outcome.ok,
    });
    const end = mapping.start + pageCeil(mapping.len);
    space.mappings.add({ start: mapping.start, end, prot: mapping.prot, source: null });
  }
}

/** Stretches of memory that hold the image's faults. */
function runs(image: Image): Piece[] {
  const pages = [...image.pages.keys()].sort((a, b) => a - b);
  return clusters(pages, RUN_GAP_PAGES).map((run) => ({
    start: (run[0] as number) * PAGE_BYTES,
    end: ((run.at(-1) as number) + 1) * PAGE_BYTES,
    prot: PROT_READ | PROT_WRITE,
    file: '',
    off: 0,
    isShared: false,
  }));
}
