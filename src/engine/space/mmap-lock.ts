import { H_STOP } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { pause } from '../threads/pause.ts';
import { park } from '../threads/world.ts';
import { MM_LOCK, MM_LOCK_SEQ, MM_LOCK_WAITERS, MM_SEQ } from './mm.ts';

/**
 * mmap_lock of an address space, and the sequence number that lets faults do without any lock but
 * their table's.
 *
 * System calls that change areas hold the lock for writing; advice about contents, and faults that
 * know nothing yet, hold it for reading, or only lock their VMA (vma-lock.ts). Readers let waiting
 * writers go first.
 *
 * A fault remembers its slot's table and what the VMA says, with the sequence number. Whoever changes
 * a VMA, or takes a table away, raises the number first. A later fault in the same slot takes the
 * table's lock and sees from the number whether what it remembers still holds.
 *
 * Only shared machines lock.
 */
const WRITER = -1;
const SPINS = 100;

export function mmapReadLock(m: Machine, mm: number): void {
  if (!m.isShared) return;
  const w = m.words;
  const at = mm + MM_LOCK;
  for (let spins = 0; ; spins++) {
    const readers = Atomics.load(w, at);
    const isFree = readers >= 0 && (spins > SPINS || Atomics.load(w, mm + MM_LOCK_WAITERS) === 0);
    if (isFree && Atomics.compareExchange(w, at, readers, readers + 1) === readers) return;
    if (spins > SPINS) wait(m, at, readers);
  }
}

export function mmapReadUnlock(m: Machine, mm: number): void {
  if (m.isShared) Atomics.sub(m.words, mm + MM_LOCK, 1);
}

export function mmapWriteLock(m: Machine, mm: number): void {
  if (!m.isShared) return;
  const w = m.words;
  const at = mm + MM_LOCK;
  Atomics.add(w, mm + MM_LOCK_WAITERS, 1);
  for (let spins = 0; ; spins++) {
    const held = Atomics.compareExchange(w, at, 0, WRITER);
    if (held === 0) break;
    if (spins > SPINS) wait(m, at, held);
  }
  Atomics.sub(w, mm + MM_LOCK_WAITERS, 1);
  m.writerOf = mm;
}

/** Also ends the writing of all VMAs (vma_end_write_all): their locks name an older number now. */
export function mmapWriteUnlock(m: Machine, mm: number): void {
  if (!m.isShared) return;
  m.writerOf = 0;
  Atomics.add(m.words, mm + MM_LOCK_SEQ, 1);
  Atomics.store(m.words, mm + MM_LOCK, 0);
}

/** Gives way: to whoever holds the lock, or to whoever wants to stop the world. */
function wait(m: Machine, at: number, value: number): void {
  if (m.words[H_STOP] !== 0) park(m);
  else pause(m.words, at, value);
}

/** What faults remember of this address space no longer holds. */
export function raiseSequence(m: Machine, mm: number): void {
  if (m.isShared) Atomics.add(m.words, mm + MM_SEQ, 1);
  else m.words[mm + MM_SEQ] += 1;
  m.forgetWalk();
}
