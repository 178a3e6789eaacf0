import { assert, InputError } from '../../../base/index.ts';
import { COUNT_KINDS } from '../../counts/kinds.ts';
import { shareCountsOf } from '../../counts/share-counts.ts';
import { unshareTable } from '../../tables/shared-table.ts';
import { TableSharing } from '../../tables/sharing.ts';
import type { Mechanism } from '../mechanism.ts';

/**
 * On-demand fork (Zhao, Gong, Fonseca: "On-demand-fork: A Microsecond Fork for Memory-Intensive and
 * Latency-Sensitive Applications", EuroSys 2021; posted for Linux as "COW PTE", 2022): fork hands the
 * last-level tables of private memory on to the child instead of copying them, and whoever changes
 * something in one copies that table first. The mechanism is tables/shared-table.ts; this gives the
 * machine its share counts.
 */
export interface OnDemandForkOptions {
  /** In what the sharers of tables are counted: the place in COUNT_KINDS (counts/kinds.ts). */
  readonly counts: number;
}

export const ON_DEMAND_FORK_DEFAULTS: OnDemandForkOptions = { counts: 0 };

const HUGE = 'it makes huge pages of entries that others may share';
const STORED = 'a table that is stored has no frame under which its sharers are counted';

export function onDemandForkWith(options: OnDemandForkOptions): Mechanism {
  const kind = COUNT_KINDS[options.counts];
  const names = COUNT_KINDS.map(({ name }, at) => `${at} ${name}`).join(', ');
  if (kind === undefined) {
    throw new InputError(`on-demand-fork.counts=${options.counts}: there are ${names}`);
  }
  return {
    id: 'on-demand-fork',
    title: 'fork shares last-level tables, copied at the first write in their 2 MiB',
    excludes: {
      hawkeye: HUGE,
      ingens: HUGE,
      'ingens-artifact': HUGE,
      reservations: HUGE,
      'table-reclaim': STORED,
      'table-reclaim-aged': STORED,
    },
    settings: { ...options },
    settingTexts: { counts: `share counts are in: ${names}` },
    withSettings: (values) => onDemandForkWith({ ...options, ...values }),
    attach(m) {
      assert(!m.isShared, 'tables are shared on machines of one thread');
      m.sharing = new TableSharing(shareCountsOf(m, kind), unshareTable);
    },
    counters(m) {
      const { sharing } = m;
      assert(sharing !== null, 'on-demand-fork is not attached');
      return { ...sharing.work, countBytes: sharing.counts.bytesInUse() };
    },
  };
}

export const onDemandFork: Mechanism = onDemandForkWith(ON_DEMAND_FORK_DEFAULTS);
