import {
  Errno,
  MCL_CURRENT,
  MCL_FUTURE,
  MCL_ONFAULT,
  MLOCK_ONFAULT,
  PROT_WRITE,
} from '../../src/base/index.ts';
import { populateRange, populateVma } from './populate.ts';
import type { Space } from './space.ts';
import { sameFlags, type Vma, type VmaFlags } from './vma.ts';

/** mprotect over [start, end); 0 or negative errno. Parts before the first hole are changed. */
export function mprotect(space: Space, start: number, end: number, prot: number): number {
  return forEachPiece(space, start, end, (vma, from, to) => {
    const flags = protectedFlags(vma, prot);
    if (sameFlags(flags, vma.flags)) return;
    const { flags: before } = vma;
    const changed = space.modify(vma, from, to, flags);
    // Locked memory that becomes writable gets its own copies at once.
    const wasReadOnly = (before.prot & PROT_WRITE) === 0 && !before.isShared;
    if (wasReadOnly && before.locked !== 'no' && (prot & PROT_WRITE) !== 0) {
      populateVma(space, changed, from, to);
    }
  });
}

/** The new flags, VM_ACCOUNT among them (mprotect_fixup). */
function protectedFlags(vma: Vma, prot: number): VmaFlags {
  const { flags } = vma;
  let { account } = flags;
  if ((prot & PROT_WRITE) !== 0) {
    const isFree = flags.account || (flags.prot & PROT_WRITE) !== 0 || flags.isShared;
    if (!isFree && !flags.noReserve) account = true;
  } else if (account && vma.file === null && vma.anonVma === null) {
    account = false;
  }
  return { ...flags, prot, account };
}

/** mlock, mlock2: flags like mprotect, then every page is brought in. */
export function mlock(space: Space, start: number, end: number, lockFlags: number): number {
  const locked = lockFlags & MLOCK_ONFAULT ? 'onfault' : 'yes';
  const error = setLocked(space, start, end, locked);
  if (error < 0) return error;
  const populated = populateRange(space, start, end, { ignoreErrors: false });
  // POSIX asks for ENOMEM where a page cannot be had.
  return populated === -Errno.EFAULT ? -Errno.ENOMEM : populated;
}

export function munlock(space: Space, start: number, end: number): number {
  return setLocked(space, start, end, 'no');
}

function setLocked(space: Space, start: number, end: number, locked: VmaFlags['locked']): number {
  return forEachPiece(space, start, end, (vma, from, to) => {
    const flags = { ...vma.flags, locked };
    if (!sameFlags(flags, vma.flags)) space.modify(vma, from, to, flags);
  });
}

/** All mappings, or those to come, or both; then every page is brought in, errors or not. */
export function mlockall(space: Space, flags: number): number {
  const isKnown = (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) === 0;
  if (!isKnown || flags === 0 || flags === MCL_ONFAULT) return -Errno.EINVAL;
  const locked = flags & MCL_ONFAULT ? 'onfault' : 'yes';
  space.lockNew = flags & MCL_FUTURE ? locked : 'no';
  if ((flags & MCL_CURRENT) === 0) return 0;
  setAllLocked(space, locked);
  return populateRange(space, 0, Infinity, { ignoreErrors: true });
}

export function munlockall(space: Space): number {
  space.lockNew = 'no';
  setAllLocked(space, 'no');
  return 0;
}

function setAllLocked(space: Space, locked: VmaFlags['locked']): void {
  let vma = space.findAbove(0);
  while (vma !== null) {
    const { start, end } = vma;
    const flags = { ...vma.flags, locked };
    if (!sameFlags(flags, vma.flags)) space.modify(vma, start, end, flags);
    vma = space.findAbove(end);
  }
}

/** Each VMA piece from left to right, up to the first hole: ENOMEM there. */
function forEachPiece(
  space: Space,
  start: number,
  end: number,
  visit: (vma: Vma, from: number, to: number) => void,
): number {
  let at = start;
  while (at < end) {
    const vma = space.find(at);
    if (vma === null) return -Errno.ENOMEM;
    const to = Math.min(end, vma.end);
    visit(vma, at, to);
    at = to;
  }
  return 0;
}
