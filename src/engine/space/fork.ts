import type { Machine } from '../machine.ts';
import { anonVmaFork } from '../objects/anon-vma.ts';
import { isShmemVma, linkObjectVma } from '../objects/object.ts';
import { copyTables } from '../tables/copy.ts';
import { exitMm } from './exit.ts';
import {
  MM_BRK,
  MM_CGROUP,
  MM_MMAP_BASE,
  MM_START_BRK,
  mmCreate,
  mmDouble,
  setMmDouble,
} from './mm.ts';
import {
  VM_DONTCOPY,
  VM_LOCKED_MASK,
  VM_MAYBE_GUARD,
  VM_MAYWRITE,
  VM_MIXEDMAP,
  VM_PFNMAP,
  VM_SHARED,
  VM_WIPEONFORK,
} from './vm-flags.ts';
import {
  V_ANON_VMA,
  V_FLAGS,
  V_OBJECT,
  vmaAt,
  vmaCreate,
  vmaEnd,
  vmaInsert,
  vmaPgoff,
  vmaStart,
} from './vma.ts';

/** fork(2): the child's address space, or 0 when memory is out (dup_mmap). */
export function forkMm(m: Machine, parent: number, pid: number): number {
  const child = mmCreate(m, pid);
  if (child === 0) return 0;
  m.words[child + MM_CGROUP] = m.words[parent + MM_CGROUP];
  for (const field of [MM_START_BRK, MM_BRK, MM_MMAP_BASE]) {
    setMmDouble(m, child, field, mmDouble(m, parent, field));
  }
  for (let at = 0; ; at++) {
    const vma = vmaAt(m, parent, at);
    if (vma === 0) return child;
    if ((m.words[vma + V_FLAGS] & VM_DONTCOPY) !== 0) continue;
    if (!copyArea(m, parent, child, vma)) {
      exitMm(m, child);
      return 0;
    }
  }
}

function copyArea(m: Machine, parent: number, child: number, vma: number): boolean {
  const w = m.words;
  const start = vmaStart(m, vma);
  const end = vmaEnd(m, vma);
  const flags = w[vma + V_FLAGS] & ~VM_LOCKED_MASK;
  const copy = vmaCreate(m, child, start, end, vmaPgoff(m, vma), flags);
  vmaInsert(m, copy);
  if (w[vma + V_OBJECT] !== 0) linkObjectVma(m, w[vma + V_OBJECT], copy);
  if ((flags & VM_WIPEONFORK) !== 0) return true;
  anonVmaFork(m, copy, vma);
  if (!needsCopy(m, vma, flags)) return true;
  const isCow = (flags & (VM_SHARED | VM_MAYWRITE)) === VM_MAYWRITE;
  m.forgetWalk();
  return copyTables(m, parent, child, start, end, isCow, isShmemVma(m, vma));
}

/** vma_needs_copy: what can be faulted in again from an object is not copied. */
function needsCopy(m: Machine, vma: number, flags: number): boolean {
  return (
    (flags & (VM_PFNMAP | VM_MIXEDMAP | VM_MAYBE_GUARD)) !== 0 || m.words[vma + V_ANON_VMA] !== 0
  );
}
