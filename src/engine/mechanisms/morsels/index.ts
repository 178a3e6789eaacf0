import type { CountKind } from '../../counts/count-table.ts';
import { COUNT_KINDS } from '../../counts/kinds.ts';
import type { Machine } from '../../machine.ts';
import { registerWindowOps } from '../../objects/window.ts';
import type { Mechanism } from '../mechanism.ts';
import { MorselStore } from './morsel.ts';
import { MorselWindows } from './window-ops.ts';

/** Settings of the mechanism, for `morsels[counts=2]`. */
export interface MorselOptions {
  /** Which table holds the share counts: its place in COUNT_KINDS (counts/kinds.ts). */
  readonly counts: number;
}

export const MORSEL_DEFAULTS: MorselOptions = { counts: 0 };

/** Morsels (seed 003): page-table subtrees as objects; morsel.ts begins. */
export const morsels: Mechanism = morselsWith(MORSEL_DEFAULTS);

export function morselsWith({ counts }: MorselOptions): Mechanism {
  const kind = COUNT_KINDS[counts];
  return {
    id: 'morsels',
    title: 'page-table subtrees as objects, for mappings that ask for them (Morsels)',
    excludes: {
      'table-scan': 'it would take tables that windows lead to',
      'table-reclaim': 'it would store tables that windows lead to',
      'table-reclaim-aged': 'it would store tables that windows lead to',
      'movable-tables': 'nobody finds who leads to a table',
    },
    settings: { ...MORSEL_DEFAULTS },
    settingTexts: {
      counts: `share counts in: ${COUNT_KINDS.map(({ name }, i) => `${i} ${name}`).join(', ')}`,
    },
    withSettings: (values) => morselsWith({ counts: values['counts'] ?? 0 }),
    attach: (m) => {
      attachMorsels(m, kind);
    },
    counters: (m) => morselCounters(m),
  };
}

/** Makes the machine know Morsels; what they share. May be called again. */
export function attachMorsels(m: Machine, kind?: CountKind): MorselStore {
  const known = m.windowOps.find((ops) => ops instanceof MorselWindows);
  if (known instanceof MorselWindows) return known.store;
  const store = new MorselStore(m, kind);
  store.flavor = registerWindowOps(m, new MorselWindows(store));
  return store;
}

/** What Morsels hold and did, and what their share counts need. */
export function morselCounters(m: Machine): Record<string, number> {
  const known = m.windowOps.find((ops) => ops instanceof MorselWindows);
  if (!(known instanceof MorselWindows)) return {};
  const { work, counts } = known.store;
  return { ...work, shareCounts: counts.entries(), shareCountBytes: counts.bytesInUse() };
}
