import { arenaAllocZeroed, arenaFree, CLASS_8 } from '../arena.ts';
import { H_ANON_LOCK } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { VM_ACCESS_FLAGS, VM_MAYBE_GUARD } from '../space/vm-flags.ts';
import {
  V_ANON_VMA,
  V_AVC,
  V_FLAGS,
  V_MM,
  V_OBJECT,
  vmaAt,
  vmaEnd,
  vmaIndexOf,
  vmaPgoff,
  vmaStart,
} from '../space/vma.ts';

/**
 * anon_vma: the identity that ties anonymous pages to the VMAs that may map them (mm/rmap.c). A
 * VMA is linked to its own anon_vma and, after a fork, to those of its ancestors, by chain links
 * (avc). Both the merge rules and the way from a frame to its mappings hang on it.
 *
 * On a shared machine one lock guards them all: they change a few times in the life of a VMA, and each
 * change is short. (Linux has one for each tree, and sleeps on it.)
 */
const A_AVC = 0; // head of the chain links of the VMAs
const A_PARENT = 1;
const A_CHILDREN = 2; // child anon_vmas, itself included for a root
const A_ACTIVE = 3; // VMAs whose V_ANON_VMA it is
const A_REFS = 4; // merged pages that find their owners by it (get_anon_vma)

const K_VMA = 0;
const K_ANON = 1;
const K_NEXT_IN_VMA = 2;
const K_NEXT_IN_ANON = 3;
const K_PREV_IN_ANON = 4;

function linkChain(m: Machine, vma: number, anon: number): void {
  const w = m.words;
  const avc = arenaAllocZeroed(m, CLASS_8);
  w[avc + K_VMA] = vma;
  w[avc + K_ANON] = anon;
  w[avc + K_NEXT_IN_VMA] = w[vma + V_AVC];
  w[vma + V_AVC] = avc;
  const next = w[anon + A_AVC];
  w[avc + K_NEXT_IN_ANON] = next;
  if (next !== 0) w[next + K_PREV_IN_ANON] = avc;
  w[anon + A_AVC] = avc;
}

/** Makes sure that the VMA has an anon_vma: a neighbour's where it fits, else a new one. */
export function anonVmaPrepare(m: Machine, vma: number): void {
  if (m.isShared) m.lock(H_ANON_LOCK);
  if (m.words[vma + V_ANON_VMA] === 0) prepare(m, vma);
  if (m.isShared) m.unlock(H_ANON_LOCK);
}

function prepare(m: Machine, vma: number): void {
  const w = m.words;
  let anon = findMergeable(m, vma);
  if (anon === 0) {
    anon = arenaAllocZeroed(m, CLASS_8);
    w[anon + A_PARENT] = anon;
    w[anon + A_CHILDREN] = 1;
  }
  w[vma + V_ANON_VMA] = anon;
  w[anon + A_ACTIVE] += 1;
  linkChain(m, vma, anon);
}

/** find_mergeable_anon_vma: the next neighbour's first, else the previous one's. */
function findMergeable(m: Machine, vma: number): number {
  const at = vmaIndexOf(m, vma);
  const mm = m.words[vma + V_MM];
  const next = vmaAt(m, mm, at + 1);
  if (next !== 0 && areCompatible(m, vma, next)) {
    const anon = reusable(m, next);
    if (anon !== 0) return anon;
  }
  const prev = vmaAt(m, mm, at - 1);
  return prev !== 0 && areCompatible(m, prev, vma) ? reusable(m, prev) : 0;
}

function areCompatible(m: Machine, a: number, b: number): boolean {
  const w = m.words;
  return (
    vmaEnd(m, a) === vmaStart(m, b) &&
    w[a + V_OBJECT] === w[b + V_OBJECT] &&
    ((w[a + V_FLAGS] ^ w[b + V_FLAGS]) & ~(VM_ACCESS_FLAGS | VM_MAYBE_GUARD)) === 0 &&
    vmaPgoff(m, b) === vmaPgoff(m, a) + vmaStart(m, b) - vmaStart(m, a)
  );
}

function reusable(m: Machine, vma: number): number {
  return isSingular(m, vma) ? m.words[vma + V_ANON_VMA] : 0;
}

/** Exactly one link: the VMA has no ancestors' anon_vmas. */
function isSingular(m: Machine, vma: number): boolean {
  const first = m.words[vma + V_AVC];
  return first !== 0 && m.words[first + K_NEXT_IN_VMA] === 0;
}

/** A VMA that still shares pages with a parent process (vma_had_uncowed_parents). */
export function hadUncowedParents(m: Machine, vma: number): boolean {
  return vma !== 0 && m.words[vma + V_ANON_VMA] !== 0 && !isSingular(m, vma);
}

/**
 * Links `dst` to every anon_vma of `src`. In a fork `dst` has none of its own yet and may take over
 * one that no VMA uses any more (anon_vma_clone).
 */
export function anonVmaClone(m: Machine, dst: number, src: number): void {
  if (m.isShared) m.lock(H_ANON_LOCK);
  clone(m, dst, src);
  if (m.isShared) m.unlock(H_ANON_LOCK);
}

function clone(m: Machine, dst: number, src: number): void {
  const w = m.words;
  for (let avc = w[src + V_AVC]; avc !== 0; avc = w[avc + K_NEXT_IN_VMA]) {
    const anon = w[avc + K_ANON];
    linkChain(m, dst, anon);
    if (
      w[dst + V_ANON_VMA] === 0 &&
      w[src + V_ANON_VMA] !== 0 &&
      w[anon + A_CHILDREN] < 2 &&
      w[anon + A_ACTIVE] === 0
    ) {
      w[dst + V_ANON_VMA] = anon;
    }
  }
  if (w[dst + V_ANON_VMA] !== 0) w[w[dst + V_ANON_VMA] + A_ACTIVE] += 1;
}

/** A child's VMA gets links to the parent's anon_vmas and one of its own (anon_vma_fork). */
export function anonVmaFork(m: Machine, child: number, parent: number): void {
  if (m.words[parent + V_ANON_VMA] === 0) return;
  if (m.isShared) m.lock(H_ANON_LOCK);
  forkLocked(m, child, parent);
  if (m.isShared) m.unlock(H_ANON_LOCK);
}

function forkLocked(m: Machine, child: number, parent: number): void {
  const w = m.words;
  w[child + V_ANON_VMA] = 0;
  clone(m, child, parent);
  if (w[child + V_ANON_VMA] !== 0) return;
  const anon = arenaAllocZeroed(m, CLASS_8);
  w[anon + A_PARENT] = w[parent + V_ANON_VMA];
  w[anon + A_ACTIVE] = 1;
  w[w[parent + V_ANON_VMA] + A_CHILDREN] += 1;
  w[child + V_ANON_VMA] = anon;
  linkChain(m, child, anon);
}

/** Takes a VMA off all its anon_vmas; those without any VMA left are freed. */
export function unlinkAnonVmas(m: Machine, vma: number): void {
  if (m.isShared) m.lock(H_ANON_LOCK);
  unlinkLocked(m, vma);
  if (m.isShared) m.unlock(H_ANON_LOCK);
}

function unlinkLocked(m: Machine, vma: number): void {
  const w = m.words;
  if (w[vma + V_ANON_VMA] !== 0) w[w[vma + V_ANON_VMA] + A_ACTIVE] -= 1;
  // Parents are freed after their children: first only count, then free.
  for (let avc = w[vma + V_AVC]; avc !== 0; avc = w[avc + K_NEXT_IN_VMA]) {
    const anon = w[avc + K_ANON];
    const next = w[avc + K_NEXT_IN_ANON];
    const prev = w[avc + K_PREV_IN_ANON];
    if (next !== 0) w[next + K_PREV_IN_ANON] = prev;
    if (prev !== 0) w[prev + K_NEXT_IN_ANON] = next;
    else w[anon + A_AVC] = next;
    if (w[anon + A_AVC] === 0) w[w[anon + A_PARENT] + A_CHILDREN] -= 1;
  }
  for (let avc = w[vma + V_AVC]; avc !== 0; ) {
    const next = w[avc + K_NEXT_IN_VMA];
    const anon = w[avc + K_ANON];
    if (w[anon + A_AVC] === 0 && w[anon + A_REFS] === 0) arenaFree(m, CLASS_8, anon);
    arenaFree(m, CLASS_8, avc);
    avc = next;
  }
  w[vma + V_AVC] = 0;
  w[vma + V_ANON_VMA] = 0;
}

/** The anon_vma stays although its last VMA may go (get_anon_vma); machines of one thread. */
export function anonVmaGet(m: Machine, anon: number): void {
  m.words[anon + A_REFS] += 1;
}

export function anonVmaPut(m: Machine, anon: number): void {
  m.words[anon + A_REFS] -= 1;
  if (m.words[anon + A_REFS] === 0 && m.words[anon + A_AVC] === 0) arenaFree(m, CLASS_8, anon);
}

/** The oldest of a family of anon_vmas: every VMA of the family is linked to it. */
export function rootAnonVma(m: Machine, anon: number): number {
  let root = anon;
  while (m.words[root + A_PARENT] !== root) root = m.words[root + A_PARENT];
  return root;
}

/** First link of an anon_vma's list; follow with `nextMapping`, read with `mappingVma`. */
export function firstMapping(m: Machine, anon: number): number {
  return m.words[anon + A_AVC];
}
export function nextMapping(m: Machine, avc: number): number {
  return m.words[avc + K_NEXT_IN_ANON];
}
export function mappingVma(m: Machine, avc: number): number {
  return m.words[avc + K_VMA];
}
