import type { AnonVma } from './anon-vma.ts';
import type { FilePage } from './tables.ts';

/** What of a VMA must be equal for two to merge (vm_flags, without those that are constant here). */
export interface VmaFlags {
  readonly prot: number;
  readonly isShared: boolean;
  readonly growsDown: boolean;
  readonly noReserve: boolean;
  /** Counts toward the overcommit limit (VM_ACCOUNT). */
  readonly account: boolean;
  readonly locked: 'no' | 'yes' | 'onfault';
  readonly dontFork: boolean;
  readonly wipeOnFork: boolean;
  readonly huge: 'unset' | 'yes' | 'no';
  readonly readAhead: 'normal' | 'random' | 'sequential';
  readonly dontDump: boolean;
  readonly mergeable: boolean;
}

/** A memfd, or the hidden file behind one shared anonymous mmap. */
export interface MemoryFile {
  readonly name: string;
  sizePages: number;
  /** What the page cache has, by page offset. */
  readonly cached: Map<number, FilePage>;
}

/** One mapping. Pages; `end` is excluded. */
export interface Vma {
  start: number;
  end: number;
  /** Page offset in the file; for anonymous memory where the mapping once began to be. */
  pgoff: number;
  flags: VmaFlags;
  /** Guard markers were installed once (VM_MAYBE_GUARD): no hindrance to merging, handed on by it. */
  mayHaveGuards: boolean;
  readonly file: MemoryFile | null;
  anonVma: AnonVma | null;
  hasParent: boolean;
}

export function isAnonymous(vma: Vma): boolean {
  return vma.file === null;
}

export function pgoffAt(vma: Vma, page: number): number {
  return vma.pgoff + (page - vma.start);
}

export function sameFlags(a: VmaFlags, b: VmaFlags): boolean {
  return (Object.keys(a) as (keyof VmaFlags)[]).every((key) => a[key] === b[key]);
}
