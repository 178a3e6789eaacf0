/**
 * What reclaim did, by who did it: the thread in the background (kswapd), or an allocation that was
 * short itself (direct). Pages only, as /proc/vmstat; page tables are in their mechanism's counters.
 */
export interface Vmstat {
  /** Frames looked at. */
  pgscanKswapd: number;
  pgscanDirect: number;
  /** Frames that came free. */
  pgstealKswapd: number;
  pgstealDirect: number;
  /** Pages written to swap, by either. */
  pswpout: number;
}

export function noVmstat(): Vmstat {
  return { pgscanKswapd: 0, pgscanDirect: 0, pgstealKswapd: 0, pgstealDirect: 0, pswpout: 0 };
}

/** Who reclaims in the background, as the machine sees it (kswapd.ts). */
export interface KswapdState {
  /**
   * Somebody runs `kswapdStep` between operations. An allocation may then go down to the min
   * watermark before it reclaims itself.
   */
  isAttached: boolean;
  /** An allocation found a zone at its low watermark since the last step. */
  isWoken: boolean;
  /** Inside a step (PF_KSWAPD). */
  isRunning: boolean;
  /** Steps one after the other that freed nothing. */
  failures: number;
}

export function noKswapd(): KswapdState {
  return { isAttached: false, isWoken: false, isRunning: false, failures: 0 };
}
