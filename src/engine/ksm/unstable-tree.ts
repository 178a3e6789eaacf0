import type { Machine } from '../machine.ts';
import { compareContents } from './ksm-page.ts';
import { type RbNode, RbTree } from './rb-tree.ts';
import type { RmapItem } from './rmap-item.ts';

/**
 * Pages that found no equal yet in this scan, by what they held when they were hung in. They may be
 * written any time, so the order may be wrong; hence each scan begins with an empty tree
 * (unstable_tree_search_insert, mm/ksm.c).
 */
export class UnstableTree {
  /** Nodes of this and of the last scan: pages_unshared. */
  count = 0;
  #tree = new RbTree<RmapItem>();
  readonly #m: Machine;
  /** The frame of an item's page as it is now, 0 where it is none that could merge. */
  readonly #pfnOf: (item: RmapItem) => number;

  constructor(m: Machine, pfnOf: (item: RmapItem) => number) {
    this.#m = m;
    this.#pfnOf = pfnOf;
  }

  /** A scan begins. Items still know that they were in the tree of the last one. */
  clear(): void {
    this.#tree = new RbTree();
  }

  /**
   * An item whose page holds the same as the frame; null where there is none: then the item is hung
   * in, unless the tree leads to a page that is gone, or to this very frame.
   */
  searchInsert(item: RmapItem, pfn: number, scan: number): RmapItem | null {
    let parent: RbNode<RmapItem> | null = null;
    let isLeft = false;
    for (let at = this.#tree.root; at !== null; at = isLeft ? at.left : at.right) {
      const other = this.#pfnOf(at.value);
      // A page that a relative maps too is no second copy of itself.
      if (other === 0 || other === pfn) return null;
      const order = compareContents(this.#m, pfn, other, item.span);
      if (order === 0) return at.value;
      parent = at;
      isLeft = order < 0;
    }
    item.unstable = this.#tree.insert(item, parent, isLeft);
    item.scan = scan;
    this.count += 1;
    return null;
  }

  /** The item leaves the tree; one of an earlier scan has left it already. */
  remove(item: RmapItem, scan: number): void {
    if (item.unstable === null) return;
    if (item.scan === scan) this.#tree.erase(item.unstable);
    item.unstable = null;
    this.count -= 1;
  }

  validate(): void {
    this.#tree.validate();
  }
}
