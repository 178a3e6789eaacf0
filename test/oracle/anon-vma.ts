/**
 * The kernel's anon_vma objects (mm/rmap.c), as far as they decide which mappings can merge and
 * what fork copies: an identity, and how many mappings and children hang on it.
 */
export class AnonVma {
  readonly parent: AnonVma;
  /** anon_vmas whose parent this is; a root counts itself. */
  childCount = 0;
  /** VMAs whose `anonVma` this is. */
  activeVmas = 0;
  /** VMAs that have this in their chain. */
  attachedVmas = 0;

  constructor(parent?: AnonVma) {
    this.parent = parent ?? this;
    this.parent.childCount += 1;
  }
}

/** What a VMA has of it. `chain` also holds the anon_vmas of ancestors; longer than one after fork. */
export interface AnonVmaHolder {
  anonVma: AnonVma | null;
  chain: AnonVma[];
}

/** The VMA gets its first anon_vma: an own one, or a neighbour's. */
export function attach(vma: AnonVmaHolder, anonVma: AnonVma): void {
  vma.anonVma = anonVma;
  vma.chain = [anonVma];
  anonVma.activeVmas += 1;
  anonVma.attachedVmas += 1;
}

/**
 * The copy gets the source's chain (anon_vma_clone). A copy that has no anon_vma yet, though its
 * source has one, is a forked one: it may take over an ancestor's that no VMA uses any more.
 */
export function cloneChain(copy: AnonVmaHolder, source: AnonVmaHolder): void {
  copy.chain = [...source.chain];
  for (const anonVma of copy.chain) {
    anonVma.attachedVmas += 1;
    const isFree = anonVma.childCount < 2 && anonVma.activeVmas === 0;
    if (copy.anonVma === null && source.anonVma !== null && isFree) copy.anonVma = anonVma;
  }
  if (copy.anonVma !== null) copy.anonVma.activeVmas += 1;
}

/** The VMA goes, or loses its pages for good (unlink_anon_vmas). */
export function detach(vma: AnonVmaHolder): void {
  for (const anonVma of vma.chain) {
    anonVma.attachedVmas -= 1;
    if (anonVma.attachedVmas === 0) anonVma.parent.childCount -= 1;
  }
  if (vma.anonVma !== null) vma.anonVma.activeVmas -= 1;
  vma.anonVma = null;
  vma.chain = [];
}

/** The child's VMA gets an anon_vma of its own below the parent's (anon_vma_fork). */
export function forkAnonVma(child: AnonVmaHolder, parent: AnonVmaHolder): void {
  child.anonVma = null;
  child.chain = [];
  if (parent.anonVma === null) return;
  cloneChain(child, parent);
  if (child.anonVma !== null) return;
  const own = new AnonVma(parent.anonVma);
  child.anonVma = own;
  child.chain.push(own);
  own.activeVmas += 1;
  own.attachedVmas += 1;
}

/** Whether pages of a parent process may still be mapped through it (vma_had_uncowed_parents). */
export function hasParents(vma: AnonVmaHolder): boolean {
  return vma.anonVma !== null && vma.chain.length > 1;
}
