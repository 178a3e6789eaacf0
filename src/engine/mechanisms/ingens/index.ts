import { assert, Random } from '../../../base/index.ts';
import { setWatermarks } from '../../frames/zones.ts';
import type { Machine } from '../../machine.ts';
import { T_COUNT } from '../../tables/table.ts';
import type { Mechanism } from '../mechanism.ts';
import { Compactor } from './compactor.ts';
import { Heat } from './heat.ts';
import {
  INGENS_ARTIFACT_DEFAULTS,
  INGENS_DEFAULTS,
  INGENS_SETTING_TEXTS,
  type IngensOptions,
} from './options.ts';
import { Promoter } from './promoter.ts';
import { Regions } from './regions.ts';
import { ShareMetric, type Shares } from './share.ts';
import { type IngensVariant, PUBLISHED, RELEASED } from './variant.ts';

/**
 * Ingens (Kwon, Yu, Peter, Rossbach, Witchel: "Coordinated and Efficient Huge Page Management with
 * Ingens", OSDI 2016). A fault gives small pages only; a region becomes a huge page in the background
 * once enough of it is in use, which is the count that its table has anyway; and it stays one while
 * enough of it is. Where the machine says nothing of huge pages, they are on everywhere.
 */
interface Attached {
  readonly promoter: Promoter;
  readonly regions: Regions;
  readonly compactor: Compactor;
}

const attached = new WeakMap<Machine, Attached>();

const NO_SHARES: Shares = new Map();

/** `shares`: priorities of single processes, by pid. */
export function ingensWith(
  options: IngensOptions,
  variant: IngensVariant = PUBLISHED,
  shares: Shares = NO_SHARES,
): Mechanism {
  const others = 'huge pages and tables that are taken away are not brought together';
  return {
    id: variant.id,
    title: variant.title,
    excludes: {
      'movable-tables': 'regions are known by their tables, which must not move',
      'table-reclaim': others,
      'table-reclaim-aged': others,
      [variant === PUBLISHED ? RELEASED.id : PUBLISHED.id]: 'both promote in the background',
    },
    settings: { ...options },
    settingTexts: INGENS_SETTING_TEXTS,
    takes: (name) => /^share\.\d+$/.test(name),
    withSettings: (values) => {
      const own = new Map(shares);
      for (const [name, value] of Object.entries(values)) {
        if (name.startsWith('share.')) own.set(Number(name.slice('share.'.length)), value);
      }
      return ingensWith({ ...options, ...values }, variant, own);
    },
    attach(m, seed = 1) {
      attached.set(m, attach(m, options, variant, shares, seed));
    },
    counters(m) {
      const { promoter, regions, compactor } = attachedTo(m);
      return {
        promotions: promoter.promotions,
        failures: promoter.failures,
        demotions: regions.demotions,
        pagesMoved: compactor.pagesMoved,
        blocksMade: compactor.blocksMade,
        hotPagesPassed: compactor.hotPagesPassed,
      };
    },
  };
}

export const ingens: Mechanism = ingensWith(INGENS_DEFAULTS);
export const ingensArtifact: Mechanism = ingensWith(INGENS_ARTIFACT_DEFAULTS, RELEASED);

function attachedTo(m: Machine): Attached {
  const found = attached.get(m);
  assert(found !== undefined, 'ingens is not attached');
  return found;
}

function attach(
  m: Machine,
  options: IngensOptions,
  variant: IngensVariant,
  shares: Shares,
  seed: number,
): Attached {
  assert(!m.isShared, 'huge pages are for machines of one thread');
  if (m.huge.enabled === 'disabled') m.huge = { ...m.huge, enabled: 'always' };
  setWatermarks(m);
  const metric = new ShareMetric(m, options, variant, shares);
  const heat = new Heat(m, options, variant, new Random(seed), (mm) => metric.share(mm));
  const promoter = new Promoter(m, options, variant, heat, metric, (table) => {
    regions.forget(table);
    heat.forget(table);
  });
  const regions = new Regions(m, () => promoter.keptMin());
  const compactor = new Compactor(m, options, heat);
  // Every fault is heard of: none takes the way that tells nobody.
  m.isCareful = true;
  m.hasHugeFaults = false;
  m.sizeOrders = null;
  m.events.pageAdded = (_m, mm, leaf, page) => {
    promoter.filled(mm, page - (page % m.entryCount), m.words[leaf + T_COUNT]);
  };
  if (variant.keepsPartlyFreed) {
    m.events.hugePartlyFreed = (_m, mm, table, from, to) => regions.giveBack(mm, table, from, to);
  }
  m.events.isHugeHot = (_m, _mm, table) => heat.isHugeHot(table);
  const { spaceGone, returnToUser } = m.events;
  m.events.spaceGone = (machine, mm) => {
    spaceGone?.(machine, mm);
    promoter.forget(mm);
    heat.forgetSpace(mm);
  };
  m.events.returnToUser = (machine, mm, nowNs) => {
    returnToUser?.(machine, mm, nowNs);
    heat.run(nowNs);
    compactor.run(nowNs);
    promoter.run(nowNs);
  };
  return { promoter, regions, compactor };
}
