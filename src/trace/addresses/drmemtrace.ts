import { ACCESS_MAX_BYTES, type AddressBatch, FETCH, InputError } from '../../base/index.ts';
import type { AddressOptions, AddressSource } from './address-source.ts';
import { RecordBytes } from './record-bytes.ts';

/**
 * A finished drmemtrace trace: packed records of 12 bytes, type and size of 2, a value of 8
 * (DynamoRIO, drcachesim/common/trace_entry.h, _trace_entry_t). The first is a header. Reads, writes
 * and the kinds of instructions count; prefetches, flushes, markers and encodings do not, as in its
 * own TLB simulator (tlb_simulator.cpp). All threads are one address space.
 */
const RECORD_BYTES = 12;
const TYPE_READ = 0;
const TYPE_WRITE = 1;
const TYPE_INSTR = 10;
const TYPE_INSTR_RETURN = 16;
const TYPE_INSTR_BUNDLE = 17;
const TYPE_HEADER = 25;
const TYPE_INSTR_NO_FETCH = 29;
const TYPE_INSTR_SYSENTER = 31;
const TYPE_INSTR_TAKEN_JUMP = 48;
const TYPE_INSTR_UNTAKEN_JUMP = 49;
/** The last of trace version 5 and somewhat beyond; other numbers mean that this is no such trace. */
const TYPE_MAX = 63;
const BUNDLE_MAX = 8;

export class DrmemtraceSource implements AddressSource {
  readonly #records: RecordBytes;
  readonly #name: string;
  readonly #hasFetches: boolean;
  /** Where the instruction after the last one begins. */
  #nextPc = 0;

  constructor(chunks: Iterable<Uint8Array>, options: AddressOptions) {
    this.#records = new RecordBytes(chunks, RECORD_BYTES);
    this.#name = options.name;
    this.#hasFetches = options.hasFetches;
  }

  fill(batch: AddressBatch): boolean {
    const records = this.#records;
    const room = BUNDLE_MAX * batch.entriesOf(ACCESS_MAX_BYTES);
    while (!batch.isFull(room)) {
      const bytes = records.next();
      if (bytes === 0) return batch.count > 0;
      if (bytes < RECORD_BYTES) throw this.#error(`${bytes} bytes after the last whole record`);
      this.#take(batch);
    }
    return true;
  }

  #take(batch: AddressBatch): void {
    const records = this.#records;
    const type = records.half(0);
    const size = records.half(2);
    if (records.offset === 0 && type !== TYPE_HEADER) {
      throw this.#error(`record type ${type}, want a header (${TYPE_HEADER})`);
    }
    if (type > TYPE_MAX) throw this.#error(`record type ${type}`);
    if (type === TYPE_READ || type === TYPE_WRITE) {
      if (size > 0) batch.add(records.word(8), records.word(4), size, 0);
    } else if (isInstruction(type)) {
      this.#fetch(batch, records.word(8), records.word(4), size);
    } else if (type === TYPE_INSTR_BUNDLE) {
      this.#takeBundle(batch, size);
    } else if (type === TYPE_INSTR_NO_FETCH) {
      batch.instructions += 1;
    }
  }

  /** Lengths of instructions that follow the one before. */
  #takeBundle(batch: AddressBatch, count: number): void {
    if (count > BUNDLE_MAX) throw this.#error(`a bundle of ${count} instructions, want at most 8`);
    for (let i = 0; i < count; i++) {
      const pc = this.#nextPc;
      const length = this.#records.bytes[this.#records.at + 4 + i]!;
      this.#fetch(batch, Math.floor(pc / 2 ** 32), pc | 0, length);
    }
  }

  #fetch(batch: AddressBatch, high: number, low: number, bytes: number): void {
    batch.instructions += 1;
    this.#nextPc = (high >>> 0) * 2 ** 32 + (low >>> 0) + bytes;
    if (this.#hasFetches && bytes > 0) batch.add(high, low, bytes, FETCH);
  }

  #error(what: string): InputError {
    const hint = 'want the finished trace of drmemtrace (trace.gz), decompressed or as .gz';
    return new InputError(`${this.#name}: byte ${this.#records.offset}: ${what}; ${hint}`);
  }
}

function isInstruction(type: number): boolean {
  return (
    (type >= TYPE_INSTR && type <= TYPE_INSTR_RETURN) ||
    type === TYPE_INSTR_SYSENTER ||
    type === TYPE_INSTR_TAKEN_JUMP ||
    type === TYPE_INSTR_UNTAKEN_JUMP
  );
}
