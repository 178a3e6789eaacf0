import { AnonVma, copyAnonVma } from './anon-vma.ts';
import { GIB_PAGES, PUD_PAGES, SLOT_PAGES, spansOf, Tables } from './tables.ts';
import { pgoffAt, sameFlags, type Vma, type VmaFlags } from './vma.ts';

/** What is to be placed or changed: the range as it would be as a VMA, and where its anon_vma comes from. */
interface Candidate {
  readonly start: number;
  readonly end: number;
  readonly pgoff: number;
  readonly flags: VmaFlags;
  readonly file: Vma['file'];
  /** The VMA whose pages and anon_vma come along; null for a fresh mmap. */
  readonly source: Vma | null;
}

/** The address space of one process: VMAs in order of address, and page tables. */
export class Space {
  /** Huge pages where a VMA asks for them (THP = madvise); false: off for the machine. */
  readonly hasHugePages: boolean;
  /** prctl(PR_SET_THP_DISABLE); with 'advised', areas with HUGEPAGE and COLLAPSE still have them. */
  hugeOff: 'no' | 'advised' | 'all' = 'no';
  readonly vmas: Vma[] = [];
  readonly tables = new Tables();
  /** What mlockall(MCL_FUTURE) gives to new mappings (mm->def_flags). */
  lockNew: VmaFlags['locked'] = 'no';

  constructor(hasHugePages: boolean) {
    this.hasHugePages = hasHugePages;
  }

  find(page: number): Vma | null {
    return this.vmas.find((vma) => page >= vma.start && page < vma.end) ?? null;
  }

  /** The first VMA that ends above `page`. */
  findAbove(page: number): Vma | null {
    return this.vmas.find((vma) => vma.end > page) ?? null;
  }

  overlapping(start: number, end: number): Vma[] {
    return this.vmas.filter((vma) => vma.start < end && vma.end > start);
  }

  before(page: number): Vma | null {
    return this.vmas.findLast((vma) => vma.end <= page) ?? null;
  }

  after(page: number): Vma | null {
    return this.vmas.find((vma) => vma.start >= page) ?? null;
  }

  insert(vma: Vma): void {
    const at = this.vmas.findIndex((other) => other.start > vma.start);
    this.vmas.splice(at < 0 ? this.vmas.length : at, 0, vma);
  }

  remove(vma: Vma): void {
    this.vmas.splice(this.vmas.indexOf(vma), 1);
  }

  /** Cuts `vma` at `page`; the upper part is new (__split_vma). */
  split(vma: Vma, page: number): void {
    if (page <= vma.start || page >= vma.end) return;
    const upper: Vma = { ...vma, start: page, pgoff: pgoffAt(vma, page) };
    vma.end = page;
    this.insert(upper);
    this.#splitHuge(page);
  }

  /** No huge page lies across a border of two VMAs (vma_adjust_trans_huge). */
  #splitHuge(border: number): void {
    if (border % SLOT_PAGES !== 0) this.tables.markHuge(border, false);
  }

  /** Unmaps [start, end): entries, tables by rule 3.3, VMAs. */
  unmap(start: number, end: number): void {
    for (const vma of this.overlapping(start, end)) {
      this.split(vma, start);
      this.split(this.find(Math.max(vma.start, start))!, end);
    }
    const pieces = this.overlapping(start, end).map((vma) => ({ start: vma.start, end: vma.end }));
    for (const vma of this.overlapping(start, end)) this.remove(vma);
    for (const piece of pieces) this.#clear(piece.start, piece.end);
    this.#freeTables(pieces, this.before(start)?.end ?? 0, this.after(end)?.start ?? Infinity);
  }

  #clear(start: number, end: number): void {
    for (const [page] of this.tables.entriesIn(start, end)) this.tables.delete(page);
  }

  /** A table goes iff a piece touches it and its span lies between the neighbours (free_pgtables). */
  #freeTables(pieces: readonly { start: number; end: number }[], low: number, high: number): void {
    const isFree = (span: number, size: number): boolean => span >= low && span + size <= high;
    for (const { start, end } of pieces) {
      for (const slot of spansOf(start, end, SLOT_PAGES)) {
        if (isFree(slot, SLOT_PAGES)) this.tables.freePte(slot);
      }
      for (const gib of spansOf(start, end, GIB_PAGES)) {
        if (isFree(gib, GIB_PAGES)) this.tables.freePmd(gib);
      }
      for (const pud of spansOf(start, end, PUD_PAGES)) {
        if (isFree(pud, PUD_PAGES)) this.tables.freePud(pud);
      }
    }
  }

  /** Puts a new mapping into a hole: into its neighbours where they fit (vma_merge_new_range). */
  place(candidate: Candidate): Vma {
    const { start, end } = candidate;
    const left = this.#leftFor(candidate);
    const right = this.#rightFor(candidate, left);
    const mayHaveGuards = [left, right, candidate.source].some((vma) => vma?.mayHaveGuards);
    if (left !== null) {
      left.mayHaveGuards = mayHaveGuards;
      left.end = right?.end ?? end;
      if (right !== null) takeAnonVma(left, right);
      if (candidate.source !== null) takeAnonVma(left, candidate.source);
      if (right !== null) this.remove(right);
      return left;
    }
    if (right !== null) {
      right.mayHaveGuards = mayHaveGuards;
      right.pgoff -= right.start - start;
      right.start = start;
      if (candidate.source !== null) takeAnonVma(right, candidate.source);
      return right;
    }
    const { pgoff, flags, file, source } = candidate;
    const vma: Vma = {
      start,
      end,
      pgoff,
      flags,
      mayHaveGuards,
      file,
      anonVma: null,
      hasParent: false,
    };
    if (source !== null) copyAnonVma(vma, source);
    this.insert(vma);
    return vma;
  }

  /** Changes the flags of a piece of one VMA: merge with neighbours, else split (vma_modify). */
  modify(vma: Vma, start: number, end: number, flags: VmaFlags): Vma {
    const { file } = vma;
    this.#splitHuge(start);
    this.#splitHuge(end);
    const candidate = { start, end, pgoff: pgoffAt(vma, start), flags, file, source: vma };
    const left = start === vma.start ? this.#leftFor(candidate) : null;
    const right = end === vma.end ? this.#rightFor(candidate, left) : null;
    const mayHaveGuards = [left, right, vma].some((part) => part?.mayHaveGuards);
    if (left !== null) left.mayHaveGuards = mayHaveGuards;
    else if (right !== null) right.mayHaveGuards = mayHaveGuards;
    if (left !== null && right !== null) {
      takeAnonVma(left, right.anonVma !== null ? right : vma);
      left.end = right.end;
      this.remove(vma);
      this.remove(right);
      return left;
    }
    if (left !== null) {
      takeAnonVma(left, vma);
      left.end = end;
      this.#cutFront(vma, end);
      return left;
    }
    if (right !== null) {
      takeAnonVma(right, vma);
      right.pgoff -= right.start - start;
      right.start = start;
      vma.end = start;
      if (vma.end === vma.start) this.remove(vma);
      return right;
    }
    this.split(vma, start);
    const middle = this.find(start)!;
    this.split(middle, end);
    middle.flags = flags;
    return middle;
  }

  #cutFront(vma: Vma, start: number): void {
    if (start === vma.end) {
      this.remove(vma);
      return;
    }
    vma.pgoff = pgoffAt(vma, start);
    vma.start = start;
  }

  #leftFor(candidate: Candidate): Vma | null {
    const left = this.vmas.find((vma) => vma.end === candidate.start) ?? null;
    if (left === null || !fits(left, candidate)) return null;
    return pgoffAt(left, left.end) === candidate.pgoff ? left : null;
  }

  /** The right neighbour; beside a left one only if those two could merge as well (rule 2.4). */
  #rightFor(candidate: Candidate, left: Vma | null): Vma | null {
    const right = this.vmas.find((vma) => vma.start === candidate.end) ?? null;
    if (right === null || !fits(right, candidate)) return null;
    if (right.pgoff !== candidate.pgoff + (candidate.end - candidate.start)) return null;
    if (left === null) return right;
    const isSame = left.anonVma === right.anonVma;
    return isSame || left.anonVma === null || right.anonVma === null ? right : null;
  }

  /** The first write: an own anon_vma, or the next or previous neighbour's (find_mergeable_anon_vma). */
  prepareAnonVma(vma: Vma): void {
    if (vma.anonVma !== null) return;
    const next = this.vmas.find((other) => other.start === vma.end) ?? null;
    const previous = this.vmas.find((other) => other.end === vma.start) ?? null;
    if (next !== null && canShareAnonVma(vma, next, next)) copyAnonVma(vma, next);
    else if (previous !== null && canShareAnonVma(previous, vma, previous)) {
      copyAnonVma(vma, previous);
    } else vma.anonVma = new AnonVma();
  }
}

/** Flags, file and anon_vma allow `target` to grow over the candidate (is_mergeable_vma, is_mergeable_anon_vma). */
function fits(target: Vma, candidate: Candidate): boolean {
  if (!sameFlags(target.flags, candidate.flags) || target.file !== candidate.file) return false;
  const { source } = candidate;
  const anonVma = source?.anonVma ?? null;
  if (target.anonVma === null && anonVma !== null) return !source!.hasParent;
  if (target.anonVma !== null && anonVma === null) return !target.hasParent;
  return target.anonVma === anonVma;
}

/** The grown VMA gets the other's anon_vma if it has none (dup_anon_vma). */
function takeAnonVma(target: Vma, source: Vma): void {
  if (target.anonVma !== null || source.anonVma === null) return;
  copyAnonVma(target, source);
}

/** Two touching VMAs that differ at most in protection (anon_vma_compatible, reusable_anon_vma). */
function canShareAnonVma(low: Vma, high: Vma, owner: Vma): boolean {
  if (owner.anonVma === null || owner.hasParent) return false;
  if (low.file !== high.file || high.pgoff !== pgoffAt(low, high.start)) return false;
  return sameFlags({ ...low.flags, prot: 0 }, { ...high.flags, prot: 0 });
}
