import type { Machine } from '../machine.ts';
import { freeAllTables } from '../tables/free-range.ts';
import { leaveSlots } from '../tables/shared-range.ts';
import { ZAP_NO_EVENT, zapRange } from '../tables/zap.ts';
import { deleteVma } from './merge.ts';
import { MM_USERS, MM_VMA_COUNT, mmDestroy } from './mm.ts';
import { freeVmaList, vmaAt, vmaEnd, vmaStart } from './vma.ts';

/** One user of the address space less; the last one tears it down (mmput, exit_mmap). */
export function exitMm(m: Machine, mm: number): void {
  const w = m.words;
  const left = m.isShared ? Atomics.sub(w, mm + MM_USERS, 1) - 1 : w[mm + MM_USERS] - 1;
  if (!m.isShared) w[mm + MM_USERS] = left;
  if (left > 0) return;
  const count = w[mm + MM_VMA_COUNT];
  leaveSlots(m, mm, 0, m.geometry.userPages, 0, Infinity);
  for (let at = 0; at < count; at++) {
    const vma = vmaAt(m, mm, at);
    zapRange(m, mm, vma, vmaStart(m, vma), vmaEnd(m, vma), ZAP_NO_EVENT);
  }
  // From the top, so that the list never moves.
  for (let at = count - 1; at >= 0; at--) deleteVma(m, vmaAt(m, mm, at));
  freeAllTables(m, mm);
  freeVmaList(m, mm);
  mmDestroy(m, mm);
}
