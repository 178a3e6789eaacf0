import {
  Errno,
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
} from '../../base/index.ts';
import { madviseCollapse } from '../huge/collapse.ts';
import { unshareRange } from '../ksm/unshare.ts';
import type { Machine } from '../machine.ts';
import { objectGet, objectPut } from '../objects/object.ts';
import { punchObject } from '../objects/truncate.ts';
import { partOpsOf } from '../objects/window.ts';
import { ageRange, freeLazily } from '../reclaim/age.ts';
import { unshareEdges, unshareSlots } from '../tables/shared-range.ts';
import { ZAP_KEEP_GUARDS, ZAP_RECLAIM_TABLES, zapRange } from '../tables/zap.ts';
import { installGuards, removeGuards } from './guard.ts';
import { modifyVma } from './merge.ts';
import { madvisePopulate } from './populate.ts';
import * as VM from './vm-flags.ts';
import { findVma, V_FLAGS, V_OBJECT, vmaEnd, vmaPgoff, vmaStart } from './vma.ts';
import { checkCuts } from './window.ts';

/** madvise(2): 0 or a negative errno. */
export function madvise(m: Machine, mm: number, addr: number, len: number, advice: number): number {
  if (!isKnown(m, advice)) return -Errno.EINVAL;
  if (addr % 4096 !== 0) return -Errno.EINVAL;
  const pages = Math.ceil(len / 4096);
  if (pages > 2 ** 52) return -Errno.EINVAL;
  if (pages === 0) return 0;
  const start = addr / 4096;
  const end = start + pages;
  if (advice === MADV_POPULATE_READ) return madvisePopulate(m, mm, start, end, false);
  if (advice === MADV_POPULATE_WRITE) return madvisePopulate(m, mm, start, end, true);
  return eachArea(m, mm, start, end, advice);
}

const KNOWN: ReadonlySet<number> = new Set([
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_WILLNEED,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_REMOVE,
  MADV_DONTFORK,
  MADV_DOFORK,
  MADV_MERGEABLE,
  MADV_UNMERGEABLE,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_DONTDUMP,
  MADV_DODUMP,
  MADV_WIPEONFORK,
  MADV_KEEPONFORK,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_DONTNEED_LOCKED,
  MADV_COLLAPSE,
]);

function isKnown(m: Machine, advice: number): boolean {
  if (advice === MADV_GUARD_INSTALL || advice === MADV_GUARD_REMOVE) {
    return m.rules.hasGuardRegions;
  }
  return KNOWN.has(advice);
}

/**
 * True for advice that changes areas, and so wants the mmap_lock for writing; the rest is about what
 * they hold (madvise_need_mmap_write).
 */
export function changesAreas(advice: number): boolean {
  return !CONTENTS_ONLY.has(advice);
}

const CONTENTS_ONLY: ReadonlySet<number> = new Set([
  MADV_WILLNEED,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_REMOVE,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_COLLAPSE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
]);

/** madvise_walk_vmas: holes are passed over and make it ENOMEM in the end; an error stops it. */
function eachArea(m: Machine, mm: number, start: number, end: number, advice: number): number {
  let at = start;
  let result = 0;
  while (at < end) {
    const vma = findVma(m, mm, at);
    if (vma === 0) return -Errno.ENOMEM;
    if (vmaStart(m, vma) > at) {
      result = -Errno.ENOMEM;
      at = vmaStart(m, vma);
      if (at >= end) break;
    }
    const to = Math.min(end, vmaEnd(m, vma));
    const error = adviseArea(m, mm, vma, at, to, advice);
    if (error < 0) return error;
    at = to;
  }
  return result;
}

function adviseArea(
  m: Machine,
  mm: number,
  vma: number,
  start: number,
  end: number,
  advice: number,
): number {
  if (!unshareFor(m, mm, vma, start, end, advice)) return -Errno.ENOMEM;
  const flags = m.words[vma + V_FLAGS];
  // What lies in a window is its object's, and is advised there (mshare: "to be rejected").
  if ((flags & VM.VM_WINDOW) !== 0 && !changesAreas(advice)) {
    return partOpsOf(m, vma)?.advise(m, vma, start, end, advice) ?? -Errno.EINVAL;
  }
  const isPinned = (flags & (VM.VM_LOCKED | VM.VM_PFNMAP)) !== 0;
  switch (advice) {
    case MADV_DONTNEED:
      if (isPinned) return -Errno.EINVAL;
      zapRange(m, mm, vma, start, end, ZAP_RECLAIM_TABLES | ZAP_KEEP_GUARDS);
      return 0;
    case MADV_DONTNEED_LOCKED:
      if ((flags & VM.VM_PFNMAP) !== 0) return -Errno.EINVAL;
      zapRange(m, mm, vma, start, end, ZAP_RECLAIM_TABLES | ZAP_KEEP_GUARDS);
      return 0;
    case MADV_FREE:
      if (isPinned || m.words[vma + V_OBJECT] !== 0) return -Errno.EINVAL;
      freeLazily(m, mm, start, end);
      return 0;
    case MADV_COLD:
    case MADV_PAGEOUT:
      if (isPinned) return -Errno.EINVAL;
      ageRange(m, mm, start, end, advice === MADV_PAGEOUT);
      return 0;
    case MADV_REMOVE:
      return removeRange(m, vma, start, end);
    case MADV_GUARD_INSTALL:
      return installGuards(m, mm, vma, start, end);
    case MADV_GUARD_REMOVE:
      return removeGuards(m, mm, vma, start, end);
    // Read-ahead of what is cached already has no effect on what we count.
    case MADV_WILLNEED:
      return 0;
    case MADV_COLLAPSE:
      return madviseCollapse(m, mm, vma, start, end);
    default: {
      if (advice === MADV_UNMERGEABLE && (flags & VM.VM_MERGEABLE) !== 0) {
        const error = unshareRange(m, mm, vma, start, end);
        if (error < 0) return error;
      }
      const changed = changedFlags(m, vma, flags, advice);
      if (changed < 0 && changed > -4096) return changed;
      if (changed === flags) return 0;
      const refused = checkCuts(m, vma, start, end);
      if (refused < 0) return refused;
      if (modifyVma(m, vma, start, end, changed) === 0) return -Errno.ENOMEM;
      if (advice === MADV_MERGEABLE) m.ksm?.enter(mm);
      return 0;
    }
  }
}

/** Advice that changes entries needs tables of this address space's own; false when memory is out. */
function unshareFor(
  m: Machine,
  mm: number,
  vma: number,
  start: number,
  end: number,
  advice: number,
): boolean {
  if (m.sharing === null) return true;
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED: {
      const hasGuards = (m.words[vma + V_FLAGS] & VM.VM_MAYBE_GUARD) !== 0;
      if (hasGuards) return unshareSlots(m, mm, start, end);
      return unshareEdges(m, mm, start, end);
    }
    case MADV_FREE:
    case MADV_COLD:
    case MADV_PAGEOUT:
    case MADV_GUARD_INSTALL:
    case MADV_GUARD_REMOVE:
    case MADV_MERGEABLE:
      return unshareSlots(m, mm, start, end);
    default:
      return true;
  }
}

/** madvise_remove: a hole in shared memory or a file. */
function removeRange(m: Machine, vma: number, start: number, end: number): number {
  const flags = m.words[vma + V_FLAGS];
  const object = m.words[vma + V_OBJECT];
  if ((flags & VM.VM_LOCKED) !== 0 || object === 0) return -Errno.EINVAL;
  const both = VM.VM_SHARED | VM.VM_MAYWRITE;
  if ((flags & both) !== both) return -Errno.EACCES;
  const shift = vmaPgoff(m, vma) - vmaStart(m, vma);
  objectGet(m, object);
  punchObject(m, object, start + shift, end + shift);
  objectPut(m, object);
  return 0;
}

/** The area's flags after the advice (madvise_vma_behavior), or a negative errno. */
function changedFlags(m: Machine, vma: number, flags: number, advice: number): number {
  const special = VM.VM_DONTEXPAND | VM.VM_PFNMAP | VM.VM_MIXEDMAP;
  switch (advice) {
    case MADV_NORMAL:
      return flags & ~(VM.VM_RAND_READ | VM.VM_SEQ_READ);
    case MADV_RANDOM:
      return (flags & ~VM.VM_SEQ_READ) | VM.VM_RAND_READ;
    case MADV_SEQUENTIAL:
      return (flags & ~VM.VM_RAND_READ) | VM.VM_SEQ_READ;
    case MADV_DONTFORK:
      return flags | VM.VM_DONTCOPY;
    case MADV_DOFORK:
      return flags & ~VM.VM_DONTCOPY;
    case MADV_WIPEONFORK:
      if (m.words[vma + V_OBJECT] !== 0 || (flags & VM.VM_SHARED) !== 0) return -Errno.EINVAL;
      return flags | VM.VM_WIPEONFORK;
    case MADV_KEEPONFORK:
      return flags & ~VM.VM_WIPEONFORK;
    case MADV_DONTDUMP:
      return flags | VM.VM_DONTDUMP;
    case MADV_DODUMP:
      return (flags & special) !== 0 && (flags & VM.VM_HUGETLB) === 0
        ? -Errno.EINVAL
        : flags & ~VM.VM_DONTDUMP;
    case MADV_HUGEPAGE:
      return (flags & ~VM.VM_NOHUGEPAGE) | VM.VM_HUGEPAGE;
    case MADV_NOHUGEPAGE:
      return (flags & ~VM.VM_HUGEPAGE) | VM.VM_NOHUGEPAGE;
    case MADV_MERGEABLE:
      return isKsmCandidate(m, vma, flags) ? flags | VM.VM_MERGEABLE : flags;
    default:
      return flags & ~VM.VM_MERGEABLE;
  }
}

/** vma_ksm_compatible: private, ordinary memory. */
function isKsmCandidate(m: Machine, vma: number, flags: number): boolean {
  const excluded = VM.VM_SHARED | VM.VM_MAYSHARE | VM.VM_PFNMAP | VM.VM_DONTEXPAND | VM.VM_MIXEDMAP;
  return (flags & excluded) === 0 && m.words[vma + V_FLAGS] === flags;
}
