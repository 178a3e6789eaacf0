import { Errno, InputError } from '../../base/index.ts';
import { MISS } from '../fault/access.ts';
import type { Machine } from '../machine.ts';
import { contentsOfFrame } from '../objects/contents.ts';
import {
  type PartOps,
  registerWindowOps,
  type WindowFrames,
  type WindowOps,
} from '../objects/window.ts';
import { C_FAULTS, mmCounters } from '../space/mm.ts';
import { VM_HUGETLB_WRITE } from '../space/vm-flags.ts';
import { V_FLAGS, V_MM, vmaEnd } from '../space/vma.ts';
import { rightsOfFlags, VM_HUGETLB_ACCESS } from './area.ts';
import { frameOfEntry, HUGE_WRITE, hugeEntry } from './entries.ts';
import { hugetlbFault } from './fault.ts';
import { dropObject, punchFile, truncateFile } from './file.ts';
import { ensurePmdTable, findPmdTable, sharedTableFor } from './pmd-share.ts';
import { HugetlbPool } from './pool.ts';
import { advisePart, cutArea, detachArea, forkArea, movePart, protectPart } from './range.ts';
import { validateHugetlb } from './validate.ts';

/** What hugetlb mappings did; grows, but for `tables`. */
export interface HugetlbWork {
  /** Tables of level 1 that mappings of a whole GiB have, each once, and the most there were. */
  tables: number;
  peakTables: number;
  /** Faults that found such a table in another mapping; times that one was taken out for others' sake. */
  shares: number;
  unshares: number;
  /** Faults that mapped a page, and pages copied on write. */
  faults: number;
  copies: number;
  /** Pages taken from children whose parent had been promised them. */
  pagesLost: number;
}

/** A machine's hugetlb pages: the pool, and what mappings of them do. */
export class Hugetlb implements WindowOps {
  readonly name = 'hugetlb';
  readonly pool: HugetlbPool = new HugetlbPool();
  readonly work: HugetlbWork = {
    tables: 0,
    peakTables: 0,
    shares: 0,
    unshares: 0,
    faults: 0,
    copies: 0,
    pagesLost: 0,
  };
  readonly parts: PartOps;
  /** CONFIG_HUGETLB_PMD_PAGE_TABLE_SHARING. */
  readonly sharesTables: boolean;
  flavor = -1;
  /** First page of the area whose reservations have just moved elsewhere; -1 for none. */
  movedFrom = -1;

  constructor(sharesTables: boolean) {
    this.sharesTables = sharesTables;
    this.parts = {
      checkCut: (m, _vma, page) => (page % m.entryCount === 0 ? 0 : -Errno.EINVAL),
      cut: (m, vma, page) => cutArea(m, this, vma, page),
      protect: (m, vma, start, end, rights) => protectPart(m, this, vma, start, end, rights),
      advise: (m, vma, start, end, advice) => advisePart(m, this, vma, start, end, advice),
      fork: (m, vma, copy) => forkArea(m, this, vma, copy),
      move: (m, _vma, made, start, target, pages) => movePart(m, this, made, start, target, pages),
      rightsOf: (m, vma) => rightsOfFlags(m.words[vma + V_FLAGS]),
      truncate: (m, object, sizeBytes) => truncateFile(m, this, object, sizeBytes),
      punch: (m, object, start, end) => punchFile(m, this, object, start, end),
    };
  }

  /** Never asked: hugetlb/mmap.ts is the way in. */
  alignmentPages(m: Machine): number {
    return m.entryCount;
  }

  checkMapping(): number {
    return 0;
  }

  fault(m: Machine, _mm: number, vma: number, hi: number, lo: number, isWrite: boolean): number {
    return hugetlbFault(m, this, vma, hi, lo, isWrite);
  }

  /** A GiB whose table is full, else one page. */
  touchWhole(
    m: Machine,
    mm: number,
    vma: number,
    page: number,
    count: number,
    isWrite: boolean,
  ): number {
    const isTable =
      page % m.loPages === 0 && count >= m.loPages && vmaEnd(m, vma) >= page + m.loPages;
    // The first access takes the fault that finds another mapping's table.
    if (isTable && this.#isAllowed(m, vma, isWrite)) {
      const table = findPmdTable(m, mm, page);
      const there = table === 0 ? sharedTableFor(m, this, vma, page) : table;
      if (there !== 0 && isFull(m, there, isWrite)) {
        if (table === 0) ensurePmdTable(m, this, vma, page);
        m.foundIndex = table === 0 ? 1 : 0;
        m.words[mmCounters(m, mm) + C_FAULTS] += m.foundIndex;
        return m.loPages;
      }
    }
    const hi = Math.floor(page / m.loPages);
    const faults = hugetlbFault(m, this, vma, hi, page - hi * m.loPages, isWrite);
    if (faults < 0) return 0;
    m.foundIndex = faults;
    return m.entryCount;
  }

  access(m: Machine, mm: number, vma: number, page: number, value: number): number {
    const entry = this.#entryAt(m, mm, page);
    if (entry === 0 || !this.#isAllowed(m, vma, value >= 0)) return MISS;
    if (value >= 0 && (entry & HUGE_WRITE) === 0) return MISS;
    const at = contentsOfFrame(m, frameOfEntry(entry) + (page % m.entryCount));
    const found = m.words[at];
    if (value >= 0) m.words[at] = value;
    return found;
  }

  fill(m: Machine, vma: number, page: number, content: number): void {
    const entry = this.#entryAt(m, m.words[vma + V_MM], page);
    if (entry === 0) return;
    m.words[contentsOfFrame(m, frameOfEntry(entry) + (page % m.entryCount))] = content;
  }

  detach(m: Machine, mm: number, vma: number): void {
    detachArea(m, this, mm, vma);
  }

  gone(m: Machine, object: number): void {
    dropObject(m, this, object);
  }

  attached(): void {}

  validate(m: Machine): WindowFrames {
    return validateHugetlb(m, this);
  }

  #entryAt(m: Machine, mm: number, page: number): number {
    const table = findPmdTable(m, mm, page);
    return table === 0 ? 0 : hugeEntry(m, table, Math.floor((page % m.loPages) / m.entryCount));
  }

  #isAllowed(m: Machine, vma: number, isWrite: boolean): boolean {
    return (m.words[vma + V_FLAGS] & (isWrite ? VM_HUGETLB_WRITE : VM_HUGETLB_ACCESS)) !== 0;
  }
}

function isFull(m: Machine, table: number, isWrite: boolean): boolean {
  for (let i = 0; i < m.entryCount; i++) {
    const entry = hugeEntry(m, table, i);
    if (entry === 0 || (isWrite && (entry & HUGE_WRITE) === 0)) return false;
  }
  return true;
}

/** Settings of a machine that concern hugetlb (MachineOptions). */
export interface HugetlbOptions {
  readonly hugetlbPages?: number;
  readonly hugetlbPmdSharing?: boolean;
}

/**
 * Gives a machine its pool. Where there are no pages of 2 MiB (other geometries), and on machines of several
 * threads, there is none; InputError if one was asked for.
 */
export function attachHugetlb(m: Machine, options: HugetlbOptions): void {
  const pages = options.hugetlbPages ?? 0;
  if (m.hugetlb !== null) return;
  if (m.isShared || m.entryCount !== 512) {
    if (pages === 0) return;
    throw new InputError('hugetlb pages are for machines of one thread with pages of 2 MiB');
  }
  const hugetlb = new Hugetlb(options.hugetlbPmdSharing ?? true);
  hugetlb.flavor = registerWindowOps(m, hugetlb);
  m.hugetlb = hugetlb;
  hugetlb.pool.grow(m, pages);
}

/** HugePages_* of /proc/meminfo, in pages, and what mappings did; empty without a pool. */
export function hugetlbCounters(m: Machine): Record<string, number> {
  const { hugetlb } = m;
  if (hugetlb === null || hugetlb.pool.total === 0) return {};
  const { total, free, reserved } = hugetlb.pool;
  return { totalPages: total, freePages: free, reservedPages: reserved, ...hugetlb.work };
}
