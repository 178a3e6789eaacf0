import { Errno, THP_DISABLE, THP_DISABLE_EXCEPT_ADVISED } from '../../base/index.ts';
import type { Machine } from '../machine.ts';
import { MM_THP_DISABLE } from '../space/mm.ts';
import { VM_HUGEPAGE } from '../space/vm-flags.ts';
import { V_FLAGS, V_MM } from '../space/vma.ts';

/**
 * Huge pages off for a whole address space (MMF_DISABLE_THP_*, kernel/sys.c). What is huge stays so.
 * Children and the image of an exec inherit it.
 */

/** prctl(PR_SET_THP_DISABLE): 0, or EINVAL for bits that the kernel does not know. */
export function setThpDisable(m: Machine, mm: number, flags: number): number {
  const isExcepting = (flags & THP_DISABLE_EXCEPT_ADVISED) !== 0;
  if ((flags & ~(THP_DISABLE | THP_DISABLE_EXCEPT_ADVISED)) !== 0) return -Errno.EINVAL;
  if (isExcepting && (!m.rules.hasThpDisableExcept || (flags & THP_DISABLE) === 0)) {
    return -Errno.EINVAL;
  }
  m.words[mm + MM_THP_DISABLE] = flags;
  return 0;
}

/** Whether that forbids an area huge pages (vma_thp_disabled); MADV_COLLAPSE is an advice, too. */
export function isThpDisabled(m: Machine, vma: number, isForced: boolean): boolean {
  const flags = m.words[m.words[vma + V_MM] + MM_THP_DISABLE];
  if (flags === 0) return false;
  if ((flags & THP_DISABLE_EXCEPT_ADVISED) === 0) return true;
  return !isForced && (m.words[vma + V_FLAGS] & VM_HUGEPAGE) === 0;
}
