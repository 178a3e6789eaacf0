import { ENTRY_ACCESSED, ENTRY_DIRTY, ENTRY_PAGE, ENTRY_WRITE } from '../tables/entry.ts';

/** The page was there with the needed rights: no fault on real hardware either. */
export const FAULT_NONE = 0;
/** Handled. */
export const FAULT_DONE = 1;
/** No mapping, or no right: SIGSEGV. */
export const FAULT_SIGSEGV = -1;
/** Beyond the end of the object: SIGBUS. */
export const FAULT_SIGBUS = -2;
/** No memory, even after reclaim: the OOM killer's turn. */
export const FAULT_OOM = -3;

/** Flags of a written anonymous page's entry. */
export const WRITTEN_PAGE: number = ENTRY_PAGE | ENTRY_WRITE | ENTRY_DIRTY | ENTRY_ACCESSED;
