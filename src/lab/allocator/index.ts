/**
 * A model of jemalloc, faithful where resident memory is decided: size classes, slabs and the order
 * in which they fill, free extents and which is taken again, when and in which pieces memory goes
 * back to the kernel. It has addresses and no contents; what it would ask of the kernel it tells a
 * MemorySink. docs/allocator.md says what was left out. Throughout, a "page" is one of 4 KiB, by its
 * number in the allocator's own order (spans.ts), and an address is in bytes.
 */
export { Allocator, type AllocatorStats } from './allocator.ts';
export type { MemorySink } from './memory-sink.ts';
export { type AllocatorRules, JEMALLOC_4_0, JEMALLOC_5_3, type PurgeRule } from './rules.ts';
export { type SizeClass, SizeClasses } from './size-classes.ts';
