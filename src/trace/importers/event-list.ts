import { InputError } from '../../base/index.ts';
import { checkEvent } from '../check-event.ts';
import {
  emptyEvent,
  OP_NAMES,
  Op,
  type Outcome,
  type TraceEvent,
  type TraceHeader,
  type TraceReader,
} from '../event.ts';
import { LifeCheck } from '../life-check.ts';
import { resetEvent } from '../record.ts';

const COLUMNS = 5;
const IS_WRITE = 1;

/** The fields of an event that differ from their neutral values. */
export type EventFields = Partial<TraceEvent> & { op: Op };

/**
 * Events while an importer works on them: touches, nearly all of a recording, as five numbers each.
 * Positions count the events; others can be inserted before one later, when all has been seen.
 */
export class EventList {
  length = 0;
  #columns = new Float64Array(COLUMNS * 1024);
  readonly #others = new Map<number, TraceEvent>();
  readonly #insertedBefore = new Map<number, TraceEvent[]>();

  /** Appends an event other than a touch; gives it, so that it can be completed later. */
  push(fields: EventFields): TraceEvent {
    const event = { ...emptyEvent(), ...fields };
    this.#others.set(this.#row(), event);
    return event;
  }

  /** Appends a touch; gives its position. */
  pushTouch(pid: number, tid: number, timeNs: number, addr: number, isWrite: boolean): number {
    const row = this.#row();
    const at = row * COLUMNS;
    this.#columns[at] = pid;
    this.#columns[at + 1] = tid;
    this.#columns[at + 2] = timeNs;
    this.#columns[at + 3] = addr;
    this.#columns[at + 4] = isWrite ? IS_WRITE : 0;
    return row;
  }

  /** Puts events before the one at `position` (or at the end), after those put there already. */
  insertBefore(position: number, events: readonly EventFields[]): void {
    let list = this.#insertedBefore.get(position);
    if (list === undefined) this.#insertedBefore.set(position, (list = []));
    for (const fields of events) list.push({ ...emptyEvent(), ...fields });
  }

  /** All events in order, in one record that is reused; `setOutcome` stores a touch's answer. */
  *entries(): Iterable<{ event: TraceEvent; setOutcome: (outcome: Outcome) => void }> {
    const touch = emptyEvent();
    for (let row = 0; row <= this.length; row++) {
      for (const event of this.#insertedBefore.get(row) ?? []) {
        yield {
          event,
          setOutcome: (outcome) => {
            event.outcome = outcome;
          },
        };
      }
      if (row === this.length) return;
      const other = this.#others.get(row);
      if (other === undefined) this.#fillTouch(touch, row);
      const event = other ?? touch;
      yield {
        event,
        setOutcome: (outcome) => {
          event.outcome = outcome;
          if (other === undefined) this.#setTouchOutcome(row, outcome);
        },
      };
    }
  }

  #setTouchOutcome(row: number, outcome: Outcome): void {
    const at = row * COLUMNS + 4;
    this.#columns[at] = ((this.#columns[at] as number) & IS_WRITE) | (outcome << 1);
  }

  #fillTouch(event: TraceEvent, row: number): void {
    const at = row * COLUMNS;
    const columns = this.#columns;
    resetEvent(event);
    event.op = Op.touch;
    event.pid = columns[at] as number;
    event.tid = columns[at + 1] as number;
    event.timeNs = columns[at + 2] as number;
    event.addr = columns[at + 3] as number;
    const bits = columns[at + 4] as number;
    event.isWrite = (bits & IS_WRITE) !== 0;
    event.outcome = (bits >> 1) as Outcome;
  }

  #row(): number {
    if ((this.length + 1) * COLUMNS > this.#columns.length) {
      const larger = new Float64Array(2 * this.#columns.length);
      larger.set(this.#columns);
      this.#columns = larger;
    }
    return this.length++;
  }
}

/**
 * Gives an importer's events as a trace. Throws InputError for one that no trace may have: then the
 * recording contradicts itself.
 */
export class ListReader implements TraceReader {
  readonly header: TraceHeader;
  readonly #name: string;
  readonly #life = new LifeCheck('event');
  readonly #entries: Iterator<{ event: TraceEvent }>;
  #line = 0;

  /** `name` is the recording's, for messages. */
  constructor(name: string, header: TraceHeader, list: EventList) {
    this.#name = name;
    this.header = header;
    this.#entries = list.entries()[Symbol.iterator]();
  }

  next(): TraceEvent | null {
    const { done, value } = this.#entries.next();
    if (done) return null;
    const event = value.event;
    event.line = ++this.#line;
    const problem = checkEvent(event) ?? this.#life.check(event);
    if (problem !== null) {
      throw new InputError(
        `${this.#name}: event ${event.line} (${OP_NAMES[event.op]}): ${problem}`,
      );
    }
    return event;
  }
}
