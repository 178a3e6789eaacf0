import { InputError } from '../../base/index.ts';
import { type FaultRecord, parseTracefsLine, type TracefsRecord } from './tracefs-line.ts';

const COLUMNS = 5;
const NOT_A_FAULT = -1;

/**
 * All records of a trace_pipe recording in the order of time. Faults, nearly all of a recording, are
 * kept as five numbers each: deciding what is a thread and what exec mapped needs the whole recording.
 */
export class TracefsLog {
  /** Lines per reason that say nothing for a trace. */
  readonly ignored = new Map<string, number>();
  lostEvents = 0;
  /** Processes of threads, where the option `record-tgid` was on. */
  readonly tgidByTid = new Map<number, number>();
  length = 0;
  #columns = new Float64Array(COLUMNS * 1024);
  readonly #others: TracefsRecord[] = [];
  readonly #ips: string[] = [];
  readonly #ipNumbers = new Map<string, number>();
  #order: Uint32Array | null = null;

  constructor(lines: Iterable<string>, name: string) {
    let lineNumber = 0;
    for (const line of lines) {
      lineNumber++;
      const record = parseTracefsLine(line);
      if (record === null) {
        throw new InputError(
          `${name}:${lineNumber}: not a line of tracefs' trace_pipe; it must look like comm-123 [000] d.... 12.345678: page_fault_user: address=0x…`,
        );
      }
      if (record.kind === 'comment') continue;
      if (record.kind === 'lost') this.lostEvents += record.events;
      else if (record.kind === 'other') this.#ignore('events that a trace has no place for');
      else this.#append(record);
    }
    this.#sort();
  }

  #ignore(reason: string): void {
    this.ignored.set(reason, (this.ignored.get(reason) ?? 0) + 1);
  }

  tid(index: number): number {
    return this.#at(index, 0);
  }

  timeNs(index: number): number {
    return this.#at(index, 1);
  }

  /** The record if it is no fault. */
  other(index: number): Exclude<TracefsRecord, FaultRecord> | null {
    if (this.#at(index, 4) !== NOT_A_FAULT) return null;
    return this.#others[this.#at(index, 2)] as Exclude<TracefsRecord, FaultRecord>;
  }

  addr(index: number): number {
    return this.#at(index, 2);
  }

  errorCode(index: number): number {
    return this.#at(index, 3);
  }

  /** The kernel function that faulted; '' for a fault of the program itself. */
  kernelIp(index: number): string {
    return this.#ips[this.#at(index, 4)] as string;
  }

  #at(index: number, column: number): number {
    const row = this.#order === null ? index : (this.#order[index] as number);
    return this.#columns[row * COLUMNS + column] as number;
  }

  #append(record: TracefsRecord): void {
    if ((this.length + 1) * COLUMNS > this.#columns.length) {
      const larger = new Float64Array(2 * this.#columns.length);
      larger.set(this.#columns);
      this.#columns = larger;
    }
    if (record.tgid !== 0) this.tgidByTid.set(record.tid, record.tgid);
    const at = this.length++ * COLUMNS;
    const columns = this.#columns;
    columns[at] = record.tid;
    columns[at + 1] = record.timeNs;
    if (record.kind === 'fault') {
      columns[at + 2] = record.addr;
      columns[at + 3] = record.errorCode;
      columns[at + 4] = this.#ipNumber(record.isKernel ? record.ip : '');
    } else {
      columns[at + 2] = this.#others.push(record) - 1;
      columns[at + 4] = NOT_A_FAULT;
    }
  }

  #ipNumber(ip: string): number {
    let number = this.#ipNumbers.get(ip);
    if (number === undefined) {
      number = this.#ips.push(ip) - 1;
      this.#ipNumbers.set(ip, number);
    }
    return number;
  }

  /** trace_pipe merges its cpus by time, but not perfectly. Equal times keep their order. */
  #sort(): void {
    let isSorted = true;
    for (let i = 1; i < this.length && isSorted; i++)
      isSorted = this.timeNs(i - 1) <= this.timeNs(i);
    if (isSorted) return;
    const order = Uint32Array.from({ length: this.length }, (_, i) => i);
    const time = (row: number): number => this.#columns[row * COLUMNS + 1] as number;
    this.#order = order.sort((a, b) => time(a) - time(b) || a - b);
  }
}
