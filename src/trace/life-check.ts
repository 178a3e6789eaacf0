import { Op, type TraceEvent } from './event.ts';

const ALIVE = 0;

/**
 * Checks that a trace's processes live sensible lives: a process exists from its first event, a
 * fork's child is not there yet, and after its exit a process has no event until a fork makes its
 * number anew. Costs next to nothing for a run of events of one process.
 */
export class LifeCheck {
  /** `ALIVE`, or the line of the exit. */
  readonly #exitLineByPid = new Map<number, number>();
  #lastPid = -1;
  readonly #unit: string;

  /** `unit` is what the events' `line` counts: `line` in text, `event` in binary. */
  constructor(unit = 'line') {
    this.#unit = unit;
  }

  /** What is wrong with this event coming now, or null. */
  check(event: TraceEvent): string | null {
    if (event.pid === this.#lastPid && event.op !== Op.fork && event.op !== Op.exit) return null;
    return this.#checkSlowly(event);
  }

  #checkSlowly(event: TraceEvent): string | null {
    const pid = event.pid;
    if (event.op === Op.mark && pid === 0) return null;
    const exitLine = this.#exitLineByPid.get(pid);
    if (exitLine === undefined) this.#exitLineByPid.set(pid, ALIVE);
    else if (exitLine !== ALIVE) {
      return `process ${pid} exited at ${this.#unit} ${exitLine}; only a fork can start it again`;
    }
    this.#lastPid = pid;
    if (event.op === Op.fork) {
      if (this.#exitLineByPid.get(event.child) === ALIVE) {
        return `process ${event.child} is alive already; a fork's child must be a new process`;
      }
      this.#exitLineByPid.set(event.child, ALIVE);
    } else if (event.op === Op.exit) {
      this.#exitLineByPid.set(pid, event.line);
      this.#lastPid = -1;
    }
    return null;
  }
}
