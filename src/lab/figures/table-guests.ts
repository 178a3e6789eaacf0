import { GUEST_DEFAULTS, type GuestOutcome, runGuests } from '../experiments/guests.ts';
import { type SeedSpread, spreadOf, spreadText } from '../experiments/spread.ts';
import type { Figure, FigureContext, FigurePart, FigureResult } from './figure.ts';
import { atMost, onlyHere, verdictOf, within } from './parts.ts';
import { TABLE_KIB } from './table-arithmetic.ts';

/** Second-level tables of virtual machines, always full of valid entries (seed 001). */
const WITHOUT = 'linux-6.18';
const RANDOM = 'linux-6.18+table-reclaim';
const AGED = 'linux-6.18+table-reclaim-aged';
const SEEDS = [1, 2, 3];
const { memoryMiB, swapMiB, guests, guestMiB, busy, growMiB } = GUEST_DEFAULTS;
/** Of each guest: a last-level table for 2 MiB, and one table of each of the three levels above. */
const FULL_KIB = guests * (guestMiB / 2 + 3) * TABLE_KIB;

export const TABLE_GUESTS: Figure = {
  id: 'table-reclaim.guests',
  seed: '001',
  what: 'second-level tables of virtual machines on a host that is short of memory',
  unit: 'KiB',
  published:
    'second-level PTEs for VMs always contain valid entries; such tables can be migrated, compressed or swapped (no sizes)',
  source: 'Karim Manaouil, Antonio Barbalace, "A Case for Page Table Reclaim"',
  method: 'engine',
  inputs: [
    {
      name: 'the host',
      value: `${memoryMiB} MiB, ${swapMiB} MiB of swap; a program of the host grows by ${growMiB} MiB`,
      source: 'ours: no sizes were published',
    },
    {
      name: 'the guests',
      value: `${guests} of ${guestMiB} MiB, all of it touched and pinned; ${busy} go on working`,
      source: 'ours',
    },
    {
      name: 'seeds',
      value: `${SEEDS.join(', ')}: medians, with the range where they differ`,
      source: 'ours',
    },
  ],
  rule: 'full tables by arithmetic; without the mechanism all of them stay to the end though the host swaps; with it tables and the pool together take less; under every seed each page of a guest is where it was, no violation is answered twice, nothing is killed',
  isQuick: false,
  run: guestTables,
};

function guestTables(context: FigureContext): FigureResult {
  const [without, random, aged] = [WITHOUT, RANDOM, AGED].map((kernel) =>
    SEEDS.map((seed) => {
      context.onProgress(`${kernel}, seed ${seed}`);
      return runGuests(kernel, seed);
    }),
  ) as [GuestOutcome[], GuestOutcome[], GuestOutcome[]];
  const all = [...without, ...random, ...aged];
  const least = Math.min(...without.map(atEnd));
  const parts: FigurePart[] = [
    within(
      'tables when all memory is mapped',
      'KiB',
      FULL_KIB,
      most(all, ({ fullKiB }) => fullKiB),
      0,
    ),
    within('without: tables at the end', 'KiB', FULL_KIB, least, 0),
    atMost('random victims: tables and pool at the end', 'KiB', FULL_KIB - 1, most(random, atEnd)),
    atMost('aged victims: tables and pool at the end', 'KiB', FULL_KIB - 1, most(aged, atEnd)),
    atMost('pages of guests that were not kept', 'pages', 0, most(all, notKept)),
    atMost(
      'violations answered twice',
      'violations',
      0,
      most(all, ({ lost }) => lost),
    ),
    atMost(
      'OOM kills',
      'processes',
      0,
      most(all, ({ oomKills }) => oomKills),
    ),
    onlyHere('host swapped at the end, without', 'KiB', spread(without, swapped).median),
    onlyHere('random victims: tables at the end', 'KiB', spread(random, tables).median),
    onlyHere('random victims: brought back', 'tables', spread(random, refaults).median),
    onlyHere('aged victims: tables at the end', 'KiB', spread(aged, tables).median),
    onlyHere('aged victims: brought back', 'tables', spread(aged, refaults).median),
  ];
  const hasSwapped = all.every((run) => swapped(run) > 0);
  return {
    here: `${FULL_KIB} KiB of tables stay without; ${spreadText(spread(random, atEnd))} KiB with random victims, ${spreadText(spread(aged, atEnd))} KiB with the least used, the compressed ones included; all pages of guests stay`,
    verdict: hasSwapped ? verdictOf(parts) : 'differs',
    why: 'a statement is published, no sizes. What is won is small beside the guests’ memory, 2 MiB for each GiB; that it can be had while the guests run on is the point',
    parts,
  };
}

function last(run: GuestOutcome): GuestOutcome['series'][number] {
  return run.series[run.series.length - 1] as GuestOutcome['series'][number];
}

/** Tables and the pool of those that are compressed, when the host's program has grown. */
function atEnd(run: GuestOutcome): number {
  return tables(run) + last(run).poolKiB;
}

function tables(run: GuestOutcome): number {
  return last(run).tablesKiB;
}

function refaults(run: GuestOutcome): number {
  return last(run).refaults;
}

function swapped(run: GuestOutcome): number {
  return last(run).hostSwapKiB;
}

function notKept({ pages, pagesKept }: GuestOutcome): number {
  return pages - pagesKept;
}

function most(runs: readonly GuestOutcome[], of: (run: GuestOutcome) => number): number {
  return Math.max(...runs.map(of));
}

function spread(runs: readonly GuestOutcome[], of: (run: GuestOutcome) => number): SeedSpread {
  return spreadOf(runs.map(of));
}
