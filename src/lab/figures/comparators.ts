import { COMPARATORS } from '../kernels.ts';
import type { RunResult } from '../replay/result.ts';
import type { Figure, FigureContext, FigurePart, FigureResult } from './figure.ts';
import { onlyHere, verdictOf } from './parts.ts';
import { runWorkload } from './run-workload.ts';

/**
 * Ingens beside what else a user could take: Linux with huge pages off, on, and on with khugepaged kept
 * from filling holes; HawkEye; FreeBSD's reservations.
 */
const KIB_PER_MIB = 1024;
const OBJECTS = 2 ** 18;
/** 1,326 slots / 8 x 10 s = 1,658 s. */
const PAUSE_SECONDS = 2000;
const SHORT_MIB = 740;
/** A sixteenth of ingens.mongodb-bloat. */
const RECORDS = 625_000;
const GETS = 937_500;
const QUICK_RECOVERY = 'linux-6.1+hawkeye[recoverMs=100]';

export const COMPARATOR_FIGURE: Figure = {
  id: 'ingens.comparators',
  seed: '002',
  what: 'what each way to manage huge pages leaves resident and in use after a deletion, and who runs out of memory',
  unit: 'MiB',
  published:
    'Redis: bloat of 28 GB under Linux and of 20 GB under Ingens; both run out of memory at the second fill, of 45 GB of data',
  source:
    'Panwar et al., "HawkEye: Efficient Fine-grained OS Support for Huge Pages", ASPLOS 2019, by third-party notes',
  method: 'engine',
  inputs: [
    {
      name: 'after a deletion',
      value: `redis-bloat with 2^18 objects (an eighth), ${PAUSE_SECONDS} s after 70 % were deleted`,
      source: 'ours: khugepaged has then seen each slot once',
    },
    {
      name: 'memory short',
      value: `mongodb-bloat, a sixteenth of its size, with ${SHORT_MIB} MiB of memory and no swap`,
      source: 'ours: more than its base pages need, and less than its huge pages',
    },
    {
      name: 'bloat recovery each 0.1 s',
      value: QUICK_RECOVERY,
      source:
        'ours: that run lasts some seconds of modelled time, so the released 120 s would never come',
    },
  ],
  rule: 'none: neither data nor sizes of the published runs are known to us',
  isQuick: false,
  run: compareAll,
};

function compareAll(context: FigureContext): FigureResult {
  const deleted = COMPARATORS.map((kernel) =>
    runWorkload(context, 'redis-bloat', kernel, {
      objects: OBJECTS,
      gets: 0,
      idleSeconds: PAUSE_SECONDS,
    }),
  );
  const short = [...COMPARATORS, QUICK_RECOVERY].map((kernel) =>
    runWorkload(
      context,
      'mongodb-bloat',
      kernel,
      { records: RECORDS, gets: GETS },
      { nodeBytes: [SHORT_MIB * 2 ** 20] },
    ),
  );
  const parts = [...deleted.flatMap(partsOfDeleted), ...short.flatMap(partsOfShort)];
  const killed = short.filter(({ final }) => final.oomKills > 0).map(({ kernel }) => kernel);
  return {
    here: `${deleted.map((run) => `${run.kernel} ${mib(last(run).rssAnonKiB)} resident, ${mib(last(run).usedKiB)} in use`).join('; ')}. Out of memory: ${killed.join(', ')}`,
    verdict: verdictOf(parts),
    why: 'another program, and a part of the sizes. Linux and Ingens run out of memory here too, and so does who recovers bloat too late; who holds memory without use (reservations) or takes zeros back in time does not',
    parts,
  };
}

function partsOfDeleted(run: RunResult): FigurePart[] {
  const populated = run.marks.find(({ name }) => name === 'populated');
  return [
    onlyHere(`${run.kernel}: in huge pages, populated`, 'MiB', mib(populated?.anonHugeKiB ?? 0)),
    onlyHere(`${run.kernel}: resident after the pause`, 'MiB', mib(last(run).rssAnonKiB)),
    onlyHere(`${run.kernel}: memory in use then`, 'MiB', mib(last(run).usedKiB)),
  ];
}

function partsOfShort({ kernel, final, peak }: RunResult): FigurePart[] {
  return [
    onlyHere(`${kernel}, memory short: processes killed`, 'processes', final.oomKills),
    onlyHere(`${kernel}, memory short: resident at most`, 'MiB', mib(peak.rssAnonKiB)),
  ];
}

function last({ marks }: RunResult): RunResult['marks'][number] {
  const found = marks.find(({ name }) => name === 'idle');
  if (found === undefined) throw new Error('no mark idle');
  return found;
}

function mib(kib: number): number {
  return Math.round(kib / KIB_PER_MIB);
}
