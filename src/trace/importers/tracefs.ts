import { PAGE_BYTES } from '../address.ts';
import { Op, type TraceReader } from '../event.ts';
import { annotateTouches } from './annotate.ts';
import { EventList, ListReader } from './event-list.ts';
import { FileNames } from './file-names.ts';
import { SEEN_ABSENT, SEEN_EXEC, SEEN_READ, SEEN_WRITE } from './image.ts';
import { insertLayouts } from './insert-layouts.ts';
import { type MapsLine, parseMaps } from './maps-file.ts';
import { MemoryCalls } from './memory-calls.ts';
import { Notes } from './notes.ts';
import { Processes } from './processes.ts';
import { parseStatus, STAMP_LAG_NS, type TimedSample } from './status-file.ts';
import type {
  DeathRecord,
  EnterRecord,
  ExecRecord,
  ExitRecord,
  ForkRecord,
} from './tracefs-line.ts';
import { TracefsLog } from './tracefs-log.ts';
import { findTaskFacts, type TaskFacts } from './tracefs-tasks.ts';

/** A recording of tracefs' trace_pipe and what was taken down beside it. */
export interface TracefsInput {
  /** Lines of trace_pipe, of the events that docs/trace.md lists. */
  trace: Iterable<string>;
  /**
   * /proc/PID/maps of the program, read shortly after its start; of a process that ran already, read
   * just before the recording began.
   */
  maps?: string;
  /** Lines of microseconds and KiB, with a line that names the columns. */
  status?: string;
  /** Of the recording, for the header and for messages. */
  name: string;
  /** The process that `maps` and `status` are of; without it, that of the first record. */
  pid?: number;
}

/** Bits of a page fault's error code (arch/x86/include/asm/trap_pf.h). */
const FAULT_WAS_PRESENT = 1;
const FAULT_WRITE = 2;
const FAULT_FETCH = 0x10;

const USER_END = 2 ** 56;

/** Nothing can be mapped below (vm.mmap_min_addr). */
const LOWEST_MAPPING = 0x10000;

/** Copies with page faults switched off give up; what they fall back to faults again by itself. */
const GIVES_UP = /atomic|nofault|_nmi$/;

/**
 * Turns a tracefs recording into a trace. Throws InputError for what is no such recording. The whole
 * recording is held in memory (40 bytes a fault).
 */
export function importTracefs(input: TracefsInput): TraceReader {
  const log = new TracefsLog(input.trace, input.name);
  const status =
    input.status === undefined ? [] : parseStatus(input.status, `${input.name}.status`);
  const maps = input.maps === undefined ? [] : parseMaps(input.maps, `${input.name}.maps`);
  const conversion = new Conversion(log, status);
  conversion.run(input.pid, maps);
  const { list, files, processes, notes } = conversion;
  const layouts = insertLayouts(list, files, processes.images, conversion.mainPid, maps);
  files.settle();
  const unknown = annotateTouches(list);
  if (unknown > 0)
    notes.count('touches whose outcome is not known (no mapping allows them)', unknown);
  return new ListReader(
    input.name,
    {
      pagelab: 1,
      source: `tracefs recording ${input.name}`,
      name: input.name,
      clock: 'mono',
      mainPid: conversion.mainPid,
      layouts,
      counts: conversion.counts,
      notes: notes.lines(),
    },
    list,
  );
}

class Conversion {
  readonly list = new EventList();
  readonly files = new FileNames();
  readonly processes = new Processes(this.list);
  readonly notes = new Notes();
  readonly counts = { records: 0, faults: 0, touches: 0, calls: 0, samples: 0 };
  mainPid = 0;

  readonly #log: TracefsLog;
  readonly #facts: TaskFacts;
  readonly #samples: readonly TimedSample[];
  #nextSample = 0;
  readonly #pidByTid = new Map<number, number>();
  readonly #calls = new Map<number, EnterRecord>();
  readonly #execsBegun = new Set<number>();
  readonly #memoryCalls: MemoryCalls;

  constructor(log: TracefsLog, samples: readonly TimedSample[]) {
    this.#log = log;
    this.#facts = findTaskFacts(log);
    this.#samples = samples;
    this.#memoryCalls = new MemoryCalls(this.list, this.files);
    this.counts.records = log.length;
    for (const [reason, count] of log.ignored) this.notes.count(reason, count);
    this.notes.count('events lost by the ring buffer', log.lostEvents);
  }

  run(pid: number | undefined, maps: readonly MapsLine[]): void {
    const log = this.#log;
    if (log.length > 0) {
      this.mainPid = pid ?? this.#pidOf(log.tid(0));
      this.#beginRunning(maps.find((line) => line.name === '[heap]'));
    }
    for (let index = 0; index < log.length; index++) {
      this.#emitSamples(log.timeNs(index));
      const record = log.other(index);
      if (record === null) this.#fault(index);
      else if (record.kind === 'enter') this.#enter(record);
      else if (record.kind === 'exit') this.#exit(record);
      else if (record.kind === 'fork') this.#fork(record, index);
      else if (record.kind === 'exec') this.#exec(record, index);
      else this.#death(record);
    }
    this.#emitSamples(Number.POSITIVE_INFINITY);
    this.notes.count('calls dropped: no result', this.#calls.size);
  }

  #pidOf(tid: number): number {
    return this.#pidByTid.get(tid) ?? this.#log.tgidByTid.get(tid) ?? tid;
  }

  /** Without an exec to come, the main process has its layout, and its heap, from the beginning. */
  #beginRunning(heap: MapsLine | undefined): void {
    if (heap === undefined || this.#facts.execTids.has(this.mainPid)) return;
    const space = this.processes.space(this.mainPid, this.#log.timeNs(0));
    space.heapStart = heap.start;
    space.breakAt = heap.end;
  }

  #emitSamples(untilNs: number): void {
    for (; this.#nextSample < this.#samples.length; this.#nextSample++) {
      const { timeNs, sample } = this.#samples[this.#nextSample] as TimedSample;
      if (timeNs >= untilNs) return;
      if (!this.processes.isAlive(this.mainPid)) {
        this.notes.count('samples dropped: the process was not there');
        continue;
      }
      const extra = { within: STAMP_LAG_NS };
      this.list.push({ op: Op.sample, pid: this.mainPid, timeNs, sample, extra });
      this.counts.samples++;
    }
  }

  #fault(index: number): void {
    const log = this.#log;
    const pid = this.#pidOf(log.tid(index));
    const ip = log.kernelIp(index);
    const addr = log.addr(index);
    this.counts.faults++;
    const reason = this.#whyDropped(pid, ip, addr);
    if (reason !== null) {
      this.notes.count(`faults dropped: ${reason}`);
      return;
    }
    this.#maybeBeginExec(index, ip, addr);
    const code = log.errorCode(index);
    const timeNs = log.timeNs(index);
    const space = this.processes.space(pid, timeNs);
    const isWrite = (code & FAULT_WRITE) !== 0;
    const position = this.list.pushTouch(pid, log.tid(index), timeNs, addr, isWrite);
    this.counts.touches++;
    const { image } = space;
    const isFetch = (code & FAULT_FETCH) !== 0;
    if (isFetch && image.firstIp === 0 && image.file !== '') image.firstIp = addr;
    if (addr < LOWEST_MAPPING || space.mappings.find(addr) !== undefined) return;
    if (/elf/.test(ip)) image.elfEnds.push(addr);
    const isFirst = (code & FAULT_WAS_PRESENT) === 0 && image.firstFork < 0 && pid === image.pid;
    const bits =
      (isWrite ? SEEN_WRITE : isFetch ? SEEN_EXEC : SEEN_READ) | (isFirst ? SEEN_ABSENT : 0);
    image.seePage(Math.floor(addr / PAGE_BYTES), bits, position);
  }

  #whyDropped(pid: number, ip: string, addr: number): string | null {
    if (this.processes.isDead(pid)) return 'the process was exiting';
    if (GIVES_UP.test(ip)) return `${ip} runs with page faults off; its fallback faults again`;
    return addr >= USER_END ? 'a kernel address' : null;
  }

  /** The kernel reports an exec after it has set up the new image, whose faults come before. */
  #maybeBeginExec(index: number, ip: string, addr: number): void {
    const execIndex = this.#facts.execOfSetupFault.get(index);
    if (execIndex === undefined || this.#execsBegun.has(execIndex)) return;
    const old = this.processes.knownSpace(this.#pidOf(this.#log.tid(index)));
    // A system call of the old image may have faulted in the same functions.
    const isOfOldImage = !/elf/.test(ip) && old?.mappings.find(addr) !== undefined;
    if (!isOfOldImage) this.#beginExec(execIndex, this.#log.timeNs(index));
  }

  #exec(_record: ExecRecord, index: number): void {
    if (!this.#execsBegun.has(index)) this.#beginExec(index, this.#log.timeNs(index));
  }

  #beginExec(execIndex: number, timeNs: number): void {
    const record = this.#log.other(execIndex) as ExecRecord;
    this.#execsBegun.add(execIndex);
    this.processes.exec(this.#pidOf(record.tid), record.file, record.tid, timeNs);
  }

  #enter(record: EnterRecord): void {
    if (this.#calls.has(record.tid)) this.notes.count('calls dropped: no result');
    this.#calls.set(record.tid, record);
  }

  #exit(record: ExitRecord): void {
    const enter = this.#calls.get(record.tid);
    const isNewTask = /^(?:clone3?|v?fork)$/.test(record.call);
    if (enter === undefined || enter.call !== record.call) {
      if (!isNewTask) this.notes.count('results dropped: their call is not in the recording');
      return;
    }
    this.#calls.delete(record.tid);
    if (isNewTask) return;
    const pid = this.#pidOf(record.tid);
    if (this.processes.isDead(pid)) {
      this.notes.count('calls dropped: the process had exited');
      return;
    }
    const space = this.processes.space(pid, record.timeNs);
    const { tid, timeNs, result, errno, call } = record;
    const isKnown = this.#memoryCalls.add(
      { pid, tid, timeNs, call, args: enter.args, result, errno },
      space,
    );
    if (isKnown) this.counts.calls++;
    else this.notes.count(`calls dropped: ${call} does not show what it acts on`);
  }

  #fork(record: ForkRecord, index: number): void {
    const pid = this.#pidOf(record.tid);
    const kind = this.#facts.forkKindByIndex.get(index);
    if (kind === 'thread') {
      this.#pidByTid.set(record.child, pid);
      return;
    }
    this.#pidByTid.set(record.child, record.child);
    this.processes.fork(pid, record.child, kind === 'vfork', record.tid, record.timeNs);
  }

  #death(record: DeathRecord): void {
    const pid = this.#pidOf(record.tid);
    if (!(record.isGroupDead ?? record.tid === pid)) return;
    // A process that only ends in the recording was there all the same.
    if (!this.processes.isDead(pid)) this.processes.space(pid, record.timeNs);
    this.processes.exit(pid, record.tid, record.timeNs);
  }
}
