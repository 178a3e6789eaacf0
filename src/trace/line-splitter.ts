import { InputError } from '../base/index.ts';

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** No line of a trace is longer: so a file of garbage costs a bounded amount of memory. */
export const MAX_LINE_BYTES = 1 << 20;

/**
 * Pulls lines out of chunks, as byte ranges `bytes[start, end)` without line ends, holding one line
 * at most besides the caller's chunk. Lines are counted from 1.
 */
export class LineSplitter {
  bytes = new Uint8Array(0);
  start = 0;
  end = 0;
  line = 0;

  readonly #name: string;
  readonly #chunks: Iterator<Uint8Array>;
  #chunk = new Uint8Array(0);
  #at = 0;
  #carry = new Uint8Array(256);

  constructor(name: string, chunks: Iterable<Uint8Array>) {
    this.#name = name;
    this.#chunks = chunks[Symbol.iterator]();
  }

  /** Moves to the next line; false at the end. */
  next(): boolean {
    this.line++;
    const newline = this.#chunk.indexOf(NEWLINE, this.#at);
    if (newline < 0) return this.#nextAcrossChunks();
    this.#setLine(this.#chunk, this.#at, newline);
    this.#at = newline + 1;
    return true;
  }

  #nextAcrossChunks(): boolean {
    let carried = this.#carryOver(0, this.#chunk.length);
    for (;;) {
      const { done, value } = this.#chunks.next();
      if (done) {
        this.#chunk = new Uint8Array(0);
        this.#at = 0;
        this.#setLine(this.#carry, 0, carried);
        return carried > 0;
      }
      this.#chunk = value as Uint8Array<ArrayBuffer>;
      this.#at = 0;
      const newline = this.#chunk.indexOf(NEWLINE);
      carried = this.#carryOver(carried, newline < 0 ? this.#chunk.length : newline);
      if (newline < 0) continue;
      this.#at = newline + 1;
      this.#setLine(this.#carry, 0, carried);
      return true;
    }
  }

  /** Appends the chunk's bytes up to `end` to the carried line; gives its length. */
  #carryOver(carried: number, end: number): number {
    const length = carried + end - this.#at;
    this.#checkLength(length);
    if (length > this.#carry.length) {
      const larger = new Uint8Array(Math.min(2 * length, MAX_LINE_BYTES));
      larger.set(this.#carry.subarray(0, carried));
      this.#carry = larger;
    }
    this.#carry.set(this.#chunk.subarray(this.#at, end), carried);
    return length;
  }

  #setLine(bytes: Uint8Array<ArrayBuffer>, start: number, end: number): void {
    this.#checkLength(end - start);
    this.bytes = bytes;
    this.start = start;
    this.end = end > start && bytes[end - 1] === RETURN ? end - 1 : end;
  }

  #checkLength(length: number): void {
    if (length <= MAX_LINE_BYTES) return;
    throw new InputError(
      `${this.#name}:${this.line}: a line longer than ${MAX_LINE_BYTES} bytes; a trace has one event a line`,
    );
  }
}
