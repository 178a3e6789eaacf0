import { HUGE_ENABLED, InputError } from '../base/index.ts';
import { checkEvent } from './check-event.ts';
import {
  emptyEvent,
  type ServerShape,
  type TraceEvent,
  type TraceHeader,
  type TraceReader,
} from './event.ts';
import { isWithinDepth, MAX_JSON_DEPTH } from './json-depth.ts';
import { LifeCheck } from './life-check.ts';
import { LineSplitter } from './line-splitter.ts';
import { resetEvent } from './record.ts';
import { fillFromObject, shown } from './text-fields.ts';
import { TouchScanner } from './touch-scanner.ts';

// As in base/text.ts; one decoder is kept, as making one costs more than a short line.
declare class TextDecoder {
  constructor(label: string);
  decode(bytes: Uint8Array): string;
}

const FIRST_LINE = '{"pagelab":1,"source":"…"}';

/** Reads the text form (NDJSON, one event a line) from chunks of bytes. */
export class TextReader implements TraceReader {
  readonly header: TraceHeader;
  readonly #name: string;
  readonly #lines: LineSplitter;
  readonly #decoder = new TextDecoder('utf-8');
  readonly #scanner = new TouchScanner();
  readonly #life = new LifeCheck('line');
  readonly #event: TraceEvent = emptyEvent();

  /** `name` is the file's, for messages. Throws InputError if the first line is no header. */
  constructor(name: string, chunks: Iterable<Uint8Array>) {
    this.#name = name;
    this.#lines = new LineSplitter(name, chunks);
    this.header = this.#readHeader();
  }

  next(): TraceEvent | null {
    const lines = this.#lines;
    const event = this.#event;
    do {
      if (!lines.next()) return null;
    } while (lines.start === lines.end);
    resetEvent(event);
    event.line = lines.line;
    if (!this.#scanner.scan(lines.bytes, lines.start, lines.end, event)) {
      resetEvent(event);
      const problem = fillFromObject(this.#parseObject(), event);
      if (problem !== null) this.#fail(problem);
    }
    const problem = checkEvent(event) ?? this.#life.check(event);
    if (problem !== null) this.#fail(problem);
    return event;
  }

  #readHeader(): TraceHeader {
    if (!this.#lines.next()) {
      this.#fail(`not a trace: the file is empty; its first line must be ${FIRST_LINE}`);
    }
    let header: unknown;
    try {
      // A byte order mark is not JSON, but editors put one there.
      header = JSON.parse(this.#lineText().replace(/^\uFEFF/, ''));
    } catch {
      header = null;
    }
    if (typeof header !== 'object' || header === null || !Object.hasOwn(header, 'pagelab')) {
      this.#fail(`not a trace; the first line must be ${FIRST_LINE}`);
    }
    const problem = headerProblem(header as Record<string, unknown>);
    if (problem !== null) this.#fail(problem);
    return { pagelab: 1, source: '', ...header };
  }

  #parseObject(): Record<string, unknown> {
    let value: unknown;
    try {
      value = JSON.parse(this.#lineText());
    } catch {
      value = null;
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.#fail('not a JSON object; an event is a line such as {"op":"exit","pid":1}');
    }
    return value as Record<string, unknown>;
  }

  #lineText(): string {
    const { bytes, start, end } = this.#lines;
    return this.#decoder.decode(bytes.subarray(start, end));
  }

  #fail(problem: string): never {
    throw new InputError(`${this.#name}:${this.#lines.line}: ${problem}`);
  }
}

/** What is wrong with a trace's header, in either form; null if nothing is. */
export function headerProblem(header: Record<string, unknown>): string | null {
  if (header.pagelab !== 1) {
    return `trace version ${shown(header.pagelab)}; this pagelab reads version 1`;
  }
  if (header.source !== undefined && typeof header.source !== 'string') {
    return `"source" is ${shown(header.source)}; give a string`;
  }
  if (header.thp !== undefined && !(HUGE_ENABLED as readonly unknown[]).includes(header.thp)) {
    return `"thp" is ${shown(header.thp)}; give ${HUGE_ENABLED.join(', ')}`;
  }
  if (header.contents !== undefined && typeof header.contents !== 'boolean') {
    return `"contents" is ${shown(header.contents)}; give true or false`;
  }
  if (header.server !== undefined && !isServerShape(header.server)) {
    return `"server" is ${shown(header.server)}; give {"workers":…,"clients":…,"thinkNs":…}, integers, the first two from 1 to ${SERVER_MAX}`;
  }
  return isWithinDepth(header, MAX_JSON_DEPTH) ? null : 'the header nests too deep; nest less';
}

/** Workers and clients that a request loop keeps times of. */
const SERVER_MAX = 1_000_000;

function isServerShape(value: unknown): value is ServerShape {
  if (typeof value !== 'object' || value === null) return false;
  const { workers, clients, thinkNs } = value as Record<string, unknown>;
  const isCount = (count: unknown): boolean =>
    Number.isSafeInteger(count) && (count as number) >= 1 && (count as number) <= SERVER_MAX;
  return (
    isCount(workers) &&
    isCount(clients) &&
    Number.isSafeInteger(thinkNs) &&
    (thinkNs as number) >= 0
  );
}
