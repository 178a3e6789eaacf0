/**
 * A hexadecimal number in bytes, read into two 32-bit words. `high` and `low` hold the last one
 * read; `end` is where it stopped.
 */
export class HexScanner {
  high = 0;
  low = 0;
  end = 0;

  /** Reads digits from `at`; returns how many there were, 17 for more than 16. */
  scan(bytes: Uint8Array, at: number, end: number): number {
    let high = 0;
    let low = 0;
    let i = at;
    for (; i < end; i++) {
      const digit = HEX_DIGIT[bytes[i]!]!;
      if (digit < 0) break;
      high = (high << 4) | (low >>> 28);
      low = (low << 4) | digit;
      if (i - at === 16) return 17;
    }
    this.high = high;
    this.low = low;
    this.end = i;
    return i - at;
  }
}

/** The value of an ASCII digit, -1 for anything else. */
const HEX_DIGIT: Int8Array = Int8Array.from({ length: 256 }, (_, code) => {
  const value = Number.parseInt(String.fromCharCode(code), 16);
  return Number.isNaN(value) ? -1 : value;
});
