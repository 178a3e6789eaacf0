/** What an allocator asks of the kernel. Addresses and lengths in bytes, whole pages. */
export interface MemorySink {
  map(addr: number, spanBytes: number): void;
  /** MADV_DONTNEED. */
  purge(addr: number, spanBytes: number): void;
  /** MADV_FREE. */
  purgeLazily(addr: number, spanBytes: number): void;
  /** A write by the allocator itself, to its records. */
  write(addr: number, spanBytes: number): void;
}
