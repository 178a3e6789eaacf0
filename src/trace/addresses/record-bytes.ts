/** Bytes in pieces as records of a fixed length, without copying but where a piece ends in one. */
export class RecordBytes {
  bytes: Uint8Array = new Uint8Array(0);
  /** Where the current record begins. */
  at = 0;
  /** Bytes before the current record in the file. */
  offset = 0;
  readonly #chunks: Iterator<Uint8Array>;
  readonly #length: number;
  #isBegun = false;

  constructor(chunks: Iterable<Uint8Array>, length: number) {
    this.#chunks = chunks[Symbol.iterator]();
    this.#length = length;
  }

  /** Goes to the next record: 0 at the end, the bytes that are there if the last one was cut. */
  next(): number {
    if (this.#isBegun) {
      this.at += this.#length;
      this.offset += this.#length;
    }
    this.#isBegun = true;
    while (this.bytes.length - this.at < this.#length) {
      const rest = this.bytes.length - this.at;
      const { done, value } = this.#chunks.next();
      if (done === true) return Math.max(0, rest);
      const joined = new Uint8Array(rest + value.length);
      joined.set(this.bytes.subarray(this.at));
      joined.set(value, rest);
      this.bytes = joined;
      this.at = 0;
    }
    return this.#length;
  }

  /** A little-endian 32-bit word of the current record. */
  word(at: number): number {
    const { bytes } = this;
    const i = this.at + at;
    return bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
  }

  half(at: number): number {
    return this.bytes[this.at + at]! | (this.bytes[this.at + at + 1]! << 8);
  }
}
