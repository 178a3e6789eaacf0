import type { CountKind } from '../../engine/counts/count-table.ts';
import { COUNT_KINDS } from '../../engine/counts/kinds.ts';
import { E_COUNT, E_KEY, E_NEXT } from '../../engine/counts/rhashtable-buckets.ts';
import type { Figure, FigurePart, FigureResult } from './figure.ts';
import { atMost, onlyHere, verdictOf, within } from './parts.ts';

/** Counts outside of frame records (seed 003): what their tables cost in bytes, exact. */
const SEED_003 = 'SRA Hannover, "Dynamic Metadata Management for Virtual-Memory Objects"';
const WILCOX = 'M. Wilcox, "[PATCH 0/1] Rosebush, a new hash table", 22 February 2024';

const WORD_BYTES = 4;
/** Frames of a page table. */
const RUN = 512;
const SHARED = 1 << 17;
/** Shared frames of the published estimate. */
const ESTIMATED = 100_000;
const PUBLISHED_BYTES = { rhashtable: 1_731_272, rosebush: 2_101_264 } as const;
const DENSE_GOAL_BYTES = 1.1;

export const COUNT_FIGURES: readonly Figure[] = [
  {
    id: 'cow-counts.pointer-overhead',
    seed: '003',
    what: 'bytes of an entry in rhashtable beside its count',
    unit: 'bytes an entry',
    published: 'pointers in the buckets: a 64-bit pointer for every 64-bit counter',
    source: SEED_003,
    method: 'engine',
    inputs: [
      { name: 'entries', value: `${SHARED}, all of a machine's frames`, source: 'ours' },
      {
        name: 'an element',
        value: 'next, key and count of 8 bytes each; a bucket of 8 bytes',
        source: 'Linux: include/linux/rhashtable.h',
      },
    ],
    rule: '8 bytes of pointer for 8 bytes of count in an element, exact; what the rest of the table adds was not published',
    isQuick: true,
    run: pointerOverhead,
  },
  {
    id: 'cow-counts.bytes',
    seed: '003',
    what: 'bytes of each table for a shared frame',
    unit: 'bytes a shared frame',
    published:
      '100,000 objects, without the objects: 1,731,272 bytes in rhashtable, 2,101,264 in Rosebush',
    source: WILCOX,
    method: 'engine',
    inputs: [
      { name: 'frames', value: 'all of a machine, or one run of 512 in 136', source: 'ours' },
    ],
    rule: `row-leaf tables at most ${DENSE_GOAL_BYTES} bytes where all frames are shared. The published estimates are of the first posting, whose buckets grow, and of chains of ten in rhashtable, which then doubles above 75 %: beside them ours stand without a verdict`,
    isQuick: false,
    run: bytesOfTables,
  },
];

function tableOf(kind: CountKind, frames: number, entries: number) {
  const options = { frames, entries, workers: 1 };
  const buffer = new ArrayBuffer(kind.bytesFor(options));
  kind.format(buffer, options);
  return kind.attach(buffer, 0);
}

/** Bytes in use with `shared` frames of two references, in runs of a page table `gap` runs apart. */
function bytesOf(kind: CountKind, shared: number, gap: number): number {
  const table = tableOf(kind, Math.ceil(shared / RUN) * RUN * gap, shared);
  for (let done = 0; done < shared; done += RUN) {
    table.incRun(done * gap, Math.min(RUN, shared - done));
  }
  table.idle();
  return table.bytesInUse();
}

function kindNamed(name: string): CountKind {
  return COUNT_KINDS.find((kind) => kind.name === name) as CountKind;
}

function pointerOverhead(): FigureResult {
  const pointer = (E_KEY - E_NEXT) * WORD_BYTES;
  const element = 3 * pointer;
  const bytes = bytesOf(kindNamed('rhashtable'), SHARED, 1) / SHARED;
  const parts = [
    within('pointer to the next element', 'bytes an entry', 8, pointer, 0),
    onlyHere('key', 'bytes an entry', (E_COUNT - E_KEY) * WORD_BYTES),
    onlyHere('buckets', 'bytes an entry', Number((bytes - element).toFixed(2))),
    onlyHere('the whole table', 'bytes an entry', Number(bytes.toFixed(2))),
  ];
  return {
    here: `${pointer} bytes of pointer for 8 bytes of count; with key and buckets ${bytes.toFixed(1)} bytes for a count of 8`,
    verdict: verdictOf(parts),
    why: 'the table ran, in the sizes of the kernel; the share of the buckets is between 10.7 and 21.3 bytes, as the table is 75 to 37.5 % full after it has grown',
    parts,
  };
}

function bytesOfTables(): FigureResult {
  const parts: FigurePart[] = [];
  const texts: string[] = [];
  for (const kind of COUNT_KINDS) {
    const dense = Number((bytesOf(kind, SHARED, 1) / SHARED).toFixed(2));
    const sparse = Number((bytesOf(kind, SHARED, 136) / SHARED).toFixed(2));
    const isRows = kind.name.startsWith('row-leaf');
    const part = `${kind.name}, all frames shared`;
    parts.push(
      isRows ? atMost(part, 'bytes', DENSE_GOAL_BYTES, dense) : onlyHere(part, 'bytes', dense),
    );
    parts.push(onlyHere(`${kind.name}, one run of 512 in 136`, 'bytes', sparse));
    texts.push(`${kind.name} ${dense} and ${sparse}`);
  }
  parts.push(...estimates());
  return {
    here: `a shared frame, all shared and one run in 136: ${texts.join('; ')}`,
    verdict: verdictOf(parts),
    why: 'the tables ran; bytes in use are counted by each table and recomputed by its validate()',
    parts,
  };
}

/** The published estimates are without objects, so without keys and counts. */
function estimates(): FigurePart[] {
  const rhashtable = bytesOf(kindNamed('rhashtable'), ESTIMATED, 1) - ESTIMATED * 16;
  const rosebush = bytesOf(kindNamed('rosebush'), ESTIMATED, 1) - ESTIMATED * 16;
  return [
    estimate('rhashtable', PUBLISHED_BYTES.rhashtable, rhashtable),
    estimate('rosebush', PUBLISHED_BYTES.rosebush, rosebush),
  ];
}

function estimate(name: string, published: number, here: number): FigurePart {
  const what = `${name}, ${ESTIMATED.toLocaleString('en-US')} entries without their objects`;
  return { what, unit: 'bytes', published, here, verdict: 'not comparable' };
}
