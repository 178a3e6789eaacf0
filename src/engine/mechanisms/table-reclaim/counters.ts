import { H_STORED } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import * as S from '../../tables/stored.ts';

/** The mechanism's counters of the whole machine; names as they stand in JSON. */
export function tableReclaimCounters(m: Machine): Record<string, number> {
  if (m.words[H_STORED] === 0) return {};
  const read = (field: number): number => S.storedState(m, field);
  return {
    compressedTables: read(S.K_COMPRESSED),
    swappedTables: read(S.K_SWAPPED),
    storedBytes: read(S.K_BYTES),
    poolBytes: read(S.K_POOL_BYTES),
    poolKiB: S.poolFrames(m) * 4,
    freed: read(S.K_FREED),
    compressions: read(S.K_COMPRESSIONS),
    swapOuts: read(S.K_SWAP_OUTS),
    migrations: read(S.K_MIGRATIONS),
    refaults: read(S.K_RESTORES),
    edits: read(S.K_EDITS),
    drops: read(S.K_DROPS),
    slotReads: read(S.K_SLOT_READS),
    slotWrites: read(S.K_SLOT_WRITES),
    overfull: read(S.K_OVERFULL),
    picks: read(S.K_PICKS),
    scanned: read(S.K_SCANNED),
    refused: read(S.K_REFUSED),
  };
}
