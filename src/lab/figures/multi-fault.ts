import type {
  Figure,
  FigureContext,
  FigurePart,
  FigureResult,
  MultiFaultMeasurement,
  MultiFaultWay,
} from './figure.ts';
import { atMost, onlyHere, verdictOf } from './parts.ts';

/** Published change of page faults a minute with the count, percent, by number of threads. */
const PUBLISHED_PERCENT: ReadonlyMap<number, number> = new Map([
  [1, -0.64],
  [8, -1.17],
  [16, -0.36],
]);

/** What the ways are, in words; the first is the one that must keep the limits. */
const WAY_TEXTS: ReadonlyMap<string, string> = new Map([
  ['pte-ref-lock', 'the count under the table lock'],
  ['pte-ref', 'one atomic word, walkers included, as in v3'],
  ['pte-ref-percpu', 'a word for each cpu, frozen when empty'],
]);
const LIMITED_WAY = 'pte-ref-lock';

/** What the count may cost a fault: in ns, and in percent of the engine's own path. */
const COST_MAX_NS = 2;
const COST_MAX_PERCENT = 3;
/** The largest published cost: what the count may take of a kernel's fault, in percent. */
const KERNEL_SHARE_MAX_PERCENT = 1.17;

export const pteRefFaults: Figure = {
  id: 'pte-ref.faults',
  seed: '000',
  what: 'multi-fault: threads that fault and drop a range again and again, without any count and under each way to keep references',
  unit: 'percent of faults a minute',
  published: '1 / 8 / 16 threads: −0.64 % / −1.17 % / −0.36 % page faults a minute',
  source: 'Qi Zheng, CLK 2021: perf stat -e page-faults --repeat 5 ./multi-fault',
  method: 'engine',
  inputs: [
    {
      name: 'the side without the count',
      value: 'the same program with the lines taken out that keep the count of a dense table',
      source: 'bench/engine-build.ts',
    },
  ],
  rule: `for the count itself, which the engine keeps under the table lock (${LIMITED_WAY}), median of the paired differences: at most ${COST_MAX_NS} ns a fault, at most ${COST_MAX_PERCENT} % of the engine's own fault, and at most ${KERNEL_SHARE_MAX_PERCENT} % (the largest published cost) of a fault of the running kernel; the other ways stand beside it with their cost and have no limit`,
  isQuick: false,
  run: measure,
};

async function measure(context: FigureContext): Promise<FigureResult> {
  context.onProgress('multi-fault on 1, 8 and 16 threads');
  const measured = await context.measureMultiFault();
  const { kernelFaultNs } = measured;
  const parts = measured.rows.flatMap((row) => [
    ...row.ways.flatMap((way) => partsOf(row.threads, way, kernelFaultNs)),
    onlyHere(`${threadsText(row.threads)}: a fault without`, 'ns', round(row.withoutNs)),
  ]);
  return {
    here: [...WAY_TEXTS.keys()].map((mechanism) => wayText(mechanism, measured)).join('. '),
    verdict: verdictOf(parts),
    why: whyText(measured),
    parts,
  };
}

function partsOf(threads: number, way: MultiFaultWay, kernelFaultNs: number | null): FigurePart[] {
  const head = `${threadsText(threads)}, ${way.mechanism}`;
  const limited = way.mechanism === LIMITED_WAY ? atMost : withoutLimit;
  const { median, low, high } = way.costNs;
  const parts = [
    limited(`${head}: cost`, 'ns a fault', COST_MAX_NS, round(median)),
    onlyHere(`${head}: cost, 95 % interval, low`, 'ns a fault', round(low)),
    onlyHere(`${head}: cost, 95 % interval, high`, 'ns a fault', round(high)),
    limited(
      `${head}: share of the engine's fault`,
      '%',
      COST_MAX_PERCENT,
      round(way.costPercent.median),
    ),
  ];
  if (kernelFaultNs !== null) {
    const share = round((median / kernelFaultNs) * 100);
    parts.push(limited(`${head}: share of a kernel's fault`, '%', KERNEL_SHARE_MAX_PERCENT, share));
  }
  parts.push(
    {
      what: `${head}: faults a minute, drop included`,
      unit: '%',
      published: PUBLISHED_PERCENT.get(threads) ?? null,
      here: round(way.ratePercent.median),
      verdict: 'not comparable',
    },
    onlyHere(`${head}: a fault`, 'ns', round(way.withNs)),
    onlyHere(`${head}: pairs`, 'pairs', way.pairs),
  );
  return parts;
}

function withoutLimit(what: string, unit: string, _limit: number, here: number): FigurePart {
  return onlyHere(what, unit, here);
}

function wayText(mechanism: string, { rows, kernelFaultNs }: MultiFaultMeasurement): string {
  const texts = rows.flatMap(({ threads, ways }) =>
    ways
      .filter((way) => way.mechanism === mechanism)
      .map((way) => `${threads}: ${costText(way, kernelFaultNs)}`),
  );
  return `${mechanism} (${WAY_TEXTS.get(mechanism)}), by threads: ${texts.join('; ')}`;
}

function costText(way: MultiFaultWay, kernelFaultNs: number | null): string {
  const { costNs, costPercent, ratePercent } = way;
  const interval = `${signed(costNs.low)} to ${signed(costNs.high)}`;
  const share =
    kernelFaultNs === null
      ? ''
      : `, ${signed((costNs.median / kernelFaultNs) * 100)} % of a kernel's fault`;
  return `${signed(costNs.median)} ns a fault (${interval}), ${signed(costPercent.median)} % of the engine's${share}, faults a minute ${signed(ratePercent.median)} %`;
}

function threadsText(threads: number): string {
  return `${threads} thread${threads === 1 ? '' : 's'}`;
}

function whyText({ kernelFaultNs, clock }: MultiFaultMeasurement): string {
  const kernel =
    kernelFaultNs === null
      ? 'no fault of the running kernel could be measured here'
      : `a first touch on the running kernel took ${Math.round(kernelFaultNs)} ns in the same run`;
  const time =
    clock === 'thread'
      ? 'times are processor time of the threads, as there are fewer processors than threads'
      : 'times are wall time: this machine gives no processor time of a thread';
  return `measured; ${kernel}; ${time}. The published count is atomic and covers walkers too, as ours under pte-ref, but in the much longer fault of a kernel, so the percentages of faults a minute stand side by side and are not held equal; nearest to them is pte-ref's share of a kernel's fault. ${CHOICE}`;
}

/** Which way the engine takes by itself. */
const CHOICE =
  'The engine keeps the count under the table lock, for that lock is taken in any case, and a walker that looks again under it needs no reference; Linux walks so since 6.5 (pte_offset_map_lock). The other two are kept to be compared';

function signed(value: number): string {
  const text = Math.abs(value).toFixed(2);
  return Number(text) === 0 ? '0.00' : `${value < 0 ? '−' : '+'}${text}`;
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
