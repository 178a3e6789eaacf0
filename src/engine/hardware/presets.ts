import type { Ground, Sourced, SourcedNumber } from './sourced.ts';
import type { TlbStructure } from './structure.ts';
import type { WalkCacheShapes } from './walker.ts';

/** Translation hardware of a processor or of another simulator, as data with its sources. */
export interface HardwarePreset {
  readonly name: string;
  readonly title: string;
  readonly structures: readonly (TlbStructure & Sourced)[];
  readonly walkCaches: Sourced & { readonly shapes: WalkCacheShapes };
  /** The host's walk caches in nested walks. */
  readonly hostCaches: Sourced & { readonly shapes: WalkCacheShapes };
  /** Levels of the page tables. */
  readonly levels: number;
  /** What a hit in level 2 costs more than one in level 1. */
  readonly l2Cycles: SourcedNumber;
  /** Where the model differs from the real thing. */
  readonly remarks: readonly string[];
}

const KIB4 = 4096;
const MIB2 = 2 ** 21;
const GIB1 = 2 ** 30;

/** `[ground, source]` of a table row. */
type From = readonly [Ground, string];

function structure(
  name: string,
  level: number,
  [sets, ways]: readonly [number, number],
  pageBytes: readonly number[],
  serves: TlbStructure['serves'],
  [ground, source]: From,
): TlbStructure & Sourced {
  return { name, level, sets, ways, pageBytes, serves, ground, source };
}

function l2Cycles(value: number, [ground, source]: From): SourcedNumber {
  return { name: 'tlbL2Cycles', value, unit: 'cycles', ground, source };
}

const INTEL_MANUAL: From = ['recalled', "Intel's optimization manual"];
const WIKICHIP: From = ['notes', 'WikiChip'];
const NO_HOST = { shapes: {}, ground: 'assumption', source: 'not documented: none' } as const;
/** Reverse engineering puts PDE caches at 24 to 32 entries and PDPTE caches near 4. */
const INTEL_WALK_CACHES = {
  shapes: { 2: { sets: 4, ways: 8 }, 3: { sets: 1, ways: 4 }, 4: { sets: 1, ways: 2 } },
  ground: 'recalled',
  source: 'not documented; reverse engineering: PDE 24 to 32 entries, PDPTE near 4',
} as const;
const OTHER_WALK_CACHES = {
  ...INTEL_WALK_CACHES,
  ground: 'assumption',
  source: 'as for Intel: not documented as structures of their own',
} as const;

interface IntelParts {
  readonly l1: readonly [number, number];
  readonly l1From: From;
  readonly l1Gib: number;
  readonly l2: readonly [number, number];
  readonly l2Sizes: readonly number[];
  readonly l2From: From;
  readonly hasGib: boolean;
  readonly fetch: readonly [number, number];
  readonly fetchMib: number;
  readonly cycles: SourcedNumber;
}

function intel(name: string, title: string, parts: IntelParts, remarks: string[]): HardwarePreset {
  const from = parts.l1From;
  const structures = [
    structure('L1D 4 KB', 1, parts.l1, [KIB4], 'data', from),
    structure('L1D 2 MB', 1, [8, 4], [MIB2], 'data', from),
    structure('L1D 1 GB', 1, [1, parts.l1Gib], [GIB1], 'data', from),
    structure('L1I 4 KB', 1, parts.fetch, [KIB4], 'fetch', INTEL_MANUAL),
    structure('L1I 2 MB', 1, [1, parts.fetchMib], [MIB2, GIB1], 'fetch', INTEL_MANUAL),
    structure('L2', 2, parts.l2, parts.l2Sizes, 'all', parts.l2From),
  ];
  if (parts.hasGib) structures.push(structure('L2 1 GB', 2, [4, 4], [GIB1], 'all', INTEL_MANUAL));
  return {
    name,
    title,
    structures,
    walkCaches: INTEL_WALK_CACHES,
    hostCaches: NO_HOST,
    levels: 4,
    l2Cycles: parts.cycles,
    remarks,
  };
}

const SANDY: IntelParts = {
  l1: [16, 4],
  l1From: INTEL_MANUAL,
  l1Gib: 4,
  l2: [128, 4],
  l2Sizes: [KIB4],
  l2From: INTEL_MANUAL,
  hasGib: false,
  fetch: [32, 4],
  fetchMib: 8,
  cycles: l2Cycles(7, INTEL_MANUAL),
};
const HASWELL: IntelParts = {
  ...SANDY,
  l1From: WIKICHIP,
  l2: [128, 8],
  l2Sizes: [KIB4, MIB2],
  cycles: l2Cycles(7, ['notes', 'measured: 12 cycles in all, 7 above a hit in level 1']),
};
const SKYLAKE: IntelParts = {
  ...HASWELL,
  l2: [128, 12],
  l2From: ['notes', 'WikiChip: 1,536 entries, 12 ways (CPUID leaf 2 says 6 on some)'],
  hasGib: true,
  fetch: [16, 8],
  cycles: l2Cycles(8, ['recalled', '7 to 9 cycles']),
};
const ICE_LAKE: IntelParts = {
  ...SKYLAKE,
  l1From: INTEL_MANUAL,
  l1Gib: 8,
  l2: [128, 16],
  l2Sizes: [KIB4, MIB2, GIB1],
  l2From: INTEL_MANUAL,
  hasGib: false,
};
const STORES = 'the 16-entry TLB of stores is not modelled: loads and stores share that of loads';

interface AmdParts {
  readonly l1: number;
  readonly l2: readonly [number, number];
  readonly from: From;
}

function amd(name: string, title: string, { l1, l2, from }: AmdParts): HardwarePreset {
  const recalled: From = ['recalled', "AMD's optimization guides"];
  return {
    name,
    title,
    structures: [
      structure('L1D', 1, [1, l1], [], 'data', from),
      structure('L1I', 1, [1, 64], [], 'fetch', recalled),
      structure('L2D', 2, l2, [KIB4, MIB2], 'data', from),
      structure('L2I', 2, [64, 8], [KIB4, MIB2], 'fetch', recalled),
    ],
    walkCaches: OTHER_WALK_CACHES,
    hostCaches: NO_HOST,
    levels: 4,
    l2Cycles: l2Cycles(7, ['recalled', '7 to 8 cycles; 7 measured on Zen 5']),
    remarks: [
      'the real L2 TLB also holds PDEs; here they have a cache of their own',
      'the real L2 TLB holds pieces of 2 MB of a 1 GB page; here 1 GB pages are in level 1 only',
    ],
  };
}

/** Virtuoso's three walk caches of 32 entries. */
const VIRTUOSO_CACHES = {
  shapes: { 2: { sets: 8, ways: 4 }, 3: { sets: 8, ways: 4 }, 4: { sets: 8, ways: 4 } },
  ground: 'source',
  source: 'CMU-SAFARI/Virtuoso, mmu_base.cfg: entries 32,32,32, associativity 4',
} as const;

export const HARDWARE_PRESETS: readonly HardwarePreset[] = [
  intel('sandy-bridge', 'Intel Sandy Bridge (2011)', SANDY, []),
  intel('ivy-bridge', 'Intel Ivy Bridge (2012)', SANDY, []),
  intel('haswell', 'Intel Haswell (2013)', HASWELL, []),
  intel(
    'broadwell',
    'Intel Broadwell (2014)',
    {
      ...SKYLAKE,
      l1From: INTEL_MANUAL,
      l2: [256, 6],
      l2From: INTEL_MANUAL,
      fetch: [32, 4],
    },
    [],
  ),
  intel('skylake', 'Intel Skylake (2015)', SKYLAKE, []),
  intel('ice-lake', 'Intel Ice Lake (2019)', ICE_LAKE, [STORES]),
  intel(
    'golden-cove',
    'Intel Golden Cove (2021)',
    {
      ...ICE_LAKE,
      l1: [16, 6],
      l1From: ['notes', 'notes on Hennessy and Patterson: 96 / 32 / 8 entries'],
      l2From: ['notes', 'notes on Hennessy and Patterson: 2,048 entries, 16 ways'],
      fetch: [32, 8],
      fetchMib: 32,
      cycles: l2Cycles(8, ['notes', 'notes on Hennessy and Patterson: 8 cycles']),
    },
    [STORES],
  ),
  amd('zen2', 'AMD Zen 2 (2019)', {
    l1: 64,
    l2: [128, 16],
    from: ['notes', 'WikiChip; 16 ways, as its 12 do not divide 2,048 entries'],
  }),
  amd('zen3', 'AMD Zen 3 (2020)', {
    l1: 64,
    l2: [128, 16],
    from: ['recalled', "AMD's optimization guide"],
  }),
  amd('zen4', 'AMD Zen 4 (2022)', {
    l1: 72,
    l2: [128, 24],
    from: ['notes', "notes on AMD's optimization guide: 72 and 3,072 entries, 24 ways"],
  }),
  amd('zen5', 'AMD Zen 5 (2024)', {
    l1: 96,
    l2: [256, 16],
    from: ['notes', 'measured by third parties: 96 and 4,096 entries, 16 ways'],
  }),
  {
    name: 'neoverse-n1',
    title: 'Arm Neoverse N1 (2019)',
    structures: [
      structure('L1D', 1, [1, 48], [], 'data', ['notes', 'two sources agree on 48 entries']),
      structure('L1I', 1, [1, 48], [], 'fetch', ['recalled', "Arm's technical reference manual"]),
      structure('L2', 2, [256, 5], [], 'all', [
        'notes',
        'two sources agree on 1,280 entries, 5 ways',
      ]),
    ],
    walkCaches: OTHER_WALK_CACHES,
    hostCaches: NO_HOST,
    levels: 4,
    l2Cycles: l2Cycles(5, ['recalled', 'about 5 cycles']),
    remarks: ['the real L2 TLB also holds walk entries; here they have caches of their own'],
  },
  {
    name: 'champsim',
    title: "ChampSim's default configuration",
    structures: [
      structure('DTLB', 1, [16, 4], [], 'data', ['source', 'ChampSim, champsim_config.json']),
      structure('ITLB', 1, [16, 4], [], 'fetch', ['source', 'ChampSim, champsim_config.json']),
      structure('STLB', 2, [128, 12], [], 'all', ['source', 'ChampSim, champsim_config.json']),
    ],
    walkCaches: {
      shapes: {
        2: { sets: 4, ways: 8 },
        3: { sets: 2, ways: 4 },
        4: { sets: 1, ways: 4 },
        5: { sets: 1, ways: 2 },
      },
      ground: 'source',
      source: 'ChampSim, inc/defaults.hpp: PSCL5 1 x 2, PSCL4 1 x 4, PSCL3 2 x 4, PSCL2 4 x 8',
    },
    hostCaches: NO_HOST,
    levels: 5,
    l2Cycles: l2Cycles(8, ['source', 'ChampSim, champsim_config.json: latency 8']),
    remarks: [],
  },
  {
    name: 'drmemtrace',
    title: "DynamoRIO drmemtrace's TLB simulator, its defaults",
    structures: [
      structure('L1D', 1, [1, 32], [], 'data', [
        'source',
        'DynamoRIO, drcachesim/common/options.cpp: 32 entries, 32 ways',
      ]),
      structure('L1I', 1, [1, 32], [], 'fetch', [
        'source',
        'DynamoRIO, drcachesim/common/options.cpp: 32 entries, 32 ways',
      ]),
      structure('L2', 2, [256, 4], [], 'all', [
        'source',
        'DynamoRIO, drcachesim/common/options.cpp: 1,024 entries, 4 ways',
      ]),
    ],
    walkCaches: { shapes: {}, ground: 'source', source: 'drmemtrace models no walks: none' },
    hostCaches: NO_HOST,
    levels: 4,
    l2Cycles: l2Cycles(8, ['assumption', 'drmemtrace models no time']),
    remarks: [
      'drmemtrace replaces the least frequently used entry, this model the least recently used',
    ],
  },
  {
    name: 'virtuoso',
    title: "Virtuoso's basic MMU",
    structures: [
      structure('L1D 4 KB', 1, [16, 4], [KIB4], 'data', ['source', 'Virtuoso, mmu_base.cfg']),
      structure('L1D 2 MB', 1, [16, 4], [MIB2], 'data', ['source', 'Virtuoso, mmu_base.cfg']),
      structure('L1I', 1, [32, 4], [], 'fetch', [
        'recalled',
        'Virtuoso, mmu_base.cfg: 128 entries',
      ]),
      structure('L2', 2, [256, 8], [KIB4, MIB2], 'all', [
        'source',
        'Virtuoso, mmu_base.cfg: 2,048 entries, 8 ways',
      ]),
    ],
    walkCaches: VIRTUOSO_CACHES,
    hostCaches: {
      shapes: { 1: { sets: 8, ways: 4 }, ...VIRTUOSO_CACHES.shapes },
      ground: 'source',
      source: 'Virtuoso, mmu_virt.cfg: four host caches of 32 entries',
    },
    levels: 4,
    l2Cycles: l2Cycles(11, ['source', 'Virtuoso, mmu_base.cfg: latency 12 against 1']),
    remarks: ['no structure for 1 GB pages: each access to one is a walk'],
  },
];
