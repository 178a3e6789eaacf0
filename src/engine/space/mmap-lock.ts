import type { Machine } from '../machine.ts';
import { MM_LOCK, MM_SEQ } from './mm.ts';

/**
 * mmap_lock of an address space, and the sequence number that lets faults do without it.
 *
 * System calls hold the lock for writing; a fault that knows nothing yet holds it for reading, finds
 * its VMA and table, and remembers both with the sequence number. Whoever changes the list of VMAs,
 * or takes a table away, raises the number first. So a later fault in the same slot takes only
 * the table's lock and sees from the number whether what it remembers still holds; a table that
 * was taken away is not used for anything else until `releaseDeferred`, so locking it is harmless.
 *
 * Only shared machines lock. Fork holds its parent's lock; exec and exit are for the last user of an
 * address space and hold none.
 */
const WRITER = -1;

export function mmapReadLock(m: Machine, mm: number): void {
  if (!m.isShared) return;
  const at = mm + MM_LOCK;
  for (;;) {
    const readers = Atomics.load(m.words, at);
    if (readers >= 0 && Atomics.compareExchange(m.words, at, readers, readers + 1) === readers) {
      return;
    }
  }
}

export function mmapReadUnlock(m: Machine, mm: number): void {
  if (m.isShared) Atomics.sub(m.words, mm + MM_LOCK, 1);
}

export function mmapWriteLock(m: Machine, mm: number): void {
  if (!m.isShared) return;
  while (Atomics.compareExchange(m.words, mm + MM_LOCK, 0, WRITER) !== 0);
  m.writerOf = mm;
}

export function mmapWriteUnlock(m: Machine, mm: number): void {
  if (!m.isShared) return;
  m.writerOf = 0;
  Atomics.store(m.words, mm + MM_LOCK, 0);
}

/** What faults remember of this address space no longer holds. */
export function raiseSequence(m: Machine, mm: number): void {
  if (m.isShared) Atomics.add(m.words, mm + MM_SEQ, 1);
  else m.words[mm + MM_SEQ] += 1;
  m.forgetWalk();
}
