import type { AddressBatch } from '../../base/index.ts';

/**
 * Address traces: what a program read, wrote and fetched, one access after the other. This folder
 * has a reader for each format; they take bytes that the caller provides and fill a batch
 * (base/address-batch.ts) again and again.
 */
export interface AddressSource {
  /** Fills the batch, which is empty; false if the trace has ended and nothing was put in. */
  fill(batch: AddressBatch): boolean;
}

export interface AddressOptions {
  /** For messages. */
  readonly name: string;
  /** Also the fetches of instructions. */
  readonly hasFetches: boolean;
}

/** Instructions have no size in some formats: a fetch is one lookup, of the first byte's page. */
export const FETCH_BYTES = 1;
