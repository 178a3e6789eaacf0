/**
 * The kernel's anon_vma (mm/rmap.c), as far as it decides which mappings can merge and what fork
 * copies: an identity, and whether the mapping came through a fork.
 */
export class AnonVma {}

/** What a VMA has of it. */
export interface AnonVmaHolder {
  anonVma: AnonVma | null;
  /** Pages of a parent process may still be mapped through it (vma_had_uncowed_parents). */
  hasParent: boolean;
}

/** The copy gets what the source has (anon_vma_clone). */
export function copyAnonVma(copy: AnonVmaHolder, source: AnonVmaHolder): void {
  copy.anonVma = source.anonVma;
  copy.hasParent = source.hasParent;
}

/** The VMA is as if never written (unlink_anon_vmas). */
export function dropAnonVma(vma: AnonVmaHolder): void {
  vma.anonVma = null;
  vma.hasParent = false;
}

/**
 * The child's VMA gets one of its own (anon_vma_fork). That the kernel may give it an ancestor's
 * that no VMA uses any more cannot be seen: no second VMA of the child can get the same.
 */
export function forkAnonVma(child: AnonVmaHolder, parent: AnonVmaHolder): void {
  child.anonVma = parent.anonVma === null ? null : new AnonVma();
  child.hasParent = parent.anonVma !== null;
}
