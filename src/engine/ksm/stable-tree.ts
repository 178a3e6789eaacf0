import { assert } from '../../base/index.ts';
import { isFolio, isPartlyUnmapped } from '../frames/folio.ts';
import {
  blockOf,
  F_INDEX,
  F_MAPPING,
  F_STATE,
  frameRecord,
  TYPE_ANON,
  TYPE_MASK,
} from '../frames/frame-record.ts';
import { isReserved } from '../frames/reservation.ts';
import type { Machine } from '../machine.ts';
import { compareContents, isKsm, markKsm } from './ksm-page.ts';
import { type RbNode, RbTree } from './rb-tree.ts';
import type { RmapItem, StableNode, StablePlace } from './rmap-item.ts';

const NS_PER_MS = 1e6;

/**
 * Merged pages by what they hold, which never changes: nobody may write them. A node holds no page in
 * memory; when the last mapping went, the frame is free and the node stale, which is found out when
 * the search comes by (ksm_get_folio). A page with `maxPageSharing` mappings takes no more: the next
 * equal pages make another copy, and all copies are one chain (stable_node_chain).
 */
export class StableTree {
  /** Merged pages that somebody maps, and their further mappings; in pages of 4 KiB. */
  pagesShared = 0;
  pagesSharing = 0;
  chains = 0;
  /** Copies in chains. */
  chainDups = 0;
  readonly #tree = new RbTree<StablePlace>();
  readonly #m: Machine;
  readonly #span: number;
  readonly #nodes: Map<number, StableNode>;
  readonly #settings: { readonly maxPageSharing: number; readonly chainsPruneMs: number };
  readonly #putAnonVma: (item: RmapItem) => void;

  /** `nodes`: all stable nodes by id, huge ones and others. */
  constructor(
    m: Machine,
    span: number,
    nodes: Map<number, StableNode>,
    settings: { readonly maxPageSharing: number; readonly chainsPruneMs: number },
    putAnonVma: (item: RmapItem) => void,
  ) {
    this.#m = m;
    this.#span = span;
    this.#nodes = nodes;
    this.#settings = settings;
    this.#putAnonVma = putAnonVma;
  }

  /** True if one more mapping of the page is in order (is_page_sharing_candidate). */
  isCandidate(node: StableNode): boolean {
    return node.items.size > 0 && node.items.size < this.#settings.maxPageSharing;
  }

  /** The merged page that holds what the frame holds and takes one more mapping, or null. */
  search(pfn: number, nowNs: number): StableNode | null {
    let at = this.#tree.root;
    while (at !== null) {
      const dup = this.#chooseDup(at.value, nowNs);
      const any = dup ?? this.#anyDup(at.value);
      if (any === null) {
        // The node was stale and is gone; the tree may have turned around it.
        at = this.#tree.root;
        continue;
      }
      const order = compareContents(this.#m, pfn, any.pfn, this.#span);
      if (order === 0) return dup;
      at = order < 0 ? at.left : at.right;
    }
    return null;
  }

  /** Makes the frame a merged page with a node of its own (stable_tree_insert). */
  insert(pfn: number, id: number, nowNs: number): StableNode {
    const made: StableNode = { id, pfn, span: this.#span, items: new Set(), place: null };
    let parent: RbNode<StablePlace> | null = null;
    let isLeft = false;
    for (let at = this.#tree.root; at !== null; ) {
      const any = this.#chooseDup(at.value, nowNs) ?? this.#anyDup(at.value);
      if (any === null) {
        at = this.#tree.root;
        parent = null;
        continue;
      }
      const order = compareContents(this.#m, pfn, any.pfn, this.#span);
      if (order === 0) {
        this.#addDup(at.value, made, nowNs);
        return this.#register(made);
      }
      parent = at;
      isLeft = order < 0;
      at = isLeft ? at.left : at.right;
    }
    const place: StablePlace = { dups: [made], isChain: false, prunedNs: nowNs, node: null };
    place.node = this.#tree.insert(place, parent, isLeft);
    made.place = place;
    return this.#register(made);
  }

  /** The item maps the page (stable_tree_append). */
  append(item: RmapItem, node: StableNode): void {
    assert(item.head === null, 'an item of two merged pages');
    if (node.items.size === 0) this.#countPage(node, 1);
    node.items.add(item);
    this.pagesSharing += item.span;
    item.head = node;
  }

  /** The item maps it no longer. The node stays as long as its page does. */
  detach(item: RmapItem): void {
    const node = item.head;
    if (node === null) return;
    this.isAlive(node);
    if (item.head === null) return;
    this.#remove(node, item);
    if (node.place === null && node.items.size === 0) this.#nodes.delete(node.id);
  }

  /**
   * False where the page is gone: then so is the node, and its items are free. A huge page that is no
   * longer whole leaves the tree, but its parts are still found from their frames.
   */
  isAlive(node: StableNode): boolean {
    if (node.place === null || this.#isThere(node)) return true;
    this.#removePlace(node);
    if (node.span > 1 && node.items.size > 0) return false;
    for (const item of [...node.items]) this.#remove(node, item);
    this.#nodes.delete(node.id);
    return false;
  }

  /** Its 512 frames are still one page, or kept together, and all mapped. */
  #isWhole(pfn: number): boolean {
    const block = blockOf(this.#m, pfn);
    if (isFolio(this.#m, block)) return !isPartlyUnmapped(this.#m, block);
    if (!isReserved(this.#m, block)) return false;
    for (let i = 1; i < this.#span; i++) if (!isKsm(this.#m, pfn + i)) return false;
    return true;
  }

  validate(): void {
    this.#tree.validate();
    let chains = 0;
    let dups = 0;
    let before = -1;
    for (const place of this.#tree.values()) {
      if (place.isChain) {
        chains += 1;
        dups += place.dups.length;
      } else {
        assert(place.dups.length === 1, 'one page that is no chain');
      }
      const alive = place.dups.filter((dup) => this.#isThere(dup));
      for (const dup of alive) {
        const order = before < 0 ? 1 : compareContents(this.#m, dup.pfn, before, this.#span);
        assert(order > 0 || dup !== alive[0], 'merged pages in order of what they hold');
        assert(dup === alive[0] || order === 0, 'a chain holds one content');
        before = dup.pfn;
      }
    }
    assert(chains === this.chains, `chains: ${chains} found, ${this.chains} kept`);
    assert(dups === this.chainDups, `copies in chains: ${dups} found, ${this.chainDups} kept`);
  }

  /** Its frame still holds the merged page, or all its frames do. */
  #isThere({ pfn, id, span }: StableNode): boolean {
    const { words } = this.#m;
    if (!isKsm(this.#m, pfn)) return false;
    const rec = frameRecord(this.#m, pfn);
    const isAnon = (words[rec + F_STATE] & TYPE_MASK) === TYPE_ANON;
    const isMine = isAnon && words[rec + F_MAPPING] === id && words[rec + F_INDEX] === 0;
    return isMine && (span === 1 || this.#isWhole(pfn));
  }

  #register(node: StableNode): StableNode {
    this.#nodes.set(node.id, node);
    markKsm(this.#m, node.pfn, this.#span, node.id);
    return node;
  }

  #remove(node: StableNode, item: RmapItem): void {
    node.items.delete(item);
    this.pagesSharing -= item.span;
    if (node.items.size === 0) this.#countPage(node, -1);
    item.head = null;
    this.#putAnonVma(item);
  }

  /** The first mapping of a page is "shared", each further one "sharing". */
  #countPage(node: StableNode, change: 1 | -1): void {
    this.pagesShared += change * node.span;
    this.pagesSharing -= change * node.span;
  }

  /** The copy to merge with: the fullest that is not full (stable_node_dup). Null: all are full. */
  #chooseDup(place: StablePlace, nowNs: number): StableNode | null {
    if (!place.isChain) {
      const [only] = place.dups as [StableNode];
      return this.isCandidate(only) && this.isAlive(only) ? only : null;
    }
    const isPruned = nowNs >= place.prunedNs + this.#settings.chainsPruneMs * NS_PER_MS;
    if (isPruned) place.prunedNs = nowNs;
    let best: StableNode | null = null;
    for (const dup of [...place.dups]) {
      if (!this.isAlive(dup) || !this.isCandidate(dup)) continue;
      if (best === null || dup.items.size > best.items.size) best = dup;
      if (!isPruned) break;
    }
    if (best === null) return null;
    if (isPruned && place.dups.length === 1) this.#endChain(place);
    else if (best !== place.dups[0] && best.items.size + 1 < this.#settings.maxPageSharing) {
      place.dups = [best, ...place.dups.filter((dup) => dup !== best)];
    }
    return best;
  }

  #anyDup(place: StablePlace): StableNode | null {
    for (const dup of [...place.dups]) if (this.isAlive(dup)) return dup;
    return null;
  }

  #addDup(place: StablePlace, made: StableNode, nowNs: number): void {
    if (!place.isChain) {
      place.isChain = true;
      place.prunedNs = nowNs;
      this.chains += 1;
      this.chainDups += 1;
    }
    place.dups.unshift(made);
    made.place = place;
    this.chainDups += 1;
  }

  #endChain(place: StablePlace): void {
    place.isChain = false;
    this.chains -= 1;
    this.chainDups -= 1;
  }

  /** Takes a node out of its place, and the place out of the tree with the last. */
  #removePlace(node: StableNode): void {
    const place = node.place as StablePlace;
    node.place = null;
    place.dups = place.dups.filter((dup) => dup !== node);
    if (place.isChain) this.chainDups -= 1;
    if (place.dups.length > 0) return;
    if (place.isChain) this.chains -= 1;
    if (place.node !== null) this.#tree.erase(place.node);
  }
}
