import { assert } from '../../base/index.ts';
import { F_INDEX, frameRecord } from '../frames/frame-record.ts';
import type { Machine } from '../machine.ts';
import {
  anonVmaGet,
  anonVmaPut,
  firstMapping,
  mappingVma,
  nextMapping,
} from '../objects/anon-vma.ts';
import { V_ANON_VMA, vmaEnd, vmaStart } from '../space/vma.ts';
import { type KsmCounters, zeroPagesOf } from './counters.ts';
import { ksmNodeOf } from './ksm-page.ts';
import { Ksmd } from './ksmd.ts';
import { mergeablePage } from './mergeable.ts';
import type { MmSlot, RmapItem, StableNode } from './rmap-item.ts';
import { KSM_DEFAULTS, type KsmSettings } from './settings.ts';
import { StableTree } from './stable-tree.ts';
import { UnstableTree } from './unstable-tree.ts';

/** Where a merged page may be mapped. */
export interface KsmPlace {
  readonly vma: number;
  readonly page: number;
}

/**
 * Samepage merging (mm/ksm.c): private pages of areas that were marked by MADV_MERGEABLE and hold the
 * same become one page that nobody may write; who does gets a copy. This class is what there is of it
 * in a machine (`Machine.ksm`): who is to be looked at, which pages were merged and who maps them. Ksmd
 * (ksmd.ts) goes through memory. For machines of one thread whose pages have contents.
 */
export class Ksm {
  readonly settings: KsmSettings;
  /** Address spaces, in ksmd's order; `at` is the one that it is in, -1 between two scans. */
  readonly slots: MmSlot[] = [];
  at = -1;
  readonly stable: StableTree;
  readonly unstable: UnstableTree;
  /** Huge pages that are compared as a whole. */
  readonly stableHuge: StableTree;
  readonly unstableHuge: UnstableTree;
  readonly ksmd: Ksmd;
  readonly #m: Machine;
  readonly #nodes = new Map<number, StableNode>();
  /** Ids are negative, so that none is taken for an anon_vma. */
  #nextNode = -1;

  constructor(m: Machine, settings: KsmSettings) {
    assert(m.contentsAt !== 0 && !m.isShared, 'merging needs contents and one thread');
    this.#m = m;
    this.settings = settings;
    const put = (item: RmapItem): void => {
      anonVmaPut(m, item.anonVma);
      item.anonVma = 0;
    };
    const pfnOf = (item: RmapItem): number => mergeablePage(this, m, item);
    this.stable = new StableTree(m, 1, this.#nodes, settings, put);
    this.stableHuge = new StableTree(m, m.entryCount, this.#nodes, settings, put);
    this.unstable = new UnstableTree(m, pfnOf);
    this.unstableHuge = new UnstableTree(m, pfnOf);
    this.ksmd = new Ksmd(this, m);
  }

  /** An area of the address space is mergeable (__ksm_enter): just behind ksmd, which comes last. */
  enter(mm: number): void {
    if (this.slots.some((slot) => slot.mm === mm)) return;
    const slot: MmSlot = { mm, first: null };
    if (this.at < 0) {
      this.slots.push(slot);
      return;
    }
    this.slots.splice(this.at, 0, slot);
    this.at += 1;
  }

  /** fork: the child's areas are mergeable where the parent's are (ksm_fork). */
  fork(parent: number, child: number): void {
    if (this.slots.some((slot) => slot.mm === parent)) this.enter(child);
  }

  /** The process ended (__ksm_exit); what is known of it goes when ksmd comes by, which is soon. */
  leave(mm: number): void {
    const index = this.slots.findIndex((slot) => slot.mm === mm);
    if (index < 0) return;
    const slot = this.slots[index] as MmSlot;
    slot.mm = 0;
    if (index === this.at) return;
    this.slots.splice(index, 1);
    if (index < this.at) this.at -= 1;
    if (slot.first !== null) this.slots.splice(this.at + 1, 0, slot);
  }

  treeFor(span: number): StableTree {
    return span === 1 ? this.stable : this.stableHuge;
  }

  unstableFor(span: number): UnstableTree {
    return span === 1 ? this.unstable : this.unstableHuge;
  }

  /** The merged page that a frame is of, or null. */
  nodeOf(pfn: number): StableNode | null {
    const id = ksmNodeOf(this.#m, pfn);
    return id === 0 ? null : (this.#nodes.get(id) ?? null);
  }

  /** Makes a frame, or a huge page's frames, a merged page. */
  create(pfn: number, span: number, nowNs: number): StableNode {
    return this.treeFor(span).insert(pfn, this.#nextNode--, nowNs);
  }

  /** The item's area maps the page; its anon_vma is held, to find it and its relatives by. */
  attach(item: RmapItem, node: StableNode, vma: number): void {
    item.anonVma = this.#m.words[vma + V_ANON_VMA];
    anonVmaGet(this.#m, item.anonVma);
    this.treeFor(node.span).append(item, node);
  }

  /** The item leaves whichever tree it is in (remove_rmap_item_from_tree). */
  drop(item: RmapItem): void {
    if (item.head !== null) this.treeFor(item.head.span).detach(item);
    else this.unstableFor(item.span).remove(item, this.ksmd.scans);
  }

  /** The frame of a merged page was moved (folio_migrate_ksm). */
  moved(from: number, to: number): void {
    const node = this.nodeOf(to);
    if (node !== null && node.pfn === from) node.pfn = to;
  }

  /**
   * Where a merged page may be mapped (rmap_walk_ksm): at its owners' addresses, in them and in their
   * relatives. A relative that has outlived all owners is not among them, until ksmd finds it.
   */
  placesOf(pfn: number): KsmPlace[] {
    const m = this.#m;
    const places: KsmPlace[] = [];
    const node = this.nodeOf(pfn);
    if (node === null) return places;
    const offset = m.words[frameRecord(m, pfn) + F_INDEX];
    const seen = new Set<string>();
    for (const item of node.items) {
      const page = item.page + (item.span === 1 ? 0 : offset);
      for (let at = firstMapping(m, item.anonVma); at !== 0; at = nextMapping(m, at)) {
        const vma = mappingVma(m, at);
        if (page < vmaStart(m, vma) || page >= vmaEnd(m, vma)) continue;
        const key = `${vma}:${page}`;
        if (seen.has(key)) continue;
        seen.add(key);
        places.push({ vma, page });
      }
    }
    return places;
  }

  /** An area that a merged page's first owner maps it in, 0 where there is none. */
  firstArea(id: number): number {
    const [item] = this.#nodes.get(id)?.items ?? [];
    const link = item === undefined ? 0 : firstMapping(this.#m, item.anonVma);
    return link === 0 ? 0 : mappingVma(this.#m, link);
  }

  counters(): KsmCounters {
    const { stable, stableHuge, ksmd } = this;
    const pagesShared = stable.pagesShared + stableHuge.pagesShared;
    const pagesSharing = stable.pagesSharing + stableHuge.pagesSharing;
    const pagesUnshared = this.unstable.count + this.unstableHuge.count * this.#m.entryCount;
    return {
      pagesShared,
      pagesSharing,
      pagesUnshared,
      pagesVolatile: Math.max(0, ksmd.items - pagesShared - pagesSharing - pagesUnshared),
      fullScans: ksmd.scans,
      pagesScanned: ksmd.pagesScanned,
      pagesSkipped: ksmd.pagesSkipped,
      zeroPages: zeroPagesOf(this.#m),
      chains: stable.chains + stableHuge.chains,
      chainDups: stable.chainDups + stableHuge.chainDups,
      hugePagesShared: stableHuge.pagesShared / this.#m.entryCount,
      hugePagesSplit: ksmd.hugePagesSplit,
    };
  }

  validate(): void {
    for (const tree of [this.stable, this.stableHuge, this.unstable, this.unstableHuge]) {
      tree.validate();
    }
    let mapped = 0;
    let unstable = 0;
    let known = 0;
    for (const slot of this.slots) {
      let before = -1;
      for (let item = slot.first; item !== null; item = item.next) {
        assert(item.page > before, 'items in order of addresses');
        before = item.page;
        known += item.span;
        if (item.unstable !== null) unstable += item.span;
        if (item.head === null) continue;
        assert(item.head.items.has(item), 'a merged page knows its items');
        mapped += item.span;
      }
    }
    const { pagesShared, pagesSharing, pagesUnshared } = this.counters();
    assert(mapped === pagesShared + pagesSharing, `items of merged pages: ${mapped} found`);
    assert(unstable === pagesUnshared, `items of the unstable tree: ${unstable} found`);
    assert(known === this.ksmd.items, `items: ${known} found, ${this.ksmd.items} kept`);
  }
}

/** Puts samepage merging onto a machine. */
export function attachKsm(m: Machine, settings: Partial<KsmSettings>): Ksm {
  const ksm = new Ksm(m, { ...KSM_DEFAULTS, ...settings });
  m.ksm = ksm;
  const { spaceGone } = m.events;
  m.events.spaceGone = (machine, mm) => {
    spaceGone?.(machine, mm);
    ksm.leave(mm);
  };
  return ksm;
}
