/**
 * Translation hardware: TLBs of any shape, page-walk caches, native and nested walks, over streams
 * of addresses. Nothing else in the engine depends on it, and it on nothing there: the page size of
 * an address is an input. docs/hardware.md has the model and its sources.
 */

export { COSTS, type CostName, type Costs, costsWith } from './costs.ts';
export { LoadWindow } from './load-window.ts';
export { ENTRIES_MAX, EVICTED, FILLED, HIT, LruSets } from './lru-sets.ts';
export { type PageRegion, PageSizes } from './page-sizes.ts';
export { HARDWARE_PRESETS, type HardwarePreset } from './presets.ts';
export * from './shoot-down.ts';
export type { Ground, Sourced, SourcedNumber } from './sourced.ts';
export type { TlbStructure } from './structure.ts';
export { type StructureCounts, Translator } from './translator.ts';
export {
  leafLevel,
  type NestedOptions,
  nativeLoads,
  nestedLoads,
  SERVED_BY,
  type Shape,
  type WalkCacheShapes,
  Walker,
  type WalkerOptions,
} from './walker.ts';
