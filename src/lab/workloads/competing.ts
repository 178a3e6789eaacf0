import { InputError, MADV_DONTNEED, MADV_NOHUGEPAGE } from '../../base/index.ts';
import { Op, type TraceEvent } from '../../trace/index.ts';
import { normalPieces } from './fragmenters.ts';
import { event, madvise, mark, mmapAnon, SLOT_BYTES, startProgram, writes } from './program.ts';
import type { Workload } from './workload.ts';

/**
 * Processes of equal demand that compete for 2 MiB blocks on a fragmented machine. First another one
 * fills most of memory with small pages and gives half of them back in pieces, so that what is left in
 * blocks is less than all would like to have. Then each fills its memory, uses all of it every second,
 * and now and then gives a region back and fills it anew, so that huge pages come free. One may go idle:
 * it uses nothing any more, but renews its memory as before, unless it keeps it.
 */
const BASE_ADDR = 0x100000000000;
const MIB = 2 ** 20;
const PAGE_BYTES = 4096;
const SLOT_PAGES = SLOT_BYTES / PAGE_BYTES;
const NS_PER_SECOND = 1e9;
/** What normalPieces is for. */
const CHUNK_BYTES = 4 * MIB;

interface Values {
  readonly processes: number;
  readonly regions: number;
  readonly fragmentMiB: number;
  readonly first: number;
  readonly gapSeconds: number;
  readonly seconds: number;
  readonly turnover: number;
  readonly idle: number;
  readonly idleAtSeconds: number;
  readonly idleKeeps: number;
}

export const competing: Workload = {
  name: 'competing',
  title: 'equal processes compete for huge pages, memory in pieces',
  machine: 'medium',
  parameters: {
    processes: { value: 4, least: 1, what: 'processes, pids from 1 on' },
    regions: { value: 128, least: 1, what: '2 MiB regions that each of them fills' },
    fragmentMiB: { value: 3600, least: 4, what: 'MiB filled before, of which half is given back' },
    first: { value: 1, least: 1, what: 'pid that starts first; the others follow in turn' },
    gapSeconds: { value: 5, least: 0, what: 'seconds between two starts' },
    seconds: { value: 300, least: 1, what: 'seconds in all' },
    turnover: { value: 1, least: 0, what: 'regions a second that each gives back and fills anew' },
    idle: { value: 0, least: 0, what: 'pid that goes idle; 0: none' },
    idleAtSeconds: { value: 150, least: 0, what: 'when it does' },
    idleKeeps: { value: 0, least: 0, what: '1: then it gives nothing back any more' },
  },
  *events(given) {
    const values = given as unknown as Values;
    const { processes, first, gapSeconds, seconds } = values;
    if (first > processes) throw new InputError(`--set first=${first}: want at most ${processes}`);
    yield* fragment(processes + 1, values.fragmentMiB);
    yield mark('fragmented');
    const started: number[] = [];
    for (let second = 0; second < seconds; second++) {
      while (started.length < processes && second >= started.length * gapSeconds) {
        const pid = ((first - 1 + started.length) % processes) + 1;
        yield* timed(start(pid, values), second);
        started.push(pid);
      }
      for (const pid of started) yield* timed(work(pid, second, values), second);
      yield* timed([mark(`second ${second}`)], second);
    }
  },
};

function* timed(events: Iterable<TraceEvent>, second: number): Iterable<TraceEvent> {
  for (const one of events) {
    one.timeNs = second * NS_PER_SECOND;
    yield one;
  }
}

/** Small pages only: huge ones would be kept whole, though half of each is given back. */
function* fragment(pid: number, mib: number): Iterable<TraceEvent> {
  yield* startProgram(pid);
  const end = BASE_ADDR + Math.floor((mib * MIB) / CHUNK_BYTES) * CHUNK_BYTES;
  yield mmapAnon(pid, BASE_ADDR, end - BASE_ADDR);
  yield madvise(pid, BASE_ADDR, end - BASE_ADDR, MADV_NOHUGEPAGE);
  yield writes(pid, BASE_ADDR, (end - BASE_ADDR) / PAGE_BYTES, PAGE_BYTES);
  for (let at = BASE_ADDR; at < end; at += CHUNK_BYTES) {
    for (const { offset, spanBytes } of normalPieces()) {
      yield madvise(pid, at + offset, spanBytes, MADV_DONTNEED);
    }
  }
}

function* start(pid: number, { regions }: Values): Iterable<TraceEvent> {
  yield* startProgram(pid);
  yield mmapAnon(pid, BASE_ADDR, regions * SLOT_BYTES);
  yield writes(pid, BASE_ADDR, regions * SLOT_PAGES, PAGE_BYTES);
}

function* work(pid: number, second: number, values: Values): Iterable<TraceEvent> {
  const { regions, turnover, idle, idleAtSeconds, idleKeeps } = values;
  const isIdle = pid === idle && second >= idleAtSeconds;
  if (!isIdle) {
    const reads = { op: Op.touch, pid, addr: BASE_ADDR, count: regions, strideBytes: SLOT_BYTES };
    yield event(reads);
  }
  if (isIdle && idleKeeps === 1) return;
  for (let i = 0; i < turnover; i++) {
    const addr = BASE_ADDR + ((second * turnover + i) % regions) * SLOT_BYTES;
    yield madvise(pid, addr, SLOT_BYTES, MADV_DONTNEED);
    yield writes(pid, addr, SLOT_PAGES, PAGE_BYTES);
  }
}
