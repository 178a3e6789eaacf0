import { GIB_BYTES, SLOT_BYTES } from '../workloads/program.ts';
import type { Figure, FigureContext, FigurePart, FigureResult } from './figure.ts';
import { pteRefFaults } from './multi-fault.ts';
import { onlyHere, verdictOf, within } from './parts.ts';
import { runWorkload } from './run-workload.ts';
import { PROGRAM_TABLES, TABLE_KIB, tablesKiB } from './table-arithmetic.ts';

/** Refcounted PTE pages: "Improvement of PTE page table management", Qi Zheng, CLK 2021 (seed 000). */
const SOURCE = 'Qi Zheng, "Improvement of PTE page table management", CLK 2021';
const BEFORE = 'linux-6.1';
const AFTER = 'linux-6.18+pte-ref';
const TIB_BYTES = 1024 * GIB_BYTES;

const PROGRAM_INPUT = {
  name: 'tables of the test program itself',
  value: `${PROGRAM_TABLES * TABLE_KIB} kB`,
  source: 'VmPTE of a small static program with a stdio heap, measured on Linux 6.18',
};

export const PTE_REF_FIGURES: readonly Figure[] = [
  {
    id: 'pte-ref.functional',
    seed: '000',
    what: '50 GB touched once per 2 MB and given back: page tables that stay',
    unit: 'kB',
    published: 'VmPTE 102,640 kB → 248 kB; VIRT 50.0 GB both; RES 3.1 → 3.6 MB',
    source: `${SOURCE}; 240 kB for the same loop in the series merged into 6.14`,
    method: 'engine',
    inputs: [PROGRAM_INPUT, { name: 'address space', value: '50 GiB', source: SOURCE }],
    rule: 'VmPTE within 4 kB (one table) of the arithmetic, before and after; within 8 kB of the published one, as the tables of the published program are not known; VIRT equal in the published digits',
    isQuick: true,
    run: functional,
  },
  pteRefFaults,
  {
    id: 'pte-ref.real-case',
    seed: '000',
    what: 'a server process with VIRT 55 TB and RES 590 GB',
    unit: 'GB',
    published: 'VmPTE 110 GB where ~1.2 GB would do',
    source: SOURCE,
    method: 'engine',
    inputs: [
      {
        name: 'use of the address space',
        value: 'each 2 MiB of 55 TiB touched once, given back in 4 KiB pieces; 590 GiB dense',
        source:
          'our reading: 110 GB is one table for each 2 MiB of 55 TiB, 1.2 GB is 590 GiB mapped densely',
      },
    ],
    rule: 'VmPTE before and the PTE tables after are the published figures in their digits (110 GB; 1.2 GB to one decimal)',
    isQuick: false,
    run: realCase,
  },
  {
    id: 'pte-ref.limits',
    seed: '000',
    what: 'the most that the PTE tables of one process can take',
    unit: 'MiB and GiB',
    published: 'up to 3 MB on 32 bits, 512 GB on 64 bits',
    source: SOURCE,
    method: 'arithmetic',
    inputs: [
      {
        name: '32 bits',
        value: '3 GiB for user space, 1,024 entries of 4 bytes a table',
        source: 'x86 without PAE, PAGE_OFFSET 0xc0000000',
      },
      {
        name: '64 bits',
        value: '48 bits of address, 512 entries of 8 bytes a table',
        source: 'arm64 gives user space 48 bits; x86-64 has 47 (TASK_SIZE_MAX)',
      },
    ],
    rule: 'equal',
    isQuick: true,
    run: limits,
  },
];

function functional(context: FigureContext): FigureResult {
  const bytes = 50 * GIB_BYTES;
  const before = runWorkload(context, 'sparse-pieces', BEFORE).final;
  const after = runWorkload(context, 'sparse-pieces', AFTER).final;
  const needed = tablesKiB(bytes);
  const program = PROGRAM_TABLES * TABLE_KIB;
  const virtGb = (before.vmSizeKiB * 1024) / GIB_BYTES;
  const parts = [
    within('VmPTE before, published', 'kB', 102_640, before.vmPteKiB, 8),
    within('VmPTE after, published', 'kB', 248, after.vmPteKiB, 8),
    within('VIRT', 'GiB', 50, Number(virtGb.toFixed(1)), 0),
    arithmetic('before', needed.pte + needed.upper + program, before.vmPteKiB),
    arithmetic('after', needed.upper + program, after.vmPteKiB),
    onlyHere('pages of the 50 GiB that stay', 'kB', after.rssAnonKiB - 11 * 4),
    onlyHere('tables freed', 'tables', after.tablesFreed),
  ];
  return {
    here: `VmPTE ${count(before.vmPteKiB)} kB → ${count(after.vmPteKiB)} kB; VIRT ${virtGb.toFixed(1)} GB both`,
    verdict: verdictOf(parts),
    why: 'what stays are the upper tables of 50 GiB and the tables of the program; the 3 MB of RES are the pages of the published program and its libraries, which are not modelled',
    parts,
  };
}

function arithmetic(when: string, expectedKiB: number, here: number): FigurePart {
  return within(`VmPTE ${when}, arithmetic`, 'kB', expectedKiB, here, 4);
}

function realCase(context: FigureContext): FigureResult {
  const before = runWorkload(context, 'real-case', BEFORE).final;
  const after = runWorkload(context, 'real-case', AFTER).final;
  const gib = (kib: number): number => (kib * 1024) / GIB_BYTES;
  const needed = tablesKiB(590 * GIB_BYTES);
  const all = tablesKiB(55 * TIB_BYTES);
  const program = PROGRAM_TABLES * TABLE_KIB;
  const pteAfter = gib(after.pteTables * TABLE_KIB);
  const parts = [
    within('VmPTE before', 'GiB', 110, Math.round(gib(before.vmPteKiB)), 0),
    within('PTE tables after', 'GiB', 1.2, Number(pteAfter.toFixed(1)), 0.05),
    arithmetic('before', all.pte + all.upper + program, before.vmPteKiB),
    arithmetic('after', needed.pte + all.upper + program, after.vmPteKiB),
    onlyHere('VmPTE after, upper tables of 55 TiB included', 'GiB', round(gib(after.vmPteKiB))),
    onlyHere('VIRT', 'TiB', round((before.vmSizeKiB * 1024) / TIB_BYTES)),
    onlyHere('RES', 'GiB', round(gib(before.rssAnonKiB + before.rssFileKiB))),
    onlyHere('tables freed', 'tables', after.tablesFreed),
  ];
  return {
    here: `VmPTE ${gib(before.vmPteKiB).toFixed(1)} GB → ${gib(after.vmPteKiB).toFixed(2)} GB, of which PTE tables ${pteAfter.toFixed(2)} GB`,
    verdict: verdictOf(parts),
    why: 'the published ~1.2 GB is what 590 GB need of PTE tables; the upper tables of 55 TB (0.22 GB) stay, as published',
    parts,
  };
}

function limits(): FigureResult {
  const bits32 = ((3 * GIB_BYTES) / (1024 * 4096)) * 4096;
  const bits48 = (2 ** 48 / SLOT_BYTES) * 4096;
  const bits47 = (2 ** 47 / SLOT_BYTES) * 4096;
  const parts = [
    within('32 bits', 'MiB', 3, bits32 / 2 ** 20, 0),
    within('64 bits, 48 bits of address', 'GiB', 512, bits48 / GIB_BYTES, 0),
    onlyHere('64 bits, user half of x86-64', 'GiB', bits47 / GIB_BYTES),
  ];
  return {
    here: '3 GiB / 4 MiB x 4 KiB = 3 MiB; 256 TiB / 2 MiB x 4 KiB = 512 GiB',
    verdict: verdictOf(parts),
    why: '512 GB takes all 48 bits for user space; on x86-64 a process has 47 of them, so there it is 256 GiB',
    parts,
  };
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}
