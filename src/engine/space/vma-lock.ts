import { H_STOP } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { pause } from '../threads/pause.ts';
import { park } from '../threads/world.ts';
import { MM_LIST_SEQ, MM_LOCK_SEQ } from './mm.ts';
import { raiseSequence } from './mmap-lock.ts';
import { findVma, V_LOCK, V_LOCK_SEQ, V_MM, vmaEnd, vmaStart } from './vma.ts';

/**
 * The lock of one VMA (CONFIG_PER_VMA_LOCK): a fault finds its VMA without any lock and holds only that
 * one, so faults in other areas go on while a system call holds the mmap_lock.
 *
 * V_LOCK counts readers. A VMA is locked for writing while V_LOCK_SEQ equals the address space's
 * MM_LOCK_SEQ; unlocking the mmap_lock raises that number, and so unlocks them all. A reader counts
 * itself and then looks at the number; a writer sets the number and then looks at the count: one of
 * them sees the other.
 *
 * A VMA may be gone by the time its lock is tried. Its record then is a VMA's again or a spare one
 * (CLASS_VMA), and its lock word is nothing else.
 */

/** The VMA of a page, locked for reading, or 0: ask again with the mmap_lock. */
export function vmaStartRead(m: Machine, mm: number, page: number): number {
  const w = m.words;
  const listSeq = Atomics.load(w, mm + MM_LIST_SEQ);
  if ((listSeq & 1) !== 0) return 0;
  const vma = findVma(m, mm, page);
  if (vma === 0 || Atomics.load(w, mm + MM_LIST_SEQ) !== listSeq) return 0;
  if (w[vma + V_LOCK_SEQ] === Atomics.load(w, mm + MM_LOCK_SEQ)) return 0;
  Atomics.add(w, vma + V_LOCK, 1);
  const isWritten = Atomics.load(w, vma + V_LOCK_SEQ) === Atomics.load(w, mm + MM_LOCK_SEQ);
  const isIt = w[vma + V_MM] === mm && vmaStart(m, vma) <= page && page < vmaEnd(m, vma);
  if (!isWritten && isIt) return vma;
  vmaEndRead(m, vma);
  return 0;
}

export function vmaEndRead(m: Machine, vma: number): void {
  Atomics.sub(m.words, vma + V_LOCK, 1);
}

/**
 * Before a VMA is changed (vma_start_write): waits for its readers, and nobody reads it until the
 * mmap_lock, which the caller holds for writing, is released. It may park here, so a change of several
 * VMAs begins with all of their locks.
 */
export function vmaStartWrite(m: Machine, vma: number): void {
  if (!m.isShared) return;
  const w = m.words;
  const mm = w[vma + V_MM];
  const seq = w[mm + MM_LOCK_SEQ];
  if (w[vma + V_LOCK_SEQ] === seq) return;
  Atomics.store(w, vma + V_LOCK_SEQ, seq);
  for (let spins = 0; ; spins++) {
    const readers = Atomics.load(w, vma + V_LOCK);
    if (readers === 0) break;
    // A reader may have stopped the world to make room.
    if (w[H_STOP] !== 0) park(m);
    else if (spins > 100) pause(w, vma + V_LOCK, readers);
  }
  raiseSequence(m, mm);
}
