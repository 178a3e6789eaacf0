import { type AddressBatch, FETCH, InputError } from '../../base/index.ts';
import { type AddressOptions, type AddressSource, FETCH_BYTES } from './address-source.ts';
import { RecordBytes } from './record-bytes.ts';

/**
 * ChampSim's trace: records of 64 bytes (inc/trace_instruction.h, input_instr): ip, two bytes of
 * branch, two destination and four source registers, then two destination and four source addresses
 * of 8 bytes; 0 for none. Each record is one instruction: its fetch, its reads, its writes.
 * Addresses have no size: an access is one lookup, of the page of its address.
 */
const RECORD_BYTES = 64;
const DESTINATIONS_AT = 16;
const DESTINATIONS = 2;
const SOURCES_AT = 32;
const SOURCES = 4;
const ENTRIES_MAX = 1 + DESTINATIONS + SOURCES;

export class ChampsimSource implements AddressSource {
  readonly #records: RecordBytes;
  readonly #name: string;
  readonly #hasFetches: boolean;

  constructor(chunks: Iterable<Uint8Array>, options: AddressOptions) {
    this.#records = new RecordBytes(chunks, RECORD_BYTES);
    this.#name = options.name;
    this.#hasFetches = options.hasFetches;
  }

  fill(batch: AddressBatch): boolean {
    const records = this.#records;
    while (!batch.isFull(ENTRIES_MAX * 2)) {
      const bytes = records.next();
      if (bytes === 0) return batch.count > 0;
      if (bytes < RECORD_BYTES) {
        const what = `${bytes} bytes after the last whole record`;
        const hint = `want records of ${RECORD_BYTES} bytes, decompressed or as .gz`;
        throw new InputError(`${this.#name}: byte ${records.offset}: ${what}; ${hint}`);
      }
      batch.instructions += 1;
      if (this.#hasFetches) batch.add(records.word(4), records.word(0), FETCH_BYTES, FETCH);
      this.#addAll(batch, SOURCES_AT, SOURCES);
      this.#addAll(batch, DESTINATIONS_AT, DESTINATIONS);
    }
    return true;
  }

  #addAll(batch: AddressBatch, from: number, count: number): void {
    for (let at = from; at < from + count * 8; at += 8) {
      const low = this.#records.word(at);
      const high = this.#records.word(at + 4);
      if ((low | high) !== 0) batch.add(high, low, 1, 0);
    }
  }
}
