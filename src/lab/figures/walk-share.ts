import { findGenerator, openGenerator } from '../hardware/generators.ts';
import { makeHardware } from '../hardware/hardware.ts';
import { translate } from '../hardware/translate.ts';
import type { Figure, FigureContext, FigurePart, FigureResult } from './figure.ts';
import { onlyHere } from './parts.ts';
import { INGENS_PAPER } from './sources.ts';

/** Cycles in page walks, native and nested, with base and huge pages: counts times constants. */
const PRESET = 'haswell';
const SETTINGS = { mib: '8192', accesses: '1000000', skewPercent: '60' } as const;
/** What the program itself spends on an access; see the inputs. */
const ACCESS_CYCLES = [20, 50, 200] as const;
const SEED = 1;

export const WALK_SHARE: Figure = {
  id: 'ingens.walks',
  seed: '002',
  what: 'share of cycles in page walks, native and in a virtual machine',
  unit: '%',
  published:
    'bars without numbers on an axis to 70 %: 429.mcf, graph analytics, SVM and MongoDB; higher in virtual machines, with 4 KB pages',
  source: INGENS_PAPER,
  method: 'model',
  inputs: [
    {
      name: 'accesses',
      value: `${SETTINGS.accesses} drawn by a Zipf law of exponent 0.6 from ${Number(SETTINGS.mib) / 1024} GiB`,
      source: 'ours: the published programs are not here',
    },
    {
      name: 'cycles of the program for an access, without translation',
      value: ACCESS_CYCLES.join(', '),
      source: 'ours: the share follows from it, so three are shown',
    },
    {
      name: 'hardware and costs of loads',
      value: `preset ${PRESET}; pagelab tlb names the source of each constant`,
      source: 'docs/hardware.md',
    },
  ],
  rule: 'not compared: the bars have no numbers, and the programs are not here. That nested walks cost more than native ones, and base pages more than huge ones, must hold',
  isQuick: false,
  run: walks,
};

const CASES = [
  { what: '4 KB, native', pageBytes: '4k' },
  { what: '4 KB on 4 KB, nested', pageBytes: '4k', hostPageBytes: '4k' },
  { what: '2 MB, native', pageBytes: '2m' },
  { what: '2 MB on 2 MB, nested', pageBytes: '2m', hostPageBytes: '2m' },
] as const;

function walks(context: FigureContext): FigureResult {
  const generator = findGenerator('zipf')!;
  const parts: FigurePart[] = [];
  const shares: number[] = [];
  for (const { what, ...wishes } of CASES) {
    context.onProgress(what);
    const source = openGenerator(generator, new Map(Object.entries(SETTINGS)), SEED);
    const hardware = makeHardware({ preset: PRESET, ...wishes });
    const result = translate(source, hardware, { name: what, format: '', nowMs: context.nowMs });
    const { walks: cycles, tlbL2Hits } = result.cycles;
    for (const each of ACCESS_CYCLES) {
      const share = cycles / (result.accesses * each + tlbL2Hits + cycles);
      parts.push(onlyHere(`${what}, ${each} cycles an access`, '%', percent(share)));
      if (each === ACCESS_CYCLES[1]) shares.push(share);
    }
    parts.push(onlyHere(`${what}: loads of a walk`, 'loads', digits(result.walks.loadsPerWalk)));
    parts.push(onlyHere(`${what}: a walk`, 'cycles', digits(result.walks.cyclesPerWalk)));
  }
  const [base = 0, baseNested = 0, huge = 0, hugeNested = 0] = shares;
  const isOrdered =
    baseNested > base && hugeNested > huge && base > huge && baseNested > hugeNested;
  const text = CASES.map(({ what }, at) => `${what} ${percent(shares[at] ?? 0)} %`).join('; ');
  return {
    here: `with ${ACCESS_CYCLES[1]} cycles an access: ${text}`,
    verdict: isOrdered ? 'not comparable' : 'differs',
    why: isOrdered
      ? 'the order is the published one; no number was published to compare with'
      : 'the order is not the published one',
    parts,
  };
}

function percent(share: number): number {
  return Number((share * 100).toPrecision(3));
}

function digits(value: number): number {
  return Number(value.toPrecision(3));
}
