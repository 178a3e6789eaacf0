import { zoneAt } from '../frames/zones.ts';
import { Z_DEFER_CONSIDERED, Z_DEFER_ORDER, Z_DEFER_SHIFT } from '../layout.ts';
import type { Machine } from '../machine.ts';

/**
 * After compaction of a zone for an order has failed, the next attempts for such orders are skipped, up
 * to 64 of them, twice as many each time (defer_compaction, mm/compaction.c). An allocation that
 * succeeds ends it.
 */
const SHIFT_MAX = 6;

/** True if an attempt is to be skipped; counts it (compaction_deferred). */
export function isCompactionDeferred(m: Machine, zone: number, order: number): boolean {
  const w = m.words;
  const z = zoneAt(m, zone);
  if (order < failedOrder(m, z)) return false;
  const limit = 1 << w[z + Z_DEFER_SHIFT];
  if (++w[z + Z_DEFER_CONSIDERED] >= limit) {
    w[z + Z_DEFER_CONSIDERED] = limit;
    return false;
  }
  return true;
}

/** Compaction went through the zone and there is no block of the order. */
export function deferCompaction(m: Machine, zone: number, order: number): void {
  const w = m.words;
  const z = zoneAt(m, zone);
  w[z + Z_DEFER_CONSIDERED] = 0;
  w[z + Z_DEFER_SHIFT] = Math.min(SHIFT_MAX, w[z + Z_DEFER_SHIFT] + 1);
  if (order < failedOrder(m, z)) w[z + Z_DEFER_ORDER] = order;
}

/** There is a block, or it was even taken: then there is nothing to put off (compaction_defer_reset). */
export function resetDeferral(m: Machine, zone: number, order: number, isTaken: boolean): void {
  const w = m.words;
  const z = zoneAt(m, zone);
  if (isTaken) {
    w[z + Z_DEFER_CONSIDERED] = 0;
    w[z + Z_DEFER_SHIFT] = 0;
  }
  if (order >= failedOrder(m, z)) w[z + Z_DEFER_ORDER] = order + 1;
}

/** Orders from there on are put off. 0 at the start, which is as good as none: the shift is 0 too. */
function failedOrder(m: Machine, z: number): number {
  return m.words[z + Z_DEFER_ORDER];
}
