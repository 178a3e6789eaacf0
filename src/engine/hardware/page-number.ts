/**
 * Page numbers as two 32-bit integers. A double would hold one, but a double that is passed to a
 * function which V8 does not inline is allocated; two small integers are not. `low` is the lowest
 * 32 bits, as a signed integer; `high` what is above, at most 20 bits.
 */

/** Bits of `low` after a shift to the right by 0 to 62; `>>>` alone takes its count modulo 32. */
export function shiftedLow(low: number, high: number, bits: number): number {
  if (bits === 0) return low;
  return bits < 32 ? (low >>> bits) | (high << (32 - bits)) : high >>> (bits - 32);
}

export function shiftedHigh(high: number, bits: number): number {
  return bits < 32 ? high >>> bits : 0;
}

/** The number as one double. */
export function joined(low: number, high: number): number {
  return high * 4294967296 + (low >>> 0);
}

/** What of a tag's upper part belongs to the number that chooses the set; above it is a class. */
export const INDEX_HIGH_MASK = 0xfffffff;

/** The number, which must be below 2^51, modulo `sets`; `inverse` is 1 / sets. */
export function remainder(low: number, high: number, sets: number, inverse: number): number {
  // A double's remainder is a call into a library; the quotient may be one off, which is put right.
  const index = joined(low, high & INDEX_HIGH_MASK);
  const rest = index - Math.floor(index * inverse) * sets;
  return rest < 0 ? rest + sets : rest >= sets ? rest - sets : rest;
}
