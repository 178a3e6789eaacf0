import {
  GUEST_HUGE_DEFAULTS,
  type GuestHugeOutcome,
  type GuestHugeSettings,
  runGuestHuge,
} from '../experiments/guest-huge.ts';
import type { Figure, FigureContext, FigurePart, FigureResult } from './figure.ts';
import { atMost, onlyHere, verdictOf, within } from './parts.ts';

/** Ingens in a guest, in its host, in both (seed 002). */
const NONE = 'linux-6.18';
const INGENS = 'linux-6.18+ingens';
const ALWAYS = 'linux-6.18[thp=always]';
const SEED = 1;
const { guestMiB, hostMiB, programMiB, seconds } = GUEST_HUGE_DEFAULTS;
const SOON_SECONDS = 10;
const FRAGMENTED = { guestFragmentMiB: 460, hostFragmentMiB: 1200 };
const MOST_PERCENT = 90;

const POLICIES = [
  { name: 'neither', guest: NONE, host: NONE, part: 'neither', loads: 24 },
  { name: 'guest only', guest: INGENS, host: NONE, part: 'guestOnly', loads: 19 },
  { name: 'host only', guest: NONE, host: INGENS, part: 'hostOnly', loads: 19 },
  { name: 'both', guest: INGENS, host: INGENS, part: 'both', loads: 15 },
] as const;

export const INGENS_GUEST_HOST: Figure = {
  id: 'ingens.guest-host',
  seed: '002',
  what: 'memory of a guest’s program that is huge in the guest, in the host, in both, by where Ingens runs',
  unit: 'MiB',
  published:
    'the full effect needs huge pages in guest and host: a TLB entry maps the smaller of the two (speed-ups were published; ours are not compared with them)',
  source: 'Documentation/admin-guide/mm/transhuge.rst; the paper’s table is not at hand',
  method: 'engine',
  inputs: [
    {
      name: 'machines',
      value: `a guest of ${guestMiB} MiB in a host of ${hostMiB} MiB, a program of ${programMiB} MiB that uses all of it`,
      source: 'ours: no sizes are known',
    },
    {
      name: 'fragmented',
      value: `${FRAGMENTED.guestFragmentMiB} and ${FRAGMENTED.hostFragmentMiB} MiB filled before, half given back in pieces of 1 MiB down to 4 KiB`,
      source: 'ours',
    },
    {
      name: 'loads of a walk',
      value: '24 small on small, 19 with one of them huge, 15 with both; no walk caches',
      source: 'arithmetic: (g + 1)(h + 1) - 1',
    },
  ],
  rule: `after ${seconds} s, fresh and fragmented: without Ingens nothing is huge; with it on one side nothing is huge on the other, and at least ${MOST_PERCENT} % is on its own; on both sides at least ${MOST_PERCENT} % is huge in both`,
  isQuick: false,
  run: guestHost,
};

function guestHost(context: FigureContext): FigureResult {
  const parts: FigurePart[] = [];
  const outcomes = new Map<string, GuestHugeOutcome>();
  const run = (
    name: string,
    kernels: readonly [guest: string, host: string],
    settings: Partial<GuestHugeSettings>,
  ): GuestHugeOutcome => {
    context.onProgress(name);
    const outcome = runGuestHuge(kernels[0], kernels[1], SEED, settings);
    outcomes.set(name, outcome);
    return outcome;
  };
  for (const [state, settings] of [
    ['fresh', {}],
    ['fragmented', FRAGMENTED],
  ] as const) {
    for (const { name, guest, host, part } of POLICIES) {
      const outcome = run(`${state}, ${name}`, [guest, host], settings);
      parts.push(...judged(`${state}, Ingens in ${name}`, outcome, part));
    }
  }
  const soon = { ...FRAGMENTED, seconds: SOON_SECONDS };
  parts.push(
    ...told(`fragmented, in both, after ${SOON_SECONDS} s`, run('soon', [INGENS, INGENS], soon)),
  );
  parts.push(
    ...told('fragmented, Linux (always) in both', run('Linux', [ALWAYS, ALWAYS], FRAGMENTED)),
  );
  const loads = POLICIES.map(({ name }) => outcomes.get(`fragmented, ${name}`)?.loads ?? 0);
  return {
    here: `fragmented, ${seconds} s after the program was filled: loads of a walk ${loads.join(', ')} with Ingens in neither, the guest, the host, both; TLB entries for all of it ${outcomes.get('fragmented, both')?.entries} instead of ${outcomes.get('fragmented, neither')?.entries}`,
    verdict: verdictOf(parts),
    why: 'either side alone saves a level of the walk but no TLB entry; what the guest frees stays backed in the host, so the host finds its regions full. Compaction, 100 MiB in 5 s on each side, sets how soon',
    parts,
  };
}

function judged(
  what: string,
  outcome: GuestHugeOutcome,
  part: 'neither' | 'guestOnly' | 'hostOnly' | 'both',
): FigurePart[] {
  const others = programMiB - outcome[part];
  const loads = POLICIES.find((policy) => policy.part === part)?.loads ?? 0;
  if (part === 'neither') return [within(`${what}: loads`, 'loads', loads, outcome.loads, 0)];
  const isOneSided = part !== 'both';
  const wrong =
    part === 'guestOnly' ? outcome.hostOnly + outcome.both : outcome.guestOnly + outcome.both;
  return [
    atMost(`${what}: not so`, 'MiB', programMiB * (1 - MOST_PERCENT / 100), others),
    ...(isOneSided ? [atMost(`${what}: huge on the other side`, 'MiB', 0, wrong)] : []),
    onlyHere(`${what}: loads`, 'loads', outcome.loads),
  ];
}

function told(what: string, outcome: GuestHugeOutcome): FigurePart[] {
  const { both, guestOnly, hostOnly, neither, loads } = outcome;
  return [
    onlyHere(`${what}: huge in both`, 'MiB', both),
    onlyHere(`${what}: guest only`, 'MiB', guestOnly),
    onlyHere(`${what}: host only`, 'MiB', Number(hostOnly.toFixed(1))),
    onlyHere(`${what}: neither`, 'MiB', Number(neither.toFixed(1))),
    onlyHere(`${what}: loads`, 'loads', loads),
  ];
}
