/**
 * Arithmetic on words of small counters ("lanes"), 4 lanes of 8 bits or 8 of 4. A set of lanes is a
 * mask with the lowest bit of each (`ones`). A lane is the count minus one, so zeros mean "all 1".
 */

/** The lowest bit of every lane. */
export function allOnes(bits: number): number {
  return bits === 8 ? 0x01010101 : 0x11111111;
}

/** Lanes that are not 0. */
export function nonzeroLanes(word: number, bits: number): number {
  let t = word | (word >>> 1);
  t |= t >>> 2;
  if (bits === 4) return t & 0x11111111;
  // The two halves of 4 bits, each collected in its lowest bit; what came from the next lane stays above.
  return (t | (t >>> 4)) & 0x01010101;
}

/** Lanes that are at their largest value or one below it: all bits set but perhaps the lowest. */
export function fullLanes(word: number, bits: number): number {
  const pairs = (word >>> 1) & (word >>> 2);
  if (bits === 4) return pairs & (word >>> 3) & 0x11111111;
  const fours = pairs & (pairs >>> 2);
  return fours & (fours >>> 3) & 0x01010101;
}

/** How many lanes are in the set. */
export function countLanes(ones: number, bits: number): number {
  return bits === 4 ? Math.imul(ones, 0x11111111) >>> 28 : Math.imul(ones, 0x01010101) >>> 24;
}
