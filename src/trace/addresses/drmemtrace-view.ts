import { ACCESS_MAX_BYTES, type AddressBatch, FETCH } from '../../base/index.ts';
import type { AddressOptions, AddressSource } from './address-source.ts';
import { ByteLines } from './byte-lines.ts';
import { HexScanner } from './hex.ts';

/**
 * The text of drmemtrace's view tool (drcachesim/tools/view.cpp): `… read  8 byte(s) @ 0xaddr by PC
 * 0xpc`, `write`, `ifetch`, after columns of numbers. Other records (markers, prefetches, further
 * lines of a long instruction) are left out.
 */
const BYTES_WORD = ' byte(s) @ 0x';

export class DrmemtraceViewSource implements AddressSource {
  readonly #lines: ByteLines;
  readonly #hex = new HexScanner();
  readonly #hasFetches: boolean;

  constructor(chunks: Iterable<Uint8Array>, options: AddressOptions) {
    this.#lines = new ByteLines(options.name, chunks);
    this.#hasFetches = options.hasFetches;
  }

  fill(batch: AddressBatch): boolean {
    const room = batch.entriesOf(ACCESS_MAX_BYTES);
    while (!batch.isFull(room)) {
      if (!this.#lines.next()) return batch.count > 0;
      this.#take(batch);
    }
    return true;
  }

  #take(batch: AddressBatch): void {
    const { bytes, start, end } = this.#lines;
    const at = findWord(bytes, start, end);
    if (at < 0) return;
    let sizeAt = at;
    while (sizeAt > start && isDigit(bytes[sizeAt - 1]!)) sizeAt -= 1;
    let nameEnd = sizeAt;
    while (nameEnd > start && bytes[nameEnd - 1] === 32) nameEnd -= 1;
    let nameAt = nameEnd;
    while (nameAt > start && bytes[nameAt - 1] !== 32) nameAt -= 1;
    const name = ascii(bytes, nameAt, nameEnd);
    const isFetch = name === 'ifetch';
    if (!isFetch && name !== 'read' && name !== 'write') return;
    const size = Number(ascii(bytes, sizeAt, at));
    const digits = this.#hex.scan(bytes, at + BYTES_WORD.length, end);
    if (sizeAt === at || size < 1 || size > ACCESS_MAX_BYTES || digits === 0 || digits > 16) {
      throw this.#lines.error(`'${this.#lines.text}': want '${name} SIZE byte(s) @ 0xADDR'`);
    }
    if (isFetch) batch.instructions += 1;
    if (isFetch && !this.#hasFetches) return;
    batch.add(this.#hex.high, this.#hex.low, size, isFetch ? FETCH : 0);
  }
}

/** Where ` byte(s) @ 0x` begins, or -1. */
function findWord(bytes: Uint8Array, start: number, end: number): number {
  for (let at = bytes.indexOf(64, start); at >= 0 && at < end; at = bytes.indexOf(64, at + 1)) {
    const from = at - BYTES_WORD.indexOf('@');
    if (from >= start && ascii(bytes, from, from + BYTES_WORD.length) === BYTES_WORD) return from;
  }
  return -1;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function ascii(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to));
}
