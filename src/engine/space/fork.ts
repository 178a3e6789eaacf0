import { makeRoom } from '../frames/make-room.ts';
import type { Machine } from '../machine.ts';
import { anonVmaFork } from '../objects/anon-vma.ts';
import { isShmemVma, linkObjectVma } from '../objects/object.ts';
import { lockMappings, unlockMappings } from '../objects/object-lock.ts';
import { opsOfWindow } from '../objects/window.ts';
import { copyTables } from '../tables/copy.ts';
import { exitMm } from './exit.ts';
import {
  MM_BRK,
  MM_CGROUP,
  MM_LOCK_SEQ,
  MM_MMAP_BASE,
  MM_START_BRK,
  MM_THP_DISABLE,
  mmCreate,
  mmDouble,
  setMmDouble,
} from './mm.ts';
import { raiseSequence } from './mmap-lock.ts';
import {
  VM_DONTCOPY,
  VM_LOCKED_MASK,
  VM_MAYBE_GUARD,
  VM_MAYWRITE,
  VM_MIXEDMAP,
  VM_PFNMAP,
  VM_SHARED,
  VM_WINDOW,
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
import { vmaStartWrite } from './vma-lock.ts';

/** fork(2): the child's address space, or 0 when memory is out (dup_mmap). */
export function forkMm(m: Machine, parent: number, pid: number): number {
  let child = mmCreate(m, pid);
  while (child === 0 && makeRoom(m)) child = mmCreate(m, pid);
  if (child === 0) return 0;
  m.forkWork.forks += 1;
  m.words[child + MM_CGROUP] = m.words[parent + MM_CGROUP];
  m.words[child + MM_THP_DISABLE] = m.words[parent + MM_THP_DISABLE];
  // From here on every fault of the parent waits, so the copy is of one moment.
  for (let at = 0; ; at++) {
    const vma = vmaAt(m, parent, at);
    if (vma === 0) break;
    vmaStartWrite(m, vma);
  }
  raiseSequence(m, parent);
  for (const field of [MM_START_BRK, MM_BRK, MM_MMAP_BASE]) {
    setMmDouble(m, child, field, mmDouble(m, parent, field));
  }
  for (let at = 0; ; at++) {
    const vma = vmaAt(m, parent, at);
    if (vma === 0) {
      m.words[child + MM_LOCK_SEQ] += 1;
      m.ksm?.fork(parent, child);
      return child;
    }
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
  const object = w[vma + V_OBJECT];
  // A truncation comes before the copy or after it: it must find the pages in both or in one.
  lockMappings(m, object);
  if (object !== 0) linkObjectVma(m, object, copy);
  const isWindow = (flags & VM_WINDOW) !== 0;
  if (isWindow) opsOfWindow(m, copy).attached(m, child, copy);
  const isDone = isWindow
    ? (opsOfWindow(m, copy).parts?.fork(m, vma, copy) ?? true)
    : (flags & VM_WIPEONFORK) !== 0 || copyMapped(m, parent, child, vma, copy, flags);
  unlockMappings(m, object);
  return isDone;
}

/** The anon_vmas and, where it cannot be faulted in again, what is mapped. */
function copyMapped(
  m: Machine,
  parent: number,
  child: number,
  vma: number,
  copy: number,
  flags: number,
): boolean {
  anonVmaFork(m, copy, vma);
  if (!needsCopy(m, vma, flags)) return true;
  const isCow = (flags & (VM_SHARED | VM_MAYWRITE)) === VM_MAYWRITE;
  m.forgetWalk();
  const isShmem = isShmemVma(m, vma);
  return copyTables(m, parent, child, vmaStart(m, vma), vmaEnd(m, vma), isCow, isShmem);
}

/** vma_needs_copy: what can be faulted in again from an object is not copied. */
function needsCopy(m: Machine, vma: number, flags: number): boolean {
  return (
    (flags & (VM_PFNMAP | VM_MIXEDMAP | VM_MAYBE_GUARD)) !== 0 || m.words[vma + V_ANON_VMA] !== 0
  );
}
