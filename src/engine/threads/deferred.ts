import { freeToPcp } from '../frames/pcp.ts';
import { CPU_DEFERRED } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { T_INDEX, T_PFN, T_STATE } from '../tables/table.ts';
import { freeRefs, T_QUEUED } from '../tables/table-refs.ts';
import { MUTANT, MUTANT_NO_GRACE } from './test-switches.ts';

/** Gives the frame of an unhooked table back, as soon as that may be. */
export function freeAfterGrace(m: Machine, table: number): void {
  const w = m.words;
  // On a list of frozen tables it is looked at again, and comes back here.
  if ((w[table + T_STATE] & T_QUEUED) !== 0) return;
  if (!m.isShared || m.isWorldStopped || MUTANT === MUTANT_NO_GRACE) {
    freeFrame(m, table);
    return;
  }
  const head = m.cpuAt + CPU_DEFERRED;
  w[table + T_INDEX] = w[head];
  w[head] = table;
  m.deferredCount += 1;
}

/** The frame of a table that nobody can find any more. */
export function freeFrame(m: Machine, table: number): void {
  freeRefs(m, table);
  freeToPcp(m, m.words[table + T_PFN], table);
}
