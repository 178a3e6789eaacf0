export { BufferFullError } from './arena.ts';
export { cgroupLimit, cgroupUsage } from './cgroup/cgroup.ts';
export * from './counters.ts';
export {
  BATCH_MAX,
  type CountKind,
  type CountOptions,
  type CountTable,
} from './counts/count-table.ts';
export { COUNT_KINDS } from './counts/kinds.ts';
export { type RhashtableOptions, rhashtableWith } from './counts/rhashtable.ts';
export { loadPage, storePage } from './fault/access.ts';
export {
  FAULT_DONE,
  FAULT_NONE,
  FAULT_OOM,
  FAULT_SIGBUS,
  FAULT_SIGSEGV,
  fault,
  faultPage,
} from './fault/fault.ts';
export { touchRange } from './fault/touch.ts';
export { freeFrameCount, usedFrameCount } from './frames/alloc.ts';
export { unmappedFolioFrames } from './frames/folio.ts';
export {
  compactionSuitabilityOf,
  externalFragmentation,
  externalFragmentationOf,
  fragmentationIndex,
  fragmentationIndexOf,
  freeBlocksOf,
  freeInfoOf,
  isCostlyOrder,
  type Suitability,
  unusableIndex,
  unusableIndexOf,
} from './frames/fragmentation.ts';
export {
  HUGE_FRAMES,
  HUGE_ORDER,
  LLFree,
  type LLFreeDesign,
  type LLFreeOptions,
  recoverLLFree,
  validateLLFree,
} from './frames/llfree/index.ts';
export * from './geometry.ts';
export {
  guestCreate,
  guestDestroy,
  guestFaults,
  guestTables,
  guestTouch,
  secPageTablesKiB,
} from './guest/guest.ts';
export * from './hardware/index.ts';
export { type MemoryBlock, memoryBlock, memoryBlocks } from './hotplug/memory-block.ts';
export {
  type Blocker,
  findUnmovable,
  type OfflineResult,
  offlineMemory,
} from './hotplug/offline.ts';
export { addMemory, type OnlineType, onlineMemory, removeMemory } from './hotplug/online.ts';
export { splitDeferred } from './huge/deferred-split.ts';
export { Khugepaged, type KhugepagedCounters } from './huge/khugepaged.ts';
export { isMappedHuge, mappedFrame } from './huge/mapped.ts';
export {
  HUGE_DEFRAG,
  HUGE_PAGE_DEFAULTS,
  HUGE_SIZE_ENABLED,
  HUGE_SIZES,
  type HugeDefrag,
  type HugePageSettings,
  type HugeSize,
  type HugeSizeEnabled,
  type KhugepagedSettings,
} from './huge/settings.ts';
export { type HugetlbWork, hugetlbCounters } from './hugetlb/window-ops.ts';
export type { KsmCounters } from './ksm/counters.ts';
export { attachKsm, type Ksm } from './ksm/ksm.ts';
export { type RegionUse, regionUse } from './ksm/region-use.ts';
export {
  KSM_DEFAULTS,
  KSM_HUGE_MODES,
  type KsmHugeMode,
  type KsmSettings,
} from './ksm/settings.ts';
export { MAX_CPUS, Machine, type MachineOptions } from './machine.ts';
export {
  dynamicMetadata,
  dynamicMetadataWith,
  validateDynamicMetadata,
  vmemmapPages,
} from './mechanisms/dynamic-metadata/index.ts';
export {
  DYNAMIC_METADATA_DEFAULTS,
  type DynamicMetadataOptions,
} from './mechanisms/dynamic-metadata/options.ts';
export { hawkeye, hawkeyeWith } from './mechanisms/hawkeye/index.ts';
export { HAWKEYE_DEFAULTS, type HawkeyeOptions } from './mechanisms/hawkeye/options.ts';
export { ingens, ingensArtifact, ingensWith } from './mechanisms/ingens/index.ts';
export {
  INGENS_ARTIFACT_DEFAULTS,
  INGENS_DEFAULTS,
  type IngensOptions,
} from './mechanisms/ingens/options.ts';
export { RELEASED } from './mechanisms/ingens/variant.ts';
export type { Mechanism } from './mechanisms/mechanism.ts';
export { MORSEL_PAGES, MORSEL_SPANS, Morsel } from './mechanisms/morsels/handle.ts';
export { attachMorsels, morselCounters, morsels, morselsWith } from './mechanisms/morsels/index.ts';
export { movableIndexes, movableTables } from './mechanisms/movable-tables/index.ts';
export { MshareHandle } from './mechanisms/mshare/announced.ts';
export { attachMshare, mshare, mshareCounters } from './mechanisms/mshare/index.ts';
export {
  type Credentials,
  MshareFile,
  MshareFs,
  O_CREAT,
  O_EXCL,
} from './mechanisms/mshare/posted.ts';
export { regionAlignmentPages, regionHost } from './mechanisms/mshare/region.ts';
export {
  ON_DEMAND_FORK_DEFAULTS,
  type OnDemandForkOptions,
  onDemandFork,
  onDemandForkWith,
} from './mechanisms/on-demand-fork/index.ts';
export { pteRef, pteRefLock, pteRefPercpu } from './mechanisms/pte-ref/index.ts';
export {
  RESERVATION_DEFAULTS,
  type ReservationOptions,
  reservations,
  reservationsWith,
} from './mechanisms/reservations/index.ts';
export { staticMetadata } from './mechanisms/static-metadata/index.ts';
export {
  makeTableReclaim,
  type TableReclaimOptions,
  tableReclaim,
  tableReclaimAged,
} from './mechanisms/table-reclaim/index.ts';
export {
  TABLE_SCAN_DEFAULTS,
  type TableScanOptions,
  tableScan,
  tableScanWith,
} from './mechanisms/table-scan/index.ts';
export { STRUCT_PAGE_BYTES, UNIT_FRAMES } from './metadata/need.ts';
export {
  hvoSaves,
  LLFREE_BYTES_PER_GIB,
  llfreeBytes,
  MEMDESC_FIRST_WORD,
  MEMDESC_SIZES,
  type MemdescSizes,
  memdescBytes,
  rowLeafBytes,
  SCHEMES,
  type Scheme,
  type SchemeBytes,
  schemeBytes,
} from './metadata/schemes.ts';
export { emptyTally, type FrameTally, tallyFrames } from './metadata/tally.ts';
export {
  type CompactResult,
  compactMemory,
  freeHugeBlocks,
  tryToCompact,
} from './migrate/compact.ts';
export type { CompactionWork } from './migrate/compaction-work.ts';
export { type FrameUse, frameUse, isMovableUse, isUnmovableUse } from './migrate/frame-use.ts';
export { Kcompactd, type KcompactdCounters } from './migrate/kcompactd.ts';
export {
  OBJECT_FILE,
  OBJECT_KERNEL,
  OBJECT_SHMEM,
  OBJECT_SPECIAL,
  objectSize,
  objectType,
  setObjectSize,
} from './objects/object.ts';
export { punchObject, truncateObject } from './objects/truncate.ts';
export { kswapdStep, runKswapd } from './reclaim/kswapd.ts';
export type { OomKill } from './reclaim/oom.ts';
export type { Vmstat } from './reclaim/vmstat.ts';
export * from './rules.ts';
export { type Area, areasOf } from './space/areas.ts';
export {
  C_ANON,
  C_COW,
  C_FAULTS,
  C_HUGE,
  C_HUGE_FAULTS,
  C_SWAP_INS,
  mmCounter,
} from './space/mm.ts';
export { type Occupancy, occupancyOf } from './space/occupancy.ts';
export { Process, System } from './system.ts';
export { releaseDeferred } from './threads/grace.ts';
export { goOffline, goOnline, resumeWorld, stopWorld } from './threads/world.ts';
export { validateMachine } from './validate.ts';
