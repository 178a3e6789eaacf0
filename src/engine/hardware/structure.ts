/** A TLB structure as a description: what it holds and how it is built. */
export interface TlbStructure {
  readonly name: string;
  /** 1 is looked up first. */
  readonly level: number;
  readonly sets: number;
  readonly ways: number;
  /** Page sizes that it serves, in bytes; empty for all. */
  readonly pageBytes: readonly number[];
  /** Whose translations it holds. */
  readonly serves: 'all' | 'data' | 'fetch';
}
