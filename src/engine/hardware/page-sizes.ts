import { assert } from '../../base/index.ts';

/**
 * Which page size an address has. A run has up to four sizes, in ascending order; a page of size
 * class `c` spans `granules[c]` of the smallest. One size for all addresses, or regions with a size
 * each, or whoever knows says it for each access.
 */
export interface PageRegion {
  /** First and one past the last granule, on a border of the region's page size. */
  readonly first: number;
  readonly end: number;
  readonly sizeClass: number;
}

export const SIZE_CLASSES = 4;

export class PageSizes {
  /** Bytes of each class, ascending. */
  readonly bytes: readonly number[];
  /** Granules of a page of each class. */
  readonly granules: Float64Array = new Float64Array(SIZE_CLASSES);
  /** The same as powers of two. */
  readonly shifts: Int32Array = new Int32Array(SIZE_CLASSES);
  /** Class of addresses outside all regions. */
  readonly otherClass: number;
  readonly hasRegions: boolean;
  readonly #firsts: Float64Array;
  readonly #ends: Float64Array;
  readonly #classes: Uint8Array;
  #last = 0;

  readonly #classAt: ((granule: number) => number) | null;

  /** `classAt` stands in for regions: sizes that change during a run. */
  constructor(
    bytes: readonly number[],
    otherClass = 0,
    regions: readonly PageRegion[] = [],
    classAt: ((granule: number) => number) | null = null,
  ) {
    assert(bytes.length >= 1 && bytes.length <= SIZE_CLASSES, 'one to four page sizes');
    this.bytes = bytes;
    bytes.forEach((size, c) => {
      this.granules[c] = size / (bytes[0] as number);
      this.shifts[c] = Math.log2(this.granules[c]!);
    });
    const sorted = [...regions].sort((a, b) => a.first - b.first);
    sorted.forEach(({ first, end, sizeClass }, i) => {
      const span = this.granules[sizeClass] as number;
      assert(first % span === 0 && end % span === 0 && first < end, 'region on page borders');
      assert(i === 0 || (sorted[i - 1] as PageRegion).end <= first, 'regions do not overlap');
    });
    this.otherClass = otherClass;
    this.#classAt = classAt;
    this.hasRegions = sorted.length > 0 || classAt !== null;
    this.#firsts = Float64Array.from(sorted, ({ first }) => first);
    this.#ends = Float64Array.from(sorted, ({ end }) => end);
    this.#classes = Uint8Array.from(sorted, ({ sizeClass }) => sizeClass);
  }

  /** The class of a granule. */
  classOf(granule: number): number {
    if (!this.hasRegions) return this.otherClass;
    if (this.#classAt !== null) return this.#classAt(granule);
    const firsts = this.#firsts;
    const last = this.#last;
    if (granule >= firsts[last]! && granule < this.#ends[last]!) return this.#classes[last]!;
    let low = 0;
    let high = firsts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (firsts[middle]! <= granule) low = middle + 1;
      else high = middle;
    }
    const at = low - 1;
    if (at < 0 || granule >= this.#ends[at]!) return this.otherClass;
    this.#last = at;
    return this.#classes[at]!;
  }
}
