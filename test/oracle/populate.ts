import { Errno, PROT_NONE, PROT_READ, PROT_WRITE } from '../../src/base/index.ts';
import { fault } from './faults.ts';
import type { Space } from './space.ts';
import type { Vma } from './vma.ts';

/** MADV_POPULATE_READ and _WRITE: page by page up to the first that cannot be (faultin_page_range). */
export function populate(space: Space, start: number, end: number, isWrite: boolean): number {
  for (let page = start; page < end; page++) {
    const vma = space.find(page);
    if (vma === null) return -Errno.ENOMEM;
    if ((vma.flags.prot & (isWrite ? PROT_WRITE : PROT_READ)) === 0) return -Errno.EINVAL;
    if (fault(space, vma, page, isWrite) !== 'ok') return -Errno.EFAULT;
  }
  return 0;
}

/**
 * What mlock and MAP_POPULATE do (__mm_populate): holes are left out; writable private memory is
 * written, the rest read. A PROT_NONE VMA or a page that cannot be had ends its VMA's part.
 */
export function populateRange(
  space: Space,
  start: number,
  end: number,
  options: { ignoreErrors: boolean },
): number {
  let page = start;
  while (page < end) {
    const vma = space.findAbove(page);
    if (vma === null || vma.start >= end) break;
    const to = Math.min(end, vma.end);
    const error = populateVma(space, vma, Math.max(page, vma.start), to);
    if (error < 0 && !options.ignoreErrors) return error;
    page = to;
  }
  return 0;
}

/** One VMA's part (populate_vma_page_range). */
export function populateVma(space: Space, vma: Vma, start: number, end: number): number {
  if (vma.flags.locked === 'onfault') return 0;
  if (vma.flags.prot === PROT_NONE) return -Errno.EFAULT;
  const isWrite = (vma.flags.prot & PROT_WRITE) !== 0 && !vma.flags.isShared;
  for (let page = start; page < end; page++) {
    if (fault(space, vma, page, isWrite) !== 'ok') return -Errno.EFAULT;
  }
  return 0;
}
