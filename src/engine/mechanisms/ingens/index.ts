import { assert, Random } from '../../../base/index.ts';
import type { Machine } from '../../machine.ts';
import { T_COUNT } from '../../tables/table.ts';
import type { Mechanism } from '../mechanism.ts';
import { Heat } from './heat.ts';
import { INGENS_DEFAULTS, type IngensOptions } from './options.ts';
import { Promoter } from './promoter.ts';
import { Regions } from './regions.ts';

/**
 * Ingens (Kwon, Yu, Peter, Rossbach, Witchel: "Coordinated and Efficient Huge Page Management with
 * Ingens", OSDI 2016). A fault gives small pages only; a region becomes a huge page in the background
 * once enough of it is in use, which is the count that its table has anyway; and it stays one while
 * enough of it is. Where the machine says nothing of huge pages, they are on everywhere.
 */
interface Attached {
  readonly promoter: Promoter;
  readonly regions: Regions;
}

const attached = new WeakMap<Machine, Attached>();

export function ingensWith(options: IngensOptions): Mechanism {
  return {
    id: 'ingens',
    title: 'huge pages in the background, from 90 % utilisation on (Ingens)',
    excludes: {
      'movable-tables': 'regions are known by their tables, which must not move',
      'table-reclaim': 'huge pages and tables that are taken away are not brought together',
      'table-reclaim-aged': 'huge pages and tables that are taken away are not brought together',
    },
    settings: { ...options },
    withSettings: (values) => ingensWith({ ...options, ...values }),
    attach(m, seed = 1) {
      attached.set(m, attach(m, options, seed));
    },
    counters(m) {
      const { promoter, regions } = attachedTo(m);
      return {
        promotions: promoter.promotions,
        failures: promoter.failures,
        demotions: regions.demotions,
      };
    },
  };
}

export const ingens: Mechanism = ingensWith(INGENS_DEFAULTS);

function attachedTo(m: Machine): Attached {
  const found = attached.get(m);
  assert(found !== undefined, 'ingens is not attached');
  return found;
}

function attach(m: Machine, options: IngensOptions, seed: number): Attached {
  assert(!m.isShared, 'huge pages are for machines of one thread');
  if (m.huge.enabled === 'disabled') m.huge = { ...m.huge, enabled: 'always' };
  const heat = new Heat(m, options, new Random(seed));
  const promoter = new Promoter(m, options, heat, (table) => {
    regions.forget(table);
    heat.forget(table);
  });
  const regions = new Regions(m, () => promoter.keptMin());
  // Every fault is heard of: none takes the way that tells nobody.
  m.isCareful = true;
  m.hasHugeFaults = false;
  m.events.pageAdded = (_m, mm, leaf, page) => {
    promoter.filled(mm, page - (page % m.entryCount), m.words[leaf + T_COUNT]);
  };
  m.events.hugePartlyFreed = (_m, mm, table, from, to) => regions.giveBack(mm, table, from, to);
  const { spaceGone, returnToUser } = m.events;
  m.events.spaceGone = (machine, mm) => {
    spaceGone?.(machine, mm);
    promoter.forget(mm);
  };
  m.events.returnToUser = (machine, mm, nowNs) => {
    returnToUser?.(machine, mm, nowNs);
    heat.run(nowNs);
    promoter.run(nowNs);
  };
  return { promoter, regions };
}
