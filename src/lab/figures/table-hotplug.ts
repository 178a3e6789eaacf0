import { type CompactionOutcome, runCompaction, runHotplug } from '../experiments/hotplug.ts';
import { SCATTER_DEFAULTS } from '../experiments/scattered-tables.ts';
import { spreadOf, spreadText } from '../experiments/spread.ts';
import type { Figure, FigureContext, FigurePart, FigureResult } from './figure.ts';
import { onlyHere, verdictOf, within } from './parts.ts';

/** Hot-unplug and compaction with page tables in the way (seed 001). */
const UNMOVABLE = 'linux-6.18';
const MOVABLE = 'linux-6.18+movable-tables';
const SEEDS = [1, 2, 3];
const MEMORY_MIB = 4096;

export const TABLE_HOTPLUG: Figure = {
  id: 'table-reclaim.hotplug',
  seed: '001',
  what: 'hot-unplug of memory blocks and compaction to 2 MiB, with tables that can and cannot move',
  unit: 'memory blocks',
  published: 'unmovable page tables make hot-unplug and 2 MB compaction fail (no sizes)',
  source: 'Karim Manaouil, Antonio Barbalace, "A Case for Page Table Reclaim"',
  method: 'engine',
  inputs: [
    {
      name: 'the machine',
      value: `${MEMORY_MIB / 1024} GiB, ${SCATTER_DEFAULTS.programs} programs, a seventh of ${SCATTER_DEFAULTS.filled * 100} % in use is tables`,
      source: 'ours; the share is that of the talk’s Redis, 100 GiB of tables beside 600 GiB',
    },
    {
      name: 'given back',
      value: `sparse pages, ${SCATTER_DEFAULTS.givenBack * 100} % of the others, a quarter of the programs`,
      source: 'ours: so that there is room for what must move',
    },
    {
      name: 'seeds',
      value: `${SEEDS.join(', ')}: medians, with the range where they differ`,
      source: 'ours',
    },
    {
      name: 'memory block',
      value: '128 MiB',
      source: 'Linux, arch/x86/include/asm/sparsemem.h: SECTION_SIZE_BITS 27',
    },
  ],
  rule: 'unmovable: no block with a table goes offline, and tables alone keep 2 MiB blocks; movable: no block stays for a table, none is kept',
  isQuick: false,
  run: hotplug,
};

function hotplug(context: FigureContext): FigureResult {
  const settings = { memoryMiB: MEMORY_MIB };
  const runs = [UNMOVABLE, MOVABLE].map((kernel) =>
    SEEDS.map((seed) => {
      context.onProgress(`${kernel}, seed ${seed}`);
      const unplugged = runHotplug(kernel, seed, settings);
      return { unplugged, compacted: runCompaction(kernel, seed, settings) };
    }),
  );
  const median = (side: 0 | 1, of: (run: HotplugRun) => number): number =>
    spreadOf((runs[side] ?? []).map(of)).median;
  const text = (side: 0 | 1, of: (run: HotplugRun) => number): string =>
    spreadText(spreadOf((runs[side] ?? []).map(of)));
  const parts: FigurePart[] = [
    onlyHere(
      'memory blocks',
      'blocks',
      median(0, (r) => r.unplugged.blocks),
    ),
    onlyHere(
      'of these with page tables',
      'blocks',
      median(0, (r) => r.unplugged.blocksWithTables),
    ),
    within('with tables and offline, unmovable', 'blocks', 0, median(0, wentWithTables), 0),
    onlyHere('offline each by itself, unmovable', 'blocks', median(0, offline)),
    onlyHere('offline each by itself, movable', 'blocks', median(1, offline)),
    within('stay for a table, movable', 'blocks', 0, median(1, staysForTable), 0),
    onlyHere('2 MiB blocks before compaction, unmovable', 'blocks', median(0, before)),
    onlyHere('2 MiB blocks after compaction, unmovable', 'blocks', median(0, after)),
    onlyHere('2 MiB blocks that only tables keep, unmovable', 'blocks', median(0, held)),
    onlyHere('2 MiB blocks after compaction, movable', 'blocks', median(1, after)),
    within('2 MiB blocks that only tables keep, movable', 'blocks', 0, median(1, held), 0),
    onlyHere('2 MiB blocks if all free memory lay together', 'blocks', median(1, ideal)),
  ];
  const blocks = median(0, (r) => r.unplugged.blocks);
  return {
    here: `${text(0, offline)} of ${blocks} blocks go offline with unmovable tables, ${text(1, offline)} with movable ones; compaction leaves ${text(0, held)} blocks of 2 MiB to tables, ${text(1, held)} with movable ones`,
    verdict: doTablesKeepBlocks(runs[0] ?? []) ? verdictOf(parts) : 'differs',
    why: 'a statement is published, no sizes; the block that stays with movable tables is that of the kernel’s own image. Compaction does not fail as a whole: grouping by mobility keeps tables together, and the 2 MiB blocks that it loses are those where tables are',
    parts,
  };
}

interface HotplugRun {
  readonly unplugged: ReturnType<typeof runHotplug>;
  readonly compacted: CompactionOutcome;
}

/** Blocks with a table that went all the same: those that went, less those without tables. */
function wentWithTables({ unplugged }: HotplugRun): number {
  return Math.max(0, unplugged.alone.offline - (unplugged.blocks - unplugged.blocksWithTables));
}

function staysForTable({ unplugged }: HotplugRun): number {
  return unplugged.alone.refusals['table'] ?? 0;
}

function offline({ unplugged }: HotplugRun): number {
  return unplugged.alone.offline;
}

function before({ compacted }: HotplugRun): number {
  return compacted.hugeBefore;
}

function after({ compacted }: HotplugRun): number {
  return compacted.hugeAfter;
}

function held({ compacted }: HotplugRun): number {
  return compacted.heldByTables;
}

function ideal({ compacted }: HotplugRun): number {
  return compacted.hugeIdeal;
}

/** Tables that cannot move keep 2 MiB blocks under every seed. */
function doTablesKeepBlocks(runs: readonly HotplugRun[]): boolean {
  return runs.every((run) => held(run) > 0);
}
