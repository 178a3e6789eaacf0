import type { RbNode } from './rb-tree.ts';

/**
 * What ksmd remembers (struct ksm_rmap_item, ksm_stable_node, ksm_mm_slot of mm/ksm.c). None of it is
 * modelled memory: it lies outside the machine's buffer.
 */

/** An address space that has, or had, mergeable areas. */
export interface MmSlot {
  /** 0 once the process ended; its items are freed when ksmd comes by. */
  mm: number;
  /** Its items by address. */
  first: RmapItem | null;
}

/** One mapped page, or huge page, that ksmd has seen. */
export interface RmapItem {
  readonly slot: MmSlot;
  /** Its page number, and how many pages it stands for: 1, or 512 of a huge page taken whole. */
  readonly page: number;
  readonly span: number;
  next: RmapItem | null;
  /** Sum of what the page held when it was last looked at; NaN before. */
  checksum: number;
  /** Scans it has been through, at most 255, and how often it may still be passed over. */
  age: number;
  skipsLeft: number;
  /** Its node of the unstable tree, and the scan in which it was hung in. */
  unstable: RbNode<RmapItem> | null;
  scan: number;
  /** The merged page that it maps, and the anon_vma of its area, held until then. */
  head: StableNode | null;
  anonVma: number;
}

/** A merged page. */
export interface StableNode {
  readonly id: number;
  /** Its frame; the first of 512 for a huge page. */
  pfn: number;
  readonly span: number;
  /** Who maps it. */
  readonly items: Set<RmapItem>;
  /** The place in the stable tree; null for a huge page that is no longer whole. */
  place: StablePlace | null;
}

/** A node of the stable tree: a merged page, or a chain of those that hold the same. */
export interface StablePlace {
  /** The first is tried first. */
  dups: StableNode[];
  isChain: boolean;
  prunedNs: number;
  node: RbNode<StablePlace> | null;
}
