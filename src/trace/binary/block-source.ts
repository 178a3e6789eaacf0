import { InputError, utf8Text } from '../../base/index.ts';
import type { TraceHeader } from '../event.ts';
import { headerProblem } from '../text-reader.ts';
import { ByteSource } from './byte-source.ts';
import { crc32c } from './crc32c.ts';
import {
  BLOCK_HEAD_BYTES,
  FILE_HEAD_BYTES,
  KIND_BLOCK,
  KIND_END,
  MAGIC,
  MAX_BLOCK_BYTES,
  MAX_HEADER_BYTES,
  VERSION,
} from './layout.ts';

/**
 * The blocks of a binary trace, one at a time in one buffer that grows to the largest of them. A
 * block is given only after its checksum was found right, and the end only after its event count.
 */
export class BlockSource {
  readonly header: TraceHeader;
  /** The payload is `bytes[BLOCK_HEAD_BYTES, end)`. */
  bytes = new Uint8Array(1 << 17);
  end = BLOCK_HEAD_BYTES;
  /** Events in the block. */
  events = 0;
  /** Of the block's head in the file. */
  offset = 0;

  readonly #name: string;
  readonly #source: ByteSource;
  #totalEvents = 0;

  /** `name` is the file's, for messages. Throws InputError if the file's head is wrong. */
  constructor(name: string, chunks: Iterable<Uint8Array>) {
    this.#name = name;
    this.#source = new ByteSource(chunks);
    this.header = this.#readHeader();
  }

  /** Reads the next block; false at the end of the trace. */
  next(): boolean {
    this.offset = this.#source.offset;
    if (this.#source.read(this.bytes, 0, BLOCK_HEAD_BYTES) < BLOCK_HEAD_BYTES)
      this.#failTruncated();
    const view = new DataView(this.bytes.buffer);
    const kind = view.getUint8(0);
    const low = view.getUint32(1, true);
    const high = view.getUint32(5, true);
    const crc = view.getUint32(9, true);
    if (kind === KIND_BLOCK) {
      this.#readPayload(low, high, crc);
      return true;
    }
    if (kind !== KIND_END) {
      this.fail(this.offset, `damaged: a block begins with "B" or "E", not byte ${kind}`);
    }
    this.#readEnd(low + high * 2 ** 32, crc);
    return false;
  }

  fail(offset: number, problem: string): never {
    throw new InputError(`${this.#name}: byte ${offset}: ${problem}`);
  }

  #readHeader(): TraceHeader {
    const head = new Uint8Array(FILE_HEAD_BYTES);
    const length = this.#source.read(head, 0, FILE_HEAD_BYTES);
    if (length < 4 || MAGIC.some((byte, i) => head[i] !== byte)) {
      this.fail(0, 'not a binary trace; it must begin with "PGLB"');
    }
    if (length > 4 && head[4] !== VERSION) {
      this.fail(4, `binary trace version ${head[4]}; this pagelab reads version ${VERSION}`);
    }
    if (length < FILE_HEAD_BYTES) this.#failTruncated();
    const jsonBytes = new DataView(head.buffer).getUint32(8, true);
    if (jsonBytes > MAX_HEADER_BYTES) {
      this.fail(8, `a header of ${jsonBytes} bytes; at most ${MAX_HEADER_BYTES} are allowed`);
    }
    const rest = new Uint8Array(jsonBytes + 4);
    if (this.#source.read(rest, 0, rest.length) < rest.length) this.#failTruncated();
    const crc = crc32c(rest, 0, jsonBytes, crc32c(head, 0, FILE_HEAD_BYTES));
    if (crc !== new DataView(rest.buffer).getUint32(jsonBytes, true)) {
      this.fail(FILE_HEAD_BYTES, 'the header is damaged (checksum); record or copy it again');
    }
    return this.#parseHeader(utf8Text(rest.subarray(0, jsonBytes)));
  }

  #parseHeader(json: string): TraceHeader {
    let header: unknown;
    try {
      header = JSON.parse(json);
    } catch {
      header = null;
    }
    if (typeof header !== 'object' || header === null) {
      this.fail(FILE_HEAD_BYTES, 'the header is not a JSON object');
    }
    const problem = headerProblem(header as Record<string, unknown>);
    if (problem !== null) this.fail(FILE_HEAD_BYTES, problem);
    return { pagelab: 1, source: '', ...header };
  }

  #readPayload(length: number, events: number, crc: number): void {
    if (length > MAX_BLOCK_BYTES) {
      this.fail(
        this.offset + 1,
        `a block of ${length} bytes; at most ${MAX_BLOCK_BYTES} are allowed`,
      );
    }
    // Each event has two bytes at least.
    if (events === 0 || events > length / 2) {
      this.fail(this.offset + 5, `damaged: ${events} events in a block of ${length} bytes`);
    }
    this.end = BLOCK_HEAD_BYTES + length;
    if (this.end > this.bytes.length) {
      const larger = new Uint8Array(this.end);
      larger.set(this.bytes.subarray(0, BLOCK_HEAD_BYTES));
      this.bytes = larger;
    }
    if (this.#source.read(this.bytes, BLOCK_HEAD_BYTES, length) < length) this.#failTruncated();
    if (crc32c(this.bytes, BLOCK_HEAD_BYTES, this.end, crc32c(this.bytes, 0, 9)) !== crc) {
      this.fail(this.offset, 'the block is damaged (checksum); record or copy the trace again');
    }
    this.events = events;
    this.#totalEvents += events;
  }

  #readEnd(total: number, crc: number): void {
    if (crc32c(this.bytes, 0, 9) !== crc) {
      this.fail(this.offset, 'the end mark is damaged (checksum)');
    }
    if (total !== this.#totalEvents) {
      this.fail(this.offset, `${this.#totalEvents} events, but the end mark counts ${total}`);
    }
    const after = new Uint8Array(1);
    if (this.#source.read(after, 0, 1) > 0) {
      this.fail(this.offset + BLOCK_HEAD_BYTES, 'bytes follow the end mark; a trace ends there');
    }
  }

  #failTruncated(): never {
    this.fail(this.#source.offset, 'the file ends too early; it was cut off');
  }
}
