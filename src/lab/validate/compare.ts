import {
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
} from '../../base/index.ts';
import { OP_NAMES, Op, type TraceEvent } from '../../trace/index.ts';
import type { Answer, Observation, Subject, Window } from './subject.ts';

/** The first difference between two subjects. */
export interface Mismatch {
  /** Index of the event after which they differ. */
  readonly step: number;
  readonly op: string;
  /** Process whose counter differs, or that made the call. */
  readonly pid: number;
  /** `ok`, `errno`, `addr`, or the name of an observed value such as `vmPteKiB`, `present[2]`. */
  readonly field: string;
  readonly kernel: unknown;
  readonly engine: unknown;
}

export interface Comparison {
  /** Events executed on both. */
  readonly events: number;
  /** Answers and observations compared. */
  readonly steps: number;
  readonly mismatch: Mismatch | null;
}

/** Fields of an observation that a subject does not model are left out by name. */
export interface CompareOptions {
  readonly ignore?: ReadonlySet<keyof Observation>;
  /** Called with each event and the kernel's answer before the engine gets it. */
  readonly onAnswer?: (event: TraceEvent, answer: Answer) => void;
}

/**
 * Runs the same events on both subjects and compares, after each, the outcome and the counters of
 * every live process. Ends at the first difference. Where the kernel chose an address, the engine
 * is told it, as a replayed recording would tell it.
 */
export function compare(
  events: Iterable<TraceEvent>,
  kernel: Subject,
  engine: Subject,
  windows: readonly Window[],
  options: CompareOptions = {},
): Comparison {
  const live = new Set([1]);
  let count = 0;
  let steps = 0;
  for (const event of events) {
    const step = count++;
    if (!isApplicable(event, live)) continue;
    const op = OP_NAMES[event.op] ?? String(event.op);
    const expected = kernel.apply(event);
    options.onAnswer?.(event, expected);
    const got = engine.apply(withChosenAddr(event, expected));
    steps += 1;
    const wrong = answersDiffer(event, expected, got);
    if (wrong !== null) {
      return { events: count, steps, mismatch: { step, op, pid: event.pid, ...wrong } };
    }
    if (event.op === Op.fork && expected.ok) live.add(event.child);
    if (event.op === Op.exit) live.delete(event.pid);
    for (const pid of live) {
      steps += 1;
      const differs = observationsDiffer(
        kernel.observe(pid, windows),
        engine.observe(pid, windows),
        options.ignore,
      );
      if (differs !== null) {
        return { events: count, steps, mismatch: { step, op, pid, ...differs } };
      }
    }
  }
  return { events: count, steps, mismatch: null };
}

/** A shortened trace can mention processes that were never forked: those events do nothing. */
function isApplicable(event: TraceEvent, live: ReadonlySet<number>): boolean {
  if (event.op === Op.sample || event.op === Op.mark || event.op === Op.request) return false;
  if (event.op === Op.exit && event.pid === 1) return false;
  return live.has(event.pid) && !(event.op === Op.fork && live.has(event.child));
}

function withChosenAddr(event: TraceEvent, answer: Answer): TraceEvent {
  if (!answer.ok || answer.addr === undefined) return event;
  const isPlacedMmap = (event.flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  if (event.op === Op.mmap && !isPlacedMmap) return { ...event, addr: answer.addr };
  const isMove = (event.flags & (MREMAP_MAYMOVE | MREMAP_DONTUNMAP)) !== 0;
  if (event.op === Op.mremap && isMove && (event.flags & MREMAP_FIXED) === 0) {
    return { ...event, newAddr: answer.addr };
  }
  return event;
}

type Difference = Pick<Mismatch, 'field' | 'kernel' | 'engine'>;

function answersDiffer(event: TraceEvent, kernel: Answer, engine: Answer): Difference | null {
  if (kernel.ok !== engine.ok) {
    const word = (answer: Answer): unknown => (answer.ok ? 'ok' : answer.errno);
    return { field: 'ok', kernel: word(kernel), engine: word(engine) };
  }
  if (event.op !== Op.touch && kernel.errno !== engine.errno) {
    return { field: 'errno', kernel: kernel.errno, engine: engine.errno };
  }
  const hasAddr = kernel.ok && (event.op === Op.mmap || event.op === Op.mremap);
  if (hasAddr && engine.addr !== undefined && kernel.addr !== engine.addr) {
    return { field: 'addr', kernel: kernel.addr, engine: engine.addr };
  }
  return null;
}

function observationsDiffer(
  kernel: Observation,
  engine: Observation,
  ignore: ReadonlySet<keyof Observation> | undefined,
): Difference | null {
  for (const field of ['vmPteKiB', 'rssAnonKiB', 'rssFileKiB', 'rssShmemKiB'] as const) {
    if (ignore?.has(field)) continue;
    if (kernel[field] !== engine[field]) {
      return { field, kernel: kernel[field], engine: engine[field] };
    }
  }
  const { anonHugeKiB } = kernel;
  if (anonHugeKiB !== undefined && engine.anonHugeKiB !== undefined) {
    if (anonHugeKiB !== engine.anonHugeKiB) {
      return { field: 'anonHugeKiB', kernel: anonHugeKiB, engine: engine.anonHugeKiB };
    }
  }
  for (const field of ['present', 'swapped'] as const) {
    if (ignore?.has(field)) continue;
    const at = kernel[field].findIndex((value, index) => value !== engine[field][index]);
    if (at >= 0) {
      return { field: `${field}[${at}]`, kernel: kernel[field][at], engine: engine[field][at] };
    }
  }
  if (ignore?.has('vmas')) return null;
  const rows = (from: Observation): string[] => from.vmas.map(vmaText);
  const kernelRows = rows(kernel);
  const engineRows = rows(engine);
  if (kernelRows.join() === engineRows.join()) return null;
  return { field: 'vmas', kernel: kernelRows, engine: engineRows };
}

/** `100000000000-100000200000 rw p` */
function vmaText(row: readonly [number, number, string, string]): string {
  return `${row[0].toString(16)}-${row[1].toString(16)} ${row[2]} ${row[3]}`;
}
