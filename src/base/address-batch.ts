import { InputError } from './input-error.ts';

/**
 * Addresses on their way to the translation hardware: one double for each access, in a batch that
 * is filled and used again and again.
 *
 * An access is the number of its granule, the smallest page of the run: the address in its lowest
 * 57 bits (what 5 levels translate; the rest is its sign) divided by the granule's bytes. Of granules
 * below 64 bytes, which no page has, but lines of caches do, the number has 51 bits. A fetch
 * of an instruction has FETCH added. An access that reaches into the next granule is followed by
 * one entry for each further one, as -1 - value: whether that is a page of its own, and so one more
 * lookup, depends on the page size, which only the hardware knows.
 */
export const FETCH: number = 2 ** 52;

const GRANULE_MAX_BYTES = 2 ** 30;
const ADDRESS_BITS = 57;
/** The number of a granule: 57 bits of address in granules of at least 64 bytes. */
const GRANULE_BITS = 51;
/** The longest access: XSAVE's area with all of AVX-512 and AMX is below it. */
export const ACCESS_MAX_BYTES = 65536;

/** Accesses that one line or record of a source can make. */
export const ACCESSES_AT_A_TIME = 16;

/** Entries of a batch: small enough for the host's second-level cache. */
export const BATCH_ENTRIES = 16384;

/** As many as 16 bits hold. */
const REPEATS_MAX = 65535;

/**
 * Which accesses may be counted with an entry before: none; those that follow it at once on its
 * granule; those on the granule of the last access of their kind, data or fetch, where the kinds
 * share nothing that could tell.
 */
export type Merging = 'none' | 'adjacent' | 'kinds';

export class AddressBatch {
  /** `count` entries are valid. */
  readonly entries: Float64Array;
  count = 0;
  /** How many further accesses to the same granule are counted with each entry. */
  readonly repeats: Uint16Array;
  /** Since the beginning, over all batches. */
  accesses = 0;
  /** Instructions executed, where the source knows them; else 0. */
  instructions = 0;
  readonly granuleBytes: number;
  readonly #merging: Merging;
  /** The last entry, of data and of fetches, and where it stands; -1 where none may be repeated. */
  #data = -1;
  #dataAt = 0;
  #fetch = -1;
  #fetchAt = 0;
  /** What the upper word keeps of an address. */
  readonly #highMask: number;
  readonly #highFactor: number;
  readonly #shift: number;
  readonly #offsetMask: number;

  /** Throws InputError for a granule that is no power of two from 1 byte to 1 GiB. */
  constructor(granuleBytes: number, merging: Merging = 'none') {
    const isPower = Number.isSafeInteger(granuleBytes) && Number.isInteger(Math.log2(granuleBytes));
    if (!isPower || granuleBytes < 1 || granuleBytes > GRANULE_MAX_BYTES) {
      const range = `from 1 to ${GRANULE_MAX_BYTES}`;
      throw new InputError(`page size ${granuleBytes}: want a power of two ${range}, in bytes`);
    }
    this.granuleBytes = granuleBytes;
    this.#merging = merging;
    this.#highFactor = 2 ** 32 / granuleBytes;
    this.#shift = Math.log2(granuleBytes);
    this.#offsetMask = granuleBytes - 1;
    // As many of the longest accesses as a source takes at a time fit in any case.
    const capacity = Math.max(BATCH_ENTRIES, ACCESSES_AT_A_TIME * this.entriesOf(ACCESS_MAX_BYTES));
    this.entries = new Float64Array(capacity);
    this.repeats = new Uint16Array(capacity);
    const bits = Math.min(ADDRESS_BITS, GRANULE_BITS + this.#shift);
    this.#highMask = 2 ** (bits - 32) - 1;
  }

  /** True if `roomEntries` more may not fit: hand the batch on and `clear` it. */
  isFull(roomEntries: number): boolean {
    return this.count + roomEntries > this.entries.length;
  }

  clear(): void {
    this.count = 0;
    this.#data = -1;
    this.#fetch = -1;
  }

  /** Most entries that one access can make. */
  entriesOf(bytes: number): number {
    return (bytes >>> this.#shift) + 2;
  }

  /**
   * One access of `bytes` (at least 1, at most ACCESS_MAX_BYTES) at the address of two 32-bit words.
   * `kind` is 0, or FETCH for an instruction.
   */
  add(high: number, low: number, bytes: number, kind: number): void {
    const granule = (high & this.#highMask) * this.#highFactor + (low >>> this.#shift) + kind;
    this.addGranule(granule);
    const past = (low & this.#offsetMask) + bytes - 1;
    if (past > this.#offsetMask) this.#addRest(granule, past >>> this.#shift);
  }

  /** One access that stays within its granule. */
  addGranule(granule: number): void {
    this.accesses += 1;
    if (granule === this.#data && this.repeats[this.#dataAt]! < REPEATS_MAX) {
      this.repeats[this.#dataAt]! += 1;
      return;
    }
    if (granule === this.#fetch && this.repeats[this.#fetchAt]! < REPEATS_MAX) {
      this.repeats[this.#fetchAt]! += 1;
      return;
    }
    const { count } = this;
    this.entries[count] = granule;
    this.repeats[count] = 0;
    this.count = count + 1;
    if (this.#merging !== 'none') this.#remember(granule, count);
  }

  #remember(granule: number, at: number): void {
    const isFetch = granule >= FETCH;
    const isAdjacent = this.#merging === 'adjacent';
    if (isFetch) {
      this.#fetch = granule;
      this.#fetchAt = at;
      if (isAdjacent) this.#data = -1;
    } else {
      this.#data = granule;
      this.#dataAt = at;
      if (isAdjacent) this.#fetch = -1;
    }
  }

  #addRest(granule: number, more: number): void {
    for (let i = 1; i <= more; i++) {
      this.entries[this.count] = -1 - (granule + i);
      this.repeats[this.count] = 0;
      this.count += 1;
    }
    this.#data = -1;
    this.#fetch = -1;
  }
}
