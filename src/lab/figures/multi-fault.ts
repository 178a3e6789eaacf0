import type {
  Figure,
  FigureContext,
  FigurePart,
  FigureResult,
  MultiFaultMeasurement,
  MultiFaultRow,
} from './figure.ts';
import { atMost, onlyHere, verdictOf } from './parts.ts';

/** Published change of page faults a minute with the count, percent, by number of threads. */
const PUBLISHED_PERCENT: ReadonlyMap<number, number> = new Map([
  [1, -0.64],
  [8, -1.17],
  [16, -0.36],
]);

/** What the count may cost a fault: in ns, and in percent of the engine's own path. */
const COST_MAX_NS = 2;
const COST_MAX_PERCENT = 3;
/** The largest published cost: what the count may take of a kernel's fault, in percent. */
const KERNEL_SHARE_MAX_PERCENT = 1.17;

export const pteRefFaults: Figure = {
  id: 'pte-ref.faults',
  seed: '000',
  what: 'multi-fault: threads that fault and drop a range again and again, with and without the count',
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
  rule: `median of the paired differences: at most ${COST_MAX_NS} ns a fault, at most ${COST_MAX_PERCENT} % of the engine's own fault, and at most ${KERNEL_SHARE_MAX_PERCENT} % (the largest published cost) of a fault of the running kernel`,
  isQuick: false,
  run: measure,
};

async function measure(context: FigureContext): Promise<FigureResult> {
  context.onProgress('multi-fault on 1, 8 and 16 threads');
  const measured = await context.measureMultiFault();
  const parts = measured.rows.flatMap((row) => partsOf(row, measured));
  return {
    here: measured.rows.map((row) => rowText(row, measured)).join('; '),
    verdict: verdictOf(parts),
    why: whyText(measured),
    parts,
  };
}

function partsOf(row: MultiFaultRow, { kernelFaultNs }: MultiFaultMeasurement): FigurePart[] {
  const threads = `${row.threads} thread${row.threads === 1 ? '' : 's'}`;
  const share = kernelFaultNs === null ? null : (row.costNs.median / kernelFaultNs) * 100;
  return [
    atMost(`${threads}: count`, 'ns a fault', COST_MAX_NS, round(row.costNs.median)),
    onlyHere(`${threads}: count, 95 % interval, low`, 'ns a fault', round(row.costNs.low)),
    onlyHere(`${threads}: count, 95 % interval, high`, 'ns a fault', round(row.costNs.high)),
    atMost(
      `${threads}: share of the engine's fault`,
      '%',
      COST_MAX_PERCENT,
      round(row.costPercent.median),
    ),
    ...(share === null
      ? []
      : [
          atMost(
            `${threads}: share of a kernel's fault`,
            '%',
            KERNEL_SHARE_MAX_PERCENT,
            round(share),
          ),
        ]),
    {
      what: `${threads}: faults a minute, drop included`,
      unit: '%',
      published: PUBLISHED_PERCENT.get(row.threads) ?? null,
      here: round(row.ratePercent.median),
      verdict: 'not comparable',
    },
    onlyHere(`${threads}: a fault with the count`, 'ns', round(row.withNs)),
    onlyHere(`${threads}: a fault without`, 'ns', round(row.withoutNs)),
    onlyHere(`${threads}: pairs`, 'pairs', row.pairs),
  ];
}

function rowText(row: MultiFaultRow, { kernelFaultNs }: MultiFaultMeasurement): string {
  const { costNs, costPercent, ratePercent } = row;
  const interval = `${signed(costNs.low)} to ${signed(costNs.high)}`;
  const share =
    kernelFaultNs === null
      ? ''
      : `, ${signed((costNs.median / kernelFaultNs) * 100)} % of a kernel's fault`;
  return `${row.threads}: ${signed(costNs.median)} ns a fault (${interval}), ${signed(costPercent.median)} % of the engine's${share}, faults a minute ${signed(ratePercent.median)} %`;
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
  return `measured; ${kernel}; ${time}. The published count is atomic and covers walkers too, in the much longer fault of a kernel, so the percentages stand side by side and are not held equal`;
}

function signed(value: number): string {
  const text = Math.abs(value).toFixed(2);
  return Number(text) === 0 ? '0.00' : `${value < 0 ? '−' : '+'}${text}`;
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
