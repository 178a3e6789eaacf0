import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from '../../base/index.ts';
import {
  BATCH_MAX,
  COUNT_KINDS,
  dynamicMetadata,
  emptyTally,
  freeFrameCount,
  hvoSaves,
  LLFREE_BYTES_PER_GIB,
  LLFree,
  Machine,
  MEMDESC_FIRST_WORD,
  MEMDESC_SIZES,
  mappedFrame,
  memdescBytes,
  type Process,
  STRUCT_PAGE_BYTES,
  System,
  staticMetadata,
  vmemmapPages,
} from '../../engine/index.ts';
import { attachMechanisms, parseKernel } from '../kernels.ts';
import { replay } from '../replay/replay.ts';
import { GIB_BYTES } from '../workloads/program.ts';
import type { Figure, FigureContext, FigurePart, FigureResult } from './figure.ts';
import { onlyHere, verdictOf, within } from './parts.ts';

/** What the kernel keeps of its frames: struct page, HVO, memdesc, on demand (docs/dynamic-metadata.md). */
const THESIS =
  'P. Aumann, "Optimizing Memory Metadata: Dynamic Allocation of Struct Pages in the Linux Kernel", 2024 (its page)';
const FRAME_BYTES = 4096;
const GIB_FRAMES: number = GIB_BYTES / FRAME_BYTES;
const KERNEL = 'linux-6.18+dynamic-metadata';
const AT = 0x10000000000;
const HUGE_BYTES: number = 512 * FRAME_BYTES;
const ANON: number = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;

const RECORDINGS = [
  'redis-set-bgsave-flush',
  'jemalloc-sparse',
  'tcmalloc-sparse',
  'postgres-shared-buffers',
  'gcc-compile',
] as const;

export const DYNAMIC_METADATA_FIGURES: readonly Figure[] = [
  {
    id: 'dynamic-metadata.share',
    seed: '003',
    what: 'struct pages of all frames, taken from the memory of a machine',
    unit: '% and GiB',
    published: '64 B for each 4 KiB frame, 1.6 % of memory; 6 GiB of 384 GiB; 16 GiB of 1 TiB',
    source: `the seed; ${THESIS}`,
    method: 'engine',
    inputs: [{ name: 'struct page', value: `${STRUCT_PAGE_BYTES} bytes`, source: 'the seed' }],
    rule: 'equal in the published digits, of the memory that is gone once static-metadata has taken it',
    isQuick: true,
    run: share,
  },
  {
    id: 'dynamic-metadata.hvo',
    seed: '003',
    what: 'vmemmap that a huge page does without under HVO',
    unit: 'pages',
    published: '7 of 8 pages of vmemmap for 2 MiB, 4,095 of 4,096 for 1 GiB',
    source: 'Linux, Documentation/mm/vmemmap_dedup.rst and mm/hugetlb_vmemmap.h (since 5.18)',
    method: 'arithmetic',
    inputs: [
      {
        name: 'what stays',
        value: 'one page of vmemmap',
        source: 'HUGETLB_VMEMMAP_RESERVE_SIZE; the setting hugeUnits of dynamic-metadata',
      },
    ],
    rule: 'equal. What the mechanism keeps of pages that it holds is beside it without a verdict: its setting says so',
    isQuick: true,
    run: hvo,
  },
  {
    id: 'dynamic-metadata.memdesc',
    seed: '003',
    what: 'struct page of 32 bytes, and of 8: the words alone, and with what they point to',
    unit: '%',
    published: '32 bytes a frame, 0.8 %; then 8 bytes, 0.2 %',
    source: 'M. Wilcox, kernelnewbies.org/MatthewWilcox/Memdescs and /Path',
    method: 'arithmetic',
    inputs: [
      {
        name: 'struct folio',
        value: `${MEMDESC_SIZES.folio} bytes`,
        source: 'the published fields are 76 bytes, and descriptors are multiples of 16',
      },
    ],
    rule: 'equal in the published digits',
    isQuick: true,
    run: memdesc,
  },
  {
    id: 'dynamic-metadata.per-gib',
    seed: '003',
    what: 'bytes of metadata for one GiB',
    unit: 'KiB',
    published: 'struct page 16 MiB; memdesc words 2 MiB; LLFree 33 KiB (0.0031 %)',
    source: `the seed; kernelnewbies; raw results of LLFree (luhsra/llfree-bench, out/mem-overhead.dref); share counts: none published`,
    method: 'engine',
    inputs: [],
    rule: 'equal; LLFree within 1 KiB, as its trees and cores are beside the fields of a GiB. Share counts are measured in row-leaf-4 itself, beside no published figure',
    isQuick: true,
    run: perGib,
  },
  {
    id: 'dynamic-metadata.usable',
    seed: '003',
    what: 'what a program gets before the memory of 4 GiB is used up',
    unit: 'MiB',
    published:
      'struct pages can be allocated and freed as they are used, and give applications more usable memory (no sizes)',
    source: 'the seed; its thesis',
    method: 'engine',
    inputs: [
      { name: 'machine', value: '4 GiB, no swap', source: 'ours' },
      {
        name: 'struct pages of a huge page',
        value: 'one page of vmemmap, as under HVO; none in the last part, as in a Morsel',
        source: 'docs/dynamic-metadata.md',
      },
    ],
    rule: 'with huge pages the program gets more under dynamic-metadata than under static-metadata; with small pages, which need all struct pages, it gets less, within 0.25 MiB of what LLFree and the page tables of the vmemmap take by arithmetic',
    isQuick: false,
    run: usable,
  },
  {
    id: 'dynamic-metadata.recordings',
    seed: '003',
    what: 'metadata at the peak of the recorded programs, on their machine of 24 GiB, by scheme',
    unit: 'KiB',
    published: 'nothing: the thesis gives no sizes that are public',
    source: THESIS,
    method: 'engine',
    inputs: [
      {
        name: 'the rest of the machine',
        value: 'free',
        source: 'a recording has its programs alone: no page cache, no other services',
      },
    ],
    rule: 'none',
    isQuick: false,
    run: recordings,
  },
];

function share(): FigureResult {
  const gib = (memoryGib: number): number => {
    const m = Machine.create({ nodeBytes: [memoryGib * GIB_BYTES], bufferMiB: 256 });
    const before = freeFrameCount(m);
    staticMetadata.attach(m);
    const frames = before - freeFrameCount(m);
    m.release();
    return (frames * FRAME_BYTES) / GIB_BYTES;
  };
  const [small, large] = [gib(384), gib(1024)];
  const percent = (small / 384) * 100;
  const parts = [
    within('share of memory', '%', 1.6, Number(percent.toFixed(1)), 0),
    within('of 384 GiB', 'GiB', 6, small, 0),
    within('of 1 TiB', 'GiB', 16, large, 0),
  ];
  return {
    here: `${percent} % of memory; ${small} GiB of 384 GiB, ${large} GiB of 1 TiB`,
    verdict: verdictOf(parts),
    why: '64 / 4,096 = 1.5625 %',
    parts,
  };
}

function hvo(): FigureResult {
  const HUGE_PAGES = 256;
  const system = new System({
    nodeBytes: [2 * GIB_BYTES],
    huge: { enabled: 'always' },
    bufferMiB: 64,
  });
  dynamicMetadata.attach(system.machine);
  const process = startProcess(system);
  let kept = 0;
  for (let i = 0; i < HUGE_PAGES; i++) {
    process.touch(AT + i * HUGE_BYTES, true, 1);
    const pfn = mappedFrame(system.machine, process.mm, (AT + i * HUGE_BYTES) / FRAME_BYTES);
    kept += vmemmapPages(system.machine, pfn, HUGE_BYTES / FRAME_BYTES) / HUGE_PAGES;
  }
  system.machine.release();
  const saved = { mid: hvoSaves(512) / FRAME_BYTES, large: hvoSaves(GIB_FRAMES) / FRAME_BYTES };
  const parts = [
    within('of 8, for 2 MiB', 'pages', 7, saved.mid, 0),
    within('of 4,096, for 1 GiB', 'pages', 4095, saved.large, 0),
    onlyHere('of 8, gone of each of 256 pages of 2 MiB under dynamic-metadata', 'pages', 8 - kept),
  ];
  return {
    here: `${saved.mid} of 8 pages for 2 MiB, ${saved.large.toLocaleString('en-US')} of 4,096 for 1 GiB`,
    verdict: verdictOf(parts),
    why: 'tails say nothing but where their head is; Linux does this for hugetlb alone, the mechanism for any page of 2 MiB',
    parts,
  };
}

function memdesc(): FigureResult {
  const percentOf = (bytes: number): number => Number(((bytes / GIB_BYTES) * 100).toFixed(3));
  const all = { ...emptyTally(), frames: GIB_FRAMES };
  const small = memdescBytes({ ...all, single: GIB_FRAMES });
  const huge = memdescBytes({ ...all, huge: 512 });
  const first = { ...MEMDESC_SIZES, word: MEMDESC_FIRST_WORD };
  const parts = [
    within('32 bytes', '%', 0.8, percentOf(memdescBytes(all, first)), 0.05),
    within('8 bytes', '%', 0.2, percentOf(memdescBytes(all)), 0.05),
    onlyHere('8 bytes and a folio for each 4 KiB page', '%', percentOf(small)),
    onlyHere('8 bytes and a folio for each 2 MiB page', '%', percentOf(huge)),
    onlyHere(
      '32 bytes and a folio for each 4 KiB page',
      '%',
      percentOf(memdescBytes({ ...all, single: GIB_FRAMES }, first)),
    ),
  ];
  return {
    here: `0.78 % and 0.20 % for the words; with descriptors ${percentOf(small)} % where all memory is pages of 4 KiB, ${percentOf(huge)} % where all is pages of 2 MiB`,
    verdict: verdictOf(parts),
    why: 'the published shares are those of the words. A folio of its own for each 4 KiB page makes more than the 1.5625 % of today; it gains with the size of folios and with free memory',
    parts,
  };
}

function perGib(): FigureResult {
  const kib = (bytes: number): number => bytes / 1024;
  const m = Machine.create({ nodeBytes: [GIB_BYTES], bufferMiB: 64 });
  const before = freeFrameCount(m);
  staticMetadata.attach(m);
  const structPages = (before - freeFrameCount(m)) * FRAME_BYTES;
  m.release();
  const words = memdescBytes({ ...emptyTally(), frames: GIB_FRAMES });
  const { directory, all } = measureRowLeaf();
  const llfree = LLFree.bytesFor({ frames: GIB_FRAMES, cores: 1 });
  const parts = [
    within('struct page', 'KiB', 16 * 1024, kib(structPages), 0),
    within('memdesc, words', 'KiB', 2 * 1024, kib(words), 0),
    within('LLFree, measured: with trees, one core and its head', 'KiB', 33, kib(llfree), 1),
    onlyHere('share counts (row-leaf-4), no frame shared', 'KiB', kib(directory)),
    onlyHere('share counts, all frames shared', 'KiB', kib(all)),
  ];
  return {
    here: `struct page ${kib(structPages) / 1024} MiB, memdesc words ${kib(words) / 1024} MiB, LLFree ${kib(llfree).toFixed(1)} KiB; share counts ${kib(directory).toFixed(1)} KiB with none, ${kib(all).toFixed(1)} KiB with all frames shared`,
    verdict: verdictOf(parts),
    why: 'sizes of layouts; the buffers of LLFree and of the counts were made and measured',
    parts,
  };
}

/** KiB of row-leaf-4 for the frames of a GiB, none of them shared and all. */
function measureRowLeaf(): { directory: number; all: number } {
  const kind = COUNT_KINDS.find(({ name }) => name === 'row-leaf-4');
  if (kind === undefined) throw new Error('no row-leaf-4');
  const options = { frames: GIB_FRAMES, entries: GIB_FRAMES, workers: 1 };
  const buffer = new ArrayBuffer(kind.bytesFor(options));
  kind.format(buffer, options);
  const table = kind.attach(buffer, 0);
  const directory = table.bytesInUse();
  for (let frame = 0; frame < GIB_FRAMES; frame += BATCH_MAX) table.incRun(frame, BATCH_MAX);
  return { directory, all: table.bytesInUse() };
}

const MEMORY_GIB = 4;
/** Frames of 4 GiB that hold struct pages, the page tables of as much vmemmap, and LLFree. */
const ALL_STRUCT_MIB = 64;
const MAPPING_KIB: number = (MEMORY_GIB * 1024 * 4) / 128;

function usable(context: FigureContext): FigureResult {
  const mib = (kernel: string, isHuge: boolean): number => {
    context.onProgress(`${kernel}, ${isHuge ? 'huge' : 'small'} pages`);
    return pagesUntilKilled(kernel, isHuge) / 256;
  };
  const [fixed, dynamic, none] = [
    'static-metadata',
    'dynamic-metadata',
    'dynamic-metadata[hugeUnits=0]',
  ]
    .map((id) => `linux-6.18+${id}`)
    .map((kernel) => mib(kernel, true)) as [number, number, number];
  const smallFixed = mib('linux-6.18+static-metadata', false);
  const smallDynamic = mib(KERNEL, false);
  const overheadMib = (MAPPING_KIB + (LLFREE_BYTES_PER_GIB / 1024) * MEMORY_GIB) / 1024;
  const gains = dynamic > fixed;
  const parts: FigurePart[] = [
    onlyHere('2 MiB pages, all struct pages charged', 'MiB', fixed),
    {
      what: '2 MiB pages, on demand',
      unit: 'MiB',
      published: null,
      here: dynamic,
      verdict: gains ? 'agrees' : 'differs',
    },
    onlyHere('the same, huge pages without any', 'MiB', none),
    onlyHere('4 KiB pages, all struct pages charged', 'MiB', smallFixed),
    onlyHere('4 KiB pages, on demand', 'MiB', smallDynamic),
    within(
      '4 KiB pages, lost to page tables of the vmemmap and LLFree',
      'MiB',
      Number(overheadMib.toFixed(2)),
      Number((smallFixed - smallDynamic).toFixed(2)),
      0.25,
    ),
  ];
  return {
    here: `with huge pages ${(dynamic - fixed).toFixed(1)} MiB more of ${ALL_STRUCT_MIB} MiB of struct pages (${(none - fixed).toFixed(1)} where huge pages need none), with small ones ${(smallFixed - smallDynamic).toFixed(1)} MiB less`,
    verdict: verdictOf(parts),
    why: 'memory full of small pages needs all of its struct pages: on demand gives back what is free or huge, no more',
    parts,
  };
}

function pagesUntilKilled(kernelName: string, isHuge: boolean): number {
  const kernel = parseKernel(kernelName);
  const system = new System({
    rules: kernel.rules,
    nodeBytes: [MEMORY_GIB * GIB_BYTES],
    huge: { enabled: isHuge ? 'always' : 'disabled' },
    bufferMiB: 256,
  });
  attachMechanisms(system.machine, kernel);
  const process = startProcess(system);
  const end = (MEMORY_GIB * GIB_BYTES) / FRAME_BYTES;
  let pages = 0;
  while (pages < end && system.process(1) !== undefined) {
    process.touch(AT + pages * FRAME_BYTES, true);
    pages++;
  }
  system.machine.release();
  return pages;
}

function recordings(context: FigureContext): FigureResult {
  const parts: FigurePart[] = [];
  const texts: string[] = [];
  for (const name of RECORDINGS) {
    context.onProgress(`${name} under ${KERNEL}`);
    const { peak, final } = replay(context.openRecording(name), parseKernel(KERNEL), { seed: 1 });
    const kib = peak['dynamic-metadata'] ?? {};
    for (const [field, what] of SCHEME_PARTS) {
      parts.push(onlyHere(`${name}: ${what}`, 'KiB', Math.round(kib[field] ?? 0)));
    }
    const counts = final['dynamic-metadata'] ?? {};
    const before = (counts['beforePages'] ?? 0) + (counts['beforeHugePages'] ?? 0);
    parts.push(
      onlyHere(`${name}: pages that had to get metadata first`, 'pages', before),
      onlyHere(`${name}: faults`, 'faults', final.faults),
    );
    texts.push(`${name} ${Math.round(kib['onDemandKiB'] ?? 0).toLocaleString('en-US')}`);
  }
  return {
    here: `on demand, KiB: ${texts.join(', ')}; struct pages of all frames 393,216`,
    verdict: 'not comparable',
    why: 'no size was published; and the machine is empty but for these programs, which favours whatever pays for use',
    parts,
  };
}

const SCHEME_PARTS = [
  ['structPageKiB', 'struct page (and HVO: there are no hugetlb pages)'],
  ['hvoAllKiB', 'HVO, what if for all pages of 2 MiB'],
  ['memdescKiB', 'memdesc'],
  ['onDemandKiB', 'on demand, LLFree included'],
  ['engineKiB', "the engine's own records"],
  ['countsKiB', 'LLFree and share counts alone'],
] as const;

function startProcess(system: System): Process {
  const process = system.spawn(1);
  process.mmap(AT, 8 * GIB_BYTES, PROT_READ | PROT_WRITE, ANON);
  return process;
}
