import { GIB_BYTES, SLOT_BYTES } from '../workloads/program.ts';
import type { Figure, FigureContext, FigureResult } from './figure.ts';
import { atMost, onlyHere, verdictOf, within } from './parts.ts';
import { runWorkload } from './run-workload.ts';
import { PROGRAM_TABLES, TABLE_KIB, tablesKiB } from './table-arithmetic.ts';

/** Reclaim of page tables: "A Case for Page Table Reclaim", Manaouil and Barbalace (seed 001). */
const SOURCE = 'Karim Manaouil, Antonio Barbalace, "A Case for Page Table Reclaim"';
const BEFORE = 'linux-6.1';
/** The half of the talk that frees tables without references: at zero, by the count. */
const AFTER = 'linux-6.1+pte-ref';

/** The other half: tables of random pick, where memory is short. */
const PRESSED = 'linux-6.1+table-reclaim';
/** A machine too small for 600 GiB of data and 100 GiB of tables. */
const SMALL_GIB = 640;

export const TABLE_RECLAIM_FIGURES: readonly Figure[] = [
  {
    id: 'table-reclaim.math',
    seed: '001',
    what: 'PTE tables that a dense working set needs',
    unit: 'MiB',
    published: '64 GiB need 128 MiB; X GiB need 2X MiB',
    source: SOURCE,
    method: 'engine',
    inputs: [],
    rule: 'equal to the byte, for the PTE tables of a range that is touched whole',
    isQuick: true,
    run: math,
  },
  {
    id: 'table-reclaim.madvise',
    seed: '001',
    what: 'a microbenchmark with madvise(): page tables before and after',
    unit: 'KiB',
    published: '100 MiB → 100 KiB of PTEs; no overhead for the refcount',
    source: SOURCE,
    method: 'engine',
    inputs: [
      {
        name: 'the microbenchmark',
        value: '50 GiB touched once per 2 MiB, given back in 4 KiB pieces',
        source: 'our reading: 100 MiB are the PTE tables of 50 GiB; it is not described further',
      },
    ],
    rule: 'PTE tables 100 MiB before (to one in a thousand) and at most 100 KiB after',
    isQuick: true,
    run: madvise,
  },
  {
    id: 'table-reclaim.redis',
    seed: '001',
    what: 'a long-running Redis of 600 GiB: page tables that nothing needs',
    unit: 'GiB',
    published: '100 GiB of physical memory was page tables',
    source: SOURCE,
    method: 'engine',
    inputs: [
      {
        name: 'use of the address space',
        value: 'each 2 MiB of 50 TiB touched once and given back, 600 GiB dense',
        source: 'our reading: 100 GiB are the PTE tables of 50 TiB; the data is 600 GiB',
      },
      {
        name: 'advice',
        value: 'MADV_DONTNEED in 4 KiB pieces',
        source:
          'the talk says MADV_FREE; its pages go when memory is short, and their tables then stay in the same way',
      },
    ],
    rule: 'PTE tables before: 100 GiB to one decimal; freed at zero: those of 600 GiB stay, by arithmetic to 4 kB; under pressure, on 640 GiB that the 700 GiB of data and tables do not fit: no kill, and all fits',
    isQuick: false,
    run: redis,
  },
];

function math(context: FigureContext): FigureResult {
  const sizes = [1, 3, 64];
  const parts = sizes.map((gib) => {
    context.onProgress(`${gib} GiB dense`);
    // A dense range is the resident part of the real case.
    const { final } = runWorkload(context, 'real-case', BEFORE, { tib: 1, residentGib: gib });
    const others = (1024 - gib) * (GIB_BYTES / SLOT_BYTES) + PROGRAM_PTE_TABLES;
    const mib = ((final.pteTables - others) * TABLE_KIB) / 1024;
    return within(`PTE tables of ${gib} GiB`, 'MiB', 2 * gib, mib, 0);
  });
  return {
    here: '128 MiB for 64 GiB, 2 MiB for each GiB',
    verdict: verdictOf(parts),
    why: 'upper tables are not in it: they add 4 KiB for each GiB',
    parts,
  };
}

/** PTE tables among those of the program itself (workloads/program.ts): code, heap, vdso, stack. */
const PROGRAM_PTE_TABLES = 4;

function madvise(context: FigureContext): FigureResult {
  const before = runWorkload(context, 'sparse-pieces', BEFORE).final;
  const after = runWorkload(context, 'sparse-pieces', AFTER).final;
  const beforeKiB = before.pteTables * TABLE_KIB;
  const afterKiB = after.pteTables * TABLE_KIB;
  const parts = [
    within('PTE tables before', 'KiB', 102_400, beforeKiB, 102.4),
    atMost('PTE tables after', 'KiB', 100, afterKiB),
    onlyHere('all tables after', 'KiB', after.vmPteKiB),
  ];
  return {
    here: `${(beforeKiB / 1024).toFixed(1)} MiB → ${afterKiB} KiB of PTE tables; with upper tables ${after.vmPteKiB} KiB`,
    verdict: verdictOf(parts),
    why: 'the upper tables of 50 GiB alone are 204 KiB, so the published 100 KiB must be PTE tables; what the count costs is pte-ref.faults',
    parts,
  };
}

function redis(context: FigureContext): FigureResult {
  const settings = { tib: 50, residentGib: 600 };
  const before = runWorkload(context, 'real-case', BEFORE, settings).final;
  const after = runWorkload(context, 'real-case', AFTER, settings).final;
  const nodeBytes = [SMALL_GIB * GIB_BYTES];
  const pressed = runWorkload(context, 'real-case', PRESSED, settings, { nodeBytes });
  const gib = (kib: number): number => (kib * 1024) / GIB_BYTES;
  const needed = tablesKiB(600 * GIB_BYTES).pte;
  const upper = tablesKiB(50 * 1024 * GIB_BYTES).upper;
  const pteBefore = gib(before.pteTables * TABLE_KIB);
  const pteAfter = gib(after.pteTables * TABLE_KIB);
  const expected = needed + upper + PROGRAM_TABLES * TABLE_KIB;
  const parts = [
    within('PTE tables before', 'GiB', 100, Number(pteBefore.toFixed(1)), 0),
    within('VmPTE after, arithmetic', 'kB', expected, after.vmPteKiB, 4),
    onlyHere('PTE tables after', 'GiB', Number(pteAfter.toFixed(3))),
    atMost('OOM kills under pressure, 640 GiB', 'processes', 0, pressed.final.oomKills),
    within('data under pressure', 'GiB', 600, Math.round(gib(pressed.final.rssAnonKiB)), 0),
    atMost(
      'tables beside the data under pressure',
      'GiB',
      SMALL_GIB - 600,
      Number(gib(pressed.peak.vmPteKiB).toFixed(2)),
    ),
    onlyHere(
      'without reclaim: data and tables',
      'GiB',
      Number(gib(before.rssAnonKiB + before.vmPteKiB).toFixed(1)),
    ),
    onlyHere('tables freed under pressure', 'tables', pressed.final.tablesFreed),
    onlyHere('data', 'GiB', Number(gib(before.rssAnonKiB).toFixed(1))),
    onlyHere('tables freed', 'tables', after.tablesFreed),
  ];
  return {
    here: `${pteBefore.toFixed(1)} GiB of PTE tables beside ${gib(before.rssAnonKiB).toFixed(0)} GiB of data; ${pteAfter.toFixed(2)} GiB where a table goes with its last entry; reclaim under pressure keeps all in ${SMALL_GIB} GiB, with at most ${gib(pressed.peak.vmPteKiB).toFixed(1)} GiB of tables`,
    verdict: verdictOf(parts),
    why: 'one figure is published; the run shows that an address space of 50 TiB gives it, and that none of the tables beyond 1.17 GiB is needed',
    parts,
  };
}
