import type { Machine } from '../../engine/index.ts';
import { formatAddress, formatAdvice, OP_NAMES, Op, type TraceEvent } from '../../trace/index.ts';

/** Which events of a trace freed page tables for being empty (`tablesFreed`). */
export interface FreedTables {
  /** Most tables first. */
  causes: FreedByCause[];
  /** The first calls that freed any, in order. */
  calls: FreedByCall[];
  /** Places of which most tables were freed, by the slot of a table in which a call began. */
  places: FreedAtPlace[];
}

export interface FreedByCause {
  /** `madvise dontneed`, `munmap`, …, `reclaim` for memory that was short, `scan`. */
  cause: string;
  tables: number;
  /** Calls that freed at least one. */
  calls: number;
  /** Tables freed by calls of less than a table's span: the whole-table rule leaves those. */
  byPieces: number;
}

export interface FreedByCall {
  line: number;
  pid: number;
  cause: string;
  addr: string;
  len: number;
  tables: number;
}

export interface FreedAtPlace {
  /** Where the table's slot begins. */
  addr: string;
  cause: string;
  tables: number;
  firstLine: number;
  lastLine: number;
}

/** Calls that a result lists; all are counted. */
const CALLS_MAX = 256;
const PLACES_SHOWN = 10;
/** Places that are watched: a program with more of them is told by its first. */
const PLACES_MAX = 4096;

/**
 * Finds out by the machine's own count (`Machine.tablesFreed`), looked at after each event: nothing is
 * added to a fault or to the freeing itself. What reclaim frees inside an event is told apart by
 * standing around the event `memoryShort`.
 */
export class FreedTablesLog {
  readonly #m: Machine;
  readonly #causes = new Map<string, FreedByCause>();
  readonly #calls: FreedByCall[] = [];
  readonly #places = new Map<number, FreedAtPlace>();
  readonly #slotBytes: number;
  #seen: number;

  /** Mechanisms must be attached already. */
  constructor(m: Machine) {
    this.#m = m;
    this.#seen = m.tablesFreed;
    this.#slotBytes = m.entryCount * 4096;
    const reclaim = m.events.memoryShort;
    if (reclaim === null) return;
    m.events.memoryShort = (machine, frames) => {
      const before = m.tablesFreed;
      const freed = reclaim(machine, frames);
      const tables = m.tablesFreed - before;
      if (tables > 0) {
        this.#cause('reclaim', tables, false);
        this.#seen += tables;
      }
      return freed;
    };
  }

  /** After an event was executed. */
  after(event: TraceEvent): void {
    if (this.#m.tablesFreed !== this.#seen) this.#freed(event);
  }

  /** After something that is no event of the trace: what it freed is put down to `cause`. */
  by(cause: string): void {
    const tables = this.#m.tablesFreed - this.#seen;
    if (tables === 0) return;
    this.#seen = this.#m.tablesFreed;
    this.#cause(cause, tables, false);
  }

  #freed(event: TraceEvent): void {
    const tables = this.#m.tablesFreed - this.#seen;
    this.#seen = this.#m.tablesFreed;
    const cause = causeOf(event);
    const hasRange = event.op !== Op.truncate && event.op !== Op.punch;
    this.#cause(cause, tables, hasRange && event.len < this.#slotBytes);
    if (this.#calls.length < CALLS_MAX) {
      const { line, pid, len } = event;
      this.#calls.push({ line, pid, cause, addr: formatAddress(event.addr), len, tables });
    }
    if (hasRange) this.#place(event, cause, tables);
  }

  #cause(cause: string, tables: number, isPiece: boolean): void {
    let entry = this.#causes.get(cause);
    if (entry === undefined) {
      entry = { cause, tables: 0, calls: 0, byPieces: 0 };
      this.#causes.set(cause, entry);
    }
    entry.tables += tables;
    entry.calls += 1;
    if (isPiece) entry.byPieces += tables;
  }

  #place(event: TraceEvent, cause: string, tables: number): void {
    const slot = Math.floor(event.addr / this.#slotBytes);
    const place = this.#places.get(slot);
    if (place !== undefined) {
      place.tables += tables;
      place.lastLine = event.line;
      return;
    }
    if (this.#places.size >= PLACES_MAX) return;
    const { line } = event;
    const addr = formatAddress(slot * this.#slotBytes);
    this.#places.set(slot, { addr, cause, tables, firstLine: line, lastLine: line });
  }

  result(): FreedTables {
    return {
      causes: [...this.#causes.values()].sort((a, b) => b.tables - a.tables),
      calls: this.#calls,
      places: [...this.#places.values()]
        .sort((a, b) => b.tables - a.tables || a.firstLine - b.firstLine)
        .slice(0, PLACES_SHOWN),
    };
  }
}

function causeOf(event: TraceEvent): string {
  const name = OP_NAMES[event.op] ?? '';
  return event.op === Op.madvise ? `${name} ${formatAdvice(event.advice)}` : name;
}
