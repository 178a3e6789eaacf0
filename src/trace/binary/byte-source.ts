/** Pulls exact numbers of bytes out of chunks of any size, counting the offset in the file. */
export class ByteSource {
  /** Offset in the file of the next byte. */
  offset = 0;
  readonly #chunks: Iterator<Uint8Array>;
  #chunk = new Uint8Array(0);
  #at = 0;

  constructor(chunks: Iterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.iterator]();
  }

  /** Copies the next `length` bytes to `target` at `at`; gives how many there were. */
  read(target: Uint8Array, at: number, length: number): number {
    let copied = 0;
    while (copied < length) {
      if (this.#at === this.#chunk.length && !this.#nextChunk()) break;
      const part = Math.min(length - copied, this.#chunk.length - this.#at);
      target.set(this.#chunk.subarray(this.#at, this.#at + part), at + copied);
      this.#at += part;
      copied += part;
    }
    this.offset += copied;
    return copied;
  }

  #nextChunk(): boolean {
    for (;;) {
      const { done, value } = this.#chunks.next();
      if (done) return false;
      if (value.length === 0) continue;
      this.#chunk = value as Uint8Array<ArrayBuffer>;
      this.#at = 0;
      return true;
    }
  }
}
