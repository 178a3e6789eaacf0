import { InputError } from '../../base/index.ts';

const LINE_MAX_BYTES = 1 << 20;
const NEWLINE = 10;

/**
 * Bytes in pieces as lines, without making strings: the current line is `bytes[start, end)`. A line
 * that spans pieces is joined; a carriage return before the newline is left out.
 */
export class ByteLines {
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;
  /** Number of the current line, from 1. */
  line = 0;
  readonly #chunks: Iterator<Uint8Array>;
  readonly #name: string;
  #next = 0;

  constructor(name: string, chunks: Iterable<Uint8Array>) {
    this.#name = name;
    this.#chunks = chunks[Symbol.iterator]();
  }

  /** Goes to the next line; false at the end. Throws InputError for a line of over 1 MiB. */
  next(): boolean {
    let at = this.bytes.indexOf(NEWLINE, this.#next);
    while (at < 0) {
      const { done, value } = this.#chunks.next();
      const rest = this.bytes.length - this.#next;
      if (done === true) {
        if (rest <= 0) return false;
        at = this.bytes.length;
        break;
      }
      if (rest > LINE_MAX_BYTES) {
        const place = `${this.#name}:${this.line + 1}`;
        throw new InputError(`${place}: a line longer than ${LINE_MAX_BYTES} bytes`);
      }
      this.#join(value, rest);
      at = this.bytes.indexOf(NEWLINE, rest);
    }
    this.start = this.#next;
    this.#next = at + 1;
    this.end = at > this.start && this.bytes[at - 1] === 13 ? at - 1 : at;
    this.line += 1;
    return true;
  }

  /** The current line as text, for messages: at most its first 60 characters, printable. */
  get text(): string {
    const end = Math.min(this.end, this.start + 60);
    let text = '';
    for (let i = this.start; i < end; i++) {
      const code = this.bytes[i]!;
      text += code >= 32 && code < 127 ? String.fromCharCode(code) : '?';
    }
    return text;
  }

  /** An error at the current line. */
  error(what: string): InputError {
    return new InputError(`${this.#name}:${this.line}: ${what}`);
  }

  #join(chunk: Uint8Array, rest: number): void {
    if (rest === 0) this.bytes = chunk;
    else {
      const joined = new Uint8Array(rest + chunk.length);
      joined.set(this.bytes.subarray(this.#next));
      joined.set(chunk, rest);
      this.bytes = joined;
    }
    this.#next = 0;
  }
}
