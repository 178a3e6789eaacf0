import type { Machine } from '../machine.ts';
import { fault } from './fault.ts';

/**
 * `count` touches, `stridePages` apart, in one call. Stops at the first that cannot be and returns
 * its code (FAULT_SIGSEGV, _SIGBUS, _OOM), else the number of faults that were handled.
 */
export function touchRange(
  m: Machine,
  mm: number,
  page: number,
  count: number,
  stridePages: number,
  isWrite: boolean,
): number {
  let faults = 0;
  let at = page;
  for (let i = 0; i < count; i++) {
    const hi = Math.floor(at / m.loPages);
    const result = fault(m, mm, hi, at - hi * m.loPages, isWrite);
    if (result < 0) return result;
    faults += result;
    at += stridePages;
  }
  return faults;
}
