import type { Machine } from '../machine.ts';
import { mergeNewRange } from './merge.ts';
import { MM_BRK, MM_DEF_FLAGS, MM_START_BRK, MM_VMA_COUNT, mmDouble, setMmDouble } from './mm.ts';
import { hasMemoryFor } from './mmap.ts';
import { unmapRange } from './munmap.ts';
import { populateRange } from './populate.ts';
import { VM_ACCOUNT, VM_LOCKED, VM_MAY_ALL, VM_READ, VM_WRITE } from './vm-flags.ts';
import { findVma, vmaCreate, vmaInsert, vmaStart } from './vma.ts';

/** Sets where the heap begins; done once, when a program is loaded. */
export function setStartBrk(m: Machine, mm: number, addr: number): void {
  setMmDouble(m, mm, MM_START_BRK, addr);
  setMmDouble(m, mm, MM_BRK, addr);
}

/** brk(2): moves the heap's end to `addr` (bytes) if it can; returns where the end is then. */
export function brk(m: Machine, mm: number, addr: number): number {
  const current = mmDouble(m, mm, MM_BRK);
  if (addr < mmDouble(m, mm, MM_START_BRK)) return current;
  const from = Math.ceil(current / 4096);
  const to = Math.ceil(addr / 4096);
  if (to < from) {
    if (unmapRange(m, mm, to, from) < 0) return current;
  } else if (to > from) {
    // One page must stay free before the next area.
    const next = findVma(m, mm, from);
    if (next !== 0 && vmaStart(m, next) < to + 1) return current;
    if (m.words[mm + MM_VMA_COUNT] > m.rules.maxMapCount) return current;
    if (!hasMemoryFor(m, to - from)) return current;
    growHeap(m, mm, from, to);
  }
  setMmDouble(m, mm, MM_BRK, addr);
  return addr;
}

/** do_brk_flags. */
function growHeap(m: Machine, mm: number, from: number, to: number): void {
  const defFlags = m.words[mm + MM_DEF_FLAGS];
  const flags = VM_READ | VM_WRITE | VM_MAY_ALL | VM_ACCOUNT | defFlags;
  if (mergeNewRange(m, mm, from, to, from, flags, 0, 0, true) === 0) {
    vmaInsert(m, vmaCreate(m, mm, from, to, from, flags));
  }
  if ((defFlags & VM_LOCKED) !== 0) populateRange(m, mm, from, to, true);
}
