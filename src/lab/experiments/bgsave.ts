import { InputError } from '../../base/index.ts';
import {
  areasOf,
  Morsel,
  morselCounters,
  occupancyOf,
  type Process,
  System,
} from '../../engine/index.ts';
import { Op, type TraceEvent, type TraceReader } from '../../trace/index.ts';
import { attachMechanisms, parseKernel } from '../kernels.ts';
import { Executor } from '../replay/executor.ts';

/**
 * A snapshot of a recorded program: what its fork costs, and the copies on write until the child ends. By
 * fork as it is, by a fork that shares last-level tables, and by clones of Morsels that hold the same
 * pages. The recording has a touch for each fault of plain Linux alone, so later touches of the same
 * pages by either side are not in it: the same touches for all three.
 */
export const SNAPSHOT_WAYS = ['fork', 'on-demand fork', 'Morsel clone'] as const;
export type SnapshotWay = (typeof SNAPSHOT_WAYS)[number];

const KERNELS = { fork: 'linux-6.18', 'on-demand fork': 'linux-6.18+on-demand-fork' } as const;
const GIB = 2 ** 30;
const PAGE = 4096;

export interface SnapshotCost {
  readonly way: SnapshotWay;
  /** Pages of private anonymous memory that the parent had. */
  readonly pages: number;
  /** Entries written for the child, of any level; tables made for it; counts of tables and pages changed. */
  readonly entries: number;
  readonly tables: number;
  readonly counts: number;
  /** The child's own page tables right after. */
  readonly childTablesKiB: number;
  /** Measured: the engine's time for it. */
  readonly engineMs: number;
  /** Until the child ended: pages and tables copied on write, entries of those tables, and counts. */
  readonly pageCopies: number;
  readonly tableCopies: number;
  readonly entriesAfter: number;
  readonly countsAfter: number;
}

/** What the snapshot of the recording's first fork costs one way. `nowMs`: a steady clock. */
export function snapshotCost(
  reader: TraceReader,
  way: SnapshotWay,
  nowMs: () => number,
): SnapshotCost {
  return way === 'Morsel clone' ? byClone(reader, nowMs) : byFork(reader, way, nowMs);
}

/** Runs the events before the first fork, and gives that: readers may use one record for all. */
function upToFork(reader: TraceReader, executor: Executor): TraceEvent {
  for (let event = reader.next(); event !== null; event = reader.next()) {
    if (event.op === Op.fork) return { ...event };
    executor.apply(event);
  }
  throw new InputError('the trace has no fork');
}

function systemFor(kernelName: string): System {
  const kernel = parseKernel(kernelName);
  const system = new System({ nodeBytes: [24 * GIB], rules: kernel.rules });
  attachMechanisms(system.machine, kernel);
  return system;
}

function byFork(reader: TraceReader, way: keyof typeof KERNELS, nowMs: () => number): SnapshotCost {
  const system = systemFor(KERNELS[way]);
  const { machine: m } = system;
  const executor = new Executor(system);
  const event = upToFork(reader, executor);
  const parent = system.process(event.pid) as Process;
  const pages = anonymousPages(parent).length;
  const before = { ...m.forkWork };
  const countsBefore = m.sharing?.work.countChanges ?? 0;
  const startMs = nowMs();
  executor.apply(event);
  const engineMs = nowMs() - startMs;
  const child = system.process(event.child) as Process;
  const copied = m.forkWork.entriesCopied - before.entriesCopied;
  const shared = m.forkWork.tablesShared - before.tablesShared;
  const sharing = { ...m.sharing?.work };
  const childTablesKiB = child.counters().vmPteKiB;
  const pageCopies = cowFaultsUntilExit(reader, executor, parent, child);
  const since = (name: 'unshared' | 'entriesCopied' | 'countChanges'): number =>
    (m.sharing?.work[name] ?? 0) - (sharing[name] ?? 0);
  return {
    way,
    pages,
    entries: copied + shared,
    tables: childTablesKiB / 4,
    // A mapping of each page, or a sharer of each table.
    counts: copied + (sharing.countChanges ?? 0) - countsBefore,
    childTablesKiB,
    engineMs,
    pageCopies,
    tableCopies: since('unshared'),
    entriesAfter: since('entriesCopied'),
    countsAfter: since('entriesCopied') + since('countChanges'),
  };
}

/** Runs on until the child has ended, and not its end; the pages that both copied on write. */
function cowFaultsUntilExit(
  reader: TraceReader,
  executor: Executor,
  parent: Process,
  child: Process,
): number {
  const cows = (): number => parent.counters().cowFaults + child.counters().cowFaults;
  const before = cows();
  for (let event = reader.next(); event !== null; event = reader.next()) {
    if (event.op === Op.exit && event.pid === child.pid) break;
    executor.apply(event);
  }
  return cows() - before;
}

/** Present pages of private anonymous memory. */
function anonymousPages({ machine, mm }: Process): number[] {
  const pages: number[] = [];
  for (const { start, end, isShared, object } of areasOf(machine, mm)) {
    if (isShared || object !== 0) continue;
    for (let page = start / PAGE; page < end / PAGE; page++) {
      if (occupancyOf(machine, mm, page, page + 1).present > 0) pages.push(page);
    }
  }
  return pages;
}

/** The parent's pages in Morsels of 1 GiB at their own addresses; the child gets a clone of each. */
function byClone(reader: TraceReader, nowMs: () => number): SnapshotCost {
  const plain = systemFor(KERNELS.fork);
  const executor = new Executor(plain);
  const event = upToFork(reader, executor);
  const recorded = plain.process(event.pid) as Process;
  const pages = anonymousPages(recorded);
  const system = systemFor('linux-6.18+morsels');
  const parent = system.spawn(recorded.pid);
  const child = system.spawn(event.child);
  const morsels = new Map<number, Morsel>();
  for (const page of pages) {
    const place = Math.floor((page * PAGE) / GIB) * GIB;
    if (!morsels.has(place)) morsels.set(place, mapped(system, parent, place));
    parent.touch(page * PAGE, true);
  }
  const before = morselCounters(system.machine);
  const tables = (): number => parent.counters().vmPteKiB + child.counters().vmPteKiB;
  const ownBefore = tables();
  const startMs = nowMs();
  for (const [place, morsel] of morsels) {
    const clone = morsel.clone();
    if (typeof clone === 'number') throw new Error(`no memory for a clone: ${clone}`);
    clone.map(child, place);
  }
  const engineMs = nowMs() - startMs;
  const childTablesKiB = tables() - ownBefore;
  touchUntilExit(reader, executor, event, new Map([parent, child].map((p) => [p.pid, p])), morsels);
  const after = morselCounters(system.machine);
  const since = (name: string): number => (after[name] ?? 0) - (before[name] ?? 0);
  return {
    way: 'Morsel clone',
    pages: pages.length,
    // The entry that leads to each clone, and those above it.
    entries: morsels.size + childTablesKiB / 4,
    tables: childTablesKiB / 4,
    counts: morsels.size,
    childTablesKiB,
    engineMs,
    pageCopies: since('pageCopies'),
    tableCopies: since('tableCopies'),
    entriesAfter: since('entriesCopied'),
    countsAfter: since('countsChanged'),
  };
}

function mapped(system: System, process: Process, place: number): Morsel {
  const morsel = Morsel.create(system, '1G');
  if (typeof morsel === 'number') throw new Error(`no memory for a Morsel: ${morsel}`);
  morsel.map(process, place);
  return morsel;
}

/** The same touches of private anonymous memory, in the Morsels. New memory of new places is left out. */
function touchUntilExit(
  reader: TraceReader,
  executor: Executor,
  fork: TraceEvent,
  processes: ReadonlyMap<number, Process>,
  morsels: ReadonlyMap<number, Morsel>,
): void {
  executor.apply(fork);
  for (let event = reader.next(); event !== null; event = reader.next()) {
    if (event.op === Op.exit && event.pid === fork.child) return;
    const process = processes.get(event.pid);
    const isKnown = morsels.has(Math.floor(event.addr / GIB) * GIB);
    if (event.op === Op.touch && process !== undefined && isKnown && isAnonymous(executor, event)) {
      process.touch(event.addr, event.isWrite, event.count, event.strideBytes);
    }
    executor.apply(event);
  }
}

function isAnonymous({ system }: Executor, { pid, addr }: TraceEvent): boolean {
  const process = system.process(pid);
  if (process === undefined) return false;
  const [area] = areasOf(system.machine, process.mm, addr, addr + 1);
  return area !== undefined && area.object === 0 && !area.isShared;
}
