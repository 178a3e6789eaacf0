import { InputError } from '../../base/index.ts';
import { BGSAVE } from './bgsave.ts';
import { COMPARATOR_FIGURE } from './comparators.ts';
import { COUNT_FIGURES } from './counts.ts';
import { DYNAMIC_METADATA_FIGURES } from './dynamic-metadata.ts';
import type { Figure } from './figure.ts';
import { INGENS_FRAGMENTATION } from './fragmentation.ts';
import { INGENS_FIGURES } from './ingens.ts';
import { INGENS_FAIRNESS } from './ingens-fairness.ts';
import { INGENS_GUEST_HOST } from './ingens-guest-host.ts';
import { INGENS_TIME_FIGURES } from './ingens-time.ts';
import { INGENS_KSM } from './ksm.ts';
import { LLFREE_FIGURES } from './llfree.ts';
import { MORSELS_MAP } from './morsels.ts';
import { MSHARE_FIGURES } from './mshare.ts';
import { ON_DEMAND_FORK_FIGURES } from './on-demand-fork.ts';
import { PTE_REF_FIGURES } from './pte-ref.ts';
import { TABLE_GUESTS } from './table-guests.ts';
import { TABLE_HOTPLUG } from './table-hotplug.ts';
import { TABLE_OVERCOMMIT } from './table-overcommit.ts';
import { TABLE_RECLAIM_FIGURES } from './table-reclaim.ts';
import { TABLE_SCAN_FIGURES } from './table-scan.ts';
import { TLB_COVERAGE } from './tlb-coverage.ts';
import { WALK_SHARE } from './walk-share.ts';

/** All figures, in the order in which they are told. */
export const FIGURES: readonly Figure[] = [
  ...PTE_REF_FIGURES,
  ...TABLE_SCAN_FIGURES,
  ...TABLE_RECLAIM_FIGURES,
  TABLE_OVERCOMMIT,
  TABLE_HOTPLUG,
  TABLE_GUESTS,
  ...INGENS_FIGURES,
  INGENS_FAIRNESS,
  INGENS_GUEST_HOST,
  COMPARATOR_FIGURE,
  ...INGENS_TIME_FIGURES,
  INGENS_FRAGMENTATION,
  INGENS_KSM,
  TLB_COVERAGE,
  WALK_SHARE,
  ...ON_DEMAND_FORK_FIGURES,
  ...MSHARE_FIGURES,
  MORSELS_MAP,
  BGSAVE,
  ...DYNAMIC_METADATA_FIGURES,
  ...COUNT_FIGURES,
  ...LLFREE_FIGURES,
];

/**
 * Figures by id or by system (`pte-ref`), each once, in the order of the registry; all for an empty
 * list. Throws InputError that names what there is.
 */
export function findFigures(names: readonly string[]): Figure[] {
  if (names.length === 0) return [...FIGURES];
  for (const name of names) {
    if (FIGURES.some((figure) => isNamed(figure, name))) continue;
    const known = FIGURES.map(({ id }) => id).join(', ');
    throw new InputError(`there is no figure '${name}'; there are ${known}`);
  }
  return FIGURES.filter((figure) => names.some((name) => isNamed(figure, name)));
}

function isNamed({ id }: Figure, name: string): boolean {
  return id === name || id.startsWith(`${name}.`);
}
