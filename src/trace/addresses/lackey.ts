import { ACCESS_MAX_BYTES, type AddressBatch, FETCH } from '../../base/index.ts';
import type { AddressOptions, AddressSource } from './address-source.ts';
import { ByteLines } from './byte-lines.ts';
import { HexScanner } from './hex.ts';

const SPACE = 32;
const COMMA = 44;
const EQUALS = 61;
const LETTER_I = 73;
const LETTER_L = 76;
const LETTER_M = 77;
const LETTER_S = 83;
/** A modify may make four entries, if its bytes are in two granules. */
const ROOM_ENTRIES = 2;

/**
 * The text of `valgrind --tool=lackey --trace-mem=yes` (lackey/lk_main.c): `I  addr,size` for an
 * instruction, ` L`, ` S`, ` M` for a load, a store and both at the same address. A modify is a load
 * and then a store. Lines of valgrind itself begin with `==`; those of the traced program may stand
 * between them and are refused, as they may hide a line: give lackey a --log-file.
 */
export class LackeySource implements AddressSource {
  readonly #lines: ByteLines;
  readonly #hex = new HexScanner();
  readonly #hasFetches: boolean;

  constructor(chunks: Iterable<Uint8Array>, options: AddressOptions) {
    this.#lines = new ByteLines(options.name, chunks);
    this.#hasFetches = options.hasFetches;
  }

  fill(batch: AddressBatch): boolean {
    const lines = this.#lines;
    const room = ROOM_ENTRIES * batch.entriesOf(ACCESS_MAX_BYTES);
    while (!batch.isFull(room)) {
      if (!lines.next()) return batch.count > 0;
      this.#take(batch);
    }
    return true;
  }

  #take(batch: AddressBatch): void {
    const { bytes, start, end } = this.#lines;
    const first = bytes[start];
    if (start === end || (first === EQUALS && bytes[start + 1] === EQUALS)) return;
    // `I  addr` and ` L addr`: the letter stands first or second, the address fourth.
    const letter = first === SPACE ? bytes[start + 1]! : first!;
    const isData = letter === LETTER_L || letter === LETTER_S || letter === LETTER_M;
    if (!isData && letter !== LETTER_I) throw this.#malformed();
    const hex = this.#hex;
    const digits = hex.scan(bytes, start + 3, end);
    if (digits === 0 || digits > 16 || bytes[start + 2] !== SPACE || bytes[hex.end] !== COMMA) {
      throw this.#malformed();
    }
    const size = this.#size(bytes, hex.end + 1, end);
    if (!isData) {
      batch.instructions += 1;
      if (this.#hasFetches) batch.add(hex.high, hex.low, size, FETCH);
      return;
    }
    batch.add(hex.high, hex.low, size, 0);
    if (letter === LETTER_M) batch.add(hex.high, hex.low, size, 0);
  }

  #size(bytes: Uint8Array, at: number, end: number): number {
    let size = 0;
    for (let i = at; i < end; i++) {
      const digit = bytes[i]! - 48;
      if (digit < 0 || digit > 9 || size > ACCESS_MAX_BYTES) throw this.#malformed();
      size = size * 10 + digit;
    }
    if (size < 1 || size > ACCESS_MAX_BYTES) throw this.#malformed();
    return size;
  }

  #malformed(): Error {
    const wanted = `want 'I  addr,size', ' L', ' S' or ' M' with addr in hex and size from 1 to ${ACCESS_MAX_BYTES}`;
    return this.#lines.error(`'${this.#lines.text}' is no line of lackey; ${wanted}`);
  }
}
