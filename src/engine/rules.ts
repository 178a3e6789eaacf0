/**
 * What distinguishes one base kernel from another, as data. Each rule names the change in Linux
 * that it stands for; mechanisms (src/engine/mechanisms) come on top.
 */
export interface Rules {
  readonly name: string;
  /** MADV_DONTNEED frees a PTE table whose whole slot one VMA piece covers (6375e95f381e, v6.14). */
  readonly hasPtReclaim: boolean;
  /** mremap moves a range of several VMAs when the length stays (d23cb648e365, v6.17). */
  readonly hasMultiVmaMremap: boolean;
  /** MADV_GUARD_INSTALL and MADV_GUARD_REMOVE (662df3e5c376, v6.13). */
  readonly hasGuardRegions: boolean;
  /** Guard regions in file mappings and in locked memory (f8d4a6cabb74, v6.15). */
  readonly hasFileGuardRegions: boolean;
  /** vm.max_map_count. */
  readonly maxMapCount: number;
  /** MAP_STACK areas are VM_NOHUGEPAGE (c4608d1bf7c6, v6.7). */
  readonly hasStackNoHugepage: boolean;
  /** A first write to the huge zero page gives a huge page (do_huge_zero_wp_pmd, v6.13). */
  readonly hasHugeZeroCow: boolean;
  /**
   * Splitting a huge page maps the zero page for its pages of zeros, and huge pages that are mostly
   * zeros are split when memory is short (b1f202060afe, dafff3f4c850, v6.12).
   */
  readonly hasUnderusedSplit: boolean;
  /** prctl(PR_SET_THP_DISABLE) may except areas with MADV_HUGEPAGE (9dc21bbd62ed, v6.18). */
  readonly hasThpDisableExcept: boolean;
  /**
   * khugepaged leaves slots none of whose pages is writable (until v6.18, where it was seen to take
   * them).
   */
  readonly needsWritableToCollapse: boolean;
  /**
   * Proactive compaction: low mark of at least 5, leeway of 10; since v6.16 none, and at most half of
   * the low mark.
   */
  readonly hasCompactionFloor: boolean;
  /** Pages that a read fault on a file maps around the address: fault_around_bytes / 4096. */
  readonly faultAroundPages: number;
}

export const LINUX_6_1: Rules = {
  name: 'linux-6.1',
  hasPtReclaim: false,
  hasMultiVmaMremap: false,
  hasGuardRegions: false,
  hasStackNoHugepage: false,
  hasFileGuardRegions: false,
  maxMapCount: 65530,
  hasHugeZeroCow: false,
  hasUnderusedSplit: false,
  hasThpDisableExcept: false,
  needsWritableToCollapse: true,
  hasCompactionFloor: true,
  faultAroundPages: 16,
};

export const LINUX_6_18: Rules = {
  name: 'linux-6.18',
  hasPtReclaim: true,
  hasMultiVmaMremap: true,
  hasGuardRegions: true,
  hasStackNoHugepage: true,
  hasFileGuardRegions: true,
  maxMapCount: 65530,
  hasHugeZeroCow: true,
  hasUnderusedSplit: true,
  hasThpDisableExcept: true,
  needsWritableToCollapse: false,
  hasCompactionFloor: false,
  faultAroundPages: 16,
};
