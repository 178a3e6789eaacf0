import { TABLE_SCAN_DEFAULTS } from '../../engine/index.ts';
import { CALL_NS, TOUCH_NS } from '../replay/modelled-clock.ts';
import { GIB_BYTES } from '../workloads/program.ts';
import type { Figure, FigureContext, FigureResult } from './figure.ts';
import { onlyHere, verdictOf, within } from './parts.ts';
import { runWorkload } from './run-workload.ts';
import { PROGRAM_TABLES, TABLE_KIB, tablesKiB } from './table-arithmetic.ts';

/** The asynchronous scan: RFC "asynchronously scan and free empty user PTE pages" (Qi Zheng, 2024). */
const SOURCE =
  'Qi Zheng, RFC "asynchronously scan and free empty user PTE pages", 3/3, 13 June 2024';
const PUBLISHED_KIB = 756;

export const TABLE_SCAN_FIGURES: readonly Figure[] = [
  {
    id: 'table-scan.functional',
    seed: '000',
    what: '2 MB written and given back, 25,600 times through 50 GB, with a scan each 100 ms',
    unit: 'kB',
    published: 'VmPTE 102,640 kB → 756 kB ("Even less"); VIRT 50.0 GB both; RES 3.1 MB both',
    source: SOURCE,
    method: 'model',
    inputs: [
      {
        name: 'between two scans',
        value: `${TABLE_SCAN_DEFAULTS.delayNs / 1e6} ms`,
        source: 'MM_PGTABLE_SCAN_DELAY of the RFC',
      },
      {
        name: 'time of a first touch, and of a call',
        value: `${TOUCH_NS / 1000} µs and ${CALL_NS / 1000} µs`,
        source:
          'measured on Linux 6.18 (1.4 to 1.9 µs); how many tables gather between two scans depends on it',
      },
      {
        name: 'tables of the test program itself',
        value: `${PROGRAM_TABLES * TABLE_KIB} kB`,
        source: 'measured on Linux 6.18',
      },
    ],
    rule: 'before: within 8 kB. After: one value of one moment was published, so it can only lie between our lowest and highest, which is no comparison',
    isQuick: true,
    run: functional,
  },
];

function functional(context: FigureContext): FigureResult {
  const before = runWorkload(context, 'sparse-loop', 'linux-6.1').final;
  const { final, peak } = runWorkload(context, 'sparse-loop', 'linux-6.1+table-scan');
  const least = tablesKiB(50 * GIB_BYTES).upper + PROGRAM_TABLES * TABLE_KIB;
  const scan = final['table-scan'] ?? {};
  const parts = [
    within('VmPTE before', 'kB', 102_640, before.vmPteKiB, 8),
    {
      what: 'VmPTE after, highest',
      unit: 'kB',
      published: PUBLISHED_KIB,
      here: peak.vmPteKiB,
      verdict: 'not comparable' as const,
    },
    onlyHere('of that, upper tables and the program', 'kB', least),
    onlyHere('scans', 'scans', scan['scans'] ?? 0),
    onlyHere('tables looked at', 'tables', scan['tablesScanned'] ?? 0),
    onlyHere('tables freed', 'tables', scan['tablesFreed'] ?? 0),
  ];
  return {
    here: `VmPTE ${before.vmPteKiB.toLocaleString('en-US')} kB → at most ${peak.vmPteKiB} kB, at least ${least} kB`,
    verdict: verdictOf(parts) === 'differs' ? 'differs' : 'not comparable',
    why: 'one moment was published, and it lies between ours; tables gather until the area is visited again, which only every third or fourth scan does, since the RFC counts the holes between areas as scanned',
    parts,
  };
}
