import type { ServerShape, TraceEvent, TraceHeader, TraceReader } from '../../trace/index.ts';

/** A generated trace: a program written as events, with parameters. */
export interface Workload {
  readonly name: string;
  readonly title: string;
  /** Parameters for --set with their defaults. */
  readonly parameters: Readonly<Record<string, WorkloadParameter>>;
  /** Machine preset that it needs; default `default`. */
  readonly machine?: string;
  /** It says what it writes: a replay keeps page contents. */
  readonly hasContents?: boolean;
  events(values: Readonly<Record<string, number>>, seed: number): Iterable<TraceEvent>;
  /** Who serves its requests; undefined where, with these values, it has none. */
  server?(values: Readonly<Record<string, number>>): ServerShape | undefined;
}

export interface WorkloadParameter {
  readonly value: number;
  readonly least: number;
  readonly what: string;
}

/** A workload as a trace to read. */
export class WorkloadReader implements TraceReader {
  readonly header: TraceHeader;
  readonly #events: Iterator<TraceEvent>;
  #line = 0;

  constructor(workload: Workload, values: Readonly<Record<string, number>>, seed: number) {
    const server = workload.server?.(values);
    this.header = {
      pagelab: 1,
      source: `workload ${workload.name}`,
      seed,
      ...values,
      ...(workload.hasContents ? { contents: true } : {}),
      ...(server === undefined ? {} : { server }),
    };
    this.#events = workload.events(values, seed)[Symbol.iterator]();
  }

  next(): TraceEvent | null {
    const { done, value } = this.#events.next();
    if (done) return null;
    value.line = ++this.#line;
    return value;
  }
}
