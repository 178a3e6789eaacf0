import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
} from '../../base/index.ts';

/** What operations can be drawn beyond private anonymous NORESERVE mappings and their plain calls. */
const FEATURES = [
  'errors',
  'reserve',
  'noreplace',
  'populate',
  'exec',
  'growsdown',
  'shared',
  'file',
  'inplace',
  'dontunmap',
  'mlock',
  'free',
  'cold',
  'pageout',
  'willneed',
  'remove',
  'forkflags',
  'guard',
  'hugeflags',
  'hints',
  'ksm',
  'mlockall',
  'hugepages',
  'sizes',
  'thpdisable',
] as const;
export type Feature = (typeof FEATURES)[number];

export interface Profile {
  readonly name: string;
  readonly features: ReadonlySet<Feature>;
  /** Live processes at most. */
  readonly processesMax: number;
}

/** With huge pages these depend on the content of pages, or on shmem's own settings. */
const NOT_WITH_HUGE_PAGES: readonly Feature[] = [
  'shared',
  'file',
  'remove',
  'free',
  'cold',
  'pageout',
];

function allBut(left: readonly Feature[]): ReadonlySet<Feature> {
  return new Set(FEATURES.filter((feature) => !left.includes(feature)));
}

/**
 * `basic`: private anonymous mappings, small pages. `full`: everything with small pages. `huge`:
 * transparent huge pages by madvise, on private anonymous memory; kernel and subject must have them.
 * `mthp`: the same with the sizes of MTHP_SIZES on.
 */
export const PROFILES: Readonly<Record<'basic' | 'full' | 'huge' | 'mthp', Profile>> = {
  basic: { name: 'basic', features: new Set(), processesMax: 3 },
  full: { name: 'full', features: allBut(['hugepages', 'sizes', 'thpdisable']), processesMax: 3 },
  huge: { name: 'huge', features: allBut([...NOT_WITH_HUGE_PAGES, 'sizes']), processesMax: 3 },
  mthp: { name: 'mthp', features: allBut(NOT_WITH_HUGE_PAGES), processesMax: 3 },
};

/** None is `always`: that would be for all programs of the machine. */
export const MTHP_SIZES = { '16kB': 'inherit', '64kB': 'madvise', '256kB': 'madvise' } as const;

/** A profile of its own from a list of features. */
export function customProfile(features: readonly Feature[], processesMax = 3): Profile {
  return { name: features.join('+') || 'basic', features: new Set(features), processesMax };
}

const ADVICES_OF_FEATURE: Readonly<Partial<Record<Feature, readonly number[]>>> = {
  free: [MADV_FREE],
  cold: [MADV_COLD],
  pageout: [MADV_PAGEOUT],
  willneed: [MADV_WILLNEED],
  remove: [MADV_REMOVE],
  mlock: [MADV_DONTNEED_LOCKED, MADV_DONTNEED_LOCKED],
  forkflags: [MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK, MADV_KEEPONFORK],
  guard: [MADV_GUARD_INSTALL, MADV_GUARD_INSTALL, MADV_GUARD_REMOVE],
  hugeflags: [MADV_HUGEPAGE, MADV_NOHUGEPAGE],
  hints: [MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_DONTDUMP, MADV_DODUMP],
  hugepages: [MADV_HUGEPAGE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLLAPSE, MADV_COLLAPSE],
  ksm: [MADV_MERGEABLE, MADV_UNMERGEABLE],
};

/** The advices of a profile, each as often as it is to be drawn. */
export function profileAdvices(profile: Profile): number[] {
  const advices = [MADV_DONTNEED, MADV_POPULATE_READ, MADV_POPULATE_WRITE];
  const repeats = Math.max(1, Math.round(profile.features.size / 4));
  const all = [...advices];
  for (let i = 1; i < repeats; i++) all.push(...advices);
  for (const feature of profile.features) all.push(...(ADVICES_OF_FEATURE[feature] ?? []));
  // Huge pages come from two rare things meeting: half of all advices are about them.
  const huge = profile.features.has('hugepages') ? ADVICES_OF_FEATURE.hugepages! : [];
  for (let i = all.length; huge.length > 0 && i > 0; i -= huge.length) all.push(...huge);
  return all;
}
