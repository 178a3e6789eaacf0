import type { MarkPoint, RunResult } from '../replay/result.ts';
import type { Figure, FigureContext, FigureResult } from './figure.ts';
import { onlyHere, verdictOf, within } from './parts.ts';
import { runWorkload } from './run-workload.ts';

/** Ingens: Kwon et al., "Coordinated and Efficient Huge Page Management with Ingens", OSDI'16 (seed 002). */
const SOURCE =
  'Kwon et al., "Coordinated and Efficient Huge Page Management with Ingens", OSDI 2016';
const KERNEL = 'linux-6.18';
const KIB_PER_GIB = 2 ** 20;
const PUBLISHED_BASE_GIB = 12.2;
const TOLERANCE = 0.05;

export const INGENS_FIGURES: readonly Figure[] = [
  {
    id: 'ingens.redis-bloat',
    seed: '002',
    what: 'Redis after 70 % of its 8 KB objects were deleted, base pages: resident memory',
    unit: 'GiB',
    published: '12.2 GB with base pages (and 20.7 GB with huge pages, 12.3 GB with Ingens)',
    source: SOURCE,
    method: 'engine',
    inputs: [
      {
        name: 'objects',
        value: '2^21 values of 8 KiB',
        source:
          'ours: no number was published; 20.7 GB of huge pages hold so many. What stays of them does not depend on it',
      },
      {
        name: 'program',
        value: 'Redis 3.2 with jemalloc 4.0.3, lg_dirty_mult 3, keys of 16 bytes',
        source: 'the release of that year, its defaults, redis-benchmark’s keys; not published',
      },
      { name: 'GB', value: '2^30 bytes', source: 'ours: as the kernel’s tools print it' },
    ],
    rule: 'base pages within 5 %; the sizes with huge pages and with Ingens stand in the published column and are not compared here',
    isQuick: false,
    run: redisBloat,
  },
  {
    id: 'ingens.mongodb-bloat',
    seed: '002',
    what: 'MongoDB after 15 million gets of 1 KB objects by YCSB: resident memory',
    unit: 'GiB',
    published: '10.1 GB with base pages, 12.4 GB with huge pages (+23 %)',
    source: SOURCE,
    method: 'engine',
    inputs: [
      { name: 'gets', value: '15 million, Zipf 0.99', source: `${SOURCE}; YCSB’s default` },
      { name: 'records', value: '10 million of 1 KiB', source: 'ours: not published' },
      {
        name: 'how full buffers are',
        value: '32 KiB, of which images take 22 to 26',
        source: 'set by the published ratio: the mechanism was not published',
      },
    ],
    rule: 'none: the ratio went in',
    isQuick: false,
    run: mongodbBloat,
  },
];

function mongodbBloat(context: FigureContext): FigureResult {
  const [base, huge] = (['never', 'always'] as const).map((enabled) =>
    gib(runWorkload(context, 'mongodb-bloat', KERNEL, {}, { huge: { enabled } }).final.rssAnonKiB),
  ) as [number, number];
  const parts = [
    onlyHere('base pages (published 10.1)', 'GiB', base),
    onlyHere('huge pages (published 12.4)', 'GiB', huge),
    onlyHere(
      'more with huge pages (published 23)',
      '%',
      Number((100 * (huge / base - 1)).toFixed(1)),
    ),
  ];
  return {
    here: `${base.toFixed(2)} GiB with base pages, ${huge.toFixed(2)} GiB with huge pages`,
    verdict: verdictOf(parts),
    why: 'a model of buffers that are not filled shows how such a difference comes about, but how full they are was taken from the difference, and the number of records is ours',
    parts,
  };
}

function redisBloat(context: FigureContext): FigureResult {
  const run = runWorkload(context, 'redis-bloat', KERNEL, { gets: 0 });
  const populated = gib(at(run, 'populated').rssAnonKiB);
  const deleted = gib(at(run, 'idle').rssAnonKiB);
  const parts = [
    within(
      'base pages, after the deletion',
      'GiB',
      PUBLISHED_BASE_GIB,
      deleted,
      TOLERANCE * PUBLISHED_BASE_GIB,
    ),
    onlyHere('base pages, populated', 'GiB', populated),
    onlyHere('address space', 'GiB', gib(run.final.vmSizeKiB)),
    onlyHere('part that stays', '%', Number(((100 * deleted) / populated).toFixed(1))),
  ];
  return {
    here: `${deleted.toFixed(2)} GiB of ${populated.toFixed(2)} stay`,
    verdict: verdictOf(parts),
    why: 'a slab has two values, and a chance of 0.49 that both are deleted; the allocator keeps an eighth of what is in use unpurged, and 13 pages of each 2 MiB for itself (docs/allocator.md has what other inputs give)',
    parts,
  };
}

function at({ marks }: RunResult, name: string): MarkPoint {
  const found = marks.find((mark) => mark.name === name);
  if (found === undefined) throw new Error(`no mark ${name}`);
  return found;
}

function gib(kib: number): number {
  return Number((kib / KIB_PER_GIB).toPrecision(4));
}
